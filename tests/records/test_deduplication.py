"""Copies, exact and near, go before the split; distinct texts stay."""

import functools
import itertools
import random
import re
import subprocess
import sys

import pytest

from distilleak.records import deduplication
from distilleak.records.deduplication import distinct
from distilleak.settings.deduplication import DeduplicationSettings

WORDS = [f"word{number}" for number in range(400)]
DEFAULT = DeduplicationSettings()


def passage(rng: random.Random, words: int = 60) -> list[str]:
    return rng.choices(WORDS, k=words)


def edited(rng: random.Random, words: list[str], edits: int) -> list[str]:
    """Some words replaced, some left out, some put in."""
    changed = list(words)
    for _ in range(edits):
        place = rng.randrange(len(changed))
        changed[place : place + rng.choice([0, 1, 1])] = rng.choice([[], [rng.choice(WORDS)]])
    return changed


@functools.cache
def slow_shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower()) or [text]
    return {tuple(words[at : at + size]) for at in range(max(1, len(words) - size + 1))}


def slow_jaccard(one: str, other: str, size: int) -> float:
    first, second = slow_shingles(one, size), slow_shingles(other, size)
    return len(first & second) / len(first | second)


def slow_distinct(texts: list[str], settings: DeduplicationSettings) -> list[int]:
    kept: list[int] = []
    for position, text in enumerate(texts):
        if all(
            slow_jaccard(text, texts[other], settings.shingle_words) < settings.similarity
            for other in kept
        ):
            kept.append(position)
    return kept


def corpus(seed: int, copies: int) -> list[str]:
    """80 passages and planted copies of them with 0 to 8 edits, in random order."""
    rng = random.Random(seed)
    texts = [passage(rng, rng.choice([12, 20, 40, 60])) for _ in range(80)]
    texts += [edited(rng, rng.choice(texts), rng.randrange(9)) for _ in range(copies)]
    rng.shuffle(texts)
    return [" ".join(text) for text in texts]


def test_an_exact_copy_goes_and_the_first_stays() -> None:
    assert distinct(["a b c d e f", "g h i j k l", "a b c d e f"], DEFAULT) == [0, 1]


def test_case_and_punctuation_make_no_difference() -> None:
    assert distinct(["One, two; three four five six.", "one two three FOUR five six"], DEFAULT) == [
        0
    ]


def test_a_near_copy_with_a_few_edits_goes() -> None:
    rng = random.Random(1)
    text = passage(rng, 100)
    assert distinct([" ".join(text), " ".join(edited(rng, text, 3))], DEFAULT) == [0]


def test_distinct_texts_stay() -> None:
    rng = random.Random(2)
    texts = [" ".join(passage(rng)) for _ in range(50)]
    assert distinct(texts, DEFAULT) == list(range(50))


def test_a_shared_phrase_makes_no_copy() -> None:
    rng = random.Random(3)
    texts = ["fellow citizens of the senate " + " ".join(passage(rng)) for _ in range(40)]
    assert distinct(texts, DEFAULT) == list(range(40))


def test_a_copy_of_a_dropped_copy_that_is_unlike_the_first_stays() -> None:
    words = [f"w{number}" for number in range(40)]
    chain = [" ".join(words[start : start + 20]) for start in (0, 5, 10)]
    similarities = [slow_jaccard(chain[0], other, 5) for other in chain[1:]]
    assert similarities[0] > 0.5 > similarities[1]
    assert distinct(chain, DEFAULT) == [0, 2]


@pytest.mark.parametrize("text", ["", "!!!", "\N{GRINNING FACE}", "one", "one two"])
def test_a_text_shorter_than_a_shingle_is_compared_as_a_whole(text: str) -> None:
    assert distinct([text, text, "other words", "..."], DEFAULT) == [0, 2, 3]


def test_no_text_at_all() -> None:
    assert distinct([], DEFAULT) == []


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("similarity", [0.2, 0.35, 0.5, 0.8, 1.0])
def test_the_same_is_kept_as_by_comparing_every_pair(seed: int, similarity: float) -> None:
    texts = corpus(seed, copies=40)
    settings = DeduplicationSettings(similarity=similarity, shingle_words=3)
    kept = distinct(texts, settings)
    assert kept == slow_distinct(texts, settings)
    assert len(kept) < len(texts)
    for one, other in itertools.combinations(kept, 2):
        assert slow_jaccard(texts[one], texts[other], 3) < similarity


@pytest.mark.parametrize("similarity", [0.2, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_a_pair_just_similar_enough_is_missed_once_in_a_million(similarity: float) -> None:
    rows = deduplication.rows_per_band(similarity)
    bands = deduplication.PERMUTATIONS // rows
    assert (1 - similarity**rows) ** bands <= 1e-6


def test_sketches_agree_as_often_as_the_texts_are_similar() -> None:
    rng = random.Random(4)
    words = passage(rng, 400)
    texts = [" ".join(words), " ".join(words[100:] + passage(rng, 100))]
    one, other = deduplication._sketches(deduplication._shingles(texts, 5))
    expected = slow_jaccard(texts[0], texts[1], 5)
    spread = (expected * (1 - expected) / deduplication.PERMUTATIONS) ** 0.5
    assert abs((one == other).mean() - expected) < 4 * spread


def test_what_is_kept_does_not_depend_on_the_hash_seed_of_python() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_deduplication import *; "
        "print(distinct(corpus(7, 40), DEFAULT))"
    )
    here = str(__file__).rpartition("/")[0]
    results = {
        subprocess.run(
            [sys.executable, "-c", program, here],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert results == {f"{distinct(corpus(7, 40), DEFAULT)}\n"}
