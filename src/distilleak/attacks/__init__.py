"""Membership inference attacks: one module each, from evidence to scores; no model, no torch."""
