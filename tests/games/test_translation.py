"""The translation game: by hand with nets of one weight each, then its parts together."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import meta_gan as mg
from meta_gan import functional
from meta_gan.games import Translation
from meta_gan.layers import BatchNormalization
from meta_gan.losses import R1, GradientPenalty, NonSaturating, RelativisticAverage
from meta_gan.meta_learners import Adam
from meta_gan.types import Episode, Settings
from tests.toys import (
    adapt,
    conditioned_translation,
    dense,
    flat_close,
    parts,
    random_episodes,
    tiny_translation,
    weekly,
)

SEED = tf.constant([1, 2])
# x = 1 becomes 3 and y = 2 becomes .5; the discriminators see .5 y and 2 x.
WEIGHTS = {"translator": 3.0, "discriminator": 0.5, "back": 0.25, "back_discriminator": 2.0}
BATCH = {"source": tf.constant([[1.0]], tf.float64), "target": tf.constant([[2.0]], tf.float64)}


def line(weight):
    """x -> weight x."""
    layer = keras.layers.Dense(1, use_bias=False, dtype="float64")
    net = keras.Sequential([keras.Input((1,), dtype="float64"), layer])
    layer.kernel.assign([[weight]])
    return net


def lines(names=WEIGHTS, **options):
    return Translation(**{name: line(WEIGHTS[name]) for name in names}, **options)


def losses_of(game, batch=BATCH):
    """`{player: (loss, signals)}` at the nets' own values."""
    snapshot = functional.read(game.nets)
    conditioning = game.condition(snapshot, batch)
    found = {p: game.loss(p, snapshot, batch, conditioning, Settings(), SEED) for p in game.players}
    return {player: (float(value), signals.numpy()) for player, (value, _, signals) in found.items()}


def test_the_discriminators_loss_by_hand():
    """Halves of squares: 0 and 1.5^2 of the target's, (2 - 1)^2 and 1 of the source's."""
    value, signals = losses_of(lines())["discriminator"]
    assert value == pytest.approx(0.5 * (0 + 2.25) + 0.5 * (1 + 1))
    np.testing.assert_allclose(signals, [2.125, (1 + 2) / 2, (1.5 + 1) / 2])


def test_the_translators_loss_by_hand():
    """Adversarial .125 + 0; cycles .25 + .5; identities |6 - 2| + |.25 - 1|; contents 2 + 1.5."""
    value, signals = losses_of(lines(cycle=2.0, identity=0.1, content=0.01))["translator"]
    assert value == pytest.approx(0.125 + 2.0 * 0.75 + 0.1 * 4.75 + 0.01 * 3.5)
    np.testing.assert_allclose(signals, [2.135, 1.25], rtol=1e-6)


def test_one_way_by_hand():
    found = losses_of(lines(("translator", "discriminator"), identity=0.1))
    assert found["discriminator"][0] == pytest.approx(1.125)
    assert found["translator"][0] == pytest.approx(0.125 + 0.1 * 4.0)


def test_both_ways_without_a_cycle_are_two_games():
    both, there = losses_of(lines()), losses_of(lines(("translator", "discriminator")))
    swapped = {"source": BATCH["target"], "target": BATCH["source"]}
    back = Translation(line(WEIGHTS["back"]), line(WEIGHTS["back_discriminator"]))
    for player, (value, _) in losses_of(back, swapped).items():
        assert both[player][0] == pytest.approx(there[player][0] + value)


@pytest.mark.parametrize("penalty", [R1(0.5), GradientPenalty(2.0)])
def test_a_penalty_is_that_of_both_discriminators(penalty):
    """For linear discriminators it is the same for all examples and draws."""
    plain, with_penalty = losses_of(lines()), losses_of(lines(penalty=penalty))
    each = [
        float(penalty(lambda x, w=WEIGHTS[name]: w * x, BATCH["source"], BATCH["target"], SEED))
        for name in ("discriminator", "back_discriminator")
    ]
    assert with_penalty["discriminator"][0] - plain["discriminator"][0] == pytest.approx(sum(each))
    assert with_penalty["translator"][0] == plain["translator"][0]


def test_a_meta_learner_may_scale_the_penalty():
    game = lines(penalty=R1(1.0))
    snapshot = functional.read(game.nets)
    values = [
        float(game.loss("discriminator", snapshot, BATCH, None, Settings(penalty_scale=scale), SEED)[0])
        for scale in (tf.constant(0.0), tf.constant(1.0), tf.constant(2.0))
    ]
    assert values[0] == pytest.approx(2.125) and values[2] - values[1] == pytest.approx(values[1] - values[0])
    assert values[1] > values[0]


def test_domains_may_have_different_numbers_of_examples():
    batch = {"source": tf.constant([[1.0], [1.0], [1.0]], tf.float64), "target": BATCH["target"]}
    once, thrice = losses_of(lines(cycle=1.0, penalty=R1(1.0))), losses_of(lines(cycle=1.0, penalty=R1(1.0)), batch)
    assert once["translator"][0] == pytest.approx(thrice["translator"][0])
    assert once["discriminator"][0] == pytest.approx(thrice["discriminator"][0])


