"""Rates of weighted records in float64, from every threshold and a whole matrix of weights.

`metrics.sweep`, which judges few thresholds and one block at a time, must give the same bits.
"""

import numpy as np


def points(scores, labels, weights):
    """Scores, and weights of members and non-members with them or higher ones.

    Returns:
        (groups,) distinct scores, descending, and (replicates, groups + 1) each, from 0.
    """
    distinct, group = np.unique(-scores, return_inverse=True)
    found = []
    for side in (labels, ~labels):
        own = np.zeros((len(weights), len(distinct) + 1))
        np.add.at(own.T, group[side] + 1, weights.T[side])
        found.append(np.cumsum(own, axis=1))
    return -distinct, *found


def share(part, of):
    """Their quotient; NaN of nothing."""
    with np.errstate(invalid="ignore"):
        return np.where(of > 0, part / of, np.nan)


def auc(scores, labels, weights):
    """(replicates,)"""
    _, tp, fp = points(scores, labels, weights)
    won = (np.diff(fp) * (tp[:, 1:] + tp[:, :-1])).sum(axis=1) / 2
    return share(won, tp[:, -1] * fp[:, -1])


def tpr_at_fpr(scores, labels, weights, target):
    """(replicates,)"""
    _, tp, fp = points(scores, labels, weights)
    fpr = share(fp, fp[:, -1:])
    last = np.maximum((fpr <= target).sum(axis=1) - 1, 0)
    found = share(tp[np.arange(len(tp)), last], tp[:, -1])
    return np.where(fp[:, -1] > 0, found, np.nan)


def oracle(scores, labels, weights):
    """(3, replicates): balanced accuracy, TPR and TNR at the first of the best thresholds."""
    _, tp, fp = points(scores, labels, weights)
    best = np.argmax(tp * fp[:, -1:] - fp * tp[:, -1:], axis=1)
    rows = np.arange(len(tp))
    tpr = share(tp[rows, best], tp[:, -1])
    tnr = share(fp[:, -1] - fp[rows, best], fp[:, -1])
    return np.stack([(tpr + tnr) / 2, tpr, tnr])


def thresholds(scores, labels, weights):
    """(replicates,): halfway between scores that are drawn, or infinite where none is best."""
    distinct, tp, fp = points(scores, labels, weights)
    best = np.argmax(tp * fp[:, -1:] - fp * tp[:, -1:], axis=1)
    found = np.full(len(tp), np.inf)
    for row in np.flatnonzero(best):
        drawn = (tp + fp)[row]
        lower = distinct[np.flatnonzero(drawn > drawn[best[row]])[0] - 1]
        upper = distinct[best[row] - 1]
        middle = lower / 2 + upper / 2
        found[row] = middle if middle < upper else lower
    return found


def cross_fitted(scores, labels, folds, weights):
    """(replicates, records): whether each exceeds the best threshold of the other folds."""
    found = np.zeros(weights.shape, bool)
    for fold in np.unique(folds):
        own = folds == fold
        chosen = thresholds(scores[~own], labels[~own], weights[:, ~own])
        found[:, own] = scores[own] > chosen[:, None]
    return found


def accuracies(decisions, labels, weights):
    """(3, replicates): balanced accuracy, TPR and TNR of decisions, (replicates, records)."""
    right = np.where(decisions == labels, weights, 0)
    tpr, tnr = (
        share(right[:, side].sum(axis=1), weights[:, side].sum(axis=1))
        for side in (labels, ~labels)
    )
    return np.stack([(tpr + tnr) / 2, tpr, tnr])
