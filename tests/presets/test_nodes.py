"""Nodes: checks of fields, plain trees, and changes by path."""

import dataclasses
import json
from dataclasses import dataclass

import pytest

from meta_gan import losses, presets
from meta_gan.presets.nodes import Node, always, change, choice, flag, integer, kind_of, number, one_of, text


@dataclass(frozen=True)
class Small(Node):
    size: int = integer(2, least=1)
    share: float = number(0.5, least=0, below=1)
    optional: float | None = number(None, above=0)


@dataclass(frozen=True)
class Large(Node):
    size: int = integer(9, least=1)
    depth: int = integer(3)
    word: str = choice("a", ("a", "b"))


@dataclass(frozen=True)
class Settings:
    steps: int = 1
    pictures: tuple[int, ...] = (0, 1)


@dataclass(frozen=True)
class Tree(Node):
    part: Node = one_of({"small": Small(), "large": Large()}, "small")
    spare: Large | None = one_of({"none": None, "large": Large(depth=7)}, "none")
    penalty: losses.R1 | losses.GradientPenalty | None = one_of(presets.games.PENALTIES, "r1")
    settings: Settings = always(Settings())
    on: bool = flag(False)
    label: str = text("")


def test_kinds_have_names():
    kinds = {"none": None, "small": Small(), "large": Large()}
    assert [kind_of(node, kinds, "part") for node in (Large(1), Small(3), None)] == ["large", "small", "none"]
    with pytest.raises(ValueError, match=r"^'part' must be one of 'none', 'small', 'large'\. Received: Tree$"):
        kind_of(Tree(), kinds, "part")


@pytest.mark.parametrize(
    ("node", "fields", "message"),
    [
        (Small, {"size": 0}, "'size' must be an integer >= 1"),
        (Small, {"size": 1.0}, "'size' must be an integer >= 1"),
        (Small, {"share": 1.0}, "'share' must be a finite number >= 0 and < 1. Received: 1.0"),
        (Small, {"share": None}, "'share' must be a finite number"),
        (Small, {"optional": 0}, "'optional' must be a finite number > 0. Received: 0"),
        (Large, {"word": "c"}, "'word' must be one of 'a', 'b'. Received: 'c'"),
        (Tree, {"on": 1}, "'on' must be True or False. Received: 1"),
        (Tree, {"label": None}, "'label' must be a string. Received: None"),
        (Tree, {"part": None}, "'part' must be one of 'small', 'large'. Received: NoneType"),
        (Tree, {"part": Tree()}, "'part' must be one of 'small', 'large'. Received: Tree"),
    ],
)
def test_a_node_checks_its_fields(node, fields, message):
    with pytest.raises(ValueError) as caught:
        node(**fields)
    assert str(caught.value).startswith(message)


def test_a_tree_as_json_and_back():
    tree = Tree(Large(4, word="b"), Large(), None, Settings(3, (5,)), True, "x")
    config = json.loads(json.dumps(tree.to_config()))
    assert config == {
        "part": {"kind": "large", "size": 4, "depth": 3, "word": "b"},
        "spare": {"kind": "large", "size": 9, "depth": 3, "word": "a"},
        "penalty": {"kind": "none"},
        "settings": {"steps": 3, "pictures": [5]},
        "on": True,
        "label": "x",
    }
    assert Tree.from_config(config) == tree
    assert Tree.from_config(Tree().to_config()) == Tree() == Tree.from_config({})


