"""What survives: memory of old data, and of the best weights."""
