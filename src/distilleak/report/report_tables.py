"""The tables of the report: rows of the study's tables, picked and written out as text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from distilleak.tables.reading import (
    AT_EQUAL_UTILITY,
    DECISIONS,
    Tables,
    models_of,
    pairs_of,
    per_model,
    pick,
    pool_size,
)
from distilleak.tables.wording import listed, p_text

_NONE = "–"
_LOSS = {"loss": "value", "loss_low": "low", "loss_high": "high"}
_LEAKAGE = {"leakage": "value", "leakage_low": "low", "leakage_high": "high"}


@dataclass(frozen=True)
class Table:
    """A table ready to be printed; the first column is text, the others are numbers as text."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def of_pair(tables: Tables, pair: str, attack: str) -> list[Table]:
    """The tables about one pair: leakage, differences, effects, epsilon, utility, and so on.

    A table that has no rows in this study is left out.
    """
    found = [
        leakage(tables, pair, attack),
        *(differences(tables, pair, attack, baseline) for baseline in ("teacher", "kd")),
        effects(tables, pair, attack),
        epsilon(tables, pair, attack),
        utility(tables, pair),
        supervision(tables, pair),
        *(frontier(tables, pair, metric, name) for metric, name, _ in AT_EQUAL_UTILITY),
        ensembles(tables, pair, attack),
        luck(tables, pair, attack),
    ]
    return [table for table in found if table.rows]


def leakage(tables: Tables, pair: str, attack: str) -> Table:
    """Per model: AUC, TPR at 1 % FPR, accuracies of the headline attack, held-out loss."""
    models = _labels(tables, pair)
    decided = {"attack": attack, "threshold": DECISIONS}
    columns = [
        ("AUC", per_model(tables, pair, attack=attack, metric="auc")),
        ("TPR at 1 % FPR", per_model(tables, pair, attack=attack, metric="tpr_at_fpr_0.01")),
        ("member accuracy", per_model(tables, pair, metric="member_accuracy", **decided)),
        ("non-member accuracy", per_model(tables, pair, metric="nonmember_accuracy", **decided)),
        ("held-out loss (nats per token)", per_model(tables, pair, metric="heldout_loss")),
    ]
    return Table(
        f"Leakage and utility, attack {attack}",
        "Value and 95 % interval, pooled over seeds. AUC: 0.5 is chance. TPR at 1 % FPR: "
        f"measured on {pool_size(tables['split'], pair, 'nonmember')}, chance is 0.01. Accuracies "
        "at the cross-fitted threshold, of ensembles by vote at the majority.",
        ("model", *(name for name, _ in columns)),
        [
            (label, *(_interval(rows, model) for _, rows in columns))
            for model, label in models
            if any(model in rows.index for _, rows in columns)
        ],
    )


def differences(tables: Tables, pair: str, attack: str, baseline: str) -> Table:
    """Per model: the paired differences from `baseline`, with p-values after Holm."""
    models = _labels(tables, pair)
    rows = pick(
        tables["comparisons"],
        pair=pair,
        attack=attack,
        baseline=baseline,
        threshold=("", *DECISIONS),
    ).rename(columns={"difference": "value"})
    metrics = ("auc", "member_accuracy", "nonmember_accuracy")
    parts = [pick(rows, metric=metric).set_index("model") for metric in metrics]
    return Table(
        f"Differences from {baseline}, attack {attack}",
        f"Model minus {baseline} on the same records: difference, its 95 % interval, and the "
        "p-value after Holm correction. Below 0: leaks less.",
        ("model", "AUC", "p", "member accuracy", "p", "non-member accuracy", "p"),
        [
            (label, *(text for part in parts for text in _difference(part, model)))
            for model, label in models
            if any(model in part.index for part in parts)
        ],
    )


