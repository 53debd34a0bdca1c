"""The commands around a run: begin, resume, fork, evaluate, talk to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from askesis.cli.failures import Interrupted
from askesis.cli.options import Option, defaults, directory_name
from askesis.errors import RunError

DIRECTORY = Path("runs")


# ---------------------------------------------------------------- what a recipe offers


def help_without_recipe(out: Console, asked: bool) -> int:
    """`askesis run` and `askesis run --help`: how to go on."""
    from askesis.registry import RECIPES

    names = ", ".join(RECIPES)
    out.print(
        "askesis run RECIPE [--world W] [--rounds N] [--seed S] [--out DIR] [--dry-run] "
        "[--plain] [--segment-s S] [--track TRACKER] [--any.dotted-path VALUE]... "
        "[--set path=value]...\n\n"
        f"Recipes: {names}, or my_file.py:my_recipe\n"
        "askesis run RECIPE --help lists a recipe's own options with their defaults.",
        soft_wrap=True,
    )
    return 0 if asked else 2


def show_options(out: Console, recipe: str, given: Sequence[Option]) -> None:
    """Every option of a recipe with its default (or with the value given beside --help)."""
    from askesis.cli.show import table
    from askesis.lab.begin import plan_for
    from askesis.registry import look_up

    function = look_up("recipe", recipe)
    plan = plan_for(recipe, given)
    doc = (getattr(function, "__doc__", "") or "").strip()
    out.print(f"askesis run {recipe} [--option value]...\n\n{doc}\n")
    made = table("option", "default")
    for path, value in defaults(plan, function):
        made.add_row(f"--{path}", value)
    out.print(made)
    out.print("\n--out DIR, --dry-run, --plain, --segment-s S: where, what it costs, how it shows,")
    out.print("and after how many seconds the next round is made durable.")
    out.print("--track tensorboard, wandb or mlflow: where metrics go besides the run directory.")


def dry_run(out: Console, recipe: str, given: Sequence[Option]) -> None:
    """Time, tokens, memory and disk a run would take."""
    from askesis.cli.show import table
    from askesis.lab.begin import plan_for
    from askesis.lab.estimate import estimate

    plan = plan_for(recipe, given)
    quiet_libraries()
    with out.status("measuring this machine for a few seconds"):
        found = estimate(plan)
    made = table("expected", "", "because")
    for row in found.rows():
        made.add_row(*row)
    out.print(made)
    for line in found.notes:
        out.print(line, soft_wrap=True)


# ---------------------------------------------------------------- running


def run(
    out: Console,
    recipe: str,
    given: Sequence[Option],
    *,
    out_dir: str | None = None,
    plain: bool = False,
    segment_s: float = 60.0,
    track: str = "",
) -> None:
    """Begin a run and see it through; `track` names trackers, with commas between them."""
    from askesis.lab.begin import plan_for

    plan = plan_for(recipe, given)
    path = Path(out_dir) if out_dir else DIRECTORY / directory_name(plan, recipe)
    refuse_used(path)
    say = _sayer(out)
    trackers = _trackers(track, say)

    def begin(watchers: list[Any]) -> Any:
        from askesis.lab import begin as lab

        return lab.begin(plan, path, [*watchers, *trackers], say, segment_s=segment_s)

    see_through(out, path, begin, plain=plain)


def resume(out: Console, path: Path, plain: bool = False, track: str = "") -> None:
    """Continue a run; `track` names trackers, with commas between them."""
    say = _sayer(out)
    trackers = _trackers(track, say)

    def begin(watchers: list[Any]) -> Any:
        from askesis.lab import begin as lab

        return lab.resume(path, [*watchers, *trackers], say)

    _is_run(path)
    see_through(out, path, begin, plain=plain)


def fork(
    out: Console,
    path: Path,
    at: int,
    changes: Sequence[Option],
    to: str | None,
    *,
    go_on: bool,
    plain: bool,
    track: str = "",
) -> None:
    """Begin a run that differs from another from a round on; run it unless told not to."""
    from askesis.lab.fork import fork as fork_run

    target = Path(to) if to else free_name(path.with_name(f"{path.name}-at{at}"))
    changed = fork_run(path, at, target, changes)
    out.print(f"{target} begins with rounds 1 to {at} of {path}", soft_wrap=True)
    for line in changed:
        out.print(f"  {line}", soft_wrap=True)
    if go_on:
        resume(out, target, plain, track)
    else:
        out.print(f"askesis resume {target} runs it", soft_wrap=True)


def see_through(
    out: Console, path: Path, begin: Callable[[list[Any]], Any], *, plain: bool = False
) -> str:
    """Begin, improve, close; the last words. Ctrl-C leaves a run that can be resumed."""
    from askesis.cli.display import open_display

    quiet_libraries()
    display = open_display(out, f"askesis {path}", plain)
    with stoppable(path):
        made = begin([display])
        try:
            ended = made.stopped
            if made.position.phase >= len(made.plan.phases):
                ended = ended or "the plan is done"
            if ended:
                total = made.position.total
                out.print(
                    f"{path} is already at its end ({ended}); to go on: askesis fork {path} "
                    f"--at {total} --set rounds={2 * total}", soft_wrap=True,
                )  # fmt: skip
                return str(ended)
            reason = made.improve()
        finally:
            getattr(display, "stop", lambda: None)()
            made.close()
    last_words(out, path, reason)
    return str(reason)


@contextmanager
def stoppable(path: Path) -> Iterator[None]:
    """Ctrl-C inside becomes one line that says what is safe and what to type."""
    try:
        yield
    except KeyboardInterrupt:
        if not (path / "ledger.sqlite").exists():
            raise Interrupted("stopped before the run began; nothing is lost") from None
        raise Interrupted(
            f"stopped; the run is safe up to its last commit. Go on with: askesis resume {path}"
        ) from None


def quiet_libraries() -> None:
    """No progress bars but our own: transformers draws one even for a model of a megabyte."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def last_words(out: Console, path: Path, reason: str) -> None:
    """The table of rounds and what to type next."""
    from askesis.cli.show import show_rounds
    from askesis.lab.overview import overview

    found = overview(path)
    out.print(f"{reason}: {path}", soft_wrap=True)
    if found.lines:
        show_rounds(out, found.lines, 12)
    for step in found.next_steps[:3]:
        out.print(f"  {step}", soft_wrap=True)


