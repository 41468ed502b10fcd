"""Changes to the architecture of a student that survive save and load."""
