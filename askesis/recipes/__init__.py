"""One file per published method: a function of its options that returns a plan."""
