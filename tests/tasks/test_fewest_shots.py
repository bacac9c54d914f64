"""`Tasks.train(fewest_shots=n)`: supports of a number of images that is drawn, and nothing else that changes."""

from __future__ import annotations

import numpy as np
import pytest

from meta_gan.tasks import Tasks
from tests.tasks.helpers import numbered_source


def made(shots=4, seed=4) -> Tasks:
    return Tasks(numbered_source([8] * 5), shots=shots, queries=2, seed=seed)


@pytest.fixture(scope="module")
def drawn():
    """400 steps of two tasks: always four, and two to four."""
    return [list(made().train(2, fewest_shots=fewest).take(400)) for fewest in (None, 2)]


def test_the_first_support_images_are_kept_and_other_draws_do_not_change(drawn):
    for whole, cut in zip(*drawn, strict=True):
        count = cut.support.shape[1]
        np.testing.assert_array_equal(cut.support, whole.support[:, :count])
        for field in ("query", "task_id", "seed"):
            np.testing.assert_array_equal(getattr(cut, field), getattr(whole, field))


def test_every_number_is_as_likely(drawn):
    """400 draws of three: 133 expected of each, standard deviation 9.4."""
    counts = np.bincount([cut.support.shape[1] for cut in drawn[1]], minlength=5)
    assert counts[:2].sum() == 0 and counts.sum() == 400 and np.all(np.abs(counts[2:] - 400 / 3) < 4 * 9.4)


def test_a_step_is_the_same_wherever_a_run_starts(drawn):
    """And another seed draws other numbers."""
    again = [episode.support.shape[1] for episode in made().train(2, start_step=37, fewest_shots=2).take(50)]
    assert again == [cut.support.shape[1] for cut in drawn[1][37:87]]
    assert again != [e.support.shape[1] for e in made(seed=5).train(2, start_step=37, fewest_shots=2).take(50)]


def test_the_numbers_do_not_depend_on_symmetries(drawn):
    turned = made().train(2, symmetries=True, fewest_shots=2).take(60)
    assert [e.support.shape[1] for e in turned] == [cut.support.shape[1] for cut in drawn[1][:60]]


def test_the_number_is_unknown_in_a_graph():
    assert made().train(2, fewest_shots=1).element_spec.support.shape[:2] == [2, None]
    assert made().train(2, fewest_shots=1).element_spec.query.shape[:2] == [2, 2]
    assert made().train(2).element_spec.support.shape[:2] == [2, 4]
    assert {e.support.shape[1] for e in made().train(2, fewest_shots=4).take(20)} == {4}


@pytest.mark.parametrize("value", [0, 5, -1, 2.0, True, "2"])
def test_other_numbers_of_shots_are_refused(value):
    with pytest.raises(ValueError) as caught:
        made().train(2, fewest_shots=value)
    assert str(caught.value) == f"'fewest_shots' must be an integer >= 1 and <= 4. Received: {value!r}"
