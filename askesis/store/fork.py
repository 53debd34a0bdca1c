"""Begin another run where an earlier round of this one ended.

What lies before the fork is taken over as it is: closed segments and snapshots are linked (or
copied), the ledger is copied and cut. Looks on claim tasks come along: whoever looked before the
fork has looked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from askesis.errors import RunError
from askesis.store import codec, files, ledger
from askesis.store.run_store import begin_ledger, claim_directory

if TYPE_CHECKING:
    from askesis.store.reader import RunReader


def fork(
    store: RunReader, at_round: int, path: Path, config: Any, counters: Mapping[str, Any]
) -> None:
    """Write a run to `path` that holds rounds 0 to at_round - 1 of `store` and resumes there.

    config: the whole new configuration (None: the same). counters: changes to the counters it
    resumes with. Raises RunError where no closed segment ends just before `at_round`, where its
    training state was cleaned up, or where `path` is in use.
    """
    chosen = _segment(store, at_round)
    point = store.point(chosen)
    config = store.config if config is None else config
    manifest = {**store.manifest, "forked_from": {"run": str(store.path), "round": at_round}}
    lock = claim_directory(path, "fork")
    try:
        with files.disk_errors(path, "free some space or choose another directory"):
            kept = store.db.execute(
                "select path from files where removed = 0 and segment <= ?", (chosen.number,)
            ).fetchall()
            for (name,) in kept:
                files.do("fork.link", files.link, store.path / name, path / name)
            for number in range(chosen.number + 1):
                (path / f"segments/{number:06d}/models").mkdir(parents=True, exist_ok=True)
            places = {(path / name).parent for (name,) in kept}
            for place in sorted(places | {p.parent for p in places}):
                files.do("fork.flush_directory", files.flush, place)

            def copy(aside: Path) -> None:
                _copy(store, aside, chosen, {**point.counters, **counters}, config, manifest)

            begin_ledger(path, "fork", copy, config)
    finally:
        lock.release()


def _segment(store: RunReader, at_round: int) -> ledger.Segment:
    """The first closed segment that ends with round at_round - 1 and still has its models."""
    usable = [s for s in store.segments() if not _cleaned(store, s.number)]
    for segment in usable:
        if segment.round == at_round - 1:
            return segment
    places = sorted({s.round + 1 for s in usable})
    near = sorted(sorted(places, key=lambda r: abs(r - at_round))[:3])
    raise RunError(
        f"{store.path} cannot be forked at round {at_round}",
        expected=f"a round at which a segment begins: {', '.join(map(str, near))}"
        if near
        else "a closed segment; the run has none yet",
        found=f"{store.last_round + 1} rounds, {len(usable)} segments to begin from",
        hint=f"askesis fork {store.path} --at {near[-1]}" if near else "",
    )


def _cleaned(store: RunReader, number: int) -> bool:
    """Whether the segment's training state was removed."""
    query = "select count(*) from files where removed = 1 and path like ?"
    return bool(store.db.execute(query, (f"segments/{number:06d}/models/%",)).fetchone()[0])


def _copy(
    store: RunReader,
    path: Path,
    chosen: ledger.Segment,
    counters: Mapping[str, Any],
    config: Any,
    manifest: Mapping[str, Any],
) -> None:
    """Copy the ledger, cut after the chosen segment, with the fork's own beginning noted."""
    number = chosen.number
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("pragma synchronous = off")  # the caller flushes the finished file
        store.db.backup(db)
        db.execute("begin")
        ledger.delete_after(db, number)
        db.execute("delete from meta where key <> 'format'")
        ledger.insert(db, "meta", ledger.meta_rows(config, manifest).items(), 2)
        data = codec.to_text(manifest["forked_from"])
        ledger.add_buffered(db, number, [(chosen.round + 1, "forked", data)], [])
        text = codec.to_text(dict(counters))
        db.execute("update segments set counters = ? where number = ?", (text, number))
        seal = ledger.seal(db, number)
        db.execute("update segments set seal = ? where number = ?", (seal, number))
        db.execute("commit")
        db.execute("vacuum")
        db.execute("pragma journal_mode = wal")
    finally:
        db.close()
