"""Models on the hub, against a server on loopback: what is loaded and sent, what is refused, and what is requested."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi, ModelCard, constants

import meta_gan as mg
from meta_gan import hub, loading, storage
from tests.cli.conftest import call
from tests.games.nets import tiny_fusion
from tests.hub_server import Hub, Repository, serving
from tests.presets import helpers
from tests.toys import tiny_flow

ADDRESS = "hf://user/name"
SUPPORT = np.linspace(-1, 1, 3 * 64, dtype=np.float32).reshape(3, 8, 8, 1)


def fusion(seed=0):
    """A model of 8 x 8 pictures, whose weights differ between seeds."""
    model = mg.MetaModel(tiny_fusion(), mg.FOMAML(0))
    model.data_card = {"medium": "pictures", "polarity": "light-on-dark"}
    for variable in model.game.nets["generator"].trainable_variables:
        variable.assign(variable + 0.1 * seed)
    return model


@pytest.fixture(scope="module")
def served():
    """The server and its address."""
    made = Hub()
    with serving(made.app) as address:
        yield made, address


@pytest.fixture
def server(served, tmp_path, monkeypatch):
    """An empty hub, and an empty cache; requests of the library for its own statistics are switched off."""
    made, address = served
    made.reset()
    monkeypatch.setattr(hub, "client", lambda: HfApi(endpoint=address, token="mine"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved model."""
    place = tmp_path_factory.mktemp("hub") / "model"
    fusion().save(place, card_data={"license": "mit", "datasets": ["user/drawings"], "tags": ["characters"]})
    return place


def contents(folder, **changes):
    """The files of a saved model as bytes, some of them changed; None leaves one out."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return {name: data for name, data in {**files, **changes}.items() if data is not None}


def put(server, files, name="user/name"):
    """The commit of files in a repository, which is made if it is not there."""
    return server.repositories.setdefault(name, Repository()).commit(files)


def samples(model):
    """Samples after adaptation."""
    return model.adapt(SUPPORT, seed=0).sample(4, seed=1)


def first(model):
    """The values of one weight, which differ between the seeds of `fusion`."""
    return model.game.nets["generator"].trainable_variables[0].numpy()


def reconfigured(folder, place, change):
    """The folder's files after a change of the configuration, whose checksums are right."""
    config, arrays = storage.read_model(folder, "meta_model")
    change(config)
    storage.write_model(place, config, arrays)
    return contents(place)


def test_an_uploaded_model_loads_with_the_same_samples_bit_for_bit(server):
    model = fusion()
    address = mg.upload(model, ADDRESS)
    loaded = mg.load(ADDRESS)
    np.testing.assert_array_equal(samples(loaded), samples(model))
    repository = server.repositories["user/name"]
    assert loaded.source == address == f"{ADDRESS}@{repository.refs['main']}"
    assert repository.messages == ["initial commit", "Upload a model of meta_gan"], "one commit"
    assert set(repository.files("main")[1]) == {*storage.FILES, ".gitattributes"}
    assert repository.private
    assert mg.load(loaded.source).source == address and model.source is None


