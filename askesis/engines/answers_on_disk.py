"""Answers that were paid for, kept on disk.

One file an answer, named by a hash of everything that determines it and written aside first, so
that any number of processes may share a directory (also over a network) and a reader sees a
whole file or none. A file that does not hold what it says is no answer: it is asked for again
and replaced.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from askesis.errors import ModelError


def default_directory() -> Path:
    """$ASKESIS_CACHE/answers, else the user's cache folder."""
    given = os.environ.get("ASKESIS_CACHE")
    root = Path(given) if given else Path.home() / ".cache" / "askesis"
    return root / "answers"


def name_of(asked: Any) -> str:
    """The name of a question (JSON values): a hash, equal on every machine."""
    return hashlib.blake2b(_plain(asked).encode(), digest_size=20).hexdigest()


class AnswersOnDisk:
    """A directory of answers. Questions and answers are JSON values.

    Raises ModelError where the directory cannot be made or written.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def get(self, asked: Any) -> Any:
        """The answer to a question, or None where there is none or it is damaged."""
        try:
            kept = json.loads(self._path(asked).read_bytes())
            whole = kept["digest"] == name_of(kept["answer"]) and kept["asked"] == asked
            return kept["answer"] if whole else None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def put(self, asked: Any, answer: Any) -> None:
        """Keep an answer, in place of an older one."""
        path = self._path(asked)
        text = _plain({"digest": name_of(answer), "asked": asked, "answer": answer})
        try:
            path.parent.mkdir(exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8"
            ) as file:
                file.write(text)
            os.replace(file.name, path)
        except OSError as error:
            raise self._unwritable(error) from error

    def _path(self, asked: Any) -> Path:
        name = name_of(asked)
        return self.directory / name[:2] / f"{name[2:]}.json"

    def _unwritable(self, error: OSError) -> ModelError:
        return ModelError(
            f"answers cannot be kept in {self.directory}",
            found=f"{type(error).__name__}: {error.strerror or error}",
            hint="Give another directory, openai?cache=DIR, or keep none: openai?cache=off",
        )


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