def test_a_penalty_on_real_examples_uses_all_of_them():
    """R1 of a nonlinear discriminator, with fewer translations than real examples."""
    game, plain = (tiny_translation(cyclic=False, penalty=penalty) for penalty in (R1(1.0), None))
    snapshot, draw = functional.read(game.nets), np.random.default_rng(1)
    batch = {d: tf.constant(draw.uniform(-1, 1, (n, 2)), tf.float32) for d, n in (("source", 2), ("target", 6))}
    values = [g.loss("discriminator", snapshot, batch, None, Settings(), SEED)[0] for g in (game, plain)]
    wanted = R1(1.0)(game.nets["discriminator"], batch["target"], batch["target"], SEED)
    assert float(values[0] - values[1]) == pytest.approx(float(wanted), rel=1e-4)
    paired = tiny_translation(cyclic=False, penalty=GradientPenalty(1.0))
    assert np.isfinite(paired.loss("discriminator", snapshot, batch, None, Settings(), SEED)[0])


@pytest.mark.parametrize("dtype", ["mixed_float16", *weekly("float64")])
def test_nets_of_another_dtype_learn_from_float32_episodes(dtype):
    translator = mg.networks.Translator((8, 8, 1), width=2, blocks=0, dtype=dtype)
    _, critic = mg.networks.dcgan((8, 8, 1), width=2, dtype=dtype)
    model = mg.MetaModel(Translation(translator, critic, identity=1.0, content=1.0), mg.FOMAML(1, 0.01))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    episodes = random_episodes(shape=model.game.example_shape)
    assert all(np.isfinite(value) for value in model.meta_step(episodes).values())
    assert all(np.isfinite(value) for value in model.assess(episodes).values())


@pytest.mark.slow
def test_a_meta_learner_receives_the_task_embedding():
    meta_learner = mg.meta_learners.AttentionMetaLearner(hidden=4, heads=2, embedding_dim=3)
    model = mg.MetaModel(conditioned_translation(), mg.Algorithm("attention", meta_learner, mg.Unrolled(2), 1))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    metrics = model.meta_step(random_episodes(shape=model.game.example_shape))
    assert float(metrics["gradient_norm/meta_learner"]) > 0


def test_a_relativistic_loss_receives_both_logits():
    """Computed with the loss's own function from the logits by hand."""
    loss = RelativisticAverage()
    value = losses_of(lines(loss=loss))["translator"][0]
    pairs = (([1.5], [1.0]), ([1.0], [2.0]))
    assert value == pytest.approx(sum(float(loss.generator(*(tf.constant(v, tf.float64) for v in p))) for p in pairs))


def test_each_player_moves_its_own_nets():
    game = tiny_translation(cycle=1.0)
    snapshot, batch = functional.read(game.nets), random_episodes(shape=game.example_shape).support
    batch = {domain: examples[0] for domain, examples in batch.items()}
    for player, owned in game.players.items():
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(snapshot.weights)
            value = game.loss(player, game.own(player, snapshot), batch, None, Settings(), SEED)[0]
        gradients = functional.gradient(tape, value, snapshot.weights)
        for net, found in gradients.items():
            assert (max(float(tf.reduce_max(tf.abs(g))) for g in found) > 0) == (net in owned), (player, net)


def test_a_translator_receives_the_embedding_of_the_domain_that_it_makes():
    game = conditioned_translation()
    episode = random_episodes(tasks=1, shape=game.example_shape)
    support = {domain: examples[0] for domain, examples in episode.support.items()}
    snapshot = functional.read(game.nets)
    conditioning = game.condition(snapshot, support)
    np.testing.assert_array_equal(conditioning["translator"]["task_embedding"], game.nets["encoder"](support["target"]))
    assert set(conditioning) == {"translator"} and game.conditioned
    assert game.conditioning_of("discriminator", conditioning) is None
    assert tiny_translation().condition(snapshot, support) is None


def test_the_state_of_every_net_is_carried_on():
    """The translator is called for the adversarial term and for the cycle; both calls update its averages."""

    def normalized():
        layers = [keras.Input((2,)), keras.layers.Dense(2), BatchNormalization(momentum=0.5)]
        return keras.Sequential(layers)

    game = Translation(normalized(), dense(2, 1), normalized(), dense(2, 1), cycle=1.0)
    snapshot = functional.read(game.nets)
    batch = {d: e[0] for d, e in random_episodes(shape=game.example_shape).support.items()}

    def called(net, state, x):
        return functional.call(game.nets[net], snapshot.weights[net], state, x, None, True, SEED)

    _, after, _ = game.loss("translator", snapshot, batch, None, Settings(), SEED)
    assert set(after) == set(game.nets)
    returned, _ = called("back", snapshot.state["back"], batch["target"])
    _, once = called("translator", snapshot.state["translator"], batch["source"])
    _, twice = called("translator", once, returned)
    flat_close(after["translator"], twice, atol=1e-6)
    assert np.any(once[0] != twice[0])