def effects(tables: Tables, pair: str, attack: str) -> Table:
    """Per model of a factorial split: what the teacher's and the student's training leak."""
    rows = pick(tables["effects"], pair=pair, attack=attack)
    columns = [
        ("teacher only", "auc_teacher"),
        ("student only", "auc_student"),
        ("both", "auc_both"),
        ("interaction", "interaction"),
    ]
    parts = [pick(rows, effect=effect).set_index("model") for _, effect in columns]
    return Table(
        f"Effects of the teacher's and of the student's training, attack {attack}",
        "AUC between records that the teacher only, the student only or both trained on and "
        "records of neither (0.5: no effect), with 95 % intervals; interaction 0: the two add up. "
        "All attacks: effects.csv.",
        ("model", *(name for name, _ in columns)),
        [
            (label, *(_interval(part, model) for part in parts))
            for model, label in _labels(tables, pair)
            if model in set(rows["model"])
        ],
    )


def epsilon(tables: Tables, pair: str, attack: str) -> Table:
    """Per model and seed: lower bounds on epsilon by both audits."""
    rows = pick(tables["epsilon"], pair=pair, attack=attack)
    seeds = sorted(set(rows["seed"]), key=int)
    audits = [
        pick(rows, audit=audit).set_index(["seed", "model"])["epsilon"]
        for audit in ("held_out", "one_run")
    ]
    deltas = ", ".join(f"{delta:g}" for delta in sorted(set(rows["delta"])))
    return Table(
        f"Lower bounds on epsilon, attack {attack}",
        f"At 95 % confidence and delta {deltas}: the attack refutes differential privacy with any "
        "smaller epsilon; 0 refutes nothing and promises nothing. Held-out threshold: takes the "
        "records' scores to be independent. One run: takes membership drawn by independent coins, "
        "where the pools have fixed sizes. All attacks: epsilon.csv.",
        ("model" if len(seeds) == 1 else "model and seed", "held-out threshold", "one run"),
        [
            (
                label if len(seeds) == 1 else f"{label}, seed {seed}",
                *(_number(float(found.get((seed, model), np.nan)), 2) for found in audits),
            )
            for model, label in _labels(tables, pair)
            for seed in seeds
            if any((seed, model) in found.index for found in audits)
        ],
    )


def utility(tables: Tables, pair: str) -> Table:
    """Per model with probabilities of its own: what it is good for, and what it was made from."""
    models = _labels(tables, pair)
    measured = [
        ("held-out loss (nats per token)", "heldout_loss", 3),
        ("perplexity", "perplexity", 2),
        ("top-1 accuracy", "top1_accuracy", 3),
    ]
    counted = [
        ("parameters", "parameters", 0),
        ("training records", "training_records", 0),
        ("training tokens", "training_tokens", 0),
        ("vulnerable share of the vocabulary", "vulnerable_token_share", 3),
    ]
    columns = [
        (name, per_model(tables, pair, metric=metric), digits)
        for name, metric, digits in (*measured, *counted)
    ]
    return Table(
        "Utility",
        "On the holdout pool, value and 95 % interval. Ensembles by vote have no probabilities.",
        ("model", *(name for name, _, _ in columns)),
        [
            (
                label,
                *(_interval(rows, model, digits) for _, rows, digits in columns[: len(measured)]),
                *(_value(rows, model, digits) for _, rows, digits in columns[len(measured) :]),
            )
            for model, label in models
            if any(model in rows.index for _, rows, _ in columns)
        ],
    )


def supervision(tables: Tables, pair: str) -> Table:
    """Agreement and confidence of the teacher's top-1 token, on vulnerable and other members."""
    rows = pick(tables["supervision"], pair=pair)
    return Table(
        "The teacher's supervision",
        "Agreement: share of tokens at which the teacher's most likely token is the true one. "
        "Confidence: mean probability of its most likely token. Value and 95 % interval.",
        ("members", "records", "tokens", "agreement", "confidence"),
        [
            (
                row["group"],
                f"{row['records']:,.0f}",
                f"{row['tokens']:,.0f}",
                *(
                    _three(row[name], row[f"{name}_low"], row[f"{name}_high"])
                    for name in ("agreement", "confidence")
                ),
            )
            for _, row in rows.iterrows()
        ],
    )


