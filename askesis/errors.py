"""Errors a person can act on.

Every message has the same three parts, in one line: what is wrong, what was found or
expected, and what to type next. User mistakes are `AskesisError`s and reach the terminal as
that line; programmer mistakes stay ordinary exceptions with their traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class AskesisError(Exception):
    """A mistake the user can mend, in one line.

    `what` says what is wrong, `found` and `expected` say the difference, `hint` is what to do
    or type next. The parts are kept so that `--json` output and tests can look at them.
    """

    def __init__(self, what: str, *, expected: str = "", found: str = "", hint: str = "") -> None:
        self.what, self.expected, self.found, self.hint = what, expected, found, hint
        line = what
        if expected:
            line += f"; expected {expected}"
        if found:
            line += f"; found {found}"
        if hint:
            line += f". {hint}"
        super().__init__(" ".join(line.split()))


class ConfigError(AskesisError):
    """An option, part or recipe that does not exist, or has a value of the wrong type."""


class WorldError(AskesisError):
    """A world that does not exist, a data file that cannot be read, a split it cannot fill."""


class ModelError(AskesisError):
    """A model that cannot be loaded, or an engine that cannot serve it."""


class RunError(AskesisError):
    """A run directory that cannot be used: missing, altered, locked, already in use."""


class TruthError(AskesisError):
    """Something asked for the truth where the recipe declared that it uses none."""


class StageError(AskesisError):
    """A failure inside a part, wrapped once, with the place where it happened.

    `cause` is the original exception; its traceback is the `__cause__` chain.
    """

    def __init__(self, stage: str, part: str, round_index: int, task: str, cause: BaseException):
        self.stage, self.part, self.round_index, self.task = stage, part, round_index, task
        self.cause = cause
        where = f"{stage} ({part}) failed in round {round_index}"
        if task:
            where += f" on task {task}"
        super().__init__(f"{where}: {type(cause).__name__}: {cause}")
        self.__cause__ = cause


def must_fit(part: Any, limits: Mapping[str, tuple[bool, str]]) -> None:
    """Raise ConfigError for the first field of a part whose value does not fit.

    limits: field -> (whether its value fits, what is expected).
    """
    for name, (fits, expected) in limits.items():
        if not fits:
            raise ConfigError(
                f"{type(part).__name__}.{name} is out of range",
                expected=expected,
                found=repr(getattr(part, name)),
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """A "did you mean" sentence for `name` among `known`, or a list of what there is."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not known:
        return "There are none."
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    return f"There are: {shown}"
