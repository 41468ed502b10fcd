"""The blind gate: classifiers that see no model try to distinguish members from non-members."""
