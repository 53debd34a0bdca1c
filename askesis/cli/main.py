"""The command `askesis`. Every command is a few lines: what it does lives in `askesis.lab`.

Nothing heavy is imported before a command needs it, so `askesis recipes` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from askesis.cli import diagnosing, failures, forecasting, options, retaining, trees
from askesis.cli.listing import list_engines, list_rows, print_json
from askesis.errors import AskesisError, ConfigError, nearest

# Threads that wait for each other must sleep, not spin: on a busy machine spinning costs a factor
# of ten. Read once, when torch is first imported, so it is set before any command runs.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="askesis",
    help="A model improves its own weights from its own experience, round after round.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
check_app = typer.Typer(help="Check that something is what it says it is.", no_args_is_help=True)
app.add_typer(check_app, name="check")

FREE = {  # commands whose options a recipe decides
    "ignore_unknown_options": True,
    "allow_extra_args": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
Words = Annotated[list[str] | None, typer.Argument(metavar="RECIPE [--OPTION VALUE]...")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="the run's directory")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]


def console() -> Console:
    """The terminal as it is now (tests and pipes replace stdout). Text is never read as markup."""
    plain: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
    made = Console(**plain)
    return made if made.is_terminal else Console(width=160, **plain)


# ---------------------------------------------------------------- running


@app.command(context_settings=FREE, add_help_option=False)
def run(words: Words = None) -> None:
    """Run a recipe: askesis run star --world countdown --rounds 8 --seed 1.

    Any field of the recipe's parts is an option by its dotted path; `askesis run RECIPE --help`
    lists them with their defaults. --out DIR says where, --dry-run what it would cost.
    """
    from askesis.cli import running

    alone, given = options.split(words or [])
    own, rest = options.take(given, "out", "dry-run", "help", "plain", "segment-s", "track")
    if not alone:
        raise typer.Exit(running.help_without_recipe(console(), "help" in own))
    if len(alone) > 1:
        raise ConfigError(
            "run takes one recipe",
            found=" ".join(alone),
            hint=f"options begin with two dashes: askesis run {alone[0]} --option value",
        )
    if "help" in own:
        running.show_options(console(), alone[0], rest)
    elif "dry-run" in own:
        running.dry_run(console(), alone[0], rest)
    else:
        running.run(
            console(), alone[0], rest, out_dir=own.get("out"), plain="plain" in own,
            segment_s=options.seconds("segment-s", own.get("segment-s", "60")),
            track=own.get("track", ""),
        )  # fmt: skip


@app.command()
def resume(
    path: RunPath,
    plain: Annotated[bool, typer.Option(help="one line a round, no live panel")] = False,
    track: Annotated[str, typer.Option(help="tensorboard, wandb or mlflow, as in run")] = "",
) -> None:
    """Continue a run that was interrupted, from its last commit, to the same bits."""
    from askesis.cli import running

    running.resume(console(), path, plain, track)


@app.command(context_settings=FREE, add_help_option=False)
def fork(
    words: Annotated[list[str] | None, typer.Argument(metavar="RUN --at ROUND")] = None,
) -> None:
    """Begin a run that differs from another one from a round on, and run it.

    askesis fork RUN --at 5 --set learn.policy.learning-rate=3e-4 [--out DIR] [--no-run]
    """
    from askesis.cli import running

    alone, given = options.split(words or [])
    own, rest = options.take(given, "at", "out", "no-run", "plain", "track", "help")
    if "help" in own or len(alone) != 1 or "at" not in own:
        text = "askesis fork RUN --at ROUND [--set PATH=VALUE]... [--out DIR] [--no-run]"
        if "help" in own:
            console().print(f"{text}\n\n{fork.__doc__}")
            return
        raise ConfigError("fork needs a run and a round", expected=text)
    running.fork(
        console(), Path(alone[0]), options.whole("at", own["at"], 0), rest, own.get("out"),
        go_on="no-run" not in own, plain="plain" in own, track=own.get("track", ""),
    )  # fmt: skip


@app.command(context_settings=FREE, add_help_option=False)
def compare(
    words: Annotated[list[str] | None, typer.Argument(metavar="ARM ARM...")] = None,
) -> None:
    """Compare recipes at equal budget, over seeds, on tasks no run has seen.

    askesis compare rft grpo --world countdown --budget.tokens 1e6 --seeds 5
    """
    from askesis.cli import comparing

    raise typer.Exit(comparing.compare(console(), words or []))


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="another seed, other tasks and noise")] = 0,
    out: Annotated[Path | None, typer.Option(help="where the run goes")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="time for the rounds themselves (default: see lab/demo.py)")
    ] = None,
    plain: Annotated[bool, typer.Option(help="one line a round, no live panel")] = False,
) -> None:
    """See it happen: a tiny model improves itself, in minutes, on two cores."""
    from askesis.cli import demonstration

    demonstration.demo(console(), seed=seed, out_dir=out, seconds=seconds, plain=plain)


# ---------------------------------------------------------------- looking


@app.command()
def show(
    path: RunPath,
    rounds: Annotated[int, typer.Option(min=2, help="lines in the table of rounds")] = 40,
    as_json: AsJson = False,
) -> None:
    """A run at a glance: rounds, costs, errors, and what to do next."""
    from askesis.lab.overview import overview

    found = overview(path)
    if as_json:
        print_json(asdict(found))
        return
    from askesis.cli.show import show_run

    show_run(console(), found, rounds)


app.command()(forecasting.forecast)
app.command()(diagnosing.diagnose)
app.command()(retaining.forgetting)
app.command()(retaining.drift)
app.command()(trees.tree)


@app.command()
def audit(
    path: RunPath,
    judge: Annotated[str, typer.Option(help="whose verdicts (default: the last that knew)")] = "",
    passing: Annotated[float, typer.Option(help="a value of at least this is a pass")] = 0.5,
    attempts: Annotated[int, typer.Option(min=1, help="attempts looked at in a round")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Hold a run's judge against the truth: false passes, false fails, calibration."""
    from askesis.cli import auditing

    auditing.audit(
        console(), path, judge=judge, passing=passing, attempts=attempts, as_json=as_json
    )


