"""What really happened, on *train* and *decide* tasks."""