def test_a_folder_a_run_and_an_adapted_model_are_sent_without_what_else_is_there(server, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run" / "model")
    (tmp_path / "run" / "model" / "notes.txt").write_text("mine")
    mg.upload(tmp_path / "run", ADDRESS, private=False, message="First")
    repository = server.repositories["user/name"]
    assert repository.messages[1:] == ["First"] and not repository.private
    sent = repository.files("main")[1]
    assert {name: sent[name] for name in storage.FILES} == contents(folder)

    adapted = mg.load(folder).adapt(SUPPORT, seed=0)
    address = mg.upload(adapted, "hf://user/adapted")
    assert set(server.repositories["user/adapted"].files("main")[1]) == {*storage.FILES, ".gitattributes"}
    loaded = mg.load_adapted("hf://user/adapted")
    np.testing.assert_array_equal(loaded.sample(4, seed=1), adapted.sample(4, seed=1))
    assert loaded.source == address
    (tmp_path / "adapted").mkdir()
    adapted.write_into(tmp_path / "adapted", programs=False)
    (tmp_path / "adapted" / "generator.keras").touch()
    assert mg.upload(tmp_path / "adapted", "hf://user/adapted") != address
    assert "generator.keras" not in server.repositories["user/adapted"].files("main")[1]


def test_a_pinned_commit_loads_the_old_version_after_a_new_upload(server):
    one, two = fusion(), fusion(seed=1)
    old, new = mg.upload(one, ADDRESS), mg.upload(two, ADDRESS)
    assert old != new and not np.array_equal(first(one), first(two))
    np.testing.assert_array_equal(first(mg.load(old)), first(one))
    for address in (ADDRESS, f"{ADDRESS}@main", new):
        np.testing.assert_array_equal(first(mg.load(address)), first(two))


def test_a_branch_is_made_and_leaves_main_alone_and_files_that_a_model_lacks_go(server, folder):
    repository_before = put(server, {**contents(folder), "notes.txt": b"theirs"})
    old = folder.parent / "old"
    shutil.copytree(folder, old, ignore=shutil.ignore_patterns("metadata.json"), dirs_exist_ok=True)
    address = mg.upload(old, ADDRESS, revision="next")
    repository = server.repositories["user/name"]
    assert repository.refs["main"] == repository_before and address == f"{ADDRESS}@{repository.refs['next']}"
    assert set(repository.files("next")[1]) == {"config.json", "weights.npz", "README.md", "notes.txt"}


def test_nothing_but_the_model_is_requested_and_nothing_twice(server, folder):
    more = {"model.py": b"raise SystemExit", "generator.keras": b"x", "weights/more.npz": b"x", "config.json.bak": b"x"}
    commit = put(server, {**contents(folder), **more})
    mg.load(ADDRESS)
    resolved = f"/user/name/resolve/{commit}"
    names = ["README.md", "config.json", "metadata.json", "weights.npz"]
    files = [f"{method} {resolved}/{name}" for name in names for method in ("HEAD", "GET")]
    assert server.log == [
        "GET /api/models/user/name/revision/main",
        f"GET /api/models/user/name/revision/{commit}",
        *files,
    ]
    server.log.clear()
    mg.load(f"{ADDRESS}@{commit}")
    assert server.log == []
    mg.load(ADDRESS)
    assert server.log == ["GET /api/models/user/name/revision/main"]


def test_other_models_make_no_request_and_need_no_extra(server, monkeypatch):
    def refuse(*_):
        raise AssertionError("a request")

    monkeypatch.setattr(hub, "client", refuse)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    mg.load("omniglot")
    with pytest.raises(ValueError, match="a model must be a folder"):
        mg.load("user/name")
    assert server.log == []


def test_the_library_is_imported_by_the_hub_alone_and_not_before_it_is_used():
    """Keras imports it where it is installed, so that `sys.modules` does not tell."""
    found = {}
    for path in Path(mg.__file__).parent.rglob("*.py"):
        lines = [
            line for line in path.read_text("utf-8").splitlines() if re.match(r"\s*(from|import) huggingface", line)
        ]
        found |= {path.name: lines} if lines else {}
    assert list(found) == ["hub.py"] and all(line.startswith("    ") for line in found["hub.py"])


def test_the_cache_answers_a_pinned_commit_without_a_network(server, folder, monkeypatch):
    commit = put(server, contents(folder))
    expected = first(mg.load(ADDRESS))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.log.clear()
    np.testing.assert_array_equal(first(mg.load(f"{ADDRESS}@{commit}")), expected)
    for address in (ADDRESS, f"{ADDRESS}@{'0' * 40}"):
        with pytest.raises(ValueError, match=rf"'{address}' must be pinned .* while HF_HUB_OFFLINE is set. Received"):
            mg.load(address)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set"):
        mg.upload(folder, ADDRESS)
    assert server.log == []


def damaged(folder, place):
    """`{what: (files, message)}` of repositories that are refused."""
    whole = contents(folder)
    weights = bytearray(whole["weights.npz"])
    weights[len(weights) // 2] ^= 1
    edited = whole["config.json"].replace(b'"meta_model"', b'"meta_modal"')
    evil = {"module": "os", "class_name": "system", "config": {}, "registered_name": None}
    layer = {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}, "registered_name": None}

    def encoder(value):
        return lambda config: config["game"]["config"].update(encoder=value)

    return {
        "tampered": (contents(folder, **{"weights.npz": bytes(weights)}), "weights.npz' must have the sha256"),
        "truncated": (contents(folder, **{"weights.npz": whole["weights.npz"][:-9]}), "must have the sha256"),
        "edited": (contents(folder, **{"config.json": edited}), "must have the sha256 in its entry 'config_sha256'"),
        "no weights": (contents(folder, **{"weights.npz": None}), r"without \['weights.npz'\]"),
        "no model": ({"model.py": b""}, r"without \['config.json', 'weights.npz'\]"),
        "os": (reconfigured(folder, place / "os", encoder(evil)), r"of meta_gan .* Received: os>system"),
        "loader": (reconfigured(folder, place / "loader", encoder(layer)), r"Received: keras.layers>TFSMLayer"),
        "huge": (
            reconfigured(
                folder, place / "huge", lambda c: c["game"]["config"]["generator"]["config"].update(width=10**9)
            ),
            r"in sizes that fit its weights. Received: 'game.*width' of 1000000000",
        ),
        "judge": (
            reconfigured(folder, place / "judge", lambda config: config.update(kind="judge")),
            "a meta_model. Received: a judge",
        ),
    }


WHAT = ("tampered", "truncated", "edited", "no weights", "no model", "os", "loader", "huge", "judge")


@pytest.mark.parametrize("what", WHAT)
def test_a_repository_of_anything_else_is_refused_before_anything_is_built(what, server, folder, tmp_path, monkeypatch):
    files, message = damaged(folder, tmp_path)[what]
    put(server, files)
    monkeypatch.setattr(mg.MetaModel, "from_folder", lambda *_: pytest.fail("something was built"))
    with pytest.raises(ValueError, match=rf"(?s)'{ADDRESS}@?\w*' must .*{message}"):
        mg.load(ADDRESS)


@pytest.mark.parametrize("what", [each for each in WHAT if each not in ("no model", "no weights")])
def test_what_would_be_refused_is_not_sent(what, server, folder, tmp_path):
    place = tmp_path / "sent"
    place.mkdir()
    for name, data in damaged(folder, tmp_path)[what][0].items():
        (place / name).write_bytes(data)
    with pytest.raises(ValueError, match=r"the model in '.*' must "):
        mg.upload(place, ADDRESS)
    assert server.log == [] and not server.repositories


def test_classes_of_ones_own_and_what_is_no_model_are_not_sent(server, folder, tmp_path):
    with pytest.raises(ValueError, match=r"must name classes of meta_gan .* Received: toys>"):
        mg.upload(mg.MetaModel(tiny_flow(), mg.FOMAML(1)), ADDRESS)
    for model, message in (
        (tmp_path, "a model folder must hold config.json"),
        (3, "must be a MetaModel, an AdaptedModel or a folder. Received: int"),
        (ADDRESS, "on this machine. Received: 'hf://user/name'"),
    ):
        with pytest.raises(ValueError, match=message):
            mg.upload(model, ADDRESS)
    with pytest.raises(ValueError, match=r"must be hf://USER/NAME; name a branch by 'revision'. Received"):
        mg.upload(folder, f"{ADDRESS}@main")
    with pytest.raises(ValueError, match=r"'revision' of an upload must be a branch or None. Received: '0{40}'"):
        mg.upload(folder, ADDRESS, revision="0" * 40)
    assert server.log == []


def test_a_file_that_is_too_large_is_not_fetched(server, folder):
    commit = put(server, contents(folder))
    server.stated["weights.npz"] = 2**30 + 1
    with pytest.raises(
        ValueError, match=rf"weights.npz of '{ADDRESS}@\w+' must be of at most {2**30} bytes. Received: {2**30 + 1}"
    ):
        mg.load(ADDRESS)
    assert not [line for line in server.log if "resolve" in line]
    server.stated["weights.npz"] = 5
    with pytest.raises(ValueError, match=rf"weights.npz of '{ADDRESS}@\w+' must be of 5 bytes. Received: \d+"):
        mg.load(f"{ADDRESS}@{commit}")


@pytest.mark.parametrize(
    "address",
    [
        "hf://",
        "hf://name",
        "hf://user/name@",
        "hf://user/name/file",
        "hf://datasets/user/name",
        "hf://a/b@x/y",
        "hf://u//n",
    ],
)
def test_a_malformed_address_is_refused(address, server, folder):
    for use in (mg.load, mg.load_adapted, loading.resolve, lambda place: mg.upload(folder, place)):
        with pytest.raises(ValueError, match=rf"^an address must be {hub.FORM}.* Received: {address!r}$"):
            use(address)
    assert server.log == []


def test_errors_of_the_hub_name_the_address_and_whose_they_are(server, folder):
    put(server, contents(folder))
    with pytest.raises(
        ValueError, match=r"'hf://user/other' must be a repository that exists.*HF_TOKEN.* Received: none"
    ):
        mg.load("hf://user/other")
    with pytest.raises(ValueError, match=r"'hf://user/name@v9' must be a commit, tag or branch"):
        mg.load(f"{ADDRESS}@v9")
    with pytest.raises(ValueError, match=r"must be a commit, tag or branch"):
        mg.load(f"{ADDRESS}@{'0' * 40}")
    server.repositories["user/name"].gated = True
    with pytest.raises(
        ValueError, match=rf"'{ADDRESS}@\w+' must be a repository that you have access to.* Received: a gated"
    ):
        mg.load(ADDRESS)
    server.failing = 403
    for use in (mg.load, lambda place: mg.upload(folder, place)):
        with pytest.raises(ValueError, match=rf"'{ADDRESS}' must be a repository that your token may use .*status 403"):
            use(ADDRESS)
    server.failing = 500
    with pytest.raises(OSError, match=rf"'{ADDRESS}' could not be read from or written to the hub: .*500"):
        mg.load(ADDRESS)


def test_a_hub_that_is_not_there_is_a_fault_of_the_machine(server, folder, monkeypatch, capsys):
    monkeypatch.setattr(hub, "client", lambda: HfApi(endpoint="http://127.0.0.1:9", token=False))
    with pytest.raises(OSError, match=rf"'{ADDRESS}' could not be read"):
        mg.load(ADDRESS)
    assert call("info", "--model", ADDRESS) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"meta-gan info: error: '{ADDRESS}' could not be read")


