"""Running configured attacks on evidence, and the scores that they give."""
