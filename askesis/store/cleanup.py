"""Which weights a run keeps, and how the others go.

Kept for every model: its first and its last two saved snapshots, those with a tag ("best",
"base"), those evaluated on claim tasks, and whatever the caller names. The ledger's rows about a
deleted snapshot stay, so provenance survives.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from askesis.errors import RunError, nearest
from askesis.store import files, ledger

if TYPE_CHECKING:
    from askesis.store.reader import RunReader

_NUM_LAST = 2


def kept_snapshots(store: RunReader, also: Collection[str] = ()) -> set[str]:
    """Ids of the saved snapshots that the rule keeps. Raises RunError for an unknown id."""
    known = {s["id"]: s for s in store.snapshots()}
    for name in also:
        if name not in known:
            raise RunError(f"there is no snapshot {name!r}", hint=nearest(name, known))
    saved: dict[str, list[str]] = {}
    order = store.db.execute("select snapshot from saves order by segment, rowid").fetchall()
    for (name,) in order:
        if known[name]["path"] is not None:
            saved.setdefault(known[name]["model"], []).append(name)
    keep = {name for names in saved.values() for name in (names[0], *names[-_NUM_LAST:])}
    keep |= {name for name, s in known.items() if s["tags"]} | set(store.tags().values())
    keep |= {look["snapshot"] for look in store.looks()} | set(also)
    return keep & {name for names in saved.values() for name in names}


def clean(store: RunReader, also: Collection[str], training_states: bool, dry: bool) -> list[str]:
    """Delete what no rule keeps; the directories, relative to the run.

    training_states: also delete what older segments keep for forking (the first and the last
    two stay). dry: only say what would go.
    """
    keep = kept_snapshots(store, also)
    gone = [
        f"snapshots/{s['id']}"
        for s in store.snapshots()
        if s["path"] is not None and s["id"] not in keep
    ]
    if training_states:
        numbers = [s.number for s in store.segments()]
        for number in numbers[1:-_NUM_LAST]:
            place = f"segments/{number:06d}/models"
            if any((store.path / place).glob("*")):
                gone.append(place)
    if dry or not gone:
        return gone
    with ledger.transaction(store.db, "gc", durable=True):
        for place in gone:
            store.db.execute(
                "update files set removed = 1 where substr(path, 1, ?) = ?",
                (len(place) + 1, place + "/"),
            )
    for place in gone:
        files.do("gc.delete", files.remove, store.path / place)
    return gone
