"""The run directory: where a run's rounds become durable, all of a segment or none of it.

    ledger.sqlite                 what counts: rounds, metrics, events, errors, states, files
    config.json                   the configuration, for people
    segments/000007/*.parquet     attempts, verdicts, samples, tasks of the segment's rounds
    segments/000007/models/       models, optimisers and pinned weights after its last round
    snapshots/policy@12/          weights in Hugging Face layout
    aside/                        what is being written; never read
    lock                          held by the one writer

`commit_round` is cheap and provisional: readers see it, a resume drops and recomputes it.
`close_segment` writes files aside, flushes them, renames them into place and then commits the
ledger once; that commit makes everything before it durable. Files the ledger does not know do
not exist: `rollback` deletes them. After a failed write the store takes no more: what was
committed is intact, and the run continues by being opened again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from askesis.errors import RunError, nearest
from askesis.records import NOTHING
from askesis.store import codec, files, integrity, ledger
from askesis.store.lock import Lock
from askesis.store.reader import ResumePoint, RunReader
from askesis.store.segment import OpenSegment

__all__ = ["ResumePoint", "RunStore"]

Save = Callable[[Path], None]
_LONGEST_MESSAGE = 4000
_OWN = {"lock", "aside", "config.json"}  # all there is before a run is created
_PLACES = ("segments", "snapshots", "aside")


class RunStore(RunReader):
    """A run directory, open for reading (`open`) or for writing (`create`, `open(write=True)`).

    After `open(write=True)` call `rollback` before writing. One thread writes.
    """

    def __init__(self, path: Path, db: sqlite3.Connection | None, lock: Lock | None) -> None:
        super().__init__(path, db)
        self._lock = lock
        self._ready = False  # nothing provisional of an earlier process is left
        self._broken: BaseException | None = None
        self._number = 0  # of the segment being written
        self._last_round = -1
        self._segment = OpenSegment(path / "aside" / "000000")
        self._events: list[tuple[int, str, str]] = []
        self._errors: list[tuple[int, str, str, str, str]] = []

    # ------------------------------------------------------------ opening and closing

    @classmethod
    def create(cls, path: Path | str, *, config: Any, manifest: Mapping[str, Any]) -> RunStore:
        """Begin a run in a directory that does not exist or is empty.

        Raises RunError where it is a file, is in use, or cannot be written.
        """
        path = Path(path)
        lock = claim_directory(path, "create")
        try:
            with files.disk_errors(path, "free some space or choose another directory"):
                meta = ledger.meta_rows(config, dict(manifest))
                begin_ledger(path, "create", lambda aside: ledger.make(aside, meta), config)
            store = cls(path, ledger.connect(path / ledger.NAME, write=True), lock)
        except BaseException:
            lock.release()
            raise
        store._begin_segment(None)
        return store

    @classmethod
    def open(cls, path: Path | str, *, write: bool = False, check: bool = True) -> RunStore:
        """Open a run. Raises RunError where there is none, it has a writer, or is damaged.

        check: compare the size of every file with the ledger.
        """
        path = Path(path)
        if not (path / ledger.NAME).is_file():
            raise _no_run(path)
        store = cls(path, None, None)
        try:
            with files.disk_errors(path, "give yourself the right to use it"):
                if write:
                    store._lock = Lock(path)
                store._db = ledger.connect(path / ledger.NAME, write=write)
            ledger.read_meta(store._db, path / ledger.NAME)
            if check:
                integrity.check_sizes(path, store._db)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Let go of the lock and the files; commits nothing. The store can still be read."""
        if self._db is not None:
            self._db.close()
            self._db = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ rounds

    def append(self, table: str, records: Iterable[Any], *, round: int, phase: str) -> None:
        """Add records of a round: attempts, verdicts, samples, tasks, audits or trees.

        They become visible when the segment closes. Raises TypeError for anything else.
        """
        records = records if isinstance(records, list | tuple) else list(records)
        if records:
            with self._writing():
                self._segment.append(table, records, round, phase)

    def event(self, kind: str, round: int, **data: Any) -> None:
        """Note something that happened; it belongs to the next commit."""
        self._events.append((round, kind, codec.to_text(data)))

    def error(self, round: int, stage: str, part: str, task: str, message: str) -> None:
        """Note a failure that was kept as data; it belongs to the next commit."""
        self._errors.append((round, stage, part, _line(task), _line(message)))

    def commit_round(
        self,
        index: int,
        phase: str,
        *,
        metrics: Mapping[str, float],
        costs: Mapping[str, float] = NOTHING,
        seconds: Mapping[str, float] = NOTHING,
        note: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Commit a round provisionally: readers see it, it is durable with its segment.

        `note["snapshots"]` (model -> id) says which weights the round ended with.
        """
        assert index > self._last_round, f"round {index} comes after round {self._last_round}"
        snapshots = " ".join(dict(note.get("snapshots", NOTHING)).values())
        plain = [codec.to_text(dict(some)) for some in (costs, seconds, note)]
        with self._writing():
            with ledger.transaction(self.db, "round"):
                ledger.add_round(self.db, self._number, index, phase, snapshots, plain, metrics)
                ledger.add_buffered(self.db, self._number, self._events, self._errors)
            self._events, self._errors = [], []
            self._last_round = index

    def close_segment(
        self,
        round: int,
        *,
        states: Mapping[str, Any],
        save_models: Save,
        snapshots: Mapping[str, Save],
        counters: Mapping[str, Any],
        tags: Mapping[str, str] = NOTHING,
    ) -> None:
        """Make every round up to `round` (the last committed one) durable.

        states: plain values by name. save_models writes all that is needed to continue into a
        directory. snapshots: id -> what writes its weights; ids saved before are skipped.
        counters: a plain value; its "lineage", if any, lists new snapshots as
        [id, model, round, parents, tags]. tags: moving names ("best") -> snapshot id.
        """
        assert round == self._last_round, f"round {self._last_round} was committed, not {round}"
        assert self._segment.last_round <= round, "rows of a round that was not committed"
        with self._writing():
            rows = {
                "states": [(self._number, k, codec.dumps(v)) for k, v in states.items()],
                "counters": codec.to_text(dict(counters)),
                "tags": codec.to_text(dict(tags)),
            }
            fresh = self._unsaved(snapshots)
            aside = self._write_aside(save_models, fresh)
            known = self._into_place(aside, fresh)
            self._commit_segment(round, rows, known, list(fresh), counters.get("lineage", ()))
            files.do("segment.checkpoint", self.db.execute, "pragma wal_checkpoint(passive)")
        self._events, self._errors = [], []
        self._begin_segment(ledger.Segment(self._number, round))

    def rollback(self) -> None:
        """Drop provisional rounds and every file no ledger row knows; writing may begin.

        A second call does nothing, a call that was itself killed is finished by the next.
        """
        with self._writing(ready=False):
            last = ledger.last_segment(self.db)
            number = -1 if last is None else last.number
            with ledger.transaction(self.db, "rollback", durable=True):
                ledger.delete_after(self.db, number)
            for path in self._unknown():
                files.do("rollback.delete", files.remove, path)
        self._begin_segment(last)

    # ------------------------------------------------------------ after a run

    def look(
        self,
        snapshot: str,
        world: str,
        role: str,
        num_tasks: int,
        metrics: Mapping[str, float],
        note: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Note an evaluation on claim tasks, at once and for good; no lock is needed."""
        with files.disk_errors(self.path, "free some space and evaluate again"):
            db = ledger.connect(self.path / ledger.NAME, write=True)
            try:
                plain = (codec.to_text(dict(metrics)), codec.to_text(dict(note)))
                with ledger.transaction(db, "look", durable=True):
                    row = (None, snapshot, world, role, num_tasks, *plain)
                    ledger.insert(db, "looks", [row], 7)
            finally:
                db.close()

    def fork(
        self,
        at_round: int,
        path: Path | str,
        *,
        config: Any = None,
        counters: Mapping[str, Any] = NOTHING,
    ) -> None:
        """Begin another run with rounds 0 to at_round - 1 of this one (see `store.fork`)."""
        from askesis.store import fork

        fork.fork(self, at_round, Path(path), config, counters)

    def gc(
        self, *, also: Collection[str] = (), training_states: bool = False, dry: bool = False
    ) -> list[str]:
        """Delete weights no rule keeps; returns the directories (see `store.cleanup`)."""
        from askesis.store import cleanup

        with self._writing(ready=False):
            return cleanup.clean(self, also, training_states, dry)

    # ------------------------------------------------------------ how a segment closes

    def _begin_segment(self, last: ledger.Segment | None) -> None:
        self._number = 0 if last is None else last.number + 1
        self._last_round = -1 if last is None else last.round
        self._segment = OpenSegment(self.path / "aside" / f"{self._number:06d}")
        self._ready = True

    def _unsaved(self, snapshots: Mapping[str, Save]) -> dict[str, Save]:
        for name in snapshots:
            assert Path(name).name == name, f"snapshot id {name!r} cannot name a directory"
        saved = {name for (name,) in self.db.execute("select snapshot from saves")}
        return {name: save for name, save in snapshots.items() if name not in saved}

    def _write_aside(self, save_models: Save, snapshots: Mapping[str, Save]) -> Path:
        """Write everything aside and push it to the disk."""
        self._segment.finish()
        aside = self.path / "aside"
        models = self._segment.directory / "models"
        models.mkdir(parents=True, exist_ok=True)
        files.do("segment.models.write", save_models, models)
        for name, save in snapshots.items():
            place = aside / "snapshots" / name
            place.mkdir(parents=True, exist_ok=True)
            files.do("segment.snapshot.write", save, place)
        return aside

    def _into_place(self, aside: Path, snapshots: Iterable[str]) -> list[tuple[str, int, str]]:
        """Flush what lies aside and rename it into place; (path, size, digest) of every file."""
        moves = [("segment.rename", self._segment.directory, f"segments/{self._number:06d}")]
        for name in snapshots:
            place = aside / "snapshots" / name
            moves.append(("segment.snapshot.rename", place, f"snapshots/{name}"))
        known = []
        for _, source, target in moves:
            for file in files.files_under(source):
                size, digest = files.do("segment.flush", files.flush_and_digest, file)
                known.append((f"{target}/{file.relative_to(source).as_posix()}", size, digest))
            for directory in files.directories_under(source):
                files.do("segment.flush_directory", files.flush, directory)
        for point, source, target in moves:
            (self.path / target).parent.mkdir(exist_ok=True)
            files.do(point, os.rename, source, self.path / target)
        for place in {(self.path / target).parent for _, _, target in moves} | {self.path}:
            files.do("segment.flush_directory", files.flush, place)
        return known

    def _commit_segment(
        self,
        round: int,
        rows: Mapping[str, Any],
        known: list[tuple[str, int, str]],
        saved: list[str],
        lineage: Iterable[Any],
    ) -> None:
        """The one commit that makes the segment count."""
        db, number = self.db, self._number
        made = [(s[0], s[1], int(s[2]), _list(s[3]), _list(s[4]), number) for s in lineage]
        made += [(name, name.partition("@")[0], round + 1, "[]", "[]", number) for name in saved]
        with ledger.transaction(db, "segment", durable=True):
            ledger.add_buffered(db, number, self._events, self._errors)
            ledger.insert(db, "states", rows["states"], 3)
            ledger.insert(db, "files", [(*file, number, 0) for file in known], 5)
            db.executemany("insert or ignore into snapshots values (?,?,?,?,?,?)", made)
            for name in saved:
                place = f"snapshots/{name}"
                digest = _joint([f for f in known if f[0].startswith(place + "/")], place)
                ledger.insert(db, "saves", [(name, place, digest, number)], 4)
            values = (number, round, rows["counters"], rows["tags"], "")
            ledger.insert(db, "segments", [values], 5)
            seal = ledger.seal(db, number)
            db.execute("update segments set seal = ? where number = ?", (seal, number))

    def _unknown(self) -> list[Path]:
        """What lies in the store's own places without a ledger row."""
        paths = {p for (p,) in self.db.execute("select path from files where removed = 0")}
        known = {"segments", "snapshots"}
        for path in paths:
            parts = path.split("/")
            known |= {"/".join(parts[:n]) for n in range(1, len(parts) + 1)}
        for (number,) in self.db.execute("select number from segments"):
            known |= {f"segments/{number:06d}", f"segments/{number:06d}/models"}
        found: list[Path] = []

        def walk(directory: Path) -> None:
            for path in sorted(directory.iterdir()):
                if path.relative_to(self.path).as_posix() not in known:
                    found.append(path)
                elif path.is_dir():
                    walk(path)

        for place in _PLACES:
            if place == "aside" and (self.path / place).exists():
                found.append(self.path / place)
            elif (self.path / place).is_dir():
                walk(self.path / place)
        return found

    @contextmanager
    def _writing(self, ready: bool = True) -> Iterator[None]:
        """Every change of the directory happens inside; a failure ends this store's writing."""
        if self._lock is None:
            raise RunError(
                f"{self.path} is not open for writing",
                hint="open it with RunStore.open(path, write=True), or resume the run",
            )
        if self._broken is not None:
            raise RunError(
                f"{self.path} takes no more after an earlier failure",
                found=_line(f"{type(self._broken).__name__}: {self._broken}"),
                hint=f"askesis resume {self.path} continues from the last closed segment",
            ) from self._broken
        assert self._ready or not ready, "call rollback() before writing to a reopened run"
        try:
            with files.disk_errors(self.path):
                yield
        except BaseException as error:
            self._broken = error
            if isinstance(error, RunError) and error.__cause__ is not None and not error.hint:
                raise RunError(error.what, hint=self._kept()) from error.__cause__
            raise

    def _kept(self) -> str:
        try:
            last = ledger.last_segment(self.db)
        except sqlite3.Error:
            last = None
        kept = "nothing was committed yet" if last is None else f"round {last.round} is kept"
        if last is not None and last.round < 0:
            kept = "the run's beginning is kept"
        elif last is not None:
            kept = f"everything up to {kept}"
        return f"{kept}: make room, then askesis resume {self.path}"


# ---------------------------------------------------------------- beginning a directory


def claim_directory(path: Path, stage: str) -> Lock:
    """Make an empty directory and take its lock. Raises RunError where that cannot be."""
    hint = "choose another directory"
    if os.path.lexists(path) and not os.path.isdir(path):
        raise RunError(
            f"{path} cannot hold a run", expected="a directory", found="a file", hint=hint
        )
    if os.path.exists(path / ledger.NAME):
        hint = f"askesis resume {path} continues it, another directory begins anew"
        raise RunError(f"{path} already holds a run", hint=hint)
    try:
        files.do(f"{stage}.directory", _make_directory, path)
        foreign = sorted(p.name for p in path.iterdir() if p.name not in _OWN)
    except OSError as error:
        raise RunError(
            f"the run directory {path} cannot be made ({files.disk_trouble(error)})", hint=hint
        ) from error
    if foreign:
        raise RunError(
            f"{path} is already in use", expected="an empty directory",
            found=", ".join(foreign[:3]), hint=hint,
        )  # fmt: skip
    try:
        lock = Lock(path)
    except OSError as error:
        raise RunError(
            f"the run directory {path} cannot be written ({files.disk_trouble(error)})", hint=hint
        ) from error
    if (path / ledger.NAME).exists():  # somebody was faster
        lock.release()
        raise RunError(f"{path} already holds a run", hint=hint)
    return lock


def _make_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)


