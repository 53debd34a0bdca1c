"""What is kept of self-made solutions to a task: right ones, and beginnings that lead on.

The rules of Ni et al. 2023, "Learning Math Reasoning from Self-Sampled Correct and
Partially-Correct Solutions", card [248], on answers whose steps lead through states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Solution:
    """A kept answer, or the beginning of one.

    states: what each of its steps leads to, in order; equal states allow the same to follow.
    is_right: a whole right answer, else a beginning. given: written by somebody else.
    source: the attempt it comes from.
    """

    text: str
    states: tuple[str, ...] = ()
    is_right: bool = False
    given: bool = False
    source: str = ""


def fewest_steps(saved: Iterable[Solution]) -> dict[str, int]:
    """Steps of the shortest known way to each state on the way to a solution.

    The last state of a right answer is not on the way: whether an answer is right is for a judge
    to say.

    >>> fewest_steps([Solution("ab", ("A", "B"), is_right=True), Solution("cA", ("C", "A"))])
    {'A': 1, 'C': 1}
    """
    found: dict[str, int] = {}
    for solution in saved:
        states = solution.states[:-1] if solution.is_right else solution.states
        for number, state in enumerate(states, start=1):
            found[state] = min(number, found.get(state, number))
    return found


def furthest(states: Sequence[str], known: Iterable[str]) -> int:
    """Number of steps to the last state that is known, 0 where none is.

    >>> furthest(["C", "A", "D"], {"A", "B"})
    2
    """
    known = set(known)
    return max((n for n, state in enumerate(states, start=1) if state in known), default=0)


def admit(
    saved: Sequence[Solution], new: Solution, *, tolerance: int = 0, most: int = 10
) -> tuple[Solution, ...]:
    """The solutions that are kept once `new` has been seen.

    It is kept where it is not there already, is not the beginning of one that is there, takes at
    most `tolerance` steps more to its last state than the shortest that is known (a right one: than
    the shortest right one), and finds room; beginnings that it goes on from make room. most:
    solutions of a task. A right one takes the place of the oldest beginning where there is no room
    left. Equal saved ones in equal order give equal results.

    >>> kept = admit([Solution("a", ("A",))], Solution("ab", ("A", "B"), is_right=True))
    >>> [s.text for s in kept]
    ['ab']
    """
    if any(s.text == new.text and s.is_right == new.is_right for s in saved):
        return tuple(saved)
    if not new.is_right and any(s.text.startswith(new.text) for s in saved):
        return tuple(saved)
    if new.states and len(new.states) > _shortest(saved, new) + tolerance:
        return tuple(saved)
    kept = [s for s in saved if s.is_right or not new.text.startswith(s.text)]
    if len(kept) >= most:
        beginnings = [i for i, s in enumerate(kept) if not s.is_right]
        if not new.is_right or not beginnings:
            return tuple(saved)
        del kept[beginnings[0]]
    return (*kept, new)


def _shortest(saved: Sequence[Solution], new: Solution) -> int:
    """Steps of the shortest known way to where `new` ends; its own where there is none."""
    own = len(new.states)
    if new.is_right:
        return min((len(s.states) for s in saved if s.is_right and s.states), default=own)
    return fewest_steps(saved).get(new.states[-1], own)
