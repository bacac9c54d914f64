"""Which images play which part, in which order classes come, and against whom a class is recognised."""

import dataclasses
import hashlib

import numpy as np
import pytest

from meta_gan.protocol.allocation import allocate_class, allocation_digest, allocation_line, class_order, opponents
from tests.protocol.helpers import patterned_source


def rank(*parts):
    return hashlib.sha256("\t".join(map(str, parts)).encode()).hexdigest()


def sizes(source, shots, index=0, draw=0):
    found = allocate_class(source, index, shots, draw)
    return len(found.support), len(found.oracle), len(found.references)


@pytest.mark.parametrize(
    ("examples", "shots", "expected"),
    [
        (20, 5, (5, 7, 8)),
        (20, 10, (10, 2, 8)),
        (20, 1, (1, 11, 8)),
        (12, 5, (5, 3, 4)),
        (7, 5, (5, 0, 2)),
        (8, 5, (5, 0, 3)),
        (9, 5, (5, 0, 3)),
        (100, 5, (5, 15, 40)),
    ],
)
def test_the_sizes_of_the_parts(examples, shots, expected):
    """Omniglot's 20 images are 5 + 7 + 8. A single oracle image is left out, because diversity needs two."""
    assert sizes(patterned_source(1, examples), shots) == expected


def test_parts_are_disjoint_and_of_the_class():
    source = patterned_source(3)
    found = allocate_class(source, 1, 5)
    together = np.concatenate([found.support, found.oracle, found.references])
    assert len(set(together.tolist())) == 20
    assert set(source.labels[together]) == {1}


def test_the_order_is_that_of_sha256():
    """By hand: references are the first 8 of the class's order, the support the first 5 of the draw's, of the rest."""
    source = patterned_source(2)
    order = sorted(range(20), key=lambda place: rank("few-shot-28", "class 1", place))
    rest = sorted(order[8:], key=lambda place: rank("few-shot-28", "class 1", place, "draw", 3))
    found = allocate_class(source, 1, 5, draw=3)
    np.testing.assert_array_equal(found.references, 20 + np.array(order[:8]))
    np.testing.assert_array_equal(found.support, 20 + np.array(rest[:5]))
    np.testing.assert_array_equal(found.oracle, 20 + np.array(rest[5:]))


def test_references_depend_on_neither_draw_nor_shots():
    source = patterned_source(1)
    first, other = allocate_class(source, 0, 5, 0), allocate_class(source, 0, 5, 1)
    np.testing.assert_array_equal(first.references, other.references)
    np.testing.assert_array_equal(first.references, allocate_class(source, 0, 10).references)
    np.testing.assert_array_equal(first.support, allocate_class(source, 0, 10).support[:5])
    assert set(first.support) != set(other.support)


def test_an_added_class_changes_nothing_for_others():
    few, many = patterned_source(2), patterned_source(5)
    np.testing.assert_array_equal(allocate_class(few, 1, 5).support, allocate_class(many, 1, 5).support)


def test_held_out_images_are_the_references():
    source = patterned_source(2, 30)
    held = np.zeros(60, bool)
    held[[31, 40, 59]] = True
    found = allocate_class(dataclasses.replace(source, held_out=held), 1, 5)
    assert set(found.references) == {31, 40, 59}
    assert not held[found.support].any() and not held[found.oracle].any()
    assert (len(found.support), len(found.oracle)) == (5, 15)
    # A class of which all images, or none, were held out is found as if nobody had held any.
    np.testing.assert_array_equal(
        allocate_class(dataclasses.replace(source, held_out=held), 0, 5).references,
        allocate_class(source, 0, 5).references,
    )
    everything = dataclasses.replace(source, held_out=np.ones(60, bool))
    np.testing.assert_array_equal(allocate_class(everything, 1, 5).support, allocate_class(source, 1, 5).support)


def test_one_image_of_each_group_is_used():
    source = patterned_source(1, 20)
    grouped = dataclasses.replace(source, groups=np.repeat(np.arange(10, dtype=np.int32), 2))
    found = allocate_class(grouped, 0, 5)
    together = np.concatenate([found.support, found.oracle, found.references])
    assert [len(part) for part in (found.support, found.oracle, found.references)] == [5, 0, 4]
    assert len(set(grouped.groups[together])) == len(together)
    with pytest.raises(ValueError, match=r"at least shots \+ 2 = 11 groups of images.*'class 0' with 10"):
        allocate_class(grouped, 0, 9)


def test_references_are_at_most_a_thousand():
    source = patterned_source(1, 2600)
    assert sizes(source, 5) == (5, 15, 1000)


