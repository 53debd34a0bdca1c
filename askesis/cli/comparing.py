"""`askesis compare`: several recipes at the same budget, over seeds, on tasks no run has seen."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from askesis.cli import options

USAGE = """askesis compare ARM ARM... --budget.tokens N [--world W]... [--seeds S] [--OPTION V]...

An ARM is a recipe, or NAME=RECIPE: two arms of one recipe need two names. An option that begins
with an arm's name is that arm's, every other one goes to all:

    askesis compare rft grpo hot=grpo --hot.explore.temperature 1.2 --tasks.num 64 \\
        --world countdown --world chain_arithmetic --budget.tokens 1e6 --seeds 5

--budget.tokens N         generated and scored tokens of every arm; or trained-tokens, flops,
                          updates, seconds (which makes arms run one after another)
--seeds 5                 how many (0, 1, ...), or which: 3,5,8
--workers 2               processes side by side, one thread each (default: one per core)
--metric pass@1           what is compared: pass@K, or score
--num 1000 --attempts 4   claim tasks, and attempts at each, for every snapshot
--snapshots 6             points of a curve besides the start
--tune PATH=A,B,C         every arm first tries these values on decide tasks, and takes the best;
                          given twice, every combination
--tune-share 0.3          the part of the budget a trial has (default: all of it)
--out DIR                 where everything goes; the same command goes on where it was
--json                    the result for programs
"""
_OWN = (
    "world",
    "seeds",
    "workers",
    "metric",
    "num",
    "attempts",
    "snapshots",
    "tune",
    "tune-share",
    "out",
    "json",
    "help",
)


def compare(out: Console, words: Sequence[str]) -> int:
    """Run it, print the table and the sentences; 1 where an arm failed."""
    from askesis.cli.listing import print_json
    from askesis.lab.compare.compare import compare as run
    from askesis.lab.compare.contest import BUDGETS, Contest, entrants
    from askesis.lab.compare.table import lines

    alone, given = options.split(words)
    worlds = tuple(dict.fromkeys(v for k, v in given if k == "world")) or ("countdown",)
    own, rest = options.take(given, *_OWN)
    if "help" in own or not alone:
        out.print(USAGE, soft_wrap=True)
        return 0 if "help" in own else 2
    budgets = {f"budget.{name.replace('_', '-')}": name for name in BUDGETS}
    budget = {budgets[k]: options.seconds(k, v) for k, v in rest if k in budgets}
    arms, common = entrants(alone, [(k, v) for k, v in rest if k not in budgets])
    contest = Contest(
        arms, worlds, budget, _seeds(own.get("seeds", "5")), common,
        num_tasks=options.whole("num", own.get("num", "1000"), 2),
        num_attempts=options.whole("attempts", own.get("attempts", "4")),
        num_snapshots=options.whole("snapshots", own.get("snapshots", "6")),
        metric=own.get("metric", "pass@1"),
        tune=tuple(_grid(v) for k, v in given if k == "tune"),
        tune_share=options.seconds("tune-share", own.get("tune-share", "1")),
    )  # fmt: skip
    alone_on_the_machine = "seconds" in budget
    workers = options.whole("workers", own["workers"]) if "workers" in own else None
    folder = Path(own.get("out") or Path("runs") / _folder(contest))
    with _progress(out, quiet="json" in own) as follow:
        found = run(
            contest, folder, workers=1 if alone_on_the_machine and workers is None else workers,
            command="askesis compare " + shlex.join(words), on_progress=follow,
        )  # fmt: skip
    if "json" in own:
        print_json(found)
    else:
        for line in lines(found):
            out.print(line, soft_wrap=True)
        out.print(f"\n{folder}: askesis report {folder} writes the page", soft_wrap=True)
    return 1 if found["failed"] else 0


def _seeds(text: str) -> tuple[int, ...]:
    if "," in text:
        return tuple(options.whole("seeds", part.strip(), 0) for part in text.split(",") if part)
    return tuple(range(options.whole("seeds", text)))


def _grid(text: str) -> tuple[str, tuple[str, ...]]:
    path, _, values = text.partition("=")
    return path, tuple(v.strip() for v in values.split(",") if v.strip())


def _folder(contest: Any) -> str:
    worlds = "+".join(
        w.partition("?")[0].replace(":", "-").replace("/", "-") for w in contest.worlds
    )
    return f"compare-{'-'.join(e.name for e in contest.entrants)}-{worlds}"[:100]


@contextmanager
def _progress(out: Console, quiet: bool) -> Iterator[Any]:
    """A bar on a terminal, a line an arm elsewhere."""
    if quiet:
        yield None
        return
    if not out.is_terminal:
        last = [-1]

        def told(p: Any) -> None:
            if p.done + p.failed != last[0] and p.num:
                last[0] = p.done + p.failed
                left = f", {p.left_s / 60:.0f} min left" if p.done else ""
                out.print(f"{p.done} of {p.num} arms{left}", soft_wrap=True)

        yield told
        return
    from rich.live import Live
    from rich.text import Text

    with Live(console=out, refresh_per_second=2, transient=True) as live:

        def show(p: Any) -> None:
            left = f", about {p.left_s / 60:.0f} min left" if p.done else ""
            text = [
                f"{p.done} of {p.num} arms{left}" + (f", {p.failed} failed" if p.failed else "")
            ]
            text += [f"  {name}: {line}" for name, line in p.lines.items()]
            live.update(Text("\n".join(text)))

        yield show
