"""What can be said about text without a model: answers, numbers, expressions, n-grams, doubles."""
