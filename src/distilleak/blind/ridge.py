"""Regularised least squares without labels of its own fold, and how well it ranks.

Kernel ridge regression (Saunders et al. 1998) has scores that are linear in the labels, so that
refitting it under thousands of permuted labels is one matrix product a fold.

Why the AUC is centred at 0.5 on an honest split, and the permutation test exact: folds are
stratified, so given which records make up each fold, an honest split assigns the labels at random
*within each fold*, independently between folds. Labels are permuted in the same way, and a record
is compared only with records of its own fold (`fold_auc`). Pooling scores of several folds would
not do: what a training set has too much of, its test fold has too little of.

Where whole documents are drawn, folds and labels are those of documents. The test is then exact
only up to the last document of each pool, of which as many records are taken as the pool lacks.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpstrf
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]

RIDGE = 1.0  # in units of the mean squared distance of a record from the centre of all records


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
    scores = np.empty(labels.shape)
    for test in _held_out(fold):
        train = ~test
        targets = labels[:, train].astype(np.float64)
        targets -= targets.mean(axis=1, keepdims=True)
        if factor is not None:  # the same regression on explicit features, a smaller system
            features = factor[train]
            weights = solve(features.T @ features, factor[test].T)
            scores[:, test] = (targets @ features) @ weights
        else:
            weights = solve(kernel[np.ix_(train, train)], kernel[np.ix_(train, test)])
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


def delong_error(scores: Floats, member: Bools, fold: Integers, unit: Integers) -> float:
    """Standard error of `fold_auc` for one labelling (DeLong et al. 1988, by fold).

    It is that of the fitted classifiers on new records, not of fitting them again. Records of the
    same unit, (records,), need not be independent (Obuchowski 1997): what counts is how the sums
    over units vary. If each record is a unit of its own, that is DeLong's variance.
    """
    variance = pairs = 0.0
    for test in _held_out(fold):
        ranks = rankdata(scores[test])
        here, there = member[test], ~member[test]
        m, n = int(here.sum()), int(there.sum())
        of_members = (ranks[here] - rankdata(scores[test][here])) / n
        of_others = 1 - (ranks[there] - rankdata(scores[test][there])) / m
        variance += (m * n) ** 2 * (
            _mean_variance(of_members, unit[test][here])
            + _mean_variance(of_others, unit[test][there])
        )
        pairs += m * n
    return float(np.sqrt(variance)) / pairs


def solve(gram: Floats, right: Floats) -> Floats:
    """(gram + RIDGE I)^-1 right; `gram` is symmetric and is overwritten."""
    gram[np.diag_indices_from(gram)] += RIDGE
    # The transpose of a symmetric matrix is itself, in the order of memory that LAPACK wants.
    decomposed = cho_factor(gram.T, overwrite_a=True, check_finite=False)
    return np.asarray(cho_solve(decomposed, right, check_finite=False))


def _mean_variance(values: Floats, unit: Integers) -> float:
    """Variance of the mean of `values`, whose sums over units are independent."""
    names, of = np.unique(unit, return_inverse=True)
    sums = np.bincount(of, values - values.mean())
    return float((sums**2).sum()) * len(names) / (len(names) - 1) / len(values) ** 2


def _held_out(fold: Integers) -> Iterator[Bools]:
    return (fold == held for held in range(fold.max() + 1))


def _factor(kernel: Floats) -> Floats | None:
    """Features whose products are the kernel, (records, rank): Cholesky with pivoting.

    None unless the rank is far below the number of records, as it is for one number a record.
    """
    lower, pivots, rank, _ = dpstrf(kernel, tol=1e-10, lower=1)
    if 4 * rank > len(kernel):
        return None
    factor = np.empty((len(kernel), rank))
    factor[pivots - 1] = np.tril(lower[:, :rank])
    return factor
