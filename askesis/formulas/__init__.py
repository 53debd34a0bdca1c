"""One published equation each: pure functions of arrays, with legend, shapes and source."""
