"""Membership inference attacks, one module each: evidence in, scores out; no model, no torch."""
