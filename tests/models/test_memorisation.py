"""From a trained model to scores: every attack finds what a real model has memorised."""

import json
import math
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from tiny_study import START, Study, log_p_of

from distilleak import catalogue, compute_evidence, models, score_attacks, tokenization
from distilleak.records import EVALUATED, Records, read_records

ATTACKS = catalogue.names("attacks")
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def scores(study: Study) -> pd.DataFrame:
    entries = {name: {"attack": name, "parameters": {}} for name in ATTACKS}
    score_attacks.main(
        [
            *("--records", study.path("records.parquet")),
            *("--evidence", study.path("teacher/evidence")),
            *("--references", study.path("reference/evidence")),
            *("--attacks", json.dumps(entries)),
            *("--output", study.path("scores.parquet")),
        ]
    )
    return pd.read_parquet(study.path("scores.parquet"))


@pytest.fixture(scope="module")
def evaluated(scores: pd.DataFrame) -> pd.DataFrame:
    """The evaluation: members and non-members, without the defender's hold-out."""
    return scores[scores.pool.isin(["member", "nonmember"])]


def test_scores_are_labelled_with_pool_and_membership(scores: pd.DataFrame) -> None:
    labels = ["record_id", "pool", "teacher_member", "student_member"]
    assert list(scores.columns) == [*labels, *ATTACKS]
    assert scores.pool.value_counts().to_dict() == {"member": 30, "nonmember": 30, "holdout": 20}
    assert (scores.teacher_member == (scores.pool == "member")).all()
    assert {str(scores[name].dtype) for name in ATTACKS} == {"float64"}


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_finds_the_memorised_members(name: str, evaluated: pd.DataFrame) -> None:
    assert roc_auc_score(evaluated.teacher_member, evaluated[name]) > 0.9


@pytest.mark.parametrize("name", ATTACKS)
def test_shuffled_labels_are_not_found(name: str, evaluated: pd.DataFrame) -> None:
    standard_error = math.sqrt((30 + 30 + 1) / (12 * 30 * 30))  # of Mann-Whitney's U
    for seed in range(5):
        labels = np.random.default_rng(seed).permutation(evaluated.teacher_member)
        area = roc_auc_score(labels, evaluated[name])
        assert abs(area - 0.5) < 3.5 * standard_error


@pytest.mark.parametrize("name", ["loss", "min_k", "min_k_pp", "zlib", "lowercase", "recall"])
def test_non_members_are_like_the_holdout(name: str, scores: pd.DataFrame) -> None:
    unseen = scores[~scores.teacher_member]
    area = roc_auc_score(unseen.pool == "nonmember", unseen[name])
    assert abs(area - 0.5) < 3.5 * math.sqrt((30 + 20 + 1) / (12 * 30 * 20))


# The same scores from the logits of the models, in float64, from the formula of each attack


class Slow:
    """Log-probabilities of one record, by plain forward passes."""

    def __init__(self, study: Study) -> None:
        self.target = models.load(study.path("teacher/model"), "cpu")
        self.other = models.load(study.path("reference/model"), "cpu")
        self.tokenizer = tokenization.load(study.path("tokenizer"))
        self.prefix = compute_evidence._prefix(study.path("records.parquet"), 16, 0)
        self.records: Records = read_records(study.path("records.parquet"), EVALUATED)

    @cache  # noqa: B019  # lives as long as the module's fixture
    def rows(self, row: int) -> torch.Tensor:
        return log_p_of(self.target, [START], self.records.tokens[row])

    def true(self, log_p: torch.Tensor, tokens: NDArray[np.int32]) -> Array:
        return log_p.numpy()[np.arange(len(tokens)), tokens]

    def logp(self, row: int) -> Array:
        return self.true(self.rows(row), self.records.tokens[row])

    def loss(self, row: int) -> float:
        return float(self.logp(row).mean())

    def zlib(self, row: int) -> float:
        return float(self.logp(row).sum()) / len(zlib.compress(self.records.text[row].encode()))

    def lowest(self, values: Array) -> float:
        return float(np.sort(values)[: max(1, int(0.2 * len(values)))].mean())

    def min_k(self, row: int) -> float:
        return self.lowest(self.logp(row))

    def min_k_pp(self, row: int) -> float:
        log_p = self.rows(row).numpy()
        p = np.exp(log_p)
        mean = (p * log_p).sum(1)
        spread = np.sqrt((p * log_p**2).sum(1) - mean**2)
        return self.lowest((self.logp(row) - mean) / spread)

    def reference(self, row: int) -> float:
        tokens = self.records.tokens[row]
        other = self.true(log_p_of(self.other, [START], tokens), tokens)
        return float(self.logp(row).mean() - other.mean())

    def recall(self, row: int) -> float:
        tokens = self.records.tokens[row]
        given = self.true(log_p_of(self.target, [START, *self.prefix], tokens), tokens)
        return float(given.mean() / self.logp(row).mean())

    def lowercase(self, row: int) -> float:
        ids = self.tokenizer.encode(self.records.text[row].lower()).ids
        tokens = np.array(ids, dtype=np.int32)
        lowered = self.true(log_p_of(self.target, [START], tokens), tokens)
        return float(lowered.mean() / self.logp(row).mean())


@pytest.fixture(scope="module")
def slow(study: Study) -> Slow:
    return Slow(study)


@pytest.mark.parametrize("name", ATTACKS)
def test_scores_are_those_of_the_formula_on_the_models_logits(
    name: str, scores: pd.DataFrame, slow: Slow
) -> None:
    assert scores.record_id.tolist() == slow.records.record_id
    score: Callable[[int], float] = getattr(slow, name)
    expected = [score(row) for row in range(len(scores))]
    np.testing.assert_allclose(scores[name], expected, rtol=1e-3, atol=1e-4)
