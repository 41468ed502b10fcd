"""A whole configuration: parsed once, checked, and what the rules derive from it."""
