"""Evidence: what a model says of each token of each record, computed once for all attacks."""
