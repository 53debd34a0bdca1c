"""How tokens come out of a model."""