def refuse_used(path: Path) -> None:
    """Raise RunError at once, before any model is made, where a run cannot begin."""
    hint = "choose another directory with --out DIR"
    if path.exists() and not path.is_dir():
        raise RunError(f"{path} is a file", expected="a directory", hint=hint)
    if (path / "ledger.sqlite").exists():
        raise RunError(
            f"{path} already holds a run",
            hint=f"askesis resume {path} continues it; --out DIR begins another beside it",
        )
    if path.is_dir() and any(
        p.name not in ("lock", "aside", "config.json") for p in path.iterdir()
    ):
        raise RunError(f"{path} is already in use", expected="an empty directory", hint=hint)


def free_name(path: Path) -> Path:
    """`path`, or the first of `path-2`, `path-3`, ... that is free."""
    number, found = 1, path
    while found.exists():
        number += 1
        found = path.with_name(f"{path.name}-{number}")
    return found


def _trackers(names: str, say: Callable[[str], None]) -> list[Any]:
    """Trackers by name; a wrong name or a missing library is told before any model is made."""
    if not names:
        return []
    from askesis.lab.trackers import open_trackers

    return list(open_trackers(names, say))


def _is_run(path: Path) -> None:
    from askesis.store.run_store import RunStore

    RunStore.open(path, check=False).close()


def _sayer(out: Console) -> Callable[[str], None]:
    return lambda message: out.print(message, soft_wrap=True)
