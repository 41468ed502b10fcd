"""metrics: every metric of every model, by seed and pooled over seeds, in long form."""

from typing import Any

import pandas as pd

from distilleak.floors.floor import FLOORS, USELESS, WEAK, worse_than
from distilleak.tables.base import Columns
from distilleak.tables.printing import INTERVALS, NONE, Findings, Printed, interval, number
from distilleak.tables.reading import DECISIONS, POOLED, pool_size
from distilleak.tables.results import StudyResults
from distilleak.tables.wording import METRIC_NAMES, signed

COLUMNS: Columns = {
    "seed": str,
    "pair": str,
    "model": str,
    "attack": str,
    "metric": str,
    "threshold": str,
    "value": float,
    "low": float,
    "high": float,
}
UTILITY = {
    "heldout_loss": ".3f",
    "calibrated_loss": ".3f",
    "temperature": ".2f",
    "perplexity": ".2f",
    "top1_accuracy": ".3f",
}
"""Measures of utility, each with the format of its numbers."""
COUNTS = {
    "parameters": 0,
    "training_records": 0,
    "training_tokens": 0,
    "vulnerable_token_share": 3,
}
"""What a model was made from, each with its digits after the point."""

SURGERY = ("loss_before_surgery", "loss_after_surgery", "heldout_loss")
"""Held-out losses of a student whose method changes its architecture: as it is given, changed but
untrained, and trained."""

Rows = dict[tuple[str, str], dict[str, Any]]


