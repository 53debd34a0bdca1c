"""The commands that look at what a run became: scores with intervals, and talking to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from askesis.cli.running import quiet_libraries


def evaluate(
    out: Console,
    path: Path,
    *,
    world: str,
    role: str,
    snapshots: list[str],
    num: int,
    attempts: int,
    temperature: float,
    engine: str,
    as_json: bool,
) -> None:
    """Score snapshots and print them with intervals."""
    from askesis.lab.evaluate import evaluate as score
    from askesis.lab.evaluate import shown_k

    quiet_libraries()
    with counting(out, quiet=as_json) as on_progress:
        found = score(
            path, snapshots=snapshots, world=world, role=role, num_tasks=num,
            num_attempts=attempts, temperature=temperature, engine=engine, on_progress=on_progress,
        )  # fmt: skip
    ks = shown_k(attempts)
    if as_json:
        from askesis.cli.listing import print_json

        differences = {
            f"pass@{k}": {
                "value": found.difference(k).value,
                "low": found.difference(k).low,
                "high": found.difference(k).high,
                "verdict": found.verdict(k),
            }
            for k in ks
            if len(found.scores) > 1
        }
        plain = [{"snapshot": s.snapshot, "world": s.world, "role": s.role, **s.plain()}
                 for s in found.scores]  # fmt: skip
        print_json({"scores": plain, "difference": differences})
        return
    from askesis.cli.show import difference_lines, evaluation_table, evaluation_title
    from askesis.lab.overview import overview

    out.print(evaluation_title(found), soft_wrap=True)
    out.print(evaluation_table(found, ks))
    for line in difference_lines(found, ks):
        out.print(line, soft_wrap=True)
    looks = len([x for x in overview(path).looks if x["role"] == role])
    out.print(f"{role} tasks of this run have been looked at {looks} times")


@contextmanager
def counting(out: Console, quiet: bool = False) -> Iterator[Any]:
    """A progress bar over (what, done, all) reports; nothing where nobody would see it."""
    if quiet or not out.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=out, transient=True)  # started late: a panel may come first
    known: dict[str, Any] = {}

    def on_progress(what: str, done: int, all_: int) -> None:
        bar.start()
        if what not in known:
            known[what] = bar.add_task(what, total=all_)
        bar.update(known[what], completed=done)

    try:
        yield on_progress
    finally:
        bar.stop()


def try_out(
    out: Console,
    path: Path,
    *,
    task: bool,
    num: int,
    before: str,
    after: str,
    temperature: float,
    seed: int,
) -> None:
    """The same prompts to two snapshots, side by side."""
    from askesis.cli.show import visible
    from askesis.lab.try_out import Pair

    quiet_libraries()
    with Pair(path, before, after, temperature=temperature, seed=seed) as pair:
        if task:
            for given, left, right in pair.on_tasks(num):
                print_pair(out, pair.names, visible(given.prompt), left, right)
            return
        if sys.stdin.isatty():
            out.print(
                f"{pair.names[0]} against {pair.names[1]}. Prompts look like this: "
                f"{visible(pair.example())}\nType one, or nothing to end.",
                soft_wrap=True,
            )  # fmt: skip
        while True:
            try:
                prompt = input("> " if sys.stdin.isatty() else "")
            except EOFError:
                break
            if not prompt.strip():
                if sys.stdin.isatty():
                    break
                continue
            print_pair(out, pair.names, visible(prompt), *pair.on_prompt(prompt))


def print_pair(out: Console, names: Sequence[str], prompt: str, left: Any, right: Any) -> None:
    """One prompt and two answers."""
    from rich.table import Table
    from rich.text import Text

    out.print(Text(f"> {prompt}", style="bold"))
    made = Table(show_lines=False, expand=False)
    for name, answer in zip(names, (left, right), strict=True):
        made.add_column(f"{name}  {answer.mark}", overflow="fold", ratio=1)
    made.add_row(Text(left.shown), Text(right.shown))
    out.print(made)
