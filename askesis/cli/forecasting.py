"""The command `askesis forecast`: where a run is going, and whether going on is worth it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text


def forecast(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="the run's directory")],
    metric: Annotated[
        str, typer.Option(help="a figure of the run, such as pass@1 (default: the usual one)")
    ] = "",
    to: Annotated[
        str, typer.Option(help='"40 rounds" or "2e6 tokens" (default: the end of its plan)')
    ] = "",
    smallest_effect: Annotated[
        float | None,
        typer.Option(min=0.0, help="gains below it are not worth having (default: 0.02)"),
    ] = None,
    price: Annotated[
        float | None, typer.Option(help="the gain that a million tokens must bring, 0.01: a point")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Where the curve is going, when it stops being worth it, and how sure that is."""
    from askesis.cli.listing import print_json
    from askesis.cli.main import console
    from askesis.lab.forecast import forecast_run

    found = forecast_run(path, metric, to, smallest_effect=smallest_effect, price=price)
    if as_json:
        print_json(found.plain())
    else:
        show_forecast(console(), found)


def show_forecast(out: Console, found: Any) -> None:
    """What the command prints for an `askesis.lab.forecast.Forecast`."""
    from askesis.cli.show import table
    from askesis.lab.figures import count, number, share

    curve = found.curve
    is_share = curve.bounds == (0.0, 1.0)
    shown = share if is_share else number
    by_tokens = curve.axis == "tokens"

    def size(gain: float) -> str:
        return f"{100 * gain:+.1f} points" if is_share else f"{gain:+.3g}"

    out.print(
        Text(
            f"{curve.metric}, measured {len(curve.y)} times over {len(curve.spent)} rounds", "bold"
        )
    )
    made = table("", "round", *(["tokens"] if by_tokens else []), "expected", "80 %", "95 %",
                 "a measurement, 95 %", right=("round", "tokens"))  # fmt: skip
    end_name = "at the end" if found.is_planned else "after as much again"
    for name, step in (("now", found.now), (end_name, found.end)):
        made.add_row(
            name, f"{step.round:.0f}", *([count(step.x)] if by_tokens else []), shown(step.value),
            f"{shown(step.low_80)} to {shown(step.high_80)}",
            f"{shown(step.low)} to {shown(step.high)}",
            f"{shown(step.measured_low)} to {shown(step.measured_high)}",
        )  # fmt: skip
    out.print(made)
    out.print(
        f"further gain: {size(found.gain.value)} ({size(found.gain.low)} to "
        f"{size(found.gain.high)}); at least {size(found.smallest_effect)} with a probability of "
        f"{100 * found.chance_of_gain:.0f} %",
        soft_wrap=True,
    )
    if found.stop_round is None:
        out.print(f"no plateau before round {found.end.round:.0f} is expected")
    else:
        out.print(
            f"from round {found.stop_round} on, all that is left is expected to bring less than "
            f"{size(found.smallest_effect)}",
            soft_wrap=True,
        )
    unit = "a million tokens" if by_tokens else "a round"
    line = f"the next round: {size(found.next_gain)}"
    line += f" for {count(found.next_cost)} tokens" if by_tokens else ""
    line += f", {size(found.gain_per_million)} for {unit}" if by_tokens else ""
    if found.is_worth_it is not None:
        verdict = "worth" if found.is_worth_it else "not worth"
        line += f": {verdict} the price of {size(found.price)} for {unit}"
    out.print(line, soft_wrap=True)
    believed = [f"{k} {100 * v:.0f} %" for k, v in found.families.items() if v >= 0.01]
    out.print("shapes: " + ", ".join(believed), soft_wrap=True)
    if found.asymptote is not None:
        out.print(f"the sequential power law (for comparison) tends to {shown(found.asymptote)}")
