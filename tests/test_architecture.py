"""The guards of the structure: arrows between rooms, sizes, docstrings, banned names, and the guards themselves.

The source is parsed, not imported, so an arrow inside a function or a branch counts like any other. Every checker
is a function of `{module name: source text}`, so that it can be shown a bad snippet.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from pathlib import Path

import pytest

import meta_gan

ROOT = Path(__file__).resolve().parents[1]
OWN = ("meta_gan", "trainers")
# room: the rooms that it may import, no more than design and use ask for. A room is a top-level module or package;
# a package's file is a room of its own where others may import that file only.
# EVERYWHERE are the rooms that every other room may import; of ours they import nothing but errors.
EVERYWHERE = {"types", "checks", "hints", "errors", "renames", "atomic", "version"}
CORE = {"functional", "storage", "games.base", "meta", "meta.algorithms"}
FACE = {
    "adapted",
    "model",
    "loading",
    "serving",
    "augment",
    "augmenting",
    "judges",
    "protocol",
    "report",
    "metrics",
    "features",
    "presets",
}
ALLOWED = {
    **{room: set() for room in (*EVERYWHERE, "losses")},
    "atomic": {"errors"},
    "checks": {"errors", "hints"},
    "reading": set(),
    "storage": {"reading"},
    "layers": set(),
    "functional": set(),
    "replicas": {"functional"},
    "meta_learners.base": {"functional"},
    "meta_learners": {"meta_learners.base"},
    "networks": {"layers"},
    "tasks": set(),
    "games.base": {"functional", "layers"},
    "games": {"functional", "losses", "games.base"},
    "meta": {"functional", "meta_learners.base", "games.base"},
    "meta.algorithms": {"games.base", "meta", "meta_learners", "meta_learners.base"},
    "export": {"functional", "storage", "games.base", "adaptation"},
    "classes": {"reading", "storage"},
    "hub": {"classes", "reading", "storage"},
    "serving": {"classes", "functional", "reading", "storage", "export", "adapted", "model"},
    "environment": set(),
    "optimizers": set(),
    "task_model": {"environment"},
    "backend": set(),
    "adaptation": {*CORE, "environment"} - {"storage"},
    "early_stopping": {"adaptation"},
    "adapted": {*CORE, "environment", "layers", "export", "adaptation", "early_stopping"}
    - {"games.base", "meta", "meta.algorithms"},
    "model": {
        *({*CORE} - {"meta"}),
        *("environment", "replicas", "export", "adaptation", "early_stopping", "adapted", "optimizers", "task_model"),
    },
    "loading": {"storage", "adapted", "model", "hub"},
    "augment": {"tasks"},
    "features": {"layers", "networks", "reading", "storage", "loading"},
    "metrics": set(),
    "judges": {"layers", "networks", "tasks", "features", "metrics"},
    "protocol": {
        *("functional", "reading", "storage", "meta_learners", "tasks", "adapted", "model", "augment", "judges"),
        "metrics",
    },
    "report": {"tasks"},
    "augmenting": {"tasks", "model", "loading", "augment", "protocol", "report"},
    "controller": {"functional", "meta", "meta_learners.base"},
    "demo": {"tasks", "adapted", "model", "loading", "protocol"},
    "presets": {"functional", "losses", "networks", "meta_learners", "games", "meta", "model", "features", "loading"},
    "trainers": {"environment", "functional", "replicas", "storage", "tasks", "model", "export"},
    "cli": {
        "storage",
        "early_stopping",
        "hub",
        "augmenting",
        "features",
        "tasks",
        "loading",
        "export",
        "serving",
        "presets",
        "judges",
        "protocol",
        "report",
        "trainers",
        "demo",
    },
    "meta_gan": {
        "backend",
        "losses",
        "layers",
        "networks",
        "meta_learners",
        "games",
        "meta",
        "tasks",
        "export",
        "controller",
        *FACE,
    },
}
# What may not be reached even through others, whatever the table comes to say.
UNREACHABLE = {
    "networks": {"losses", "games", "functional", "meta"},
    "games": {"networks", "meta", "meta_learners", "tasks"},
    "tasks": {"functional", "networks", "games", "meta", "model", "layers"},
    "meta": {"networks", "meta_learners", "meta.algorithms", "tasks", "controller"},
    "model": {"networks", "tasks", "presets", "protocol", "judges", "report", "trainers", "cli", "controller"},
    "augment": {"model", "protocol", "judges"},
    "protocol": {"presets", "report", "trainers", "cli"},
    "judges": {"presets", "protocol", "trainers", "cli"},
    "report": {"protocol", "judges", "model"},
    "augmenting": {"presets", "trainers", "cli"},
    "controller": {"model", "presets", "tasks", "networks"},
    "trainers": {"presets", "protocol", "judges", "cli"},
}
LIBRARIES = {
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "absl",
    "matplotlib",
    "PIL",
    "jinja2",
    "markupsafe",
    "safetensors",
}
LIBRARIES |= {"tensorboard", "h5py", "shtab"}
LIBRARIES |= {"tensorflow_datasets", "importlib_resources", "google", "tensorflow_serving", "soundfile", "soxr"}
LIBRARIES |= {"gymnasium", "starlette", "uvicorn", "huggingface_hub"}

# Right first derivatives, silently wrong second ones.
LAYERS = [f"keras.layers.{kind}" for kind in ("Resizing", *(f"{k}Normalization" for k in ("Batch", "Layer", "Group")))]
LAYERS += ["keras.layers.SpectralNormalization"]
WRONG = [*LAYERS, "keras.ops.moments", "keras.ops.image.resize", "tensorflow.nn.moments", "tensorflow.image.resize"]
# Around an inner step that holds a tape these give None; arrows made by these are seen by no test.
WRONG += ["tensorflow.recompute_grad", "keras.remat", "keras.RematScope", "importlib.import_module", "__import__"]
# Draws with a hidden state.
WRONG += ["random", "keras.random", "tensorflow.random.Generator", "tensorflow.random.categorical"]
WRONG += [f"tensorflow.random.{k}" for k in ("normal", "uniform", "shuffle", "truncated_normal", "set_seed")]
WRONG += [f"numpy.random.{k}" for k in ("rand", "randn", "randint", "seed", "shuffle", "normal", "uniform", "choice")]
EXEMPT = {("meta_gan.layers.differentiability", name) for name in LAYERS}  # the guard at the door names what it refuses
NUMERIC = [f"metrics.{name}" for name in ("bootstrap", "class_scores", "distances", "ngrams", "pooled_distances")]
NUMERIC += ["protocol.splits", "protocol.allocation"]
# Rooms of values in, values out.
PURE = ("losses", "games", "meta_learners", "meta")
STATE = ("tensorflow.Variable", "keras.Variable")


def load(*folders):
    """`{module name: source text}` of the packages in the repository's root."""
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8") for path in files}


