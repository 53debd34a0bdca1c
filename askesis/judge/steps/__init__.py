"""Judges of steps: a number for each step of an attempt, and what it means (`askesis.steps`)."""
