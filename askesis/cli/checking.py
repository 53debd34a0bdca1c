"""`askesis check worlds`: every world's self-check, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from askesis.cli.show import table
from askesis.errors import AskesisError


def check_worlds(out: Console, names: Sequence[str], seed: int, num: int) -> int:
    """Check the named worlds, or all in the registry; 1 where something was found."""
    from askesis.worlds.check import check_world
    from askesis.worlds.open import open_world
    from askesis.worlds.table import ADAPTERS, WORLDS

    worst = 0
    made = table("world", "", "found")
    for name in names or [w for w in WORLDS if w not in ADAPTERS]:
        try:
            findings = list(check_world(open_world(name), seed=seed, num=num))
        except AskesisError as error:
            if names:
                raise
            made.add_row(name, "left out", str(error))
            continue
        bad = [f for f in findings if not f.ok]
        worst = max(worst, bool(bad))
        made.add_row(name, "BAD" if bad else "ok", "" if bad else f"{len(findings)} checks")
        for finding in bad:
            made.add_row("", "", str(finding))
    out.print(made)
    return worst