def room(module):
    """The finest room that a dotted name lies in; None for a name of nobody's."""
    first, *inner = module.removesuffix(".__init__").split(".")
    if first == "trainers" or not inner:
        return first
    return next((".".join(inner[:n]) for n in (2, 1) if ".".join(inner[:n]) in ALLOWED), None)


def imports(source, modules=()):
    """`(line, dotted name)` of all that a source imports; `from a import b` is a.b where that is a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for full in (f"{base}.{alias.name}" for alias in node.names):
                yield node.lineno, full if {full, f"{full}.__init__"} & set(modules) else base


def arrows(sources):
    """`{(room, imported room): "module:line"}` between different rooms, but for those that may be imported everywhere.

    A package's `__init__` may import the package's own files."""
    found = {}
    for module, source in sources.items():
        here = room(module)
        for line, name in imports(source, sources):
            there = room(name) if name.split(".")[0] in OWN else here
            own_file = module.endswith(".__init__") and f"{there}.".startswith(f"{here}.")
            if there != here and not own_file and (there not in EVERYWHERE or here in EVERYWHERE):
                found.setdefault((here, there), f"{module}:{line} {name}")
    return found


def reachable(start):
    """The rooms that a room reaches through the table."""
    seen, queue = set(), [start]
    while queue:
        new = ALLOWED[queue.pop()] - seen
        seen, queue = seen | new, queue + sorted(new)
    return seen


def foreign(sources):
    """Imports that are relative, of a library that `setup.py` does not ask for, or of another file's private name."""
    good, found = {*OWN, *LIBRARIES, *sys.stdlib_module_names}, []
    for module, source in sources.items():
        found += [f"{module}:{line} {name}" for line, name in imports(source) if name.split(".")[0] not in good]
        nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
        taken = ((node.lineno, alias.name) for node in nodes for alias in node.names)
        found += [f"{module}:{line} {name}" for line, name in taken if name[0] == "_"]
    return found


