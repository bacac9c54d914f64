"""The advice from what each held-out picture scored: numbers that can be checked by hand."""

import numpy as np
import pytest

from meta_gan.protocol.recommendation import GENERATED, MIXED, NOTHING, PLAIN, ROWS, recommend


def rows(**right):
    """Rows of eight pictures, of which the first ones, as many as given, are classified right; none if not given."""
    named = {"mixed": MIXED}
    counts = {**dict.fromkeys(ROWS, 0), **{named.get(name, name): count for name, count in right.items()}}
    return {row: (np.arange(8) < count).astype(float) for row, count in counts.items()}


def test_a_gain_is_the_mean_difference_paired_by_picture():
    found = recommend(rows(nothing=2, affine=6))
    assert found.accuracy[NOTHING].mean == 0.25 and found.accuracy["affine"].mean == 0.75
    assert found.gain["affine"].mean == 0.5 and NOTHING not in found.gain
    # Of 8 pictures with the difference 1 in four, a resample has none with probability 2^-8, so that 0 is outside.
    assert 0 < found.gain["affine"].low < 0.5 < found.gain["affine"].high < 1
    assert found.method == "affine" and found.pictures == 8


def test_rows_that_differ_in_the_same_pictures_have_an_interval_of_width_0():
    found = recommend(rows(shift=8))
    assert tuple(found.gain["shift"]) == (1, 1, 1) and tuple(found.gain["elastic"]) == (0, 0, 0)


def test_nothing_is_recommended_if_every_interval_includes_0():
    # Of one picture in eight that is gained, a resample has none with probability .34.
    found = recommend(rows(elastic=1, generated=1))
    assert found.method is None and found.gain["elastic"].low == 0
    first, second = found.lines()
    assert first.startswith("None of them helps measurably here. The best, elastic: 12.5 % of 8 held-out pictures")
    assert "(+12.5 points, 95 % interval +0.0 to " in first and second == "Recommended: add no pictures."


def test_a_plain_row_that_probably_helps_is_a_best_guess_and_a_generated_one_is_not():
    # Of two pictures in eight that are gained, a resample has none with probability .1 = (6 / 8) ** 8.
    found = recommend(rows(trivial=2, generated=2))
    assert found.guessed and found.method == "trivial" and found.gain["trivial"].low == 0
    first, second = found.lines()
    assert first.startswith("None of them helps measurably here. The likeliest to help is 'trivial': 25.0 % of 8 held-")
    assert second == "Recommended: trivial, as a best guess; more pictures would tell."
    assert recommend(rows(generated=2)).method is None and not recommend(rows(generated=2)).guessed
    assert not recommend(rows(trivial=8)).guessed


def test_shares_that_floats_cannot_hold_do_not_make_a_bound_of_0_positive():
    correct = {row: np.tile([2 / 3, 1 / 3, 0, 1], 20) for row in ROWS}
    correct["shift"] = np.tile([1, 0, 1 / 3, 2 / 3], 20)  # a third more as often as a third less
    found = recommend(correct)
    assert found.gain["shift"].mean == 0 and found.method is None
    same = {**correct, "affine": 1 - (1 - correct["affine"])}
    assert tuple(recommend(same).gain["affine"]) == (0, 0, 0)


def test_a_row_that_harms_measurably_is_not_recommended():
    assert recommend(rows(**dict.fromkeys(("nothing", "shift", "affine", "elastic", "trivial"), 8))).method is None


@pytest.mark.parametrize(
    ("right", "method"),
    [
        ({"shift": 4, "generated": 8}, GENERATED),  # better than shift by 4 of 8
        ({"shift": 7, "generated": 8}, "shift"),  # better by 1 of 8, which may be chance
        ({"shift": 8, "generated": 8}, "shift"),  # equal
        ({"shift": 4, "generated": 4, "mixed": 8}, MIXED),
        ({"shift": 4, "affine": 7, "mixed": 8}, "affine"),  # the best plain row that helps, not the first
        ({"shift": 1, "generated": 8}, GENERATED),  # no plain row helps
        ({"shift": 1, "generated": 4}, GENERATED),  # likewise: it alone is measured to help
        ({"elastic": 5, "trivial": 5}, "elastic"),  # the first of equal ones
    ],
)
def test_a_generated_row_must_be_better_than_the_best_plain_one_that_helps(right, method):
    found = recommend(rows(**right))
    assert found.method == method
    assert found.lines()[1].startswith(f"Recommended: {method}.")


def test_the_best_plain_row_is_one_that_helps_where_there_is_one():
    correct = {row: np.full(8, 0.5) for row in ROWS}
    correct["shift"] += 0.1
    # A higher mean gain, .125, but five pictures are gained and three lost: its interval includes 0.
    correct["affine"] += np.array([0.5] * 5 + [-0.5] * 3)
    correct[GENERATED] += 0.12
    found = recommend(correct)
    assert found.gain["affine"].mean > found.gain["shift"].mean and found.gain["affine"].low < 0
    assert found.best_plain == "shift" and found.method == GENERATED
    np.testing.assert_allclose(found.over_plain[GENERATED], 0.02)
    assert recommend({row: correct[row] for row in (NOTHING, "affine")}).over_plain == {}


def test_lines_name_the_difference_to_the_best_plain_row():
    assert (
        recommend(rows(shift=4, generated=8))
        .lines()[1]
        .startswith("Recommended: generated. Against shift, the best plain augmentation, +50.0 points, 95 % interval +")
    )
    assert (
        recommend(rows(shift=8, generated=4))
        .lines()[1]
        .startswith(
            "Recommended: shift. Pictures of a model are not measurably better: generated against it -50.0 points"
        )
    )


def test_the_same_seed_gives_the_same_intervals():
    correct = rows(nothing=1, shift=5, generated=4)
    assert recommend(correct, seed=3) == recommend(correct, seed=3)
    assert recommend(correct, seed=3).gain != recommend(correct, seed=4).gain


@pytest.mark.parametrize(
    ("correct", "message"),
    [
        ({"shift": [1.0]}, "with 'nothing' and a plain one"),
        ({NOTHING: [1.0], GENERATED: [1.0]}, "with 'nothing' and a plain one"),
        ({NOTHING: [1.0], "shift": [1.0], "blur": [1.0]}, "with 'nothing' and a plain one"),
        ({NOTHING: [1.0], "shift": [1.0, 0.0]}, "one value for each picture in every row"),
        ({NOTHING: [], "shift": []}, "one value for each picture in every row"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused(correct, message):
    with pytest.raises(ValueError, match=f"'correct' must .*{message}.*Received: "):
        recommend(correct)


def test_the_plain_rows_are_rows():
    assert (NOTHING, *PLAIN, GENERATED, MIXED) == ROWS
