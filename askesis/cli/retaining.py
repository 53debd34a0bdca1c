"""The commands that look back over a whole run: what it forgot, and whether it went too far."""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="the run's directory")]
AsJson = Annotated[bool, typer.Option("--json", help="for programs")]


def forgetting(
    path: RunPath,
    world: Annotated[
        list[str] | None,
        typer.Option(help="a name from the plan's worlds (default: all); can be repeated"),
    ] = None,
    role: Annotated[str, typer.Option(help="claim, decide or train")] = "claim",
    num: Annotated[int, typer.Option(min=2, help="different tasks of every world")] = 256,
    attempts: Annotated[int, typer.Option(min=1, help="attempts at each task")] = 4,
    as_json: AsJson = False,
) -> None:
    """Every world after every phase: what was learnt, kept, lost and carried over."""
    from askesis.cli.listing import print_json
    from askesis.cli.looking import counting
    from askesis.cli.main import console
    from askesis.cli.running import quiet_libraries
    from askesis.lab.forgetting import life

    quiet_libraries()
    out = console()
    with counting(out, quiet=as_json) as on_progress:
        found = life(
            path, tuple(world or ()), role=role, num_tasks=num, num_attempts=attempts,
            on_progress=on_progress,
        )  # fmt: skip
    if as_json:
        print_json(
            {
                "columns": found.worlds, "stages": found.stages, "snapshots": found.snapshots,
                "pass@1": found.matrix.tolist(), **found.figures(),
            }
        )  # fmt: skip
    else:
        show_life(out, found, num, attempts)


def show_life(out: Console, found: Any, num: int, attempts: int) -> None:
    """What the command prints for an `askesis.lab.forgetting.Life`."""
    from askesis.cli.show import interval, points, table

    out.print(
        Text(f"pass@1 after every phase, {num} tasks of every world, {attempts} attempts", "bold")
    )
    made = table("after", "snapshot", *found.worlds)
    for i, stage in enumerate(found.stages):
        cells = [
            interval(found.cell(i, w)) + (" *" if i and found.learnt[i - 1] == w else "")
            for w in range(len(found.worlds))
        ]
        made.add_row(stage, found.snapshots[i], *cells)
    out.print(made)
    out.print("* learnt in this phase; intervals are 95 %, over tasks")
    figures = found.figures()
    for w, name in enumerate(found.worlds):
        change = found.kept(w)
        if change is not None:
            verdict = (
                "forgotten"
                if change.high < 0
                else "grown"
                if change.low > 0
                else "not shown to differ"
            )
            out.print(f"{name}: {points(change)} since it was last learnt: {verdict}")
    for key, words in (
        ("forward_transfer", "forward transfer (learning one world helps those not learnt yet)"),
        ("backward_transfer", "backward transfer (learning one world helps those learnt before)"),
        ("forgetting", "forgetting (best ever less last, mean over worlds)"),
    ):
        if figures[key] is not None:
            out.print(f"{words}: {figures[key]:+.3f}")


def drift(
    path: RunPath,
    truth: Annotated[
        str, typer.Option(help="the metric that is really wanted (default: measure/pass@1)")
    ] = "",
    proxy: Annotated[
        str, typer.Option(help="the metric that is learnt from (default: select/reward)")
    ] = "",
    form: Annotated[str, typer.Option(help="log: policies that learn; square: best of n")] = "log",
    as_json: AsJson = False,
) -> None:
    """What was optimised against what was wanted, over the distance from the first model."""
    from askesis.cli.listing import print_json
    from askesis.cli.main import console
    from askesis.errors import RunError
    from askesis.lab.overoptimisation import DISTANCE, over_optimisation
    from askesis.store.run_store import RunStore

    keys = {k: v for k, v in (("truth", truth), ("proxy", proxy)) if v}
    with RunStore.open(path) as store:
        found = over_optimisation(store, form, **keys)
    if not found.points:
        raise RunError(
            f"{path} did not measure how far it went",
            expected=f"the metrics {DISTANCE} and {keys.get('truth', 'measure/pass@1')}",
            hint="put Drift() beside Ability() in the measures of the recipe's phase",
        )
    if as_json:
        plain = asdict(found) | {"past_peak": found.past_peak, "sentence": found.sentence()}
        print_json(_finite(plain))
    else:
        show_drift(console(), found)


def show_drift(out: Console, found: Any) -> None:
    """What the command prints for an `askesis.lab.overoptimisation.OverOptimisation`."""
    from askesis.cli.show import table

    columns = ("round", "sqrt(KL to base)", "learnt from", "wanted", "wanted, by the law")
    made = table(*columns, right=columns)
    for p in found.points:
        law = found.truth.at(p.distance)
        made.add_row(
            str(p.round + 1), f"{p.distance:.2f}", _number(p.proxy), _number(p.truth), _number(law)
        )
    out.print(made)
    out.print(Text(found.sentence(), "bold"))


def _number(value: float) -> str:
    return f"{value:.3f}" if isfinite(value) else "-"


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value
