"""The blind gate: can members be distinguished from non-members without any model?

Each classifier is a kernel (`kernels`) and a cross-validated ridge regression of the labels
on it (`ridge`). On an honest split none of them can do better than chance.
"""

import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from distilleak.blind.kernels import (
    BlindRecords,
    Bools,
    Floats,
    Words,
    centred,
    kernels,
    sizes,
    tfidf,
    year_fraction,
)
from distilleak.blind.ridge import (
    delong_error,
    fold_auc,
    out_of_fold_scores,
    permuted_labels,
    solve,
    stratified_folds,
)
from distilleak.errors import DistilleakError
from distilleak.metrics.binomial import all_alike
from distilleak.settings.gate import GateSettings

log = logging.getLogger(__name__)

WORDS = 8  # words named a side


@dataclass(frozen=True)
class Classifier:
    """How well one classifier does: AUC, its 95 % interval, and its own permutation p-value."""

    auc: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Side:
    """One pool as it looks from outside; `date` is None where no record has one."""

    words: list[str]  # the most distinctive first
    length: float  # median, in characters
    date: str | None  # median
    own_sources: float  # share of its records from sources that the other pool does not have


@dataclass(frozen=True)
class Verdict:
    """What the gate found."""

    passed: bool
    auc: float  # the largest of the classifiers'
    classifier: str  # the one that has it
    p_value: float  # how often the largest is as large under permuted labels
    members: int  # records looked at
    nonmembers: int
    classifiers: dict[str, Classifier]
    max_auc: float
    max_p: float
    separates: dict[str, Side]

    def as_json(self) -> dict[str, Any]:
        """The verdict, with words only where it is a refusal, which they explain: records are
        private."""
        written = asdict(self)
        if self.passed:
            for side in written["separates"].values():
                side["words"] = []
        return written


