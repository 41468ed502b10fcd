"""The configuration: one small module per section, so that a stage depends on its own only."""
