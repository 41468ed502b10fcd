"""Figures: one module each, from tables to a drawing; nothing is computed here."""
