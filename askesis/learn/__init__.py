"""How weights change: batches, objectives, and one trainer for all of them."""
