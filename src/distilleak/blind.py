"""The blind gate: can members be told from non-members without any model?

Each classifier is a kernel on the records' text or meta-data and regularised least squares on the
labels (kernel ridge regression: Saunders et al. 1998), cross-validated. Its scores are linear in
the labels, so that refitting it under thousands of permuted labels is one matrix product a fold.

Why the AUC is centred at 0.5 on an honest split, and the permutation test exact: folds are
stratified, so given which records make up each fold, an honest split assigns the labels at random
*within each fold*, independently between folds. Labels are permuted in the same way, and a record
is compared only with records of its own fold (`fold_auc`). Pooling scores of several folds would
not do: what a training set has too much of, its test fold has too little of.
"""

import logging
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpstrf
from scipy.sparse import csr_array
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from distilleak.errors import DistilleakError
from distilleak.settings.gate import GateSettings

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

RIDGE = 1.0  # in units of the mean squared distance of a record from the centre of all records
WORDS = 8  # words named a side
DATE = r"^(?:(\d{4})(?:-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01]))?)?$"


@dataclass(frozen=True)
class Records:
    """What the classifiers may see of the records of both pools, (records,) each."""

    texts: Sequence[str]
    sources: Sequence[str]
    dates: Sequence[str]  # as in `DATE`: YYYY-MM-DD, YYYY, or empty
    member: Bools

    def take(self, rows: Integers) -> "Records":
        """These rows only."""
        return Records(
            [self.texts[row] for row in rows],
            [self.sources[row] for row in rows],
            [self.dates[row] for row in rows],
            self.member[rows],
        )


@dataclass(frozen=True)
class Words:
    """TF-IDF of the texts, rows of unit length."""

    features: csr_array  # (records, vocabulary)
    vocabulary: list[str]

    def cosines(self) -> Floats:
        """Cosine of every two texts, (records, records)."""
        return np.asarray((self.features @ self.features.T).toarray())


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

    words: list[str]  # the most telling first
    length: float  # median, in characters
    date: str | None  # median
    own_sources: float  # share of its records from sources that the other pool does not have


@dataclass(frozen=True)
class Verdict:
    """What the gate found. `auc` is the largest of the classifiers', `p_value` that of the largest:

    how often the best of all classifiers does as well under permuted labels.
    """

    passed: bool
    auc: float
    classifier: str
    p_value: float
    members: int  # records looked at
    nonmembers: int
    classifiers: dict[str, Classifier]
    max_auc: float
    max_p: float
    separates: dict[str, Side]


