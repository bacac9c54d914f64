"""Masks: which weights the inner loop adapts, and what the others learn."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.losses import NonSaturating
from meta_gan.meta import Displacement, Unrolled, masks
from tests.references.plain import objective
from tests.toys import adapt, flat_close, one, parts, random_episodes, tiny_gan

EPISODES = random_episodes(tasks=1, dtype="float64")
LOGIT_KERNEL, EXAMPLE = r"logit/kernel", r"^generator/.*example"


def game():
    return tiny_gan("float64", loss=NonSaturating())


def chosen(pattern):
    """The mask as `{(net, param name)}`."""
    g = game()
    selected = masks.select(g, pattern)
    assert set(selected) == set(g.players)
    return {
        (net, g.nets[net].trainable_variables[i].path.split("/")[-2] + "/" + v)
        for places in selected.values()
        for net, i in places
        for v in [g.nets[net].trainable_variables[i].path.split("/")[-1]]
    }


def test_select():
    assert chosen(LOGIT_KERNEL) == {("discriminator", "logit/kernel")}
    assert chosen(EXAMPLE) == {("generator", "example/kernel"), ("generator", "example/bias")}
    assert chosen("/bias$") == {
        ("discriminator", "hidden_0/bias"),
        ("discriminator", "logit/bias"),
        ("generator", "hidden_0/bias"),
        ("generator", "example/bias"),
    }
    assert len(chosen("")) == 8


def test_a_pattern_that_selects_nothing_or_is_not_an_expression_is_refused():
    with pytest.raises(ValueError, match=r"must choose at least one of.*generator/.*Received: 'conv'"):
        masks.select(game(), "conv")
    with pytest.raises(ValueError, match=r"regular expression.*Received: '\['"):
        masks.select(game(), "[")


def test_infos_have_shape_and_fan_in():
    g = game()
    infos = masks.infos(g, masks.select(g, "kernel"))
    assert [(i.shape, i.fan_in) for i in infos["generator"]] == [((2, 3), 2), ((3, 2), 3)]
    assert [(i.shape, i.fan_in) for i in infos["discriminator"]] == [((2, 3), 2), ((3, 1), 3)]
    assert infos["generator"][0].path.startswith("generator/")


def test_take_and_merge_are_inverse():
    loop, meta = parts(game(), pattern="/bias$")
    g, selected = loop.game, loop.mask
    params = masks.take(selected, meta.initial)
    marked = {p: [tf.zeros_like(t) for t in ts] for p, ts in params.items()}
    merged = masks.merge(selected, meta.initial, marked, meta.initial.state)
    flat_close(masks.take(selected, merged), marked)
    for net in g.nets:
        for v, old, new in zip(
            g.nets[net].trainable_variables, meta.initial.weights[net], merged.weights[net], strict=True
        ):
            np.testing.assert_array_equal(new, np.zeros(v.shape) if v.name == "bias" else old)


def test_only_the_selected_params_move_and_a_player_without_any_loses_its_turns():
    pieces = parts(game(), pattern=EXAMPLE)
    loop, meta = pieces
    g = loop.game
    carry, records = adapt(pieces, one(EPISODES), 3)
    end = loop.final(meta, carry)
    for net in g.nets:
        for v, old, new in zip(
            g.nets[net].trainable_variables, meta.initial.weights[net], end.weights[net], strict=True
        ):
            moved = bool(np.any(old.numpy() != new.numpy()))
            assert moved == (net == "generator" and "example" in v.path), v.path
    assert loop.columns == ["generator"]
    assert records.shape == (3, 1)


def test_displacement_for_the_chosen_and_the_query_gradient_for_the_others():
    pieces = parts(game(), pattern=EXAMPLE)
    loop, meta = pieces
    g, selected = loop.game, loop.mask
    estimate = Displacement().estimate(*pieces, EPISODES, 3)
    carry, _ = adapt(pieces, one(EPISODES), 3)
    end = loop.final(meta, carry)
    for player, (net,) in g.players.items():
        with tf.GradientTape() as tape:
            tape.watch(end.weights[net])
            value = objective(g, player, end.weights, end.state, one(EPISODES))
        direct = tape.gradient(value, end.weights[net])
        for i, claimed in enumerate(estimate.weights[net]):
            back = meta.initial.weights[net][i] - end.weights[net][i]
            expected = back if (net, i) in selected[player] else direct[i]
            np.testing.assert_allclose(claimed, expected, rtol=1e-9, atol=1e-14)
            assert np.any(claimed != 0)


def test_second_order_reaches_weights_outside_the_mask():
    """ANIL: weights outside the mask still learn, through the loop; not what order 1 gives."""
    gradients = []
    for order in (1, 2):
        pieces = parts(game(), pattern=LOGIT_KERNEL)
        gradients.append(Unrolled(order).estimate(*pieces, EPISODES, 2).weights["discriminator"])
    assert all(np.any(second != 0) for second in gradients[1])
    gap = max(np.abs(a - b).max() for a, b in zip(*gradients, strict=True))
    assert gap > 1e-3
