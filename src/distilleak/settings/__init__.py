"""The configuration: one small module per section, so that a stage depends only on its own."""
