"""The checks of a game's arguments, and the gradients that `own` stops."""

import keras
import pytest
import tensorflow as tf

from meta_gan.games import Game
from meta_gan.types import Snapshot
from tests.toys import Scalar


def game(**changes):
    arguments = {
        "nets": {"a": Scalar(1.0), "b": Scalar(2.0), "c": Scalar(3.0)},
        "players": {"first": ("a",), "second": ("b", "c")},
        "turns": ((("first",), 1), (("second",), 2)),
        "signals": {"first": 1, "second": 1},
        "example_shape": (1,),
    }
    return Game(**{**arguments, **changes})


BAD = {
    "a net without an owner": ({"players": {"first": ("a",), "second": ("b",)}}, "exactly one owner"),
    "a net with two owners": ({"players": {"first": ("a", "b"), "second": ("b", "c")}}, "exactly one owner"),
    "an owner of nothing there": ({"players": {"first": ("a",), "second": ("b", "c", "d")}}, "one owner"),
    "a turn of nobody": ({"turns": ((("third",), 1),)}, r"players of.*'third'"),
    "no repeats": ({"turns": ((("first",), 0),)}, r"repeats.*>= 1.*Received: 0"),
    "an unknown conditioner": ({"conditioners": ("d",)}, r"conditioners.*'d'"),
    "signals of another": ({"signals": {"first": 1}}, "'signals' must name"),
    "no model": ({"nets": {"a": 1, "b": Scalar(), "c": Scalar()}}, r"net 'a' must be a built keras.Model"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused(name):
    changes, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        game(**changes)


def test_an_unbuilt_net_is_refused():
    net = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match="net 'a' must be a built"):
        game(nets={"a": net, "b": Scalar(), "c": Scalar()})


@pytest.mark.parametrize(
    "layer",
    [keras.layers.BatchNormalization(), keras.layers.LayerNormalization(), keras.layers.GroupNormalization(1)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_with_wrong_second_derivatives_are_refused_at_any_depth(layer):
    inner = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), layer])
    net = keras.Sequential([keras.Input((2,)), inner, keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=rf"instead of keras.layers.{type(layer).__name__} use meta_gan.layers"):
        game(nets={"a": net, "b": Scalar(), "c": Scalar()})


def test_own_stops_gradients_of_other_players_and_of_all_state():
    """d/d(a, b, c, s) of a b c s through `own`: only the owner's."""
    tensors = [tf.constant(v, tf.float64) for v in (2.0, 3.0, 5.0, 7.0)]
    a, b, c, s = tensors
    snapshot = Snapshot({"a": [a], "b": [b], "c": [c]}, {"a": [s], "b": [], "c": []})
    expected = {"first": [105.0, None, None, None], "second": [None, 70.0, 42.0, None]}
    for player, slopes in expected.items():
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            mine = game().own(player, snapshot)
            (x,), (y,), (z,) = (mine.weights[n] for n in "abc")
            value = x * y * z * mine.state["a"][0]
        assert float(value) == 210.0
        got = tape.gradient(value, tensors)
        assert [None if g is None else float(g) for g in got] == slopes


def test_methods_that_a_game_must_define():
    for call in (
        lambda g: g.loss("first", None, None, None, None, None),
        lambda g: g.distance(None, None, None, None),
        lambda g: g.copy_rate(None, None, None, None, None),
        lambda g: g.probe("first", None, None, None),
        lambda g: g.endpoints,
        lambda g: g.get_config(),
    ):
        with pytest.raises(NotImplementedError):
            call(game())
    assert game().view("support", 0, None) == ("support", "support")
    assert game().condition(None, "support") is None and not game().has_copy_rate


def test_a_game_with_a_conditioner_is_conditioned():
    assert not game().conditioned
    assert game(conditioners=("b",)).conditioned
