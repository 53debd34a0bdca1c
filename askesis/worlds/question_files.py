"""Reading question files: every row once, in order, with errors that name the line.

A row is a question and an answer. Files are scanned once; only where each row lies is kept, so
memory grows by some tens of bytes a row, not by the text.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.errors import WorldError, nearest

MAX_LINE_BYTES = 1 << 20  # a question of a megabyte is a broken file


@dataclass(frozen=True, slots=True)
class Row:
    """A question and its answer as they stand in a file. `place` finds it again: the byte
    offset of its line (JSON lines) or its row number (Parquet)."""

    question: str
    answer: str
    place: int


class JsonLines:
    """A file of JSON objects, one a line. Raises WorldError for whatever is wrong with it."""

    def __init__(self, path: Path, question: str, answer: str) -> None:
        self.path, self.question, self.answer = path, question, answer
        self._hash = hashlib.blake2b(digest_size=16)
        self._file: Any = None

    def __iter__(self) -> Iterator[Row]:
        offset = 0
        with self._open() as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise WorldError(
                        f"line {number} of {self.path} is longer than {MAX_LINE_BYTES} bytes",
                        hint="one JSON object a line is expected; is this one big JSON file?",
                    )
                self._hash.update(line)
                if line.strip():
                    yield self._row(line, f"line {number} of {self.path}", offset)
                offset += len(line)

    @property
    def digest(self) -> str:
        """Of the bytes read so far: after a whole pass, of the file."""
        return self._hash.hexdigest()

    def at(self, place: int) -> Row:
        """The row whose line begins at a byte offset."""
        if self._file is None:
            self._file = self._open()
        self._file.seek(place)
        line = self._file.readline(MAX_LINE_BYTES + 1)
        return self._row(line, f"the line at byte {place} of {self.path}", place)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> Any:
        try:
            return open(self.path, "rb")
        except OSError as error:
            raise WorldError(f"{self.path} cannot be read ({error.strerror})") from error

    def _row(self, line: bytes, where: str, place: int) -> Row:
        try:
            text = line.decode("utf-8-sig" if place == 0 else "utf-8")
        except UnicodeDecodeError as error:
            raise WorldError(
                f"{where} is not UTF-8 (byte {error.object[error.start]:#04x})",
                hint=f"Type iconv -f latin1 -t utf-8 {self.path.name} > converted.jsonl",
            ) from None
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise WorldError(
                f"{where} is not JSON ({error.msg} at column {error.colno})",
                expected='{"question": "...", "answer": "..."}',
                found=repr(text[:60].rstrip()),
            ) from None
        except (RecursionError, ValueError) as error:  # deep nesting; an integer of 5000 digits
            raise WorldError(f"{where} is not readable JSON ({type(error).__name__})") from None
        if not isinstance(row, dict):
            raise WorldError(f"{where}", expected="a JSON object", found=type(row).__name__)
        for column in (self.question, self.answer):
            if column not in row:
                raise _no_column(where, column, list(row))
        return Row(
            _as_text(row[self.question], self.question, where),
            _as_text(row[self.answer], self.answer, where),
            place,
        )


class ParquetRows:
    """The question and answer columns of a Parquet file, held as Arrow columns."""

    def __init__(self, path: Path, question: str, answer: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        try:
            names = pq.read_schema(path).names
            for column in (question, answer):
                if column not in names:
                    raise _no_column(str(path), column, names)
            table = pq.read_table(path, columns=[question, answer], memory_map=True)
            self.digest = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
        except OSError as error:
            raise WorldError(f"{path} cannot be read ({error.strerror or error})") from error
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0][:120]
            raise WorldError(f"{path} is not a Parquet file ({reason})") from error
        self._columns = [table.column(question), table.column(answer)]
        self._names = [question, answer]

    def __iter__(self) -> Iterator[Row]:
        size = 4096  # rows turned into Python values at a time
        for first in range(0, len(self._columns[0]), size):
            chunks = [column.slice(first, size).to_pylist() for column in self._columns]
            for i, (question, answer) in enumerate(zip(*chunks, strict=True)):
                yield self._row(question, answer, first + i)

    def at(self, place: int) -> Row:
        """The row of a number."""
        question, answer = (column[place].as_py() for column in self._columns)
        return self._row(question, answer, place)

    def close(self) -> None:
        pass

    def _row(self, question: Any, answer: Any, place: int) -> Row:
        where = f"row {place} of {self.path}"
        names = self._names
        return Row(_as_text(question, names[0], where), _as_text(answer, names[1], where), place)


def question_files(path: str, ending: str) -> list[Path]:
    """The files that a path stands for: itself, a folder's files with that ending, a pattern's.

    Raises WorldError where there are none.
    """
    whole = Path(path).expanduser()
    if whole.is_file():
        return [whole]
    if whole.is_dir():
        found = sorted(p for p in whole.iterdir() if p.suffix == f".{ending}" and p.is_file())
        if not found:
            others = sorted(p.name for p in whole.iterdir())
            raise WorldError(f"folder {path} has no .{ending} file", hint=nearest(ending, others))
        return found
    found = sorted(Path(p) for p in glob.glob(str(whole)) if Path(p).is_file())
    if not found:
        beside = [p.name for p in whole.parent.iterdir()] if whole.parent.is_dir() else []
        raise WorldError(
            f"there is no file {path}",
            hint=nearest(whole.name, beside) if beside else f"There is no folder {whole.parent}",
        )
    return found


def _as_text(value: Any, column: str, where: str) -> str:
    if isinstance(value, str):
        text = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        text = str(value)
    else:
        raise WorldError(
            f"column {column!r} in {where}", expected="text or a number", found=_type(value)
        )
    if not text.strip():
        raise WorldError(
            f"column {column!r} in {where} is empty",
            expected="text or a number",
            found=repr(text[:40]),
            hint="Fill it in, or take that line out",
        )
    return text


def _type(value: Any) -> str:
    return "nothing (null)" if value is None else type(value).__name__


def _no_column(where: str, column: str, found: list[str]) -> WorldError:
    shown = ", ".join(repr(name[:40]) for name in found[:12]) or "no columns"
    return WorldError(
        f"{where} has no column {column!r}",
        found=shown,
        hint="Name the columns: ?question=COLUMN&answer=COLUMN",
    )
