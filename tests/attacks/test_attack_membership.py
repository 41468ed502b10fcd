"""Every attack finds members that were memorised, and finds nothing in noise."""

import math
from functools import cache

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from synthetic_evidence import VIEWS, Array, random_members, softmax_view

from distilleak import catalogue
from distilleak.attacks.base import ScoreArray
from distilleak.evidence.table import Evidence, Shadow, View

ATTACKS = catalogue.names("attacks")
RECORDS = 600
MEMBER = np.arange(RECORDS) % 2 == 0


@cache
def memorised() -> Evidence:
    """Members have likelier true tokens in the plain view; nothing else depends on membership."""
    generator = np.random.default_rng(0)
    ids = [f"record-{number}" for number in range(RECORDS)]
    lengths = generator.integers(30, 60, RECORDS)
    tokens = lengths.sum()
    true = generator.integers(0, 20, tokens)
    base = generator.normal(0.0, 1.5, (tokens, 20))
    base[np.arange(tokens), true] += np.where(generator.random(tokens) < 0.1, 1.0, -6.0)

    def view(boost: float = 0.0, member: Array = MEMBER, among: str = "record") -> View:
        noisy = base + generator.normal(0.0, 0.3, base.shape)
        noisy[np.arange(tokens), true] += boost * np.repeat(member, lengths)
        return softmax_view([i.replace("record", among) for i in ids], list(lengths), noisy, true)

    words = np.array(["rain", "sea", "wind", "stone", "Light", "Road", "hill", "tree"])
    texts = [" ".join(generator.choice(words, length)) for length in lengths]
    return Evidence(
        record_id=ids,
        texts=texts,
        views={"plain": view(2.0), **{name: view() for name in VIEWS if name != "plain"}},
        references=[view() for _ in range(9)],
        neighbours=[view() for _ in range(3)],
        population=view(among="population"),
        reference_population=[view(among="population") for _ in range(9)],
        shadows=[
            Shadow(view(2.0, member), member > 0, view(among="population"))
            for member in random_members(RECORDS, 8, generator)
        ],
        base=view(),
        teacher=view(2.0),
        teacher_population=view(among="population"),
        unigram=np.bincount(true, minlength=20),
    )


@cache
def scores(name: str) -> ScoreArray:
    module = catalogue.load("attacks", name)
    result: ScoreArray = module.score(memorised(), module.Parameters())
    return result


@pytest.mark.parametrize("name", ATTACKS)
def test_a_higher_score_means_more_likely_a_member(name: str) -> None:
    assert roc_auc_score(MEMBER, scores(name)) > 0.9


@pytest.mark.parametrize("name", ATTACKS)
def test_with_shuffled_labels_the_auc_is_one_half(name: str) -> None:
    sides = RECORDS // 2
    standard_error = math.sqrt((2 * sides + 1) / (12 * sides * sides))  # of Mann-Whitney's U
    for seed in range(5):
        labels = np.random.default_rng(seed).permutation(MEMBER)
        assert abs(roc_auc_score(labels, scores(name)) - 0.5) < 4 * standard_error


def test_this_evidence_distinguishes_the_attacks() -> None:
    ranks = [tuple(np.argsort(scores(name))) for name in ATTACKS]
    assert len(set(ranks)) == len(ATTACKS)
