"""One HTML page with the answer, the figures and the tables."""
