"""Scores of texts by hand, and the n-gram model."""

from collections import Counter

import numpy as np
import pytest

from meta_gan.metrics.ngrams import (
    END,
    START,
    NGramModel,
    count_ngrams,
    divergence,
    ngram_distance,
    novelty,
    valid_share,
)

NAMES = ["anna", "hanna", "nana", "ann", "han"]


def test_count_ngrams_by_hand():
    assert count_ngrams(["aa", "a"], 1) == {"a": 3, END: 2}
    assert count_ngrams(["ab"], 3) == {START * 2 + "a": 1, START + "ab": 1, "ab" + END: 1}


def test_divergence_by_hand():
    # p = (1/2, 1/2, 0), q = (1/2, 0, 1/2): half of either is its own
    assert divergence(Counter("ab"), Counter("ac")) == pytest.approx(0.5)
    assert divergence(Counter("ab"), Counter("aabb")) == 0.0
    assert divergence(Counter("a"), Counter("b")) == 1.0
    three, one = divergence(Counter("aaab"), Counter("b")), divergence(Counter("b"), Counter("aaab"))
    assert three == pytest.approx(one) == pytest.approx((0.75 * np.log2(2) + 0.25 * np.log2(0.4) + np.log2(1.6)) / 2)


def test_empty_counts_are_refused():
    with pytest.raises(ValueError, match="must be above 0"):
        divergence(Counter(), Counter("a"))
    with pytest.raises(ValueError, match="must be above 0"):
        ngram_distance([], NAMES)


def test_distance_and_shares():
    assert ngram_distance(NAMES, NAMES[::-1]) == 0.0 and ngram_distance(["a"], ["b"]) > 0.5
    assert ngram_distance(["ab"], ["ba"], most=1) == 0.0 < ngram_distance(["ab"], ["ba"])
    assert novelty(["x", "anna", "anna", "y"], NAMES) == 0.5
    assert valid_share(["ab", "", "abc", "ax", "abab"], "ab", 3) == 0.2


def test_an_order_of_one_by_hand():
    """Two letters and the end occur 2, 1 and 1 times: (count + 3 / 3) / (4 + 3)."""
    model = NGramModel(["aab"], order=1)
    np.testing.assert_allclose(model.probabilities("whatever"), np.array([2 + 1, 1 + 1, 1 + 1]) / 7)
    assert model.characters == ["a", "b", END]


def test_an_order_of_two_by_hand():
    """The letter a occurs twice, followed by a and by b; it backs off to the model of order one."""
    model, below = NGramModel(["aab"], order=2), np.array([3, 2, 2]) / 7
    np.testing.assert_allclose(model.probabilities("xa"), (np.array([1, 1, 0]) + 2 * below) / 4)
    np.testing.assert_allclose(model.probabilities(""), (np.array([1, 0, 0]) + 1 * below) / 2)
    np.testing.assert_allclose(model.probabilities("z"), below)  # a context that was never seen


@pytest.mark.parametrize("order", [1, 2, 3])
def test_probabilities_sum_to_one_with_a_base_and_without(order):
    base = NGramModel(["xyz", *NAMES], order)
    for model in (base, NGramModel(NAMES, order, base)):
        for context in ("", "a", "nn", "zzz"):
            assert model.probabilities(context).sum() == pytest.approx(1.0)
            assert np.all(model.probabilities(context) > 0)


def test_a_base_model_completes_a_few_texts():
    base = NGramModel(["qu"] * 20 + NAMES, 2)
    alone, backed = NGramModel(["aq"], 2, alphabet="".join(base.characters[:-1])), NGramModel(["aq"], 2, base)
    place = base.characters.index("u")
    assert backed.probabilities("q")[place] > 2 * alone.probabilities("q")[place]


def test_samples_resemble_the_texts():
    made = NGramModel(NAMES, 3).sample(300, 8, seed=1)
    assert len(made) == 300 and all(0 < len(text) <= 8 for text in made)
    assert made == NGramModel(NAMES, 3).sample(300, 8, seed=1) != NGramModel(NAMES, 3).sample(300, 8, seed=2)
    uniform = NGramModel(["".join(sorted(set("".join(NAMES))))], 1).sample(300, 8)
    assert ngram_distance(made, NAMES) < 0.6 * ngram_distance(uniform, NAMES)


@pytest.mark.parametrize(
    "options", [{"texts": []}, {"texts": NAMES, "order": 0}, {"texts": NAMES, "base": NGramModel(NAMES, 2)}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match="a model needs texts, an order >= 1, and a base of that order"):
        NGramModel(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"texts": ["abc"], "alphabet": "ab"},
        {"texts": ["", "a"]},
        {"texts": ["xyz"], "order": 2, "base": NGramModel(NAMES, 2)},
        {"texts": NAMES, "order": 2, "base": NGramModel(NAMES, 2), "alphabet": "ahn"},
    ],
)
def test_texts_outside_the_alphabet_are_refused(options):
    with pytest.raises(ValueError, match="'texts' must have 1 or more characters of the alphabet"):
        NGramModel(**options)


def test_scores_of_no_texts_are_refused():
    for score in (lambda: novelty([], NAMES), lambda: valid_share([], "a", 1)):
        with pytest.raises(ValueError, match="'made' must have at least 1 text"):
            score()
    with pytest.raises(ValueError, match=r"most. must be"):
        ngram_distance(NAMES, NAMES, 0)