def build(study: StudyResults) -> pd.DataFrame:
    """The table; `seed` is text, "all" for the rows pooled over seeds."""
    rows = [
        (str(seed), pair, model.model, *key, estimate.value, estimate.low, estimate.high)
        for seed in study.roster.seeds
        for pair, model in study.roster.models()
        for key, estimate in study.results.estimates[seed, pair, model.model].items()
    ]
    rows += [
        (POOLED, pair, model, *key, estimate.value, estimate.low, estimate.high)
        for (pair, model), metrics in study.pooled.items()
        for key, estimate in metrics.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """Leakage beside utility, the AUC of every attack, utility in full, and what surgery costs."""
    return [_summary(findings), _attacks(findings), _utility(findings), _surgery(findings)]


def _summary(findings: Findings) -> Printed:
    attack = findings.attack
    alone = {
        name: rows for name, rows in _aucs(findings).items() if name in findings.on_one_model()
    }
    undone = findings.undone()
    shown = {
        METRIC_NAMES[metric]: _by_model(findings, attack=attack, metric=metric, threshold=threshold)
        for metric, threshold in (
            ("auc", ""),
            ("tpr_at_fpr_0.01", ""),
            ("member_accuracy", DECISIONS),
            ("nonmember_accuracy", DECISIONS),
        )
    }
    shown[METRIC_NAMES["heldout_loss"]] = _by_model(findings, metric="heldout_loss")
    return findings.print(
        "summary",
        f"Leakage and utility, attack {findings.said(attack)}",
        "Pooled over seeds. AUC: chance is 0.5. TPR at 1 % FPR: measured on "
        f"{_nonmembers(findings)}; chance is 0.01. Accuracies are at the cross-fitted threshold, "
        "those of votes, which are attacks by whoever holds all students of an ensemble, at the "
        "majority. The largest AUC is that of the strongest of all attacks on the model alone, "
        f"picked afterwards, so it looks stronger than it is. {findings.remark()}{INTERVALS}",
        ("model", "largest AUC", *shown),
        [
            (key[0], (label, best, *(interval(rows.get(key)) for rows in shown.values())))
            for key, label in findings.labels().items()
            if any(key in rows for rows in shown.values())
            for best in [_largest(alone, key, undone.get(key))]
        ],
    )


def _attacks(findings: Findings) -> Printed:
    aucs = _aucs(findings)
    return findings.print(
        "attacks",
        "AUC of every attack",
        "Pooled over seeds; chance is 0.5. In the head: attack (threat model). "
        f"{findings.remark()}{INTERVALS}",
        ("model", *map(findings.said, aucs)),
        [
            (key[0], (label, *(interval(rows.get(key)) for rows in aucs.values())))
            for key, label in findings.labels().items()
            if any(key in rows for rows in aucs.values())
        ],
    )


def _utility(findings: Findings) -> Printed:
    by_metric = {metric: _by_model(findings, metric=metric) for metric in (*UTILITY, *COUNTS)}
    counted = {
        (row["pair"], row["floor"], row["metric"]): row
        for row in findings.rows("floors", metric=tuple(UTILITY))
    }

    def cell(metric: str, row: dict[str, Any] | None) -> str:
        if metric in UTILITY:
            return interval(row, form=UTILITY[metric])
        return number(None if row is None else row["value"], COUNTS[metric])

    losses: dict[str, dict[str, float]] = {}
    for (pair, name, metric), row in counted.items():
        if metric == "heldout_loss":
            losses.setdefault(pair, {})[name] = row["value"]

    def against(key: tuple[str, str]) -> str:
        row = by_metric["heldout_loss"].get(key)
        if row is None or key[0] not in losses:
            return NONE
        floor = worse_than(row["value"], losses[key[0]])
        return f"worse than {floor}" if floor else f"better than {WEAK}"

    rows = [
        (
            key[0],
            (
                label,
                *(cell(metric, rows.get(key)) for metric, rows in by_metric.items()),
                against(key),
            ),
        )
        for key, label in findings.labels(undone=False).items()
        if any(key in rows for rows in by_metric.values())
    ]
    rows += [
        (
            pair,
            (
                floor.label,
                *(cell(metric, counted.get((pair, name, metric))) for metric in by_metric),
                NONE,
            ),
        )
        for pair in losses
        for name, floor in FLOORS.items()
    ]
    return findings.print(
        "utility",
        "Utility and size",
        "Utility is measured on the hold-out pool. Training records count once, training tokens in "
        "every epoch. Votes are left out: they are attacks, not models. The last rows "
        "are floors: count models (interpolated Kneser-Ney) of public text, which the bases have "
        "learned from or, without bases, the auxiliary pool, and of that and the members. Nobody "
        f"would use a model worse than the {USELESS} of public text. {INTERVALS}",
        ("model", *(METRIC_NAMES[metric] for metric in by_metric), "against counts"),
        rows,
    )


def _surgery(findings: Findings) -> Printed:
    losses = {metric: _by_model(findings, metric=metric) for metric in SURGERY}
    names = [METRIC_NAMES[metric] for metric in SURGERY[:2]]
    return findings.print(
        "surgery",
        "What a change of the architecture costs",
        "Held-out loss in nats per token of students whose method changes their architecture: as "
        "they are before it, after it and before any training, and after training. Where the "
        "change costs much, the loss after training says how well a student recovers from it. "
        f"The first two are means over seeds. {INTERVALS}",
        ("model", *names, "difference", "loss after training"),
        [
            (
                key[0],
                (
                    label,
                    number(before["value"], 3),
                    number(after["value"], 3),
                    signed(after["value"] - before["value"]),
                    interval(losses["heldout_loss"].get(key)),
                ),
            )
            for key, label in findings.labels().items()
            for before, after in [[losses[metric].get(key) for metric in SURGERY[:2]]]
            if before is not None and after is not None
        ],
    )


def _by_model(findings: Findings, **wanted: object) -> Rows:
    """(pair, model) -> the pooled row wanted."""
    rows = findings.rows("metrics", seed=POOLED, **wanted)
    return {(row["pair"], row["model"]): row for row in rows}


def _aucs(findings: Findings) -> dict[str, Rows]:
    """The AUCs of every attack, the headline attack first."""
    found: dict[str, Rows] = {findings.attack: {}}
    for row in findings.rows("metrics", seed=POOLED, metric="auc"):
        found.setdefault(row["attack"], {})[row["pair"], row["model"]] = row
    return found


def _largest(
    aucs: dict[str, Rows], key: tuple[str, str], undone: tuple[tuple[str, str], str] | None
) -> str:
    """The largest AUC of a model, as it is or undone, and the attack that has it."""
    found = {attack: rows[key] for attack, rows in aucs.items()}
    if undone is not None:
        other, how = undone
        found |= {f"{attack} {how}": rows[other] for attack, rows in aucs.items()}
    best = max(found, key=lambda attack: found[attack]["value"])
    return f"{interval(found[best])}, {best}"


def _nonmembers(findings: Findings) -> str:
    sizes = {
        pair: pool_size(findings.tables["split"], pair, "nonmember") for pair in findings.pairs()
    }
    if len(set(sizes.values())) == 1:
        return next(iter(sizes.values()))
    return ", ".join(f"{size} ({pair})" for pair, size in sizes.items())
