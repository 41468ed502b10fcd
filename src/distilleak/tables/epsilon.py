"""epsilon: what privacy the attacks refute."""

import pandas as pd

from distilleak.tables.base import Columns
from distilleak.tables.printing import NONE, Findings, Printed, number
from distilleak.tables.results import StudyResults

COLUMNS: Columns = {
    "seed": str,
    "pair": str,
    "model": str,
    "attack": str,
    "audit": str,
    "epsilon": float,
    "delta": float,
}
AUDITS = {"held_out": "held-out threshold", "one_run": "one run"}
"""How a bound is found, each audit as people read it."""


def build(study: StudyResults) -> pd.DataFrame:
    """Lower bounds on epsilon, seed by seed: a bound is of one training run, and has no mean."""
    rows = [
        (str(seed), pair, model.model, attack, audit, found.value, study.evaluation.delta)
        for seed in study.roster.seeds
        for pair, model in study.roster.models()
        for attack in study.roster.attacks
        for audit in AUDITS
        if (measured := study.results.estimates[seed, pair, model.model])
        and (found := measured.get((attack, "epsilon", audit)))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def printed(findings: Findings) -> list[Printed]:
    """A row for each model and seed: the bounds of the headline attack, and the largest of all."""
    bounds: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for row in findings.rows("epsilon"):
        key = (row["pair"], row["model"], row["seed"], row["audit"])
        bounds.setdefault(key, {})[row["attack"]] = row["epsilon"]
    alone = findings.on_one_model()
    seeds = sorted({seed for _, _, seed, _ in bounds}, key=int)
    deltas = ", ".join(f"{delta:g}" for delta in sorted(set(findings.tables["epsilon"]["delta"])))
    table = findings.print(
        "epsilon",
        f"Lower bounds on epsilon, attack {findings.said(findings.attack)}",
        f"At 95 % confidence and delta {deltas}: the attack refutes differential privacy with any "
        "smaller epsilon; 0 refutes nothing and promises nothing. The held-out threshold is one "
        "that other records chose; its bound takes the records' scores to be independent. One run: "
        "the audit of Steinke et al. (2023), which takes membership drawn by independent coins, "
        "where the pools have fixed sizes. Each bound holds by itself; the largest of all attacks "
        "on the model alone is picked afterwards. All attacks: epsilon.csv.",
        (
            "model",
            "seed",
            *AUDITS.values(),
            *(f"largest, {name}" for name in AUDITS.values()),
        ),
        [
            (
                pair,
                (
                    label,
                    seed,
                    *(number(found.get(findings.attack), 2) for found in by_audit),
                    *(
                        _largest({name: found[name] for name in found if name in alone})
                        for found in by_audit
                    ),
                ),
            )
            for (pair, model), label in findings.labels().items()
            for seed in seeds
            for by_audit in [[bounds.get((pair, model, seed, audit), {}) for audit in AUDITS]]
            if any(by_audit)
        ],
    )
    return [table]


def _largest(found: dict[str, float]) -> str:
    """The largest bound and, unless it is 0, the attack that has it."""
    if not found:
        return NONE
    best = max(found, key=found.__getitem__)
    return f"{found[best]:.2f}, {best}" if found[best] else f"{found[best]:.2f}"
