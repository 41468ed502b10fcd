"""Classifiers that see no model and try to distinguish members from non-members: the gate."""
