"""The blind gate: classifiers that see no model try to tell members from non-members."""
