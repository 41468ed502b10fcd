"""Verdicts at equal utility, on models whose place is known."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from distilleak.metrics.compare import holm
from distilleak.metrics.seeds import over_seeds
from distilleak.settings.evaluation import EvaluationSettings
from distilleak.tables import frontier
from distilleak.tables.base import Pooled
from distilleak.tables.results import Results, StudyResults
from distilleak.tables.roster import Roster

SEEDS = 5
TRIVIAL = {"kd": (4.0, 0.9), "early": (4.5, 0.7), "earliest": (5.0, 0.6), "dear": (4.7, 0.8)}
"""Loss and AUC; `dear` is beaten."""


def pooled(value: float, spread: float, rng: np.random.Generator) -> Pooled:
    by_seed = value + spread * rng.normal(size=SEEDS)
    replicates = by_seed[:, None] + spread * rng.normal(size=(SEEDS, 50))
    found = over_seeds(by_seed, replicates)
    ends = np.quantile(replicates, [0.025, 0.975], axis=1).T
    return Pooled(found.value, found.low, found.high, by_seed, replicates, ends)


def table(
    methods: dict[str, tuple[float, float]],
    vocabulary: int | None = None,
    spread: float = 0.002,
    floors: dict[str, tuple[float, float]] | None = None,
    utility: str = "heldout_loss",
    accuracy: dict[str, float] | None = None,
    together: tuple[str, ...] = (),
) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    models: list[dict[str, Any]] = [
        {"model": name, "kind": "student", "method": "kd", "label": name, "role": role}
        for names, role in ((TRIVIAL, "trivial"), (methods, "method"))
        for name in names
    ]
    teacher = {"model": "teacher", "kind": "teacher", "method": "teacher", "label": "teacher"}
    roster = Roster.model_validate(
        {
            "seeds": [*range(SEEDS)],
            "headline_attack": "loss",
            "attacks": ["loss", "weak", *together],
            "threats": {"loss": "query", "weak": "logits", **dict.fromkeys(together, "pair")},
            "pairs": {"small": {"models": [teacher, *models], "vocabulary": vocabulary}},
        }
    )
    metrics = {
        ("small", name): {
            ("", "heldout_loss", ""): (of_loss := pooled(loss, spread, rng)),
            ("", "calibrated_loss", ""): of_loss,
            ("", "top1_accuracy", ""): pooled(
                (accuracy or {}).get(name, 1 - loss / 10), spread / 10, rng
            ),
            **{
                (attack, metric, threshold): pooled(auc - weaker, spread, rng)
                for attack, weaker in (
                    ("loss", 0.0),
                    ("weak", 0.1),
                    *((name, -0.2) for name in together),
                )
                for metric, threshold in (
                    *(("auc", ""), ("tpr_at_fpr_0.01", "")),
                    ("member_accuracy", "cross_fitted"),
                )
            },
        }
        for name, (loss, auc) in {**TRIVIAL, **methods, "teacher": (3.9, 0.95)}.items()
    }
    counted = {
        ("small", name): {
            ("", "heldout_loss", ""): (of_loss := pooled(loss, spread, rng)),
            ("", "calibrated_loss", ""): of_loss,
            ("", "top1_accuracy", ""): pooled(
                (accuracy or {}).get(name, 1 - loss / 10), spread / 10, rng
            ),
            **{
                ("loss", metric, threshold): pooled(auc, spread, rng)
                for metric, threshold in (
                    *(("auc", ""), ("tpr_at_fpr_0.01", "")),
                    ("member_accuracy", "cross_fitted"),
                )
            },
        }
        for name, (loss, auc) in (floors or {}).items()
    }
    nothing = Results({}, {}, {}, {}, {}, {})
    study = StudyResults(roster, EvaluationSettings(), nothing, metrics, counted)
    found = frontier.build(study)
    shown = found[(found["metric"] == "auc") & (found["utility"] == utility)]
    return shown.set_index("model")


@pytest.mark.parametrize(
    ("loss", "auc", "alternative", "difference", "verdict"),
    [
        (4.25, 0.75, "kd to early", -0.05, "better"),
        (4.25, 0.85, "kd to early", 0.05, "worse"),
        (4.25, 0.80, "kd to early", 0.0, "equivalent"),
        (4.75, 0.60, "early to earliest", -0.05, "better"),
        (3.8, 0.95, "more useful than all; kd", 0.05, "more useful than all"),
        (3.8, 0.85, "more useful than all; kd", -0.05, "better"),
        (5.5, 0.55, "less useful than all; earliest", -0.05, "less useful than all"),
        (5.5, 0.65, "less useful than all; earliest", 0.05, "worse"),
    ],
)
def test_a_method_is_compared_with_the_frontier_at_its_own_loss(
    loss: float, auc: float, alternative: str, difference: float, verdict: str
) -> None:
    row = table({"method": (loss, auc)}).loc["method"]
    assert (row["alternative"], row["verdict"]) == (alternative, verdict)
    assert row["difference"] == pytest.approx(difference, abs=0.006)
    assert row["low"] < row["difference"] < row["high"]
    assert row["attack"] == "loss"


def test_who_is_more_useful_by_luck_alone_is_compared_as_if_inside() -> None:
    row = table({"method": (3.9999, 0.95)}).loc["method"]
    assert row["alternative"] in ("kd", "kd to early")
    assert row["verdict"] == "worse"


def test_a_model_without_training_is_always_an_alternative() -> None:
    row = table({"method": (5.5, 0.59)}, vocabulary=round(math.exp(6.0))).loc["method"]
    assert (row["alternative"], row["verdict"]) == ("earliest to uniform", "worse")
    assert row["difference"] == pytest.approx(0.04, abs=0.005)
    beyond = table({"method": (6.5, 0.5)}, vocabulary=round(math.exp(6.0))).loc["method"]
    assert beyond["alternative"] == "less useful than all; uniform"


def test_the_frontier_is_spanned_by_those_that_no_toss_beats() -> None:
    found = table({"method": (4.25, 0.75)})
    assert found["trivial_front"].to_dict() == {
        **{"kd": True, "early": True, "earliest": True, "dear": False},
        "method": False,
    }
    # The front is that of all models, and nobody is beaten there but `dear`.
    assert found.index[~found["front"]].tolist() == ["dear"]


def test_p_values_are_corrected_for_all_methods_and_trivial_ones_have_none() -> None:
    found = table({"a": (4.1, 0.85), "b": (4.3, 0.79), "c": (4.6, 0.67)})
    tried = found.loc[["a", "b", "c"]]
    np.testing.assert_allclose(tried["p_holm"], holm(tried["p_value"].to_numpy()))
    assert found.loc[[*TRIVIAL], ["difference", "p_holm"]].isna().all(axis=None)
    assert (found.loc[[*TRIVIAL], "verdict"] == "").all()


def test_a_verdict_is_agreed_where_every_measure_of_utility_leads_to_it() -> None:
    methods = {"method": (4.25, 0.75)}
    found = table(methods)
    assert found.loc["method", ["verdict", "agreed"]].tolist() == ["better", "better"]
    by_top1 = table(methods, utility="top1_error")
    assert by_top1.loc["method", "verdict"] == "better"
    assert by_top1.loc["kd", "loss"] == pytest.approx(0.4, abs=0.002)
    # By top-1 accuracy the method is no more useful than `earliest`, which leaks less.
    worse = {"method": 0.50}
    found = table(methods, accuracy=worse)
    assert found.loc["method", "verdict"] == "better"
    assert found.loc["method", "agreed"] == "depends on the measure of utility"
    by_top1 = table(methods, accuracy=worse, utility="top1_error")
    assert by_top1.loc["method", "verdict"] == "worse"
    assert by_top1.loc["method", "agreed"] == "depends on the measure of utility"


def test_a_difference_shown_to_be_small_is_equivalent_and_an_unproven_one_is_not() -> None:
    exact = table({"method": (4.25, 0.8)}, spread=0.0005).loc["method"]
    assert exact["verdict"] == "equivalent"
    assert exact["p_equivalence"] < 0.05 <= exact["p_holm"]
    noisy = table({"method": (4.25, 0.8)}, spread=0.02).loc["method"]
    assert noisy["verdict"] == "not distinguishable"
    assert noisy["p_equivalence"] > 0.05
    assert noisy["detectable"] > 5 * exact["detectable"] > 0


COUNTED = {"bigram": (4.6, 0.52), "trigram": (4.2, 0.5), "bigram_of_members": (4.5, 0.9)}


def test_a_model_that_predicts_worse_than_pairs_of_words_gets_no_verdict() -> None:
    methods = {"useless": (4.7, 0.55), "weak": (4.4, 0.85), "strong": (4.1, 0.75)}
    found = table(methods, floors=COUNTED)
    assert found.loc["useless", "verdict"] == "less useful than a bigram"
    assert found.loc["useless", ["difference", "p_value", "p_holm"]].isna().all()
    assert list(found["floor"].loc[[*methods]]) == ["bigram", "trigram", ""]
    # Of the trivial ones, too, it is said that nobody would use them.
    assert list(found["floor"].loc[[*TRIVIAL]]) == ["", "trigram", "bigram", "bigram"]
    assert (found.loc[[*TRIVIAL], "verdict"] == "").all()
    # The correction counts the two that were compared.
    p = found["p_value"].loc[["weak", "strong"]].to_numpy()
    assert found["p_holm"].loc[["weak", "strong"]].to_numpy() == pytest.approx(holm(p))


def test_count_models_are_alternatives_that_everybody_has() -> None:
    alone = table({"weak": (4.4, 0.65)}).loc["weak"]
    assert alone["verdict"] == "better"
    found = table({"weak": (4.4, 0.65)}, floors=COUNTED)
    # The trigram leaks nothing and is more useful.
    assert found.loc["weak", "verdict"] == "worse"
    assert found.loc["weak", "alternative"] == "less useful than all; trigram"
    assert found.loc["trigram", "role"] == "count model"
    assert list(found.index[found["trivial_front"]]) == ["kd", "trigram"]
    assert set(found.loc[[*COUNTED], "verdict"]) == {""}


def test_without_count_models_nothing_is_said_of_floors() -> None:
    assert set(table({"method": (9.0, 0.6)})["floor"]) == {""}


def test_an_attack_that_holds_the_teacher_too_is_none_on_the_student() -> None:
    methods = {"better": (3.5, 0.6), "worse": (3.5, 0.8)}
    with_teacher = table(methods, together=("joint",))
    assert set(with_teacher["attack"]) <= {"loss", ""}
    pd.testing.assert_series_equal(with_teacher["leakage"], table(methods)["leakage"], atol=0.01)