def begin_ledger(path: Path, stage: str, make: Callable[[Path], None], config: Any) -> None:
    """Write config.json and, last of all, the ledger: with it the directory becomes a run."""
    aside = path / "aside"
    files.remove(aside)
    aside.mkdir()
    files.write_and_flush(f"{stage}.config", path / "config.json", ledger.config_file(config))
    files.do(f"{stage}.ledger.write", make, aside / ledger.NAME)
    files.do(f"{stage}.ledger.flush", files.flush, aside / ledger.NAME)
    files.do(f"{stage}.rename", os.rename, aside / ledger.NAME, path / ledger.NAME)
    files.do(f"{stage}.flush_directory", files.flush, path)


def _no_run(path: Path) -> RunError:
    if not os.path.lexists(path):
        siblings = []
        if path.parent.is_dir():
            siblings = [str(p.parent) for p in path.parent.glob(f"*/{ledger.NAME}")]
        return RunError(f"there is no run at {path}", hint=nearest(str(path), siblings))
    if not path.is_dir():
        return RunError(f"{path} is a file, not a run directory", hint="give the run's directory")
    left = {p.name for p in path.iterdir()}
    if left and left <= _OWN:
        hint = "run the same command again; nothing is lost"
        return RunError(f"{path} was killed before its run began", hint=hint)
    return RunError(f"{path} holds no run (it has no {ledger.NAME})", hint="give a run's directory")


def _list(values: Iterable[str]) -> str:
    return codec.to_text(list(values))


def _joint(known: list[tuple[str, int, str]], place: str) -> str:
    """One digest for a directory of files, independent of where it lies."""
    import hashlib

    text = "\n".join(f"{path[len(place) :]} {digest}" for path, _, digest in sorted(known))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _line(text: str) -> str:
    """Text that the ledger can hold: well-formed, and not ten megabytes."""
    if len(text) > _LONGEST_MESSAGE:
        text = f"{text[:_LONGEST_MESSAGE]}... ({len(text):,} characters)"
    return text.encode("utf-8", "backslashreplace").decode()
