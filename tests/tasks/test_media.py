"""Media: how examples are stored, what a model receives, and what a card records."""

import numpy as np
import pytest

from meta_gan.tasks import DataError, DomainTasks, Source, Tasks
from meta_gan.tasks.media import Pictures, Sounds, Texts, of_card
from meta_gan.tasks.pixels import to_float

SPLIT = np.array([0], np.int8)


def source(examples, medium, **options):
    return Source(examples, np.zeros(len(examples), np.int32), ["a"], SPLIT, medium=medium, **options)


def test_pictures_are_seen_by_the_table():
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    np.testing.assert_array_equal(Pictures().seen(levels), to_float(levels))
    assert Pictures().shape_of(levels) == (8, 8, 1)


def test_sounds_by_hand():
    medium = Sounds(8000)
    np.testing.assert_array_equal(medium.seen(np.array([-32768, 0, 16384], np.int16)), [-1.0, 0.0, 0.5])
    np.testing.assert_array_equal(medium.levels([-1.0, 0.0, 0.5, 1.0, 7.0]), [-32768, 0, 16384, 32767, 32767])
    assert medium.describe(np.zeros((3, 2000, 1), np.int16)) == "3 sounds of 0.25 s at 8000 Hz"


def test_levels_survive_a_round_trip():
    every = np.arange(-32768, 32768).astype(np.int16)
    np.testing.assert_array_equal(Sounds(1).levels(Sounds(1).seen(every)), every)


def test_texts_by_hand():
    medium = Texts("ab")
    stored = medium.encode(["ab", "b", "abba"], 3)
    np.testing.assert_array_equal(stored, [[1, 2, 0], [2, 0, 0], [1, 2, 2]])  # the last one is cut
    seen = medium.seen(stored).numpy()
    assert seen.shape == (3, 3, 3) and medium.shape_of(stored) == (3, 3) and medium.symbols == 3
    np.testing.assert_array_equal(seen[1], [[0, 0, 1], [1, 0, 0], [1, 0, 0]])
    assert medium.decode(seen) == medium.decode(stored) == ["ab", "b", "abb"]


def test_symbols_after_the_end_are_ignored():
    assert Texts("ab").decode([[1, 0, 2]]) == ["a"] and Texts("ab").decode([[0, 1, 1]]) == [""]


@pytest.mark.parametrize(
    ("medium", "examples"),
    [
        (Pictures(), np.zeros((2, 8, 8, 1), np.int16)),
        (Pictures(), np.zeros((2, 8, 8), np.uint8)),
        (Sounds(8000), np.zeros((2, 64), np.int16)),
        (Sounds(8000), np.zeros((2, 64, 2), np.int16)),
        (Sounds(8000), np.zeros((2, 64, 1), np.float32)),
        (Texts("ab"), np.full((2, 4), 3, np.uint8)),  # there is no third character
        (Texts("ab"), np.array([[0, 1]], np.uint8)),  # nothing follows an end
        (Texts("ab"), np.zeros((2, 4), np.int32)),
    ],
)
def test_other_arrays_are_refused(medium, examples):
    with pytest.raises(DataError, match=r"'images' must be .*Received: "):
        source(examples, medium)


@pytest.mark.parametrize("alphabet", ["", "aa", "".join(map(chr, range(65, 65 + 256)))])
def test_other_alphabets(alphabet):
    with pytest.raises(DataError, match="1 to 255 different characters"):
        Texts(alphabet)


@pytest.mark.parametrize(("text", "wrong"), [("abc", "c"), ("", ""), ("x!x", "x!")])
def test_texts_of_other_characters_are_named(text, wrong):
    with pytest.raises(DataError) as caught:
        Texts("ab").encode(["a", text], 4, "names")
    assert str(caught.value).startswith("names: a text must be of 1 or more characters of the alphabet 'ab'")
    assert str(caught.value).endswith(f"Received: {text!r}, with {wrong!r}")


def test_no_text():
    with pytest.raises(DataError, match=r"at least 1 text\. Received: none"):
        Texts("ab").encode([], 4)


def test_cards_and_back():
    examples = {
        Pictures(): np.zeros((1, 8, 8, 1), np.uint8),
        Sounds(8000): np.zeros((1, 8, 1), np.int16),
        Texts("ab"): np.ones((1, 4), np.uint8),
    }
    for medium, stored in examples.items():
        assert of_card(medium.card(stored)) == medium
        assert Tasks(source(np.repeat(stored, 2, axis=0), medium), 1, 1).card == medium.card(stored)
    assert of_card({"polarity": "light-on-dark"}) == Pictures()  # of a model that was saved before there were others


@pytest.mark.parametrize("card", [{"medium": "smells"}, {"medium": "sounds"}, {"medium": "texts"}])
def test_incomplete_cards(card):
    with pytest.raises(ValueError, match="Received: "):
        of_card(card)


def test_episodes_hold_stored_sounds():
    stored = np.random.default_rng(0).integers(-32768, 32768, (6, 16, 1)).astype(np.int16)
    tasks = Tasks(source(stored, Sounds(8000)), 2, 3)
    episode = tasks.episode_batch("train", 0, 1)
    assert episode.support.shape == (1, 2, 16, 1) and episode.query.shape == (1, 3, 16, 1)
    drawn = Sounds(1).levels(np.concatenate([episode.support[0], episode.query[0]]))
    assert len({row.tobytes() for row in drawn} & {row.tobytes() for row in stored}) == 5


def test_only_pictures_are_turned_and_have_a_polarity_and_domains():
    sounds = source(np.zeros((4, 16, 1), np.int16), Sounds(8000), name="hum")
    tasks = Tasks(sounds, 1, 1)
    with pytest.raises(DataError, match=r"hum: 'symmetries' needs square images. Received: \(16, 1\)"):
        tasks.train(1, symmetries=True)
    with pytest.raises(DataError, match=r"hum: only pictures have a polarity\. Received: sounds"):
        _ = tasks.polarity
    with pytest.raises(DataError, match=r"domains must be of pictures\. Received: hum, of sounds"):
        DomainTasks(sounds, sounds, {"train": [(0, 0)]}, 1, 1)


def test_descriptions():
    texts = source(np.ones((3, 4), np.uint8), Texts("ab"), name="words")
    assert texts.describe().splitlines()[0] == "words: 1 classes, 3 texts of at most 4 of 2 characters"
    assert "1 classes of 3 texts: a" in texts.describe()
    assert "2 images of 8 x 8 x 1" in source(np.zeros((2, 8, 8, 1), np.uint8), Pictures()).describe()
