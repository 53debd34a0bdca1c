"""What attempts are worth."""
