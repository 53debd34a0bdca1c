"""Looks at kept snapshots that see more than whether single answers are right."""
