"""The tables that people read: rounded, with intervals in brackets, as Markdown and as LaTeX."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from distilleak.tables.base import Key, Pooled, PooledMetrics
from distilleak.tables.effects import EFFECTS
from distilleak.tables.roster import Model, Roster
from distilleak.tables.success import OUTCOMES

NONE = "–"
UTILITY = {
    "heldout_loss": "held-out loss (nats per token)",
    "perplexity": "perplexity",
    "top1_accuracy": "top-1 accuracy",
}
COUNTS = {
    "parameters": "parameters",
    "training_records": "training records",
    "training_tokens": "training tokens",
}
Row = Callable[[Roster, Model, Mapping[Key, Pooled]], dict[str, str]]

_INTERVALS = (
    "In brackets: 95 % intervals, by bootstrap over records; over several seeds by Student's t."
)


@dataclass(frozen=True)
class Readable:
    """A table of text."""

    table: pd.DataFrame
    caption: str


def build(
    layout: Roster,
    pooled: PooledMetrics,
    tables: Mapping[str, pd.DataFrame],
    *,
    margin: float,
    delta: float,
) -> dict[str, Readable]:
    """All the readable tables by name, from the pooled metrics and from `tables` of data."""
    headline = layout.headline_attack
    return {
        "summary": Readable(
            _rows(layout, pooled, _summary),
            f"The {headline} attack on every model, and the attack of largest AUC: picked "
            f"afterwards, so it looks stronger than it is. {_INTERVALS}",
        ),
        "attacks": Readable(
            _rows(layout, pooled, _attacks), f"AUC of every attack on every model. {_INTERVALS}"
        ),
        "utility": Readable(
            _rows(layout, pooled, _utility),
            f"What every model is good for on the hold-out pool, and its size. {_INTERVALS}",
        ),
        "comparisons": Readable(
            _comparisons(tables["comparisons"], layout),
            f"Differences, model minus baseline, under the {headline} attack. {_INTERVALS} p is "
            "two-sided; p (Holm) is corrected for all comparisons of the pair, the baseline and "
            "the metric. Equivalent: shown to differ by less than "
            f"{margin:g}, two one-sided tests, corrected likewise.",
        ),
        "success": Readable(
            _success(tables["success"], layout),
            f"Records on which the {headline} attack is right on both teacher and student, on one "
            "of them only, or on neither; summed over seeds, with shares of the pool.",
        ),
        "supervision": Readable(
            _supervision(tables["supervision"]),
            "Agreement: share of tokens that are the teacher's most likely one. Confidence: mean "
            f"probability of the most likely one. {_INTERVALS}",
        ),
        "ensembles": Readable(
            _ensembles(tables["ensembles"], layout),
            f"Ensembles under the {headline} attack, mean over those of a size; `average`: their "
            "students, each by itself; `single`: one student as large as all of them. Difference: "
            f"from the average of the same students, paired. {_INTERVALS}",
        ),
        "frontier": Readable(
            _frontier(tables["frontier"], layout),
            "Leakage under the strongest attack, and its difference from the trivial alternatives "
            "at the same held-out loss; attack and alternatives are picked on the other seeds. "
            f"{_INTERVALS} The verdict is that of p after Holm's correction for all models of the "
            "pair and the metric.",
        ),
        "luck": Readable(
            _luck(tables["luck"], layout),
            f"Standard deviations: between seeds, with its 95 % interval, under the {headline} "
            "attack; and between draws of the evaluated records for models as they are, by "
            "bootstrap.",
        ),
        "blind": Readable(
            _blind(tables["blind"], layout),
            "Classifiers that never see a model, members against non-members. In brackets: 95 % "
            "intervals.",
        ),
        "epsilon": Readable(
            _epsilon(tables["epsilon"], layout),
            "Lower bounds on epsilon, at 95 % confidence: an attack this good refutes "
            f"(epsilon, {delta:g})-privacy for any smaller epsilon; 0 refutes nothing "
            "and promises nothing. First at a threshold that other records chose, which takes the "
            "records' scores to be independent; then by the one-run audit of Steinke et al. "
            "(2023), which takes membership drawn by independent coins, where the pools have "
            "fixed sizes. Each bound holds by itself: the largest of a row is picked afterwards.",
        ),
        "effects": Readable(
            _effects(tables["effects"], layout),
            f"The {headline} attack on records that the teacher, the student, both or neither "
            "trained on, as AUCs against neither (0.5: no effect) or given the other; interaction "
            f"0: the two add up. Without rows where the split is paired. {_INTERVALS}",
        ),
    }


def markdown(readable: Readable) -> str:
    """The table as Markdown, its caption below."""
    text = readable.table.to_markdown(index=False, disable_numparse=True)
    return f"{text}\n\n{readable.caption}\n"


def latex(readable: Readable, name: str) -> str:
    """The table as LaTeX (package booktabs), labelled `tab:<name>`."""
    special = str.maketrans({character: f"\\{character}" for character in "%_&#"})
    return str(
        readable.table.to_latex(
            index=False,
            escape=True,
            caption=readable.caption.translate(special),
            label=f"tab:{name}",
            position="htbp",
        )
    )


def _rows(layout: Roster, pooled: PooledMetrics, row: Row) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"pair": pair, "model": model.label} | row(layout, model, pooled[pair, model.model])
            for pair, model in layout.models()
        ]
    )


def _summary(layout: Roster, model: Model, metrics: Mapping[Key, Pooled]) -> dict[str, str]:
    headline, decision = layout.headline_attack, model.decision
    best = max(layout.attacks, key=lambda attack: metrics[attack, "auc", ""].value)
    return {
        "AUC": _estimate(metrics, headline, "auc"),
        "TPR at 1 % FPR": _estimate(metrics, headline, "tpr_at_fpr_0.01"),
        "member accuracy": _estimate(metrics, headline, "member_accuracy", decision),
        "non-member accuracy": _estimate(metrics, headline, "nonmember_accuracy", decision),
        "held-out loss": _estimate(metrics, "", "heldout_loss"),
        "largest AUC": f"{_estimate(metrics, best, 'auc')} ({best})",
    }


def _attacks(layout: Roster, model: Model, metrics: Mapping[Key, Pooled]) -> dict[str, str]:
    return {attack: _estimate(metrics, attack, "auc") for attack in layout.attacks}


def _utility(layout: Roster, model: Model, metrics: Mapping[Key, Pooled]) -> dict[str, str]:
    counts = {title: metrics.get(("", name, "")) for name, title in COUNTS.items()}
    return {title: _estimate(metrics, "", name) for name, title in UTILITY.items()} | {
        title: NONE if found is None else f"{found.value:,.0f}" for title, found in counts.items()
    }


def _comparisons(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    shown = table[table["attack"].isin([layout.headline_attack, ""])]
    labels = {(pair, model.model): model.label for pair, model in layout.models()}
    rows = shown.to_dict("records")
    return pd.DataFrame(
        {
            "pair": [row["pair"] for row in rows],
            "model": [labels[row["pair"], row["model"]] for row in rows],
            "baseline": [labels[row["pair"], row["baseline"]] for row in rows],
            "metric": [row["metric"] for row in rows],
            "difference": [_difference(row["difference"], row["low"], row["high"]) for row in rows],
            "p": [_p_value(row["p_value"]) for row in rows],
            "p (Holm)": [_p_value(row["p_holm"]) for row in rows],
            "verdict": [row["verdict"] for row in rows],
        }
    )


def _success(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    shown = table[table["attack"] == layout.headline_attack]
    labels = {(pair, model.model): model.label for pair, model in layout.models()}
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in shown.to_dict("records"):
        cells = rows.setdefault((row["pair"], labels[row["pair"], row["model"]], row["pool"]), {})
        cells[row["outcome"]] = f"{row['records']} ({100 * row['share']:.1f} %)"
    return pd.DataFrame(
        [[*key, *(cells[outcome] for outcome in OUTCOMES)] for key, cells in rows.items()],
        columns=["pair", "model", "pool", *(outcome.replace("_", " ") for outcome in OUTCOMES)],
    )


def _supervision(table: pd.DataFrame) -> pd.DataFrame:
    columns = {name: table[name].astype(str) for name in ("pair", "group", "records", "tokens")}
    for name in ("agreement", "confidence"):
        figures = table[[name, f"{name}_low", f"{name}_high"]]
        columns[name] = figures.apply(lambda row: _interval(*row), axis=1)
    return pd.DataFrame(columns)


def _ensembles(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    shown = table[table["attack"].isin([layout.headline_attack, ""])].to_dict("records")
    return pd.DataFrame(
        [
            [
                *(str(row[name]) for name in ("pair", "kind", "size", "models", "metric")),
                _interval(row["value"], row["low"], row["high"]),
                NONE if pd.isna(row["seed_sd"]) else f"{row['seed_sd']:.4f}",
                _difference(row["difference"], row["difference_low"], row["difference_high"]),
            ]
            for row in shown
        ],
        columns=[
            *("pair", "kind", "size", "models", "metric", "value", "sd between seeds"),
            "difference",
        ],
    )


def _frontier(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    labels = {(pair, model.model): model.label for pair, model in layout.models()}
    rows = table.to_dict("records")
    return pd.DataFrame(
        {
            "pair": [row["pair"] for row in rows],
            "model": [labels[row["pair"], row["model"]] for row in rows],
            "metric": [row["metric"] for row in rows],
            "held-out loss": [
                _interval(row["loss"], row["loss_low"], row["loss_high"]) for row in rows
            ],
            "leakage": [
                _interval(row["leakage"], row["leakage_low"], row["leakage_high"]) for row in rows
            ],
            "attack": [row["attack"] for row in rows],
            "compared with": [row["alternative"] or NONE for row in rows],
            "difference": [_difference(row["difference"], row["low"], row["high"]) for row in rows],
            "p (Holm)": [
                NONE if pd.isna(row["p_holm"]) else _p_value(row["p_holm"]) for row in rows
            ],
            "verdict": [row["verdict"] or row["role"] for row in rows],
        }
    )


def _luck(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    labels = {(pair, model.model): model.label for pair, model in layout.models()}
    rows = table[table["attack"].isin([layout.headline_attack, ""])].to_dict("records")
    return pd.DataFrame(
        {
            "pair": [row["pair"] for row in rows],
            "model": [labels[row["pair"], row["model"]] for row in rows],
            "metric": [row["metric"] for row in rows],
            "seeds": [str(row["seeds"]) for row in rows],
            "seeds differ in": [row["differing"] for row in rows],
            "sd between seeds": [
                NONE
                if pd.isna(row["seed_sd"])
                else f"{row['seed_sd']:.4f} [{row['low']:.4f}, {row['high']:.4f}]"
                for row in rows
            ],
            "sd between draws of records": [f"{row['record_sd']:.4f}" for row in rows],
        }
    )


def _blind(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    rows = table.to_dict("records")
    several = {"pair": [row["pair"] for row in rows]} if len(layout.pairs) > 1 else {}
    return pd.DataFrame(
        several
        | {
            "seed": [row["seed"] for row in rows],
            "classifier": [row["classifier"] for row in rows],
            "AUC": [_interval(row["auc"], row["low"], row["high"]) for row in rows],
            "p": [_p_value(row["p_value"]) for row in rows],
            "members": [str(row["members"]) for row in rows],
            "non-members": [str(row["nonmembers"]) for row in rows],
        }
    )


def _epsilon(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    labels = {(pair, model.model): model.label for pair, model in layout.models()}
    rows: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for row in table.to_dict("records"):
        cells = rows.setdefault((row["seed"], row["pair"], labels[row["pair"], row["model"]]), {})
        cells.setdefault(row["attack"], []).append(f"{row['epsilon']:.2f}")
    return pd.DataFrame(
        [
            [*key, *(" / ".join(cells[attack]) for attack in layout.attacks)]
            for key, cells in rows.items()
        ],
        columns=["seed", "pair", "model", *layout.attacks],
    )


def _effects(table: pd.DataFrame, layout: Roster) -> pd.DataFrame:
    shown = table[table["attack"] == layout.headline_attack]
    labels = {(pair, model.model): model.label for pair, model in layout.models()}
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in shown.to_dict("records"):
        cells = rows.setdefault((row["pair"], labels[row["pair"], row["model"]]), {})
        cells[row["effect"]] = _interval(row["value"], row["low"], row["high"])
    return pd.DataFrame(
        [[*key, *(cells[effect] for effect in EFFECTS)] for key, cells in rows.items()],
        columns=[
            *("pair", "model"),
            *(effect.removeprefix("auc_").replace("_", " ") for effect in EFFECTS),
        ],
    )


def _estimate(metrics: Mapping[Key, Pooled], attack: str, metric: str, threshold: str = "") -> str:
    found = metrics.get((attack, metric, threshold))
    return NONE if found is None else _interval(found.value, found.low, found.high)


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _difference(value: float, low: float, high: float) -> str:
    return NONE if pd.isna(value) else f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _p_value(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
