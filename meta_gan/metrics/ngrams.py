"""Scores of short texts: n-gram distance, novelty and validity; and n-gram models as baselines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from meta_gan.checks import check_integer

START, END = "\x02", "\x03"
"""Marks of the start and end of a text in n-grams; a text must not contain them."""


def count_ngrams(texts: Iterable[str], order: int) -> Counter[str]:
    """Count the n-grams of texts, with the marks of start and end.

    Example:
        >>> sorted(count_ngrams(["ab"], 2).items())
        [('\\x02a', 1), ('ab', 1), ('b\\x03', 1)]
    """
    counts: Counter[str] = Counter()
    for text in texts:
        marked = START * (order - 1) + text + END
        counts.update(marked[i : i + order] for i in range(len(marked) - order + 1))
    return counts


def divergence(first: Counter[str], second: Counter[str]) -> float:
    """Return the Jensen-Shannon divergence of two counts, in bits: 0 for equal shares, 1 for no common key.

    Raises:
        ValueError: a count is empty.

    Example:
        >>> divergence(Counter("aab"), Counter("c"))
        1.0

    Reference:
        Lin, Divergence Measures Based on the Shannon Entropy, 1991.
    """
    if not first.total() or not second.total():
        raise ValueError(f"both counts must be above 0. Received: totals {first.total()} and {second.total()}")
    keys = sorted(set(first) | set(second))
    p, q = (np.array([count[key] for key in keys]) / count.total() for count in (first, second))
    middle = (p + q) / 2

    def relative(share: np.ndarray) -> float:
        held = share > 0
        return float((share[held] * np.log2(share[held] / middle[held])).sum())

    return (relative(p) + relative(q)) / 2


def ngram_distance(made: Sequence[str], real: Sequence[str], most: int = 3) -> float:
    """Return the divergence between the n-grams of two sets of texts, averaged over n = 1 to `most`.

    It is biased upwards, more so for fewer texts: report it beside that of real texts at the same numbers.

    Args:
        made: n texts, n >= 1.
        real: m texts, m >= 1.
        most: the largest n, >= 1.

    Returns:
        In [0, 1], bits.

    Raises:
        ValueError: no text on one side, or `most` is below 1.

    Example:
        >>> ngram_distance(["ab", "ba"], ["ba", "ab"])
        0.0
    """
    orders = range(1, check_integer(most, "most", 1) + 1)
    return float(np.mean([divergence(count_ngrams(made, n), count_ngrams(real, n)) for n in orders]))


def novelty(made: Sequence[str], known: Iterable[str]) -> float:
    """Return the share of texts that are not among known ones.

    Example:
        >>> novelty(["a", "b"], ["b", "c"])
        0.5
    """
    seen = set(known)
    return _mean([text not in seen for text in made])


def valid_share(made: Sequence[str], alphabet: str, length: int) -> float:
    """Return the share of texts with 1 to `length` characters, all of an alphabet.

    Example:
        >>> valid_share(["ab", "", "abc"], "ab", 2)
        0.3333333333333333
    """
    return _mean([0 < len(text) <= length and set(text) <= set(alphabet) for text in made])


def _mean(of_texts: list[bool]) -> float:
    if not of_texts:
        raise ValueError("'made' must have at least 1 text. Received: none")
    return float(np.mean(of_texts))


class NGramModel:
    """An n-gram model with Witten-Bell interpolation, which backs off to a base model or to a uniform distribution.

    The probability of a character c after a context h that occurs t times, with u distinct followers, is
    `(count(h c) + u p(c | shorter h)) / (t + u)`. Below the shortest context it is the base model's, or uniform.

    Args:
        texts: at least one.
        order: n, the characters of an n-gram, >= 1.
        base: a model of the same order to back off to; None for a uniform distribution.
        alphabet: characters of the uniform distribution; None for those of the texts. Not allowed with a base.

    Raises:
        ValueError: no text, an empty one or one of other characters, an order below 1, or a base of another order.

    Example:
        >>> model = NGramModel(["ab"], order=1)
        >>> model.probabilities("").round(3).tolist()  # of a, b and the end: (1 + 3 / 3) / (3 + 3) each
        [0.333, 0.333, 0.333]

    Reference:
        Witten and Bell, The Zero-frequency Problem, 1991; Chen and Goodman, An Empirical Study of Smoothing Techniques
        for Language Modeling, 1999.
    """

    order: int
    characters: list[str]

    def __init__(
        self, texts: Sequence[str], order: int = 3, base: NGramModel | None = None, alphabet: str | None = None
    ):
        if not len(texts) or order < 1 or (base is not None and base.order != order):
            raise ValueError(
                f"a model needs texts, an order >= 1, and a base of that order. Received: {len(texts)} texts, "
                f"order={order!r}, base of order {getattr(base, 'order', None)}"
            )
        own = "".join(sorted(set().union(*texts))) if alphabet is None else alphabet
        characters = [*own, END] if base is None else base.characters
        wrong = [text for text in texts if not text or not set(text) <= set(characters)]
        if wrong or (base is not None and alphabet is not None):
            raise ValueError(
                "'texts' must have 1 or more characters of the alphabet, which is the base model's where there is one. "
                f"Received: {wrong[:3]}, alphabet={alphabet!r}, base {'given' if base is not None else 'None'}"
            )
        self.order, self.base, self.characters = order, base, characters
        place = {character: i for i, character in enumerate(self.characters)}
        self._counts: dict[str, np.ndarray] = {}
        for text in texts:
            marked = START * (order - 1) + text + END
            for i in range(order - 1, len(marked)):
                for n in range(order):
                    counts = self._counts.setdefault(marked[i - n : i], np.zeros(len(self.characters)))
                    counts[place[marked[i]]] += 1

    def probabilities(self, context: str) -> np.ndarray:
        """Return the probabilities of `characters` after a context, float64[n]; the last is that of the end."""
        below = np.full(len(self.characters), 1.0 / len(self.characters))
        if self.base is not None:
            below = self.base.probabilities(context)
        context = (START * (self.order - 1) + context)[len(context) :]
        for n in range(self.order):
            counts = self._counts.get(context[len(context) - n :])
            if counts is not None:
                followers = (counts > 0).sum()
                below = (counts + followers * below) / (counts.sum() + followers)
        return below

    def sample(self, count: int, length: int, seed: int = 0) -> list[str]:
        """Draw texts of at most `length` characters.

        Args:
            count: number of texts, >= 1.
            length: >= 1; a longer text is cut.
            seed: >= 0.

        Returns:
            `count` texts; an empty one is drawn again.
        """
        draw = np.random.default_rng(seed)
        made: list[str] = []
        while len(made) < count:
            text = ""
            while len(text) < length:
                shares = self.probabilities(text)
                character = self.characters[draw.choice(len(shares), p=shares / shares.sum())]
                if character == END:
                    break
                text += character
            if text:
                made.append(text)
        return made
