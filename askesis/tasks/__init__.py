"""What to work on next."""
