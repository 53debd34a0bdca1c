"""The table of models: loading, the tiny default, tokenisers, renderers, snapshots."""
