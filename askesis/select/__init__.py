"""Which attempts become training data, and which of their tokens count."""