def test_too_few_images_are_refused():
    source = patterned_source(1, 6)
    with pytest.raises(
        ValueError, match=r"patterns: a class must have at least shots \+ 2 = 7 images.*'class 0' with 6"
    ):
        allocate_class(source, 0, 5)
    assert sizes(source, 4) == (4, 0, 2)


@pytest.mark.parametrize(("shots", "draw"), [(0, 0), (1.5, 0), (True, 0), (5, -1), (5, 0.0)])
def test_bad_arguments_are_refused(shots, draw):
    with pytest.raises(ValueError, match=r"'(shots|draw)' must be an integer"):
        allocate_class(patterned_source(1), 0, shots, draw)


def test_classes_come_in_the_order_of_sha256_within_their_split():
    source = patterned_source(6, split=[0, 2, 2, 1, 2, 2])
    order = class_order(source, "test")
    assert order.tolist() == sorted([1, 2, 4, 5], key=lambda index: rank("few-shot-28", f"class {index}"))
    assert class_order(source, "validation").tolist() == [3]
    with pytest.raises(ValueError, match=r"patterns: the validation split must have a class.*Received: 0 classes"):
        class_order(patterned_source(2), "validation")
    with pytest.raises(ValueError, match="must be one of 'train', 'validation', 'test'"):
        class_order(source, "all")


def test_opponents_are_fixed_and_all_different():
    names = [f"class {index}" for index in range(30)]
    first = opponents(names, 4, 20)
    assert first[0] == 4 and len(set(first.tolist())) == 20
    np.testing.assert_array_equal(first, opponents(names, 4, 20))
    assert set(first.tolist()) != set(opponents(names, 5, 20).tolist())
    nearest = min((n for n in names if n != "class 4"), key=lambda n: rank("few-shot-28", "opponents", "class 4", n))
    assert names[first[1]] == nearest


def test_all_of_few_classes_are_opponents():
    assert sorted(opponents(list("abc"), 2, 20).tolist()) == [0, 1, 2]
    assert opponents(["a"], 0, 20).tolist() == [0]


def test_opponents_are_drawn_evenly():
    """Every class is an opponent of every other about equally often: 19 of 39 each time."""
    names = [f"class {index}" for index in range(40)]
    met = np.zeros((40, 40))
    for position in range(40):
        met[position, opponents(names, position, 20)[1:]] += 1
    assert met.sum() == 40 * 19
    # A column is a sum of 39 draws of probability 19/39: 19 with a deviation of 3.1.
    assert np.abs(met.sum(axis=0) - 19).max() < 4 * 3.1


def test_the_digest_is_of_the_lines():
    source, classes = patterned_source(3), np.array([2, 0])
    lines = [allocation_line(source, index, 5, draw) for index in classes for draw in (0, 1)]
    assert allocation_digest(source, classes, 5, 2) == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert allocation_digest(source, classes, 5, 2) != allocation_digest(source, classes, 4, 2)


def test_a_line_numbers_the_images_of_a_class_from_one():
    name, *parts = allocation_line(patterned_source(2), 1, 5).split("\t")
    numbers = [int(number) for part in parts for number in part.split(",")]
    assert name == "class 1" and [part.count(",") + 1 for part in parts] == [5, 7, 8]
    assert sorted(numbers) == list(range(1, 21))


def test_the_images_of_a_track_are_all_references_or_none():
    source = patterned_source(2, 20)
    tracks = np.tile(np.repeat(np.arange(5), [2, 3, 4, 5, 6]), 2).astype(np.int32)
    source = dataclasses.replace(source, tracks=tracks)
    for index in (0, 1):
        found = allocate_class(source, index, 5)
        rest = np.concatenate([found.support, found.oracle])
        assert set(tracks[found.references]).isdisjoint(tracks[rest]) and len(found.support) == 5
        assert len(found.references) + len(rest) == 20
        # Tracks join, in their order, until 8 images (40 % of 20) are references.
        order = sorted(range(5), key=lambda track: rank("few-shot-28", source.class_names[index], "track", track))
        ends = np.cumsum([[2, 3, 4, 5, 6][track] for track in order])
        count = min(int(np.argmax(ends >= 8)) + 1, int(np.sum(ends <= 15)))
        assert set(tracks[found.references]) == set(order[:count])


def test_tracks_too_large_to_set_any_apart():
    source = dataclasses.replace(patterned_source(1, 8), tracks=np.repeat([0, 1], [1, 7]).astype(np.int32))
    with pytest.raises(ValueError, match=r"beside tracks with 2 or more.*with 8 images in 2 tracks"):
        allocate_class(source, 0, 5)