def test_without_the_extra_the_error_says_how_to_install_it(server, folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in (mg.load, mg.load_adapted, lambda place: mg.upload(folder, place)):
        with pytest.raises(
            ValueError, match=r"'hf://user/name' needs the extra `hub`, `pip install 'meta-gan\[hub\]'`"
        ):
            use(ADDRESS)
    assert call("adapt", "--model", ADDRESS, "--support", "s", "--out", "never") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert mg.load(folder).source is None


def test_the_client_is_given_neither_a_token_nor_an_endpoint(server, monkeypatch):
    """Both are then the library's own."""
    monkeypatch.undo()
    assert hub.client().token is None and hub.client().endpoint == constants.ENDPOINT


def test_the_card_has_the_fields_of_the_hub(folder, tmp_path):
    fields = ModelCard((folder / "README.md").read_text("utf-8")).data.to_dict()
    assert fields == {
        "library_name": "meta-gan",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["few-shot", "meta-learning", "characters"],
        "license": "mit",
        "datasets": ["user/drawings"],
    }
    metadata = json.loads((folder / "metadata.json").read_text("utf-8"))
    assert metadata["meta_gan_version"] == mg.__version__ and metadata["keras_version"]
    assert metadata["parameter_count"] == fusion().count_params()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d@\d\d:\d\d:\d\d", metadata["date_saved"])
    for wrong, message in (
        ({"licence": "mit"}, r"'card_data' must be a dict with the keys license, .* Received: \['licence'\]"),
        ({"license": 3}, r"'license' in 'card_data' must be a string or a list of strings. Received: 3"),
        (["mit"], r"'card_data' must be a dict .* Received: \['mit'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            fusion().save(tmp_path / "m", card_data=wrong)
    assert not os.listdir(tmp_path)


def test_info_says_which_commit_and_commands_refuse_what_is_not_there(server, folder, tmp_path, capsys):
    commit = put(server, contents(folder))
    assert call("info", "--model", ADDRESS) == 0
    assert f"model: {ADDRESS}@{commit}" in capsys.readouterr().out.splitlines()
    out = ["--out", tmp_path / "never"]
    for command in (
        ["info"],
        ["export", *out],
        ["adapt", "--support", "s", *out],
        ["sample", "--count", 1, *out],
        ["demo"],
    ):
        assert call(*command, "--model", "hf://user/other") == 2
        assert "'hf://user/other' must be a repository that exists" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


@pytest.mark.slow
def test_every_command_that_takes_a_model_takes_an_address(server, folder, tmp_path, capsys):
    put(server, contents(folder))
    np.savez(tmp_path / "support.npz", support=SUPPORT)
    adapted = tmp_path / "adapted"
    given = ["--support", tmp_path / "support.npz", "--out", adapted, "--sample", 2]
    assert call("adapt", "--model", f"{ADDRESS}@main", *given) == 0
    mg.upload(adapted, "hf://user/adapted")
    assert call("sample", "--model", "hf://user/adapted", "--count", 2, "--out", tmp_path / "more") == 0
    assert call("export", "--model", ADDRESS, "--out", tmp_path / "served") == 0


def test_training_starts_from_an_address(server, tmp_path, capsys):
    helpers.build().save(tmp_path / "model")
    put(server, contents(tmp_path / "model"))
    images = np.random.default_rng(0).integers(0, 256, (80, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.repeat(np.arange(8), 10))
    run = ["train", "--preset", "fomaml", "--data", tmp_path / "data.npz", "--shots", 3, "--queries", 3, "--steps", 1]
    settings = [f"{key}={value}" for key, value in {**helpers.TINY, "meta_batch": 2}.items()]
    run += ["--out", tmp_path / "runs", "--dry-run", "--set", *settings]
    assert call(*run, "--start", ADDRESS) == 0
    assert server.log[-1].startswith("GET /user/name/resolve/")
    assert call(*run, "--start", "hf://user/other") == 2
    assert "'hf://user/other' must be a repository that exists" in capsys.readouterr().err


@pytest.mark.slow
def test_a_process_of_its_own_uses_the_librarys_variables(served, folder, tmp_path):
    made, address = served
    made.reset()
    commit = put(made, contents(folder))
    own = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_TOKEN": "mine"}
    script = "import meta_gan as mg; print(mg.load('hf://user/name').source)"
    run = [sys.executable, "-c", script]
    done = subprocess.run(run, env={**os.environ, **own}, capture_output=True, text=True, check=True)
    assert done.stdout == f"{ADDRESS}@{commit}\n"
