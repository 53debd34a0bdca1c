"""Search in trees: edges; how to select, expand, evaluate and back up; what to harvest."""
