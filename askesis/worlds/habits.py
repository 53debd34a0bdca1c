"""Habits of writing that demonstrators can be asked for, and what may be combined of them.

    plain                         the bare solution
    verify                        one habit
    backtrack+verify              several, in the order that makes sense
    filler:backtrack+verify       plain, with as many dots in front as make it equally long

`filler` alone has dots of no particular length.
"""

from __future__ import annotations

from askesis.errors import WorldError, nearest

MATCHED = "filler:"


def wanted_habits(world: str, habit: str, known: tuple[str, ...]) -> frozenset[str]:
    """The habits that a name asks for; empty for plain.

    Raises WorldError for one that the world does not have, with the nearest.
    """
    names = habit.split("+")
    for name in names:
        alone = name in ("plain", "filler") and len(names) > 1
        if name not in known or alone:
            hint = "plain and filler stand alone" if alone else nearest(name, known)
            raise WorldError(f"world {world!r} has no habit {habit!r}", hint=hint)
    return frozenset(names) - {"plain"}


def with_dots(shown: str, plain: str, separator: str) -> str:
    """The plain text behind a remark of dots, as long as `shown` where that is at least two
    characters longer, else plain as it is."""
    num_dots = len(shown) - len(plain) - 1 - len(separator)
    return f"#{'.' * num_dots}{separator}{plain}" if num_dots >= 0 else plain