def frontier(tables: Tables, pair: str, metric: str, name: str) -> Table:
    """Per model: leakage under the strongest attack, and against the trivial frontier."""
    rows = pick(tables["frontier"], pair=pair, metric=metric).set_index("model")
    compared = rows.rename(columns={"difference": "value"})
    rows = rows.drop(columns=["difference", "low", "high"])
    return Table(
        f"At equal utility, {name}: against the trivial frontier",
        f"The {name} of the strongest attack; its difference from the trivial alternatives at the "
        "same held-out loss (nats per token), and the p-value after Holm correction. Below 0: "
        "leaks less than doing something trivial. Front: on the Pareto front of all models. All "
        "numbers: frontier.csv.",
        (
            *("model", "held-out loss", name, "difference", "p", "verdict"),
            *("compared with", "front"),
        ),
        [
            (
                label,
                _interval(rows.rename(columns=_LOSS), model),
                _interval(rows.rename(columns=_LEAKAGE), model),
                *_difference(compared, model),
                _text(rows, model, "verdict") or _text(rows, model, "role"),
                _text(rows, model, "alternative").replace("_", " ") or _NONE,
                {"True": "yes", "False": "no"}[_text(rows, model, "front")],
            )
            for model, label in _labels(tables, pair)
            if model in rows.index
        ],
    )


def ensembles(tables: Tables, pair: str, attack: str) -> Table:
    """Per kind, size and metric: the mean over subsets and the spread between seeds."""
    rows = pick(tables["ensembles"], pair=pair, attack=(attack, ""))
    return Table(
        f"Ensembles, attack {attack}",
        "Mean over the subsets of a size, 95 % interval, standard deviation between seeds of one "
        "of them. Size 1: the single students. `average`: the students of the ensembles of that "
        "size, each by itself; `single`: one student as large as all of them. Difference: from "
        "that average, paired. The held-out loss is in nats per token.",
        ("kind and metric", "students", "subsets", "value", "sd over seeds", "difference"),
        [
            (
                f"{row['kind']}, {str(row['metric']).replace('_', ' ')}",
                f"{row['size']:.0f}",
                f"{row['models']:.0f}",
                _three(row["value"], row["low"], row["high"]),
                _NONE if np.isnan(row["seed_sd"]) else f"{row['seed_sd']:.4f}",
                _three(row["difference"], row["difference_low"], row["difference_high"], sign="+"),
            )
            for _, row in rows.sort_values(["kind", "metric", "size"], kind="stable").iterrows()
        ],
    )


def luck(tables: Tables, pair: str, attack: str) -> Table:
    """Per model: how much leakage and utility differ between seeds, and between records alone."""
    rows = pick(tables["luck"], pair=pair, attack=(attack, ""))
    rows = rows[rows["seed_sd"].notna()].rename(columns={"seed_sd": "value"})
    parts = [pick(rows, metric=metric).set_index("model") for metric in ("auc", "heldout_loss")]
    differing = listed(sorted(set(rows["differing"]))) if len(rows) else ""
    return Table(
        f"How much is luck, attack {attack}",
        f"Standard deviation between seeds, which differ in {differing}, and its 95 % interval. "
        "Records: that between draws of the evaluated records, for models as they are. Other "
        "attacks: luck.csv.",
        ("model", "AUC", "records", "held-out loss (nats per token)", "records"),
        [
            (
                label,
                *(
                    text
                    for part in parts
                    for text in (
                        _interval(part, model, 4),
                        _number(_numbers(part, model, "record_sd")[0], 4),
                    )
                ),
            )
            for model, label in _labels(tables, pair)
            if any(model in part.index for part in parts)
        ],
    )


def split(tables: Tables) -> Table:
    """Pool sizes, seed by seed; where there are several pairs, pair by pair."""
    pairs = pairs_of(tables)
    pools = ["member", "nonmember", "holdout", "auxiliary"]
    found = {
        pair: pick(tables["split"], pair=pair).pivot(index="seed", columns="pool", values="records")
        for pair in pairs
    }
    named = {str(pool) for sizes in found.values() for pool in sizes}
    pools = [pool for pool in pools if pool in named] + sorted(named - set(pools))
    return Table(
        "The split",
        "Records in each pool.",
        (_of_pair(pairs, "pair", "seed"), *pools),
        [
            (
                _of_pair(pairs, pair, str(seed)),
                *(_NONE if np.isnan(size) else f"{size:,.0f}" for size in row),
            )
            for pair, sizes in found.items()
            for seed, row in zip(
                sizes.index, sizes.reindex(columns=pools).to_numpy(float), strict=True
            )
        ],
    )


