"""Passages are deduplicated, drawn into pools, encoded, and read again as records."""