def test_a_kind_alone_has_the_defaults_of_the_field():
    assert Tree.from_config({"spare": "large", "penalty": "gradient", "part": {"size": 5}}) == Tree(
        Small(5), Large(depth=7), losses.GradientPenalty(1.0)
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"colour": 1}, "'colour' must be a setting, one of part, spare, "),
        ({"part": {"depth": 1}}, "'part.depth' must be a setting, one of size, share, optional. Received: 'depth'"),
        ({"part": {"kind": "huge"}}, "'part' must be one of 'small', 'large'. Received: 'huge'"),
        ({"part": {"size": "3"}}, "'part.size' must be an integer >= 1"),
        ({"part": 3}, "'part' must be one of 'small', 'large'. Received: 3"),
        ({"spare": None}, "'spare' must be one of 'none', 'large'. Received: None"),
        ({"settings": 3}, "'settings' must be a table of settings. Received: 3"),
        ({"settings": {"kind": "x"}}, "'settings.kind' must be a setting, one of steps, pictures. Received: 'kind'"),
        (
            {"penalty": {"kind": "none", "weight": 1}},
            "'penalty' must have no settings when it is 'none'. Received: weight",
        ),
        ({"penalty": {"weight": -1.0}}, "penalty"),
    ],
)
def test_what_a_tree_must_not_hold_is_named_with_its_path(config, message):
    with pytest.raises(ValueError) as caught:
        Tree.from_config(config)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Tree()),
        ({"part.size": 4}, Tree(Small(4))),
        ({"part_size": "4"}, Tree(Small(4))),
        ({"share": "0.25", "on": "True", "label": "none"}, Tree(Small(share=0.25), on=True, label="none")),
        ({"optional": "0.5"}, Tree(Small(optional=0.5))),
        ({"steps": "5", "pictures": "2,3"}, Tree(settings=Settings(5, (2, 3)))),
        ({"weight": 3}, Tree(penalty=losses.R1(3))),
        ({"penalty": "none"}, Tree(penalty=None)),
        ({"penalty": None}, Tree(penalty=None)),
        ({"penalty": losses.GradientPenalty(2.0, 0.0)}, Tree(penalty=losses.GradientPenalty(2.0, 0.0))),
        ({"settings": Settings(8)}, Tree(settings=Settings(8))),
    ],
)
def test_changes_by_path(changes, expected):
    assert change(Tree(), changes) == expected


def test_another_kind_keeps_what_both_have():
    """The order of the changes does not matter: kinds come first, from the root on."""
    made = change(Tree(Small(5), penalty=losses.R1(4.0)), {"depth": 1, "part": "large", "penalty": "gradient"})
    assert made == Tree(Large(5, depth=1), penalty=losses.GradientPenalty(4.0))
    assert change(Tree(Large(5, word="b")), {"part": "large"}) == Tree(Large(5, word="b"))


def test_a_field_of_an_absent_node_brings_the_node_about():
    assert change(Tree(), {"spare.size": 1, "depth": "2"}) == Tree(spare=Large(1, depth=2))
    assert change(Tree(), {"spare.size": 1}) == Tree(spare=Large(1, depth=7))
    assert change(Tree(), {"size": 1}) == Tree(Small(1)), "a node that is there comes first"


def test_the_later_of_two_names_of_one_setting_counts():
    assert change(Tree(), {"share": 0.1, "part.share": 0.2}) == Tree(Small(share=0.2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "'colour' must be a setting, one of part, part.size, part.share, "),
        ({"art.size": 1}, "'art.size' must be a setting. Received: 'art.size'. Did you mean 'part.size'?"),
        ({"size": 1, "spare": "large"}, "'size' must name one setting, 'part.size' or 'spare.size'. Received: 'size'"),
        ({"target": 1}, "'target' must not be set when penalty is 'r1', but only when it is 'gradient'."),
        ({"word": "b", "spare": "large", "part": "large"}, "'word' must name one setting, 'part.word' or 'spare.word'"),
        ({"part": "huge"}, "'part' must be one of 'small', 'large'. Received: 'huge'"),
        ({"part": "none"}, "'part' must be one of 'small', 'large'. Received: 'none'"),
        ({"part": 3}, "'part' must be one of 'small', 'large'. Received: int"),
        ({"settings": "x"}, "'settings' must be changed field by field. Received: 'x'"),
        ({"part.size": "4.5"}, "'part.size' must be an integer. Received: '4.5'"),
        ({"share": "half"}, "'part.share' must be a number. Received: 'half'"),
        ({"optional": "many"}, "'part.optional' must be a number. Received: 'many'"),
        ({"on": "1"}, "'on' must be true or false. Received: '1'"),
        ({"pictures": "1,x"}, "'settings.pictures' must be integers separated by commas. Received: '1,x'"),
        ({"share": "2"}, "'part.share' must be a finite number >= 0 and < 1. Received: 2.0"),
    ],
)
def test_changes_that_are_refused(changes, message):
    with pytest.raises(ValueError) as caught:
        change(Tree(), changes)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_none_is_a_value_where_it_may_be():
    tree = Tree(Small(optional=0.5))
    assert change(tree, {"optional": "none"}) == change(tree, {"optional": None}) == Tree()


def test_nothing_is_changed_in_place():
    tree = Tree()
    change(tree, {"part": "large", "spare.size": 3})
    assert tree == Tree() and presets.games.PENALTIES["r1"] == losses.R1(1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        tree.on = True
