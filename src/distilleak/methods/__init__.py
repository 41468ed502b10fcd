"""Distillation methods: one module each, saying what differs from plain distillation."""
