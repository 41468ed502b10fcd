"""Bootstrap replicates as one matrix, and what the package measures in them."""

import numpy as np

from distilleak.metrics import bootstrap
from distilleak.metrics.measure import resample
from distilleak.metrics.sweep import Area, Sweep


def weights(labels, replicates, seed):
    """(replicates, records): all blocks of `bootstrap.weights`."""
    return np.concatenate(list(bootstrap.weights(labels, replicates, seed)))


def stratified(groups, replicates, seed):
    """(replicates, records): all blocks of `bootstrap.stratified`."""
    return np.concatenate(list(bootstrap.stratified(groups, replicates, seed)))


def resampled(metrics, weights):
    """The measurements of one set of metrics, in a single block."""
    return resample([metrics], [weights])[0]


def auc(scores, labels, weights):
    """(replicates,) the area under the ROC curve."""
    return Area.of(scores, labels, ~labels).auc(weights)


def tpr_at_fpr(scores, labels, weights, target):
    """(replicates,) that of the sweep."""
    passes = Sweep.of(scores, labels, None).passes(weights)
    return np.concatenate([each.tpr_at_fpr(target) for each in passes])


def oracle(scores, labels, weights):
    """(3, replicates): balanced accuracy, TPR and TNR at the best threshold."""
    passes = Sweep.of(scores, labels, None).passes(weights)
    return np.concatenate([each.oracle().accuracies() for each in passes], axis=1)


def accuracies(scores, labels, weights, threshold):
    """(3, replicates): balanced accuracy, TPR and TNR of the scores above a threshold."""
    passes = Sweep.of(scores, labels, None).passes(weights)
    return np.concatenate([each.above(threshold).accuracies() for each in passes], axis=1)


def cross_fitted(scores, labels, folds, weights):
    """(replicates, records): whether each exceeds the threshold chosen on the other folds."""
    sweep = Sweep.of(scores, labels, folds)
    called = np.concatenate([each.cross_fitted() for each in sweep.passes(weights)])
    return sweep.places() < called[:, sweep.fold]
