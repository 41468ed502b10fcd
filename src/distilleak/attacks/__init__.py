"""One module per membership inference attack: evidence in, scores out; no model, no torch."""