def names(source):
    """`(line, dotted name)` of all that a source mentions, with import aliases resolved and tf.keras as keras."""
    tree, alias = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            base = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            alias |= {a.asname or a.name: base + a.name for a in node.names}
            yield from ((node.lineno, base + a.name) for a in node.names)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            first, *rest = ast.unparse(node).split(".")
            yield node.lineno, ".".join([alias.get(first, first), *rest]).replace("tensorflow.keras", "keras")


def banned(sources):
    """Mentions of names that are wrong in this package, or wrong in this room."""
    found = set()
    for module, source in sources.items():
        pure = (room(module) or "").split(".")[0] in PURE
        last = {"SeedGenerator", *(["assign", "assign_add", "assign_sub"] if pure else [])}
        last |= set() if module == "meta_gan.functional" else {"stateless_call"}
        for line, name in names(source):
            hits = [bad for bad in (*WRONG, *(STATE if pure else ())) if f"{name}.".startswith(f"{bad}.")]
            hits += {name.split(".")[-1]} & last
            found |= {f"{module}:{line} {bad}" for bad in hits if (module, bad) not in EXEMPT}
        for call in ast.walk(ast.parse(source)):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("UpSampling2D"):
                modes = {ast.unparse(k.value) for k in call.keywords if k.arg in ("interpolation", None)}
                found |= {f"{module}:{call.lineno} UpSampling2D"} if modes - {"'nearest'"} else set()
    return sorted(found)


def proxies(sources):
    """Classes that forward unknown attributes to another object, which no type checker can follow."""
    classes = [(m, n) for m, s in sources.items() for n in ast.walk(ast.parse(s)) if isinstance(n, ast.ClassDef)]
    return [f"{m}.{c.name}" for m, c in classes if any(getattr(n, "name", "") == "__getattr__" for n in c.body)]


def oversized(sources, lines=500, body=60):
    """Files of more than `lines` lines and functions of more than `body`."""
    long = [f"{m}: {n} lines" for m, s in sources.items() if (n := len(s.splitlines())) > lines]
    for module, source in sources.items():
        functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        long += [f"{module}.{f.name}" for f in functions if f.end_lineno - f.lineno + 1 > body]
    return long