def test_the_distance_is_between_translations_and_the_target():
    game = lines()
    query = {"source": tf.constant([[0.0], [1.0]], tf.float64), "target": tf.constant([[0.0], [3.0]], tf.float64)}
    # {0, 3} and {0, 3}: 2 * 1.5 - 3 - 3
    assert float(game.distance(functional.read(game.nets), query, None, SEED)) == pytest.approx(-3.0)


@pytest.mark.slow
def test_adaptation_brings_translations_to_the_target():
    """Two blobs of points: after adaptation one lies nearer to the other, and its way back nearer to itself."""
    draw = np.random.default_rng(0)

    def blob(x, y, count):
        return tf.constant(np.array([x, y]) + 0.1 * draw.normal(size=(count, 2)), tf.float32)

    support, query = ({"source": blob(-0.5, 0.2, n), "target": blob(0.6, -0.4, n)} for n in (16, 64))
    game = tiny_translation(loss=NonSaturating(), cycle=3.0, penalty=R1(0.1))
    pieces = parts(game, Adam(0.02, 0.5, 0.99))
    episode = Episode(support, query, tf.constant(0), SEED)
    carry, _ = adapt(pieces, episode, 300)
    adapted = pieces[0].final(pieces[1], carry)
    start = pieces[1].initial
    before, after = (float(game.distance(s, query, None, SEED)) for s in (start, adapted))
    assert after < 0.2 * before

    def returned(snapshot):
        made = game.endpoints["translate"].fn(snapshot, None, {"images": query["source"]}, SEED)["images"]
        back = game.endpoints["translate_back"].fn(snapshot, None, {"images": made}, SEED)["images"]
        return float(tf.reduce_mean(tf.abs(back - query["source"])))

    assert returned(adapted) < 0.3 * returned(start)


def test_there_is_an_endpoint_for_each_translator():
    assert set(tiny_translation().endpoints) == {"translate", "translate_back"}
    one_way = tiny_translation(sizes=(2, 3), cyclic=False)
    assert set(one_way.endpoints) == {"translate"}
    assert one_way.example_shape == {"source": (2,), "target": (3,)} and one_way.output_shape == (3,)


def test_round_trip():
    game = tiny_translation(cycle=2.0, identity=0.5, penalty=R1(0.1), loss=NonSaturating(), discriminator_turns=2)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(game))
    assert again.get_config()["cycle"] == 2.0 and again.turns == game.turns and again.loss_function == NonSaturating()
    functional.write(again.nets, functional.read(game.nets))
    batch = {d: e[0] for d, e in random_episodes(shape=game.example_shape).support.items()}
    values = [g.loss("translator", functional.read(g.nets), batch, None, Settings(), SEED)[0] for g in (game, again)]
    flat_close(*values)


def coded(of_translator, of_encoder, shape=(8, 8, 1)):
    translator = mg.networks.Translator((8, 8, 1), width=2, embedding_dim=of_translator)
    encoder = mg.networks.TaskEncoder(shape, of_encoder, width=2) if of_encoder else None
    return Translation(translator, mg.networks.dcgan((8, 8, 1), width=2)[1], encoder=encoder)


def shared():
    one = dense(2, 2)
    return Translation(one, dense(2, 1), one, dense(2, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lines(("translator", "discriminator"), cycle=1.0), "must be given together, and for 'cycle' > 0"),
        (
            lambda: lines(("translator", "discriminator", "back")),
            "'back' and 'back_discriminator' must be given together",
        ),
        (lambda: lines(cycle=-1.0), "'cycle' must be a finite number >= 0"),
        (lambda: lines(discriminator_turns=0), "'discriminator_turns' must be an integer >= 1"),
        (
            lambda: Translation(dense(2, 3), dense(2, 1)),
            r"'discriminator' must take examples of shape \(3,\). Received: \(2,\)",
        ),
        (
            lambda: Translation(dense(2, 3), dense(3, 1), dense(2, 2), dense(2, 1)),
            r"'back' must take examples of shape \(3,\)",
        ),
        (
            lambda: Translation(dense(2, 3), dense(3, 1), dense(3, 4), dense(2, 1)),
            r"'back' must make examples of shape \(2,\)",
        ),
        (lambda: Translation(dense(2, 3), dense(3, 1), identity=1.0), "need domains of one shape"),
        (
            lambda: coded(0, 3),
            "'translator' must have the 'embedding_dim' of the task encoder, 3 .*Received: 0",
        ),
        (lambda: coded(3, None), "the task encoder, 0 .*Received: 3"),
        (lambda: coded(3, 5), "the task encoder, 5 .*Received: 3"),
        (
            lambda: coded(3, 3, (16, 16, 1)),
            r"'encoder' must take .*\(8, 8, 1\). Received: \(16, 16, 1\)",
        ),
        (lambda: Translation(dense(2, 2), dense(2, 1), encoder=dense(2, 3)), "must take 'conditioning' .* Sequential"),
        (shared, "'nets' must be different models"),
    ],
)
def test_bad_games_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
