"""Records: deduplicated, drawn into pools, encoded, and read again."""
