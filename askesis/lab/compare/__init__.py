"""Several recipes from the same start, on the same tasks, at the same budget, over seeds."""