def judge(
    records: BlindRecords, settings: GateSettings, seed: int, *, by_source: bool = False
) -> Verdict:
    """Try to distinguish members from non-members; the gate is closed when `passed` is false.

    All classifiers see the same folds and the same permutations, and the gate's p-value is that
    of the maximum over classifiers, so that having several does not raise the false alarm rate
    (Westfall and Young 1993).

    Where whole documents are drawn, the records of one document are members or non-members
    together, so that whoever has seen some of them knows the others. Folds and permutations then
    keep documents together: a classifier learns from other documents than those it judges.

    Args:
        records: of both pools.
        settings: limits, folds and permutations.
        seed: of folds and permutations.
        by_source: whether whole documents are drawn, given by the records' `sources`.

    Raises:
        DistilleakError: a pool has fewer than two records or documents a fold, a document is in
            both pools although whole ones are drawn, there is no text, or all records are alike.
    """
    rng = np.random.default_rng(seed)
    _refuse_few(records.member, "records", settings.folds)
    records = _sampled(records, settings.max_records // 2, rng)
    unit = np.arange(len(records.member))
    if by_source:
        unit = np.unique(np.array(records.sources, dtype=object), return_inverse=True)[1]
    member = records.member[np.unique(unit, return_index=True)[1]]
    if by_source:
        torn = np.flatnonzero(member[unit] != records.member)
        if len(torn):
            raise DistilleakError(
                f"document {records.sources[torn[0]]!r} is in both pools, although whole documents "
                "are drawn"
            )
        _refuse_few(member, "documents", settings.folds)
    folds = stratified_folds(member, settings.folds, rng)
    labels = permuted_labels(member, folds, settings.permutations, rng)[:, unit]
    fold = folds[unit]

    words = tfidf(records.texts)
    classifiers, null = {}, []
    for name, kernel in kernels(records, words, by_source=by_source):
        scores = out_of_fold_scores(kernel, labels, fold)
        auc = fold_auc(scores, labels, fold)
        error = delong_error(scores[0], labels[0], fold, unit)
        low, high = _interval(float(auc[0]), error, int(min(member.sum(), (~member).sum())))
        classifiers[name] = Classifier(
            auc=round(float(auc[0]), 6),
            low=round(low, 6),
            high=round(high, 6),
            p_value=_p_value(auc),
        )
        log.info("%s: AUC %.3f", name, auc[0])
        null.append(auc)
    if not null:
        raise DistilleakError("the records do not differ in text, source or date")

    best = max(classifiers, key=lambda name: classifiers[name].auc)
    p_value = _p_value(np.max(null, axis=0))
    return Verdict(
        passed=not (classifiers[best].auc > settings.max_auc and p_value < settings.max_p),
        auc=classifiers[best].auc,
        classifier=best,
        p_value=p_value,
        members=int(records.member.sum()),
        nonmembers=int((~records.member).sum()),
        classifiers=classifiers,
        max_auc=settings.max_auc,
        max_p=settings.max_p,
        separates=separates(records, words),
    )


def explain(verdict: Verdict) -> str:
    """One line on a closed gate: which classifiers distinguish the pools, how well, and by what."""
    found = sorted(verdict.classifiers.items(), key=lambda item: -item[1].auc)
    able = ", ".join(
        f"{name} (AUC {result.auc:.3f}, 95 % {result.low:.3f} to {result.high:.3f})"
        for name, result in found
        if result.auc > verdict.max_auc
    )
    sides = "; ".join(
        f"{pool}: words {' '.join(side.words) or '-'}, median length {side.length:g} characters, "
        f"median date {side.date or '-'}, {side.own_sources:.0%} from sources of this pool only"
        for pool, side in verdict.separates.items()
    )
    return (
        f"members and non-members can be distinguished without a model, by {able}; "
        f"p = {verdict.p_value:.2g} (closed above AUC {verdict.max_auc:g} with p below "
        f"{verdict.max_p:g}). {sides}"
    )


def separates(records: BlindRecords, words: Words) -> dict[str, Side]:
    """What each pool looks like, under its name."""
    distinctive = distinctive_words(words, records.member)
    years = year_fraction(records.dates)
    length, _, _ = sizes(records.texts)
    sources = np.array(records.sources, dtype=object)
    sides = {}
    for pool, rows in (("member", records.member), ("nonmember", ~records.member)):
        known = np.flatnonzero(rows & ~np.isnan(years))
        middle = known[np.argsort(years[known], kind="stable")][(len(known) - 1) // 2 :][:1]
        own = ~np.isin(sources[rows], sources[~rows])
        sides[pool] = Side(
            words=distinctive[pool],
            length=float(np.median(length[rows])),
            date=records.dates[middle[0]] if len(middle) else None,
            own_sources=round(float(own.mean()), 6),
        )
    return sides


def distinctive_words(words: Words, member: Bools) -> dict[str, list[str]]:
    """The words with the largest ridge weights in TF-IDF space for each pool, largest first."""
    kernel = centred(words.cosines)
    if kernel is None:
        return {"member": [], "nonmember": []}
    dual = solve(kernel, member - member.mean())
    weights = np.round(words.features.T @ (dual - dual.mean()), 9)
    order = np.argsort(-weights, kind="stable")
    return {
        "member": [words.vocabulary[i] for i in order[:WORDS] if weights[i] > 0],
        "nonmember": [words.vocabulary[i] for i in order[::-1][:WORDS] if weights[i] < 0],
    }


def _refuse_few(member: Bools, what: str, folds: int) -> None:
    for pool, size in (("member", member.sum()), ("nonmember", (~member).sum())):
        if size < 2 * folds:
            raise DistilleakError(
                f"pool {pool!r}: {size} {what}; the blind gate needs at least two a fold "
                f"(gate.folds), {2 * folds}"
            )


def _sampled(records: BlindRecords, most: int, rng: np.random.Generator) -> BlindRecords:
    rows = [
        rng.permutation(np.flatnonzero(pool))[:most] for pool in (records.member, ~records.member)
    ]
    return records.take(np.sort(np.concatenate(rows)))


def _interval(auc: float, error: float, pairs: int) -> tuple[float, float]:
    """Normal, cut where an AUC ends; if nothing varies, that of so many disjoint pairs."""
    if error == 0:
        return all_alike(auc, pairs)
    return max(0.0, auc - 1.96 * error), min(1.0, auc + 1.96 * error)


def _p_value(auc: Floats) -> float:
    # Counting the observed labelling (row 0) too keeps the test valid (Phipson and Smyth 2010).
    return float(np.mean(auc >= auc[0] - 1e-12))
