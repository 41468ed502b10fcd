"""A complete configuration: parsed once, checked, and everything that the rules derive from it."""
