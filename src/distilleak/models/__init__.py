"""Models of all families: made, loaded, changed and saved."""
