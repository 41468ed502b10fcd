"""From a trained model to scores: every attack finds what a real model has memorised."""

import json
import math
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from attacked_study import Attacked, make_attacked
from command_line import as_words
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from tiny_study import START, Study, log_p_of

from distilleak import catalogue
from distilleak.records import tokenizer as tokenization
from distilleak.scoring import attacking
from distilleak.stages import score_attacks

ATTACKS = catalogue.names("attacks")
Array = NDArray[np.float64]


ENTRIES = {name: {"attack": name, "parameters": {}} for name in ATTACKS}
# What the stages compute of themselves is enough for these.
FROM_STAGES = ["loss", "lowercase", "min_k", "min_k_pp", "recall", "reference", "surp", "wbc"]


@pytest.fixture(scope="module")
def attacked(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Attacked:
    return make_attacked(study, tmp_path_factory.mktemp("attacked"), list(ENTRIES.values()))


@pytest.fixture(scope="module")
def scores(attacked: Attacked) -> pd.DataFrame:
    records = attacked.records
    labels = {
        "record_id": records.record_id,
        "pool": records.pool,
        "teacher_member": records.teacher_member,
    }
    found = {
        name: attacking.score_windows({name: entry}, [attacked.evidence])[name]
        for name, entry in ENTRIES.items()
    }
    return pd.DataFrame({**labels, **found})


@pytest.fixture(scope="module")
def evaluated(scores: pd.DataFrame) -> pd.DataFrame:
    """The evaluation: members and non-members, without the defender's hold-out."""
    return scores[scores.pool.isin(["member", "nonmember"])]


def test_the_stage_writes_scores_labelled_with_pool_and_membership(
    study: Study, scores: pd.DataFrame
) -> None:
    score_attacks.main(
        as_words(
            records=study.path("records.parquet"),
            evidence=study.path("teacher/evidence"),
            references=study.path("reference/evidence"),
            attacks=json.dumps({name: ENTRIES[name] for name in FROM_STAGES}),
            output=study.path("scores.parquet"),
        )
    )
    written = pd.read_parquet(study.path("scores.parquet"))
    labels = ["record_id", "pool", "teacher_member", "student_member"]
    assert list(written.columns) == [*labels, *FROM_STAGES]
    assert written.pool.value_counts().to_dict() == {"member": 30, "nonmember": 30, "holdout": 20}
    assert (written.teacher_member == (written.pool == "member")).all()
    assert {str(written[name].dtype) for name in FROM_STAGES} == {"float64"}
    for name in ("loss", "lowercase", "min_k", "min_k_pp", "surp"):
        pd.testing.assert_series_equal(written[name], scores[name])


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_finds_the_memorised_members(name: str, evaluated: pd.DataFrame) -> None:
    # Of texts that the model knows by heart but for their first words, which nobody can foretell,
    # the error zone is those one or two tokens.
    least = 0.7 if name == "ez_mia" else 0.9
    assert roc_auc_score(evaluated.teacher_member, evaluated[name]) > least


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

    def __init__(self, study: Study, attacked: Attacked) -> None:
        self.attacked = attacked
        self.target = attacked.target
        self.tokenizer = tokenization.load(study.path("tokenizer"))
        self.records = attacked.records

    @cache  # noqa: B019  # lives as long as the module's fixture
    def rows(self, row: int) -> torch.Tensor:
        return log_p_of(self.target, [START], self.records.tokens[row])

    def true(self, log_p: torch.Tensor, tokens: NDArray[np.int32]) -> Array:
        return log_p.numpy()[np.arange(len(tokens)), tokens]

    def given(self, model: Any, context: list[int], tokens: NDArray[np.int32]) -> Array:
        return self.true(log_p_of(model, context, tokens), tokens)

    def logp(self, row: int) -> Array:
        return self.true(self.rows(row), self.records.tokens[row])

    def of_models(self, models: list[Any], row: int) -> list[Array]:
        return [self.given(model, [START], self.records.tokens[row]) for model in models]

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

    def surp(self, row: int) -> float:
        log_p, logp = self.rows(row).numpy(), self.logp(row)
        entropy = -(np.exp(log_p) * log_p).sum(1)
        low = np.argsort(logp)[: max(1, int(0.4 * len(logp)))]
        surprising = [logp[token] for token in low if entropy[token] < 2]
        return float(np.mean(surprising)) if surprising else float(logp.min())

    def dc_pdd(self, row: int) -> float:
        tokens, p = self.records.tokens[row], np.exp(self.logp(row))
        smoothed = self.attacked.unigram + 1
        first = [token not in tokens[:place] for place, token in enumerate(tokens)]
        added = np.minimum(p * np.log(smoothed.sum() / smoothed[tokens]), 0.01)
        return float(added[first].mean())

    def reference(self, row: int) -> float:
        others = self.of_models(self.attacked.references, row)
        return float(self.logp(row).mean() - np.mean(others))

    def reference_base(self, row: int) -> float:
        (base,) = self.of_models(self.attacked.references[:1], row)
        return float(self.logp(row).mean() - np.mean(base))

    def prefixed(self, view: str, row: int) -> float:
        context = [START, *self.attacked.prefixes[view]]
        return float(self.given(self.target, context, self.records.tokens[row]).mean())

    def recall(self, row: int) -> float:
        return self.prefixed("prefix_nonmember", row) / self.loss(row)

    def con_recall(self, row: int) -> float:
        members = self.prefixed("prefix_member", row)
        return (self.prefixed("prefix_nonmember", row) - 0.5 * members) / self.loss(row)

    def lowercase(self, row: int) -> float:
        ids = self.tokenizer.encode(self.records.text[row].lower()).ids
        tokens = np.array(ids, dtype=np.int32)
        return float(self.given(self.target, [START], tokens).mean()) / self.loss(row)

    def neighbour(self, row: int) -> float:
        copies = [
            self.given(self.target, [START], copy[row]).mean() for copy in self.attacked.copies
        ]
        return self.loss(row) - float(np.mean(copies))

    def shift(self, row: int) -> Array:
        return self.logp(row) - np.mean(self.of_models(self.attacked.references, row), axis=0)

    def ez_mia(self, row: int) -> float:
        first_choice = self.rows(row).numpy().argmax(1)
        shift = self.shift(row)[first_choice != self.records.tokens[row]]
        if not len(shift):
            return 2.0**23
        raised, lowered = shift[shift > 0].sum(), -shift[shift < 0].sum()
        return float(max(raised, 2.0**-23) / max(lowered, 2.0**-23))

    def wbc(self, row: int) -> float:
        shift = self.shift(row)
        shares = [
            np.mean([shift[i : i + size].sum() > 0 for i in range(len(shift) - size + 1)])
            for size in (2, 3, 4, 5, 8, 11, 15, 21, 29, 40)
            if size <= len(shift)
        ]
        return float(np.mean(shares))

    @cache  # noqa: B019
    def population(self, model: int) -> Array:
        """The mean of log p of one model on each record of the population: of the references, the
        shadow models, the teacher (-2) and the target (-1)."""
        attacked = self.attacked
        models = [*attacked.references, *attacked.shadows, attacked.teacher, self.target]
        asked = models[model]
        texts = self.attacked.population
        return np.array([self.given(asked, [START], tokens).mean() for tokens in texts])

    def informia(self, row: int) -> float:
        """From the definition: the mean log-likelihood ratio and the divergence of two outcomes."""
        others = np.exp(self.of_models(self.attacked.references, row))
        p, own = others.mean(axis=0), np.exp(self.logp(row))
        divergence = rel_entr(p, own) + rel_entr(1 - p, 1 - own)
        return float((np.log(own / p) + divergence).mean())

    def joint(self, row: int) -> float:
        expected = np.mean([self.population(number) for number in range(3)], axis=0)
        others = np.mean([each.mean() for each in self.of_models(self.attacked.references, row)])
        z = []
        for model, place in ((self.target, -1), (self.attacked.teacher, -2)):
            gains = self.population(place) - expected
            own = self.given(model, [START], self.records.tokens[row]).mean()
            z.append((own - others - gains.mean()) / gains.std(ddof=1))
        return float(np.mean(z))

    def attack_p(self, row: int) -> float:
        return float(np.mean(self.population(-1) < self.loss(row)))

    def attack_r(self, row: int) -> float:
        others = self.of_models(self.attacked.references, row)
        return float(np.mean([other.mean() < self.loss(row) for other in others]))

    @cache  # noqa: B019
    def confidence(self, model: int, row: int) -> float:
        """phi, of the target (-1), the references and then the shadow models."""
        models = [*self.attacked.references, *self.attacked.shadows, self.target]
        tokens = self.records.tokens[row]
        log_p = log_p_of(models[model], [START], tokens)
        others = log_p.clone()
        others[np.arange(len(tokens)), tokens.tolist()] = -np.inf
        return float((self.true(log_p, tokens) - torch.logsumexp(others, 1).numpy()).mean())

    def offline(self, row: int) -> list[float]:
        return [self.confidence(model, row) for model in range(3)]

    def lira_offline(self, row: int) -> float:
        rows = range(len(self.records.tokens))
        pooled = math.sqrt(np.mean([np.var(self.offline(each), ddof=1) for each in rows]))
        return float(norm.logcdf(self.confidence(-1, row), np.mean(self.offline(row)), pooled))

    def shadow_confidences(self, row: int, member: bool) -> list[float]:
        models = np.flatnonzero(self.attacked.member[:, row] == member)
        return [self.confidence(3 + int(model), row) for model in models]

    def lira_online(self, row: int) -> float:
        densities = []
        for member in (True, False):
            groups = [
                self.shadow_confidences(each, member) for each in range(len(self.records.tokens))
            ]
            pooled = math.sqrt(np.mean([np.var(group, ddof=1) for group in groups]))
            densities.append(norm.logpdf(self.confidence(-1, row), np.mean(groups[row]), pooled))
        return float(densities[0] - densities[1])

    def rmia(self, row: int) -> float:
        def ratio(p: Any, of_references: list[Any]) -> Any:
            p_out = np.mean(np.exp(of_references), axis=0)
            return np.exp(p) / p_out  # a = 1

        others = [other.mean() for other in self.of_models(self.attacked.references, row)]
        z = ratio(self.population(-1), [self.population(number) for number in range(3)])
        return float(np.mean(ratio(self.loss(row), others) / z > 1))

    def rmia_online(self, row: int) -> float:
        p = np.exp([each.mean() for each in self.of_models(self.attacked.shadows, row)])
        member = self.attacked.member[:, row]
        x = np.exp(self.loss(row)) / ((p[member].mean() + p[~member].mean()) / 2)
        shadows = range(3, 3 + len(self.attacked.shadows))
        z_out = np.mean(np.exp([self.population(number) for number in shadows]), axis=0)
        return float(np.mean(x / (np.exp(self.population(-1)) / z_out) > 1))


@pytest.fixture(scope="module")
def slow(study: Study, attacked: Attacked) -> Slow:
    return Slow(study, attacked)


@pytest.mark.parametrize("name", ATTACKS)
def test_scores_are_those_of_the_formula_on_the_models_logits(
    name: str, scores: pd.DataFrame, slow: Slow
) -> None:
    assert scores.record_id.tolist() == slow.records.record_id
    score: Callable[[int], float] = getattr(slow, name)
    expected = [score(row) for row in range(len(scores))]
    np.testing.assert_allclose(scores[name], expected, rtol=1e-3, atol=1e-4)
