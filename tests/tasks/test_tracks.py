"""Tracks: no track on both sides, shares of tracks, uniform draws, and refusals where a draw could fail."""

import numpy as np
import pytest
import tensorflow as tf

from meta_gan.tasks import DataError, Tasks, from_arrays, from_npz, mixture
from meta_gan.tasks.tracks import Tracks

SIZES = {0: [3, 4, 5, 2, 6], 1: [4, 4, 4]}
LABELS = np.repeat([0, 1], [20, 12]).astype(np.int32)
TRACKS = np.concatenate([np.repeat(np.arange(5) + 10, SIZES[0]), np.repeat(np.arange(3) + 11, SIZES[1])])
SHUFFLED = np.random.default_rng(0).permutation(32)


def drawn(count, shots=4, queries=4, classes=(0, 1)):
    """(support, query) of many draws: each int[count, classes, examples]."""
    tracks = Tracks(LABELS[SHUFFLED], TRACKS[SHUFFLED], shots, queries)
    step = tf.function(
        lambda key: tracks.draw(tf.constant(classes), *tf.unstack(tf.random.split(key, 2, alg="philox")))
    )
    found = np.stack([step(tf.constant([seed, 0])) for seed in range(count)])
    return found[..., :shots], found[..., shots:]


def test_no_track_is_on_both_sides_and_no_example_comes_twice():
    support, query = drawn(200)
    labels, tracks = LABELS[SHUFFLED], TRACKS[SHUFFLED]
    for given, asked in zip(support, query, strict=True):
        for index in (0, 1):
            assert set(labels[given[index]]) == set(labels[asked[index]]) == {index}
            assert set(tracks[given[index]]).isdisjoint(tracks[asked[index]])
            assert len(set(given[index]) | set(asked[index])) == 8
    assert any(len(set(tracks[given[0]])) < 4 for given in support)  # several examples of a track


def test_every_example_comes_on_either_side():
    support, query = drawn(300)
    for side in (support, query):
        assert set(side.ravel().tolist()) == set(range(32))


def test_the_support_takes_its_share_of_the_tracks():
    """Of ten tracks of four examples, 2 shots and 8 queries: two tracks for the support, eight for the query."""
    labels, tracks = np.zeros(40, np.int32), np.repeat(np.arange(10), 4)
    found = Tracks(labels, tracks, 2, 8)
    seen = set()
    for seed in range(200):
        chosen = found.draw(tf.constant([0]), tf.constant([seed, 0]), tf.constant([seed, 1])).numpy()[0]
        seen.add((len(set(tracks[chosen[:2]])), len(set(tracks[chosen[2:]]))))
    assert {first for first, _ in seen} == {1, 2} and max(second for _, second in seen) <= 8


@pytest.mark.parametrize(("shots", "queries"), [(1, 1), (5, 1), (1, 5), (7, 8)])
def test_any_order_of_tracks_has_enough_on_both_sides(shots, queries):
    support, query = drawn(100, shots, queries, classes=(0,))
    tracks = TRACKS[SHUFFLED]
    for given, asked in zip(support[:, 0], query[:, 0], strict=True):
        assert set(tracks[given]).isdisjoint(tracks[asked])
        assert len(set(given)) == shots and len(set(asked)) == queries


def test_a_class_whose_tracks_could_leave_too_few():
    images = np.zeros((32, 8, 8), np.uint8)
    from_arrays(images, LABELS, tracks=TRACKS, shots=4, queries=5, class_split=[0, 1])
    with pytest.raises(DataError, match=r"class '1' needs 13 and has 12 in 3 tracks \(1 of 2 classes"):
        from_arrays(images, LABELS, tracks=TRACKS, shots=5, queries=5, class_split=[0, 1])
    with pytest.raises(DataError, match="'groups' and 'tracks' must not both be given"):
        from_arrays(images, LABELS, tracks=TRACKS, groups=TRACKS, shots=4, queries=4)


@pytest.mark.slow
def test_tracks_are_read_from_an_archive_and_kept_in_a_mixture(tmp_path):
    levels = np.broadcast_to(TRACKS[:, None, None].astype(np.uint8), (32, 8, 8))
    np.savez(tmp_path / "signs.npz", images=levels, labels=LABELS, track=TRACKS, class_split=[0, 0])
    tasks = from_npz(tmp_path / "signs.npz", shots=4, queries=4)
    assert tasks.source.tracks is not None and isinstance(tasks, Tasks)
    for stream in (tasks, mixture([tasks])):
        for episode in stream.train(2).take(10):
            sides = [np.rint((side.numpy()[..., 0, 0, 0] + 1) * 127.5) for side in (episode.support, episode.query)]
            for given, asked in zip(*sides, strict=True):
                assert set(given).isdisjoint(asked)
