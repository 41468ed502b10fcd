"""Training teachers and students: the loop, the objective, what a student learns from."""
