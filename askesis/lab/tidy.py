"""Give disk space back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from askesis.store.run_store import RunStore


def tidy(
    path: Path, keep: Sequence[str] = (), *, training_states: bool = False, dry: bool = False
) -> tuple[list[str], int]:
    """Delete weights no rule keeps; the directories and how many bytes they held.

    Raises RunError while the run is being written.
    """
    store = RunStore.open(path, write=True)
    try:
        doomed = store.gc(also=keep, training_states=training_states, dry=True)
        freed = sum(f.stat().st_size for d in doomed for f in (path / d).rglob("*") if f.is_file())
        gone = store.gc(also=keep, training_states=training_states) if not dry else doomed
    finally:
        store.close()
    return gone, freed