@app.command()
def report(
    path: Annotated[
        Path, typer.Argument(metavar="RUN_OR_COMPARISON", help="the directory of either")
    ],
    to: Annotated[
        Path | None,
        typer.Option(help="the file (default: RUN/report.html, COMPARISON/compare.html)"),
    ] = None,
) -> None:
    """One self-contained HTML page: did it improve, what it did, what the model said."""
    from askesis.web.report import write_report

    console().print(f"the page is at {write_report(path, to)}", soft_wrap=True)


@app.command()
def query(
    path: RunPath,
    sql: Annotated[str, typer.Argument(metavar="SQL", help='"select ..."; "show tables" lists')],
    rows: Annotated[int, typer.Option(min=1, help="rows to print")] = 50,
    as_json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help="all rows, as CSV")] = False,
) -> None:
    """Ask a run in SQL: attempts, verdicts, samples, tasks, rounds, metrics, costs, errors, ..."""
    from askesis.store.run_store import RunStore

    with RunStore.open(path, check=False) as store:
        found = store.query(sql)
    if csv:
        import csv as csv_module

        writer = csv_module.writer(sys.stdout)
        writer.writerow(found.column_names)
        writer.writerows(row.values() for row in found.to_pylist())
    elif as_json:
        print_json(found.to_pylist())
    else:
        from askesis.cli.show import arrow_table

        console().print(arrow_table(found, rows))
        if found.num_rows > rows:
            console().print(f"... {found.num_rows - rows:,} more rows (--rows, --csv or --json)")


@app.command("eval")
def evaluate(
    path: RunPath,
    world: Annotated[str, typer.Option(help="a world (default: the run's own)")] = "",
    role: Annotated[str, typer.Option(help="claim, decide or train")] = "claim",
    snapshot: Annotated[
        list[str] | None, typer.Option(help="first, last, best, policy@3; can be repeated")
    ] = None,
    num: Annotated[int, typer.Option(min=1, help="different tasks")] = 1000,
    attempts: Annotated[int, typer.Option(min=1, help="attempts at each task")] = 8,
    temperature: Annotated[float, typer.Option(min=0.0)] = 1.0,
    engine: Annotated[str, typer.Option(help="an engine (default: the run's own)")] = "",
    as_json: AsJson = False,
) -> None:
    """What kept snapshots can do on tasks the run never saw; every look is noted."""
    from askesis.cli import looking

    looking.evaluate(
        console(), path, world=world, role=role, snapshots=snapshot or ["first", "last"],
        num=num, attempts=attempts, temperature=temperature, engine=engine, as_json=as_json,
    )  # fmt: skip


@app.command("try")
def try_out(
    path: RunPath,
    task: Annotated[bool, typer.Option("--task", help="prompts from the run's world")] = False,
    num: Annotated[int, typer.Option(min=1, help="how many, with --task")] = 5,
    before: Annotated[str, typer.Option(help="a snapshot")] = "first",
    after: Annotated[str, typer.Option(help="another one")] = "last",
    temperature: Annotated[float, typer.Option(min=0.0, help="0: the likeliest answer")] = 0.0,
    seed: Annotated[int, typer.Option(help="other tasks and noise")] = 0,
) -> None:
    """Talk to it: the same prompt before and after, side by side."""
    from askesis.cli import looking

    looking.try_out(
        console(), path, task=task, num=num, before=before, after=after,
        temperature=temperature, seed=seed,
    )  # fmt: skip


