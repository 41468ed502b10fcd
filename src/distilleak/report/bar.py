"""The bar that an attack has to clear: what classifiers reach that never saw a model."""

from distilleak.tables.reading import Tables, pick
from distilleak.tables.wording import Interval

CHANCE = 0.5


def best_blind(tables: Tables, pair: str) -> Interval | None:
    """The largest AUC of a classifier that never saw a model, over the pair's seeds."""
    measured = pick(tables["blind"], pair=pair).dropna(subset=["auc", "low", "high"])
    if measured.empty:
        return None
    best = measured.sort_values("auc", kind="stable").iloc[-1]
    return Interval(float(best["auc"]), float(best["low"]), float(best["high"]))


def least_auc(tables: Tables, pair: str) -> float:
    """What an AUC must exceed, with its whole interval, to show anything about membership.

    Chance; where the blind gate is closed, the upper end of the best blind classifier's interval.
    """
    bar = best_blind(tables, pair)
    return CHANCE if bar is None or not _closed(tables, pair) else max(CHANCE, bar.high)


def against_bar(auc: Interval, bar: Interval) -> str:
    """Where an AUC lies: above or below the bar if the two intervals do not overlap."""
    if auc.low > bar.high:
        place = "lies above"
    elif auc.high < bar.low:
        place = "lies below"
    else:
        place = "cannot be distinguished from"
    return f"{place} that of the best classifier that never saw a model, {bar}"


def warning(tables: Tables, pair: str) -> str:
    """What a closed gate means for all that follows; empty where the gate is open."""
    closed, bar = _closed(tables, pair), best_blind(tables, pair)
    if not closed or bar is None:
        return ""
    seeds = len(set(pick(tables["blind"], pair=pair)["seed"]))
    where = "" if seeds == 1 else f" in {len(closed)} of {seeds} seeds"
    return (
        "Members and non-members can be distinguished without any model: the best classifier that "
        f"never saw one has an AUC of {bar}, and the blind gate is closed{where}. An attack whose "
        "AUC lies below this bar or near it shows nothing about membership, and models may differ "
        "in how much they react to what distinguishes the two, not in what they remember."
    )


def _closed(tables: Tables, pair: str) -> set[str]:
    """The seeds in which the pair's blind gate is closed."""
    return set(pick(tables["blind"], pair=pair, gate="closed")["seed"])