def blind(tables: Tables) -> Table:
    """What classifiers that never saw a model tell of membership, pair by pair."""
    pairs = pairs_of(tables)
    return Table(
        "The blind audit",
        "Classifiers that never saw a model; on an honest split their AUC is near 0.5. An attack "
        "has shown something only where its AUC lies above these. p: permutation test.",
        (_of_pair(pairs, "pair", "seed and classifier"), "AUC", "p", "members", "non-members"),
        [
            (
                _of_pair(pairs, pair, f"{row['seed']}, {str(row['classifier']).replace('_', ' ')}"),
                _three(row["auc"], row["low"], row["high"]),
                _bare_p(row["p_value"]),
                f"{row['members']:,.0f}",
                f"{row['nonmembers']:,.0f}",
            )
            for pair in pairs
            for _, row in pick(tables["blind"], pair=pair).iterrows()
        ],
    )


def costs(table: pd.DataFrame) -> Table:
    """What each stage cost, as measured by the workflow."""
    columns = (("jobs", 0), ("wall_s", 0), ("max_rss_mib", 0), ("tokens_per_s", 0))
    return Table(
        "Cost of each stage",
        "Wall time in seconds, summed over jobs; the largest resident memory of a "
        "job in MiB; tokens per second where the stage counts them.",
        ("stage", "jobs", "wall (s)", "memory (MiB)", "tokens per s"),
        [
            (
                " ".join(text for text in (row["rule"], row["model"]) if text),
                *(_NONE if np.isnan(row[name]) else f"{row[name]:,.{n}f}" for name, n in columns),
            )
            for _, row in table.iterrows()
        ],
    )


def _of_pair(pairs: Sequence[str], pair: str, name: str) -> str:
    """A row's name, which names the pair where there are several."""
    return name if len(pairs) == 1 else f"{pair}, {name}"


def _labels(tables: Tables, pair: str) -> list[tuple[str, str]]:
    models = models_of(tables, pair)
    return list(zip(map(str, models.index), map(str, models["label"]), strict=True))


def _numbers(rows: pd.DataFrame, model: str, *names: str) -> list[float]:
    """The numbers of a model's row, NaN where there is none."""
    if model not in rows.index:
        return [np.nan] * len(names)
    return [float(rows[name].loc[[model]].iloc[0]) for name in names]


def _text(rows: pd.DataFrame, model: str, name: str) -> str:
    return str(rows[name].loc[[model]].iloc[0])


def _three(value: float, low: float, high: float, digits: int = 3, sign: str = "") -> str:
    if np.isnan(value):
        return _NONE
    form = f"{sign},.{digits}f"
    return f"{value:{form}} ({low:{form}} to {high:{form}})".replace("-", "−")


def _interval(rows: pd.DataFrame, model: str, digits: int = 3, sign: str = "") -> str:
    value, low, high = _numbers(rows, model, "value", "low", "high")
    return _three(value, low, high, digits, sign)


def _value(rows: pd.DataFrame, model: str, digits: int) -> str:
    return _number(_numbers(rows, model, "value")[0], digits)


def _number(value: float, digits: int) -> str:
    return _NONE if np.isnan(value) else f"{value:,.{digits}f}"


def _difference(rows: pd.DataFrame, model: str) -> tuple[str, str]:
    return _interval(rows, model, sign="+"), _p(rows, model)


def _p(rows: pd.DataFrame, model: str) -> str:
    return _bare_p(_numbers(rows, model, "p_holm")[0])


def _bare_p(p: float) -> str:
    return _NONE if np.isnan(p) else p_text(p).removeprefix("p ").removeprefix("= ")