def judge(records: Records, settings: GateSettings, seed: int) -> Verdict:
    """Try to tell members from non-members; the gate is closed when `passed` is false.

    All classifiers see the same folds and the same permutations, and the gate's p-value is that
    of the maximum over classifiers, so that having several does not raise the false alarm rate
    (Westfall and Young 1993).

    Raises:
        DistilleakError: a pool is smaller than two records a fold, or nothing varies.
    """
    for pool, size in (("member", records.member.sum()), ("nonmember", (~records.member).sum())):
        if size < 2 * settings.folds:
            raise DistilleakError(
                f"pool {pool!r}: {size} records; the blind gate needs at least two a fold,"
                f" {2 * settings.folds}"
            )
    rng = np.random.default_rng(seed)
    records = _sampled(records, settings.max_records // 2, rng)
    fold = stratified_folds(records.member, settings.folds, rng)
    labels = permuted_labels(records.member, fold, settings.permutations, rng)

    words = tfidf(records.texts)
    classifiers, null = {}, []
    for name, kernel in kernels(records, words):
        scores = out_of_fold_scores(kernel, labels, fold)
        auc = fold_auc(scores, labels, fold)
        error = delong_error(scores[0], labels[0], fold)
        classifiers[name] = Classifier(
            auc=round(float(auc[0]), 6),
            low=round(max(0.0, float(auc[0] - 1.96 * error)), 6),
            high=round(min(1.0, float(auc[0] + 1.96 * error)), 6),
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
    """One line: which classifiers tell the pools apart, how well, and by what."""
    found = sorted(verdict.classifiers.items(), key=lambda item: -item[1].auc)
    telling = ", ".join(
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
        f"members and non-members can be told apart without a model, by {telling or 'nothing'}; "
        f"p = {verdict.p_value:.2g} (closed above AUC {verdict.max_auc:g} with p below "
        f"{verdict.max_p:g}). {sides}"
    )


def tfidf(texts: Sequence[str]) -> Words:
    """Rows over words and punctuation marks, case kept: mere form can tell pools apart."""
    if not any(text.strip() for text in texts):
        return Words(csr_array((len(texts), 1)), [""])
    vectorizer = TfidfVectorizer(lowercase=False, token_pattern=r"\w+|[^\w\s]", sublinear_tf=True)
    features = csr_array(vectorizer.fit_transform(texts))
    return Words(features, vectorizer.get_feature_names_out().tolist())


def kernels(records: Records, words: Words) -> Iterator[tuple[str, Floats]]:
    """Yield each classifier's name and kernel, (records, records), and their sum last.

    Every kernel is centred and has a mean diagonal of 1. It may look at all records, as it never
    looks at a label. A kernel under which all records are alike is left out.
    """
    characters, packed, raw = _sizes(records.texts)
    _, source = np.unique(np.array(records.sources, dtype=object), return_inverse=True)
    makers = {
        "bag_of_words": words.cosines,
        "length": lambda: _rbf(np.log(np.maximum(1, characters))),
        "compressibility": lambda: _rbf(packed / np.maximum(1, raw)),
        "source": lambda: (source[:, None] == source).astype(np.float64),
        "date": lambda: _rbf(year_fraction(records.dates)),
    }
    combined = np.zeros((len(source), len(source)))
    for name, make in makers.items():
        kernel = _centred(make())
        if kernel is not None:
            combined += kernel
            yield name, kernel
    kernel = _centred(combined)
    if kernel is not None:
        yield "combined", kernel


def stratified_folds(member: Bools, folds: int, rng: np.random.Generator) -> Integers:
    """Cut each pool at random into `folds` parts of equal size (to one record), (records,)."""
    fold = np.empty(len(member), dtype=np.int64)
    for pool in (member, ~member):
        fold[pool] = rng.permutation(np.arange(pool.sum()) % folds)
    return fold


def permuted_labels(
    member: Bools, fold: Integers, permutations: int, rng: np.random.Generator
) -> Bools:
    """The labels, then `permutations` of them within folds, (permutations + 1, records)."""
    labels = np.tile(member, (permutations + 1, 1))
    for test in _held_out(fold):
        labels[1:, test] = rng.permuted(labels[1:, test], axis=1)
    return labels


def out_of_fold_scores(kernel: Floats, labels: Bools, fold: Integers) -> Floats:
    """Scores of each record by a classifier trained on the other folds, (labellings, records).

    With y the centred labels of the training folds: y (K_train,train + RIDGE I)^-1 K_train,test.

    Args:
        kernel: (records, records), symmetric and positive semi-definite.
        labels: one labelling a row, (labellings, records).
        fold: the fold of each record, (records,).
    """
    factor = _factor(kernel)
    low_rank = 4 * factor.shape[1] < len(kernel)
    scores = np.empty(labels.shape)
    for test in _held_out(fold):
        train = ~test
        targets = labels[:, train].astype(np.float64)
        targets -= targets.mean(axis=1, keepdims=True)
        if low_rank:  # the same ridge regression on explicit features: far smaller systems
            features = factor[train]
            weights = _solve(features.T @ features, factor[test].T)
            scores[:, test] = (targets @ features) @ weights
        else:
            weights = _solve(kernel[np.ix_(train, train)], kernel[np.ix_(train, test)])
            scores[:, test] = targets @ weights
    # Equal records must tie, not be ordered by the last bits of a sum.
    return np.round(scores, 9, out=scores)


def fold_auc(scores: Floats, labels: Bools, fold: Integers) -> Floats:
    """AUC over the pairs of a member and a non-member of the same fold, (labellings,).

    The Mann-Whitney statistic with ties counted half, summed over folds (van Elteren 1960).
    """
    wins = np.zeros(len(labels))
    pairs = np.zeros(len(labels))
    for test in _held_out(fold):
        members = labels[:, test].sum(axis=1)
        ranks = rankdata(scores[:, test], axis=1)
        wins += np.sum(ranks, axis=1, where=labels[:, test]) - members * (members + 1) / 2
        pairs += members * (test.sum() - members)
    return wins / pairs


def delong_error(scores: Floats, member: Bools, fold: Integers) -> float:
    """Standard error of `fold_auc` for one labelling (DeLong et al. 1988, by fold).

    It is that of the fitted classifiers on new records, not of fitting them again.
    """
    variance = pairs = 0.0
    for test in _held_out(fold):
        ranks = rankdata(scores[test])
        here, there = member[test], ~member[test]
        m, n = int(here.sum()), int(there.sum())
        of_members = (ranks[here] - rankdata(scores[test][here])) / n
        of_others = 1 - (ranks[there] - rankdata(scores[test][there])) / m
        variance += (m * n) ** 2 * (of_members.var(ddof=1) / m + of_others.var(ddof=1) / n)
        pairs += m * n
    return float(np.sqrt(variance)) / pairs


def separates(records: Records, words: Words) -> dict[str, Side]:
    """What each pool looks like, under its name."""
    telling = telling_words(words, records.member)
    years = year_fraction(records.dates)
    length, _, _ = _sizes(records.texts)
    sources = np.array(records.sources, dtype=object)
    sides = {}
    for pool, rows in (("member", records.member), ("nonmember", ~records.member)):
        known = np.flatnonzero(rows & ~np.isnan(years))
        middle = known[np.argsort(years[known], kind="stable")][(len(known) - 1) // 2 :][:1]
        own = ~np.isin(sources[rows], sources[~rows])
        sides[pool] = Side(
            words=telling[pool],
            length=float(np.median(length[rows])),
            date=records.dates[middle[0]] if len(middle) else None,
            own_sources=round(float(own.mean()), 6),
        )
    return sides


def telling_words(words: Words, member: Bools) -> dict[str, list[str]]:
    """The words with the largest ridge weights in TF-IDF space for each pool, largest first."""
    kernel = _centred(words.cosines())
    if kernel is None:
        return {"member": [], "nonmember": []}
    dual = _solve(kernel, member - member.mean())
    weights = np.round(words.features.T @ (dual - dual.mean()), 9)
    order = np.argsort(-weights, kind="stable")
    return {
        "member": [words.vocabulary[i] for i in order[:WORDS] if weights[i] > 0],
        "nonmember": [words.vocabulary[i] for i in order[::-1][:WORDS] if weights[i] < 0],
    }


def year_fraction(dates: Sequence[str]) -> Floats:
    """Dates as years, NaN where empty, (records,); a year alone counts as its middle."""
    parts = pd.Series(dates, dtype=object).str.extract(DATE).astype(np.float64)
    month, day = parts[1].fillna(7) - 1, parts[2].fillna(1) - 1
    return (parts[0] + (month + day / 31) / 12).to_numpy(np.float64)


def _sampled(records: Records, most: int, rng: np.random.Generator) -> Records:
    rows = [
        rng.permutation(np.flatnonzero(pool))[:most] for pool in (records.member, ~records.member)
    ]
    return records.take(np.sort(np.concatenate(rows)))


def _held_out(fold: Integers) -> Iterator[Bools]:
    return (fold == held for held in range(fold.max() + 1))


def _factor(kernel: Floats) -> Floats:
    """Features whose products are the kernel, (records, rank): Cholesky with pivoting."""
    lower, pivots, rank, _ = dpstrf(kernel, tol=1e-10, lower=1)
    factor = np.empty((len(kernel), rank))
    factor[pivots - 1] = np.tril(lower[:, :rank])
    return factor


def _solve(gram: Floats, right: Floats) -> Floats:
    """(gram + RIDGE I)^-1 right; `gram` is symmetric and is overwritten."""
    gram[np.diag_indices_from(gram)] += RIDGE
    # The transpose of a symmetric matrix is itself, in the order of memory that LAPACK wants.
    decomposed = cho_factor(gram.T, overwrite_a=True, check_finite=False)
    return np.asarray(cho_solve(decomposed, right, check_finite=False))


def _p_value(auc: Floats) -> float:
    # Counting the observed labelling (row 0) too keeps the test valid (Phipson and Smyth 2010).
    return float(np.mean(auc >= auc[0] - 1e-12))


def _sizes(texts: Sequence[str]) -> tuple[Integers, Integers, Integers]:
    """Characters, zlib bytes and UTF-8 bytes of each text."""
    raw = [text.encode() for text in texts]
    packed = [len(zlib.compress(data, 9)) for data in raw]
    return (
        np.array([len(text) for text in texts]),
        np.array(packed),
        np.array([len(data) for data in raw]),
    )


def _rbf(values: Floats) -> Floats:
    """exp(-d^2 / 2) of the standardised values; unknown (NaN) ones are alike, and like no other."""
    known = ~np.isnan(values)
    spread = values[known].std() if known.any() else 0.0
    standard = np.where(known, values, 0.0) / (spread or 1.0)
    kernel = np.exp(-((standard[:, None] - standard) ** 2) / 2)
    return np.where(known[:, None] == known, kernel, 0.0)


def _centred(kernel: Floats) -> Floats | None:
    """Moved to the records' centre, scaled to a mean diagonal of 1; None where nothing is left."""
    mean = kernel.mean(axis=0)
    kernel = kernel - mean - mean[:, None] + mean.mean()
    scale = np.trace(kernel) / len(kernel)
    return None if scale < 1e-9 else kernel / scale
