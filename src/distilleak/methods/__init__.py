"""Distillation methods: one module each, which defines how it differs from plain distillation."""
