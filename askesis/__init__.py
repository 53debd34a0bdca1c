"""askesis: a model improves its own weights from its own experience, round after round."""

__version__ = "0.1.0"
