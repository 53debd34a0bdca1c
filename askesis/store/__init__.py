"""The run directory: commit, resume, fork, query. It is the only truth about a run."""
