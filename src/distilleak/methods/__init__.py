"""One module per distillation method, which defines how it differs from plain distillation."""
