"""Drafts, and other ends that were said behind each of their steps: how the two are told apart.

A branch is a whole answer: the first steps of a draft, and what the speaker said from there on. Its
start has the tag "branch<draft>-<steps kept>", and the draft is its parent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from askesis.records import Attempt, Start

_TAG = re.compile(r"branch([0-9]+)-([0-9]+)")


def branch_start(start: Start, number: int, num_steps: int) -> Start:
    """Where branches of a draft begin. number: of the draft within its start. num_steps: how many
    of its steps they keep, at least 1."""
    return replace(start, tag=f"branch{number}-{num_steps}")


def kept_steps(attempt: Attempt) -> int:
    """How many steps of its draft a branch keeps; 0 for what is no branch."""
    match = _TAG.fullmatch(attempt.start.tag)
    return int(match[2]) if match else 0


def drafts_of(attempts: Sequence[Attempt]) -> list[tuple[Attempt, list[Attempt]]]:
    """Attempts that nobody helped, in order, each with its branches.

    Branches and whatever else begins at a start with a tag are no drafts.
    """
    below: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        if kept_steps(attempt) and attempt.parents:
            below.setdefault(attempt.parents[0], []).append(attempt)
    return [(a, below.get(a.id, [])) for a in attempts if not a.start.tag]


def repair_start(start: Start, number: int, kind: str, said: str, told: str) -> Start:
    """Where a refiner begins that reads draft `number`, what it `said`, and what it is `told` of
    it. kind: "global" or "local", which the tag "repair-<kind><number>" says."""
    return replace(start, tag=f"repair-{kind}{number}", privileged=f"{said}\n{told}")


def repair_kind(attempt: Attempt) -> str:
    """ "global" or "local" for a refinement of a draft, "" for anything else."""
    match = re.fullmatch(r"repair-(global|local)[0-9]+", attempt.start.tag)
    return match[1] if match else ""