def undocumented(sources):
    """Modules, public classes and public functions without a docstring."""
    trees = {module: ast.parse(source) for module, source in sources.items()}
    nodes = [(m, n) for m, tree in trees.items() for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    bare = [f"{m}.{n.name}" for m, n in nodes if n.name[0] != "_" and not ast.get_docstring(n)]
    return bare + [m for m, tree in trees.items() if not ast.get_docstring(tree)]


def undocumented_methods(module):
    """Public methods and properties of public classes for which `help()`, which inherits, has nothing to say."""
    kinds = [
        k for n, k in vars(module).items() if inspect.isclass(k) and k.__module__ == module.__name__ and n[0] != "_"
    ]
    public = ((k, n, v) for k in kinds for n, v in vars(k).items() if n[0] != "_")
    methods = ((k, n) for k, n, v in public if inspect.isroutine(v) or isinstance(v, (property, classmethod)))
    return [f"{k.__name__}.{n}" for k, n in methods if not inspect.getdoc(getattr(k, n))]


SOURCES = load(*OWN)


def test_every_arrow_is_in_the_table():
    assert not [module for module in SOURCES if room(module) is None], "files outside of every room"
    wrong = {arrow: place for arrow, place in arrows(SOURCES).items() if arrow[1] not in ALLOWED.get(arrow[0], set())}
    assert not wrong, f"arrows that the design does not have: {wrong}"


def test_every_arrow_of_the_table_is_used():
    listed = {(here, there) for here, all_ in ALLOWED.items() for there in all_}
    assert not listed - set(arrows(SOURCES)), "arrows that nothing uses: take them out of ALLOWED"


def test_the_table_has_no_cycle_and_keeps_rooms_apart():
    assert not [here for here in ALLOWED if here in reachable(here)]
    wrong = {here: reachable(here) & far for here, far in UNREACHABLE.items() if reachable(here) & far}
    assert not wrong, f"rooms that reach what they must not know: {wrong}"


def test_only_declared_libraries_and_public_names_are_imported():
    assert not foreign(SOURCES)
    setup = (ROOT / "setup.py").read_text("utf-8").lower().replace("-", "_")
    installed = {"absl": "absl_py", "PIL": "pillow", "google": "protobuf"}
    assert not (absent := {n for n in LIBRARIES if installed.get(n, n) not in setup}), f"not in setup.py: {absent}"


@pytest.mark.parametrize("name", ["checks", "storage", "tasks.base", "tasks.pixels", *NUMERIC])
def test_plain_files_know_numpy_only(name):
    assert {n.split(".")[0] for _, n in imports(SOURCES[f"meta_gan.{name}"])} & LIBRARIES <= {"numpy"}


def test_nothing_banned_is_named():
    assert not banned(SOURCES)


def test_no_class_forwards_unknown_attributes():
    assert not proxies({**SOURCES, **load("tests", "benchmarks")})
    assert proxies({"m": "class A:\n    def __getattr__(self, name):\n        return name"}) == ["m.A"]


def test_files_and_functions_are_short():
    assert not oversized({**SOURCES, **load("tests", "benchmarks")})


def test_everything_public_is_documented():
    assert not undocumented({**SOURCES, **load("benchmarks")})
    modules = [importlib.import_module(m.removesuffix(".__init__")) for m in SOURCES if "__main__" not in m]
    assert not [method for module in modules for method in undocumented_methods(module)]


def test_the_public_names_exist_and_are_few():
    assert 20 <= len(meta_gan.__all__) <= 40
    for package in (importlib.import_module(m.removesuffix(".__init__")) for m in SOURCES if m.endswith("__init__")):
        assert len(set(package.__all__)) == len(package.__all__)
        assert not [name for name in package.__all__ if not hasattr(package, name)]


@pytest.mark.parametrize(
    ("module", "source", "there"),
    [
        ("meta_gan.games.gan", "def f():\n    from meta_gan.networks import dcgan", "networks"),
        ("meta_gan.meta.unrolled", "from meta_gan.meta_learners import Adam", "meta_learners"),
        ("meta_gan.meta.unrolled", "if True:\n    from meta_gan.meta import algorithms", "meta.algorithms"),
        ("meta_gan.tasks.base", "import meta_gan.model as m", "model"),
        ("meta_gan.types", "import meta_gan", "meta_gan"),
        ("meta_gan.losses.base", "from meta_gan import functional", "functional"),
        ("meta_gan.presets", "import trainers.config", "trainers"),
    ],
)
def test_a_forbidden_arrow_is_seen(module, source, there):
    ((here, seen),) = arrows({**dict.fromkeys(SOURCES, ""), module: source})
    assert seen == there and seen not in ALLOWED[here]


@pytest.mark.parametrize(
    "source",
    [
        "import keras; layer = {'n': keras.layers.BatchNormalization}",
        "import tensorflow as tf; kind = tf.keras.layers.LayerNormalization",
        "from keras.layers import Resizing as R",
        "from keras import ops; ops.moments(x, [0])",
        "import tensorflow as tf; tf.random.normal([2])",
        "from numpy import random as r; r.seed(0)",
        "import random",
        "import keras; keras.random.SeedGenerator(0)",
        "net.stateless_call(w, s, x)",
        "import tensorflow as tf; tf.Variable(0.0)",
        "import keras; keras.layers.UpSampling2D(2, interpolation='bilinear')",
        "weight.assign(0.0)",
    ],
)
def test_a_banned_name_is_seen(source):
    assert banned({"meta_gan.meta.bad": source})


def test_the_other_checkers_see_what_is_wrong_and_pass_what_is_right():
    good = '"""A."""\nimport numpy as np\n\n\ndef f():\n    """B."""\n    return np.random.default_rng(0)\n'
    assert not any(check({"meta_gan.meta.m": good}) for check in (arrows, foreign, banned, oversized, undocumented))
    assert undocumented({"m": "class A:\n    pass"}) == ["m.A", "m"]
    assert oversized({"m": "x = 0\n" * 501}) and oversized({"m": "def f():\n" + "    x = 0\n" * 60})
    assert foreign({"m": "import torch"}) and foreign({"m": "from . import a"}) and foreign({"m": "from os import _b"})
