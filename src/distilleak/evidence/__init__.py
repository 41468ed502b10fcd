"""What a model says about each token of each record, computed once for all attacks."""