@app.command()
def export(
    path: RunPath,
    to: Annotated[Path, typer.Option(help="a directory that does not exist yet")],
    snapshot: Annotated[str, typer.Option(help="first, last, best, policy@3")] = "last",
) -> None:
    """A Hugging Face checkpoint, and the self-made data as a Hugging Face dataset."""
    from askesis.lab.export import export as export_run

    made = export_run(path, to, snapshot=snapshot)
    out = console()
    out.print(f"checkpoint of {made.snapshot}: {made.model}", soft_wrap=True)
    out.print(
        f"data: {made.data} ({made.num_samples:,} samples learnt from, "
        f"{made.num_attempts:,} attempts)", soft_wrap=True,
    )  # fmt: skip
    if (made.model / "config.json").exists():
        out.print(f'AutoModelForCausalLM.from_pretrained("{made.model}")', soft_wrap=True)
    out.print(f'datasets.load_dataset("{made.data}", "samples")', soft_wrap=True)


@app.command()
def gc(
    path: RunPath,
    keep: Annotated[list[str] | None, typer.Option(help="also keep this snapshot")] = None,
    training_states: Annotated[
        bool, typer.Option(help="also drop what only forks of early rounds need")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
) -> None:
    """Delete weights that no rule keeps (first, last two, best, evaluated ones stay)."""
    from askesis.lab.figures import size
    from askesis.lab.tidy import tidy

    gone, freed = tidy(path, keep or (), training_states=training_states, dry=dry_run)
    for name in gone:
        console().print(f"  {name}")
    verb = "would go" if dry_run else "are gone"
    console().print(f"{len(gone)} directories {verb}, {size(freed)}")


# ---------------------------------------------------------------- what there is


@app.command()
def recipes(as_json: AsJson = False) -> None:
    """The published methods there are."""
    from askesis.registry import RECIPES

    list_rows(console(), RECIPES, "recipe", as_json)


@app.command()
def worlds(as_json: AsJson = False) -> None:
    """The families of problems there are."""
    from askesis.worlds.table import WORLDS

    list_rows(console(), WORLDS, "world", as_json)


@app.command()
def engines(as_json: AsJson = False) -> None:
    """The ways in which tokens come out of a model, and which of them this machine has."""
    from askesis.engines.table import ENGINES

    list_engines(console(), ENGINES, as_json)


@app.command()
def parts(as_json: AsJson = False) -> None:
    """The parts that recipes are made of."""
    from askesis.registry import PARTS

    list_rows(console(), PARTS, "part", as_json)


@check_app.command("worlds")
def check_worlds(
    names: Annotated[list[str] | None, typer.Argument(metavar="[WORLD]...")] = None,
    seed: int = 0,
    num: Annotated[int, typer.Option(min=1, help="tasks a check")] = 200,
) -> None:
    """Without any model: gold scores 1, corrupted answers 0, the knob works, roles are apart."""
    from askesis.cli import checking

    raise typer.Exit(checking.check_worlds(console(), names or [], seed, num))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """The machine, versions, optional extras, the cache, and one second of sampling."""
    from askesis.lab.doctor import examine

    found = examine()
    if as_json:
        print_json([vars(f) for f in found])
    else:
        from askesis.cli.show import table

        made = table("", "", "")
        for f in found:
            made.add_row({"ok": "ok", "note": "note", "bad": "BAD"}[f.verdict], f.what, f.found)
        console().print(made)
    raise typer.Exit(1 if any(f.verdict == "bad" for f in found) else 0)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[
        bool, typer.Option("--version", help="the version, and nothing else")
    ] = False,
) -> None:
    """A model improves its own weights from its own experience, round after round."""
    if version:
        import askesis

        print(askesis.__version__)
        raise typer.Exit


def main(words: Sequence[str] | None = None) -> int:
    """The entry point; returns the exit code."""
    return failures.guarded(lambda: _main(list(sys.argv[1:] if words is None else words)))


def _main(words: list[str]) -> int:
    try:
        found = app(args=words, prog_name="askesis", standalone_mode=False)
    except typer.Exit as stop:
        if stop.exit_code == failures.INTERRUPTED:
            raise failures.Interrupted from stop
        return int(stop.exit_code)
    except typer.Abort as stop:
        raise failures.Interrupted from stop
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return failures.USER  # the help has been printed
        raise _usage(error) from error
    return int(found or 0)


# Typer has its own copy of click in some versions; whichever it is, a bad parameter is one.
UsageError: Any = typer.BadParameter.__mro__[1]


def _usage(error: Any) -> AskesisError:
    """A complaint about what was typed as one line, with the nearest name and what to type."""
    where = error.ctx.command_path if error.ctx is not None else "askesis"
    message = error.format_message().rstrip(".")
    known = _known(error)
    quoted = getattr(error, "option_name", None) or message.rpartition(" ")[2].strip("'\"")
    hint = f"{nearest(quoted, known)} " if known else ""
    return ConfigError(message.split(". ")[0].split(" (")[0], hint=f"{hint}See {where} --help")


def _known(error: Any) -> list[str]:
    """The names that would have been right, where a name was wrong."""
    if error.ctx is None:
        return []
    if type(error).__name__ == "NoSuchOption":
        return [o for p in error.ctx.command.params for o in p.opts if o.startswith("--")]
    if "No such command" in str(error):
        return list(getattr(error.ctx.command, "commands", {}))
    return []


if __name__ == "__main__":
    sys.exit(main())
