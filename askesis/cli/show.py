"""Tables on the terminal: a run, an evaluation, a query, a list of what there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from askesis.lab.figures import as_kind, count, duration, number, share, size

# (metric key ending, heading, kind): columns of the table of rounds, where a run has them.
COLUMNS = (
    ("measure/", "train_accuracy", "right", "share"),
    ("measure/", "groups_effective", "effective", "share"),
    ("measure/", "vote_share", "agreement", "share"),
    ("select/", "kept_fraction", "kept", "share"),
    ("learn/", "num_samples", "learnt", "count"),
    ("learn/", "loss", "loss", "number"),
    ("measure/", "pass@1", "pass@1", "share"),
)


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """An unboxed table; columns in `right` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


def interval(estimate: Any) -> str:
    """`24.1 % (22.0 - 26.2)`."""
    if estimate.low == float("-inf"):
        return f"{share(estimate.value)} (interval unknown)"
    return f"{share(estimate.value)} ({100 * estimate.low:.1f} - {100 * estimate.high:.1f})"


def points(estimate: Any) -> str:
    """A difference in percentage points: `+8.1 points (5.9 - 10.3)`."""
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:+.1f} points ({low:+.1f} to {high:+.1f})"


# ---------------------------------------------------------------- a run


def show_run(console: Console, o: Any, num_lines: int = 40) -> None:
    """What `askesis show` prints for an `askesis.lab.overview.Overview`."""
    worlds = ", ".join(o.worlds.values())
    models = ", ".join(dict.fromkeys(o.models.values()))
    console.print(Text(f"{o.recipe} on {worlds}, model {models}, seed {o.seed}", style="bold"))
    done = f"{len(o.lines)} of {o.num_rounds} rounds" if o.num_rounds else f"{len(o.lines)} rounds"
    ended = f": {o.why}" if o.why else ""
    console.print(f"{o.state}{ended}; {done}; {o.path}", highlight=False, soft_wrap=True)
    if o.lines:
        console.print()
        show_rounds(console, o.lines, num_lines)
        say_forecast(console, o)
    if o.lines:
        console.print()
        console.print(metrics_table(o.lines))
    console.print()
    console.print(costs_table(o))
    show_alarms(console, o.alarms)
    for stage, message, times in o.failures:
        again = f" ({times} times)" if times > 1 else ""
        console.print(Text(f"error in {stage}{again}: {message}"[:300], style="red"))
    if o.looks:
        console.print(f"\nclaims, looked at {len(o.looks)} times")
        console.print(looks_table(o.looks))
    if o.next_steps:
        console.print()
        console.print(Text("next", style="dim"))
        for step in o.next_steps:
            console.print(f"  {step}", highlight=False, soft_wrap=True, markup=False)


def say_forecast(console: Console, o: Any) -> None:
    """One line: where it is going, or why that cannot be said."""
    from askesis.lab.forecast import forecast_words
    from askesis.lab.measured_curve import recorder_of

    words = forecast_words(recorder_of(o))
    if words:
        console.print(words, highlight=False, soft_wrap=True)


def show_alarms(console: Console, alarms: Sequence[Any]) -> None:
    """What was raised, what it means and what to do: that only once for each kind."""
    if not alarms:
        return
    console.print(Text(f"\nalarms, raised {count(len(alarms))} times", style="red"))
    for name in dict.fromkeys(a.name for a in alarms):
        mine = [a for a in alarms if a.name == name]
        for alarm in mine[:3]:
            line = Text(f"  {name} after round {alarm.round + 1}", style="red")
            console.print(line.append(f": {visible(alarm.words)}", style="default"), soft_wrap=True)
        if len(mine) > 3:
            rounds = ", ".join(str(a.round + 1) for a in mine[3:23])
            console.print(f"  and after rounds {rounds}", highlight=False, soft_wrap=True)
        for text in (mine[-1].meaning, mine[-1].advice):
            console.print(Text(f"    {visible(text)}"), soft_wrap=True)


def find_metric(metrics: Mapping[str, float], stage: str, ending: str) -> float | None:
    """The first metric of a stage whose key ends so; None where a round has none."""
    for key, value in metrics.items():
        if key == stage + ending or (key.startswith(stage) and key.endswith("/" + ending)):
            return value
    return None


def show_rounds(console: Console, lines: Sequence[Any], num_lines: int = 40) -> None:
    """The table of rounds, with as many columns as the terminal is wide."""
    for left_out in ((), ("kept",), ("kept", "effective"), ("kept", "effective", "loss")):
        made = rounds_table(lines, num_lines, left_out)
        if console.measure(made).maximum <= console.width:
            break
    console.print(made)


def rounds_table(lines: Sequence[Any], num_lines: int = 40, without: Sequence[str] = ()) -> Table:
    """Rounds as rows; the middle is left out where there are more than `num_lines`.

    pass@1 is measured on decide tasks on the way: it decides things and is no claim.
    """
    several = len({line.phase for line in lines}) > 1
    present = [
        column
        for column in COLUMNS
        if column[2] not in without
        and any(find_metric(line.metrics, *column[:2]) is not None for line in lines)
    ]
    names = ["round", *(["phase"] if several else []), "time", "attempts", "tokens"]
    names += [c[2] for c in present] + ["snapshot"]
    made = table(*names, right=[n for n in names if n not in ("phase", "snapshot")])
    left_out = max(0, len(lines) - num_lines)
    head = num_lines // 2 if left_out else len(lines)
    for i, line in enumerate(lines):
        if left_out and i == head:
            made.add_row("...", *[""] * (len(names) - 1))
        if left_out and head <= i < head + left_out:
            continue
        row = [str(line.round + 1), *([line.phase] if several else []), duration(line.total_s)]
        row += [count(line.costs.get("attempts", 0)), count(line.num_tokens)]
        for stage, ending, _, kind in present:
            value = find_metric(line.metrics, stage, ending)
            row.append("" if value is None else as_kind(value, kind))
        row.append(" ".join(line.snapshots) + ("" if line.durable else " (provisional)"))
        made.add_row(*row)
    return made


def metrics_table(lines: Sequence[Any]) -> Table:
    """Every metric with its first and last value; an interval stands beside the last."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for line in lines:
        first = {**line.metrics, **first}
        last |= line.metrics
    made = table("metric", "first", "last", "", right=["first", "last"])
    for key, value in last.items():
        whole, _, end = key.rpartition("/")
        if end in ("low", "high") and whole in last:
            continue
        low, high = last.get(f"{key}/low"), last.get(f"{key}/high")
        span = "" if low is None or high is None else f"({number(low)} - {number(high)})"
        made.add_row(key, number(first[key]), number(value), span)
    return made


def costs_table(o: Any) -> Table:
    """Totals: what was generated, scored and trained, and where the time went."""
    made = table("what it cost", "", right=[""])
    words = {
        "generated/train": "tokens generated for training",
        "generated/judge": "tokens generated by judges",
        "generated/probe": "tokens generated as probes",
        "generated/measure": "tokens generated for measuring",
        "trained": "tokens trained on",
        "updates": "updates of weights",
        "attempts": "attempts",
    }
    for key, value in o.costs.items():
        made.add_row(words.get(key, key.replace("/", " for ")), count(value))
    whole = sum(o.seconds.values()) or 1.0
    for stage, seconds in o.seconds.items():
        made.add_row(f"time in {stage}", f"{duration(seconds)} ({100 * seconds / whole:.0f} %)")
    made.add_row("on disk", size(o.num_bytes))
    made.add_row("errors recorded", count(o.num_errors))
    return made


def looks_table(looks: Sequence[Mapping[str, Any]]) -> Table:
    """Every look at claim tasks. The more looks, the less the best of them is worth."""
    keys = list(
        dict.fromkeys(
            k for look in looks for k in look["metrics"] if k.startswith("pass@") and "/" not in k
        )
    )
    made = table("snapshot", "world", "role", "tasks", *keys, right=["tasks", *keys])
    for look in looks:
        cells = []
        for key in keys:
            value, low = look["metrics"].get(key), look["metrics"].get(f"{key}/low")
            high = look["metrics"].get(f"{key}/high")
            if value is None:
                cells.append("")
            elif low is None or high is None:
                cells.append(share(value))
            else:
                cells.append(f"{share(value)} ({100 * low:.1f} - {100 * high:.1f})")
        made.add_row(
            look["snapshot"], look["world"], look["role"], count(look["num_tasks"]), *cells
        )
    return made


# ---------------------------------------------------------------- evaluations


def evaluation_title(evaluation: Any) -> str:
    """What was asked of all snapshots."""
    first = evaluation.scores[0]
    return (
        f"{len(first.task_scores):,} {first.role} tasks of {first.world}, {first.num_attempts} "
        f"attempts each at temperature {number(first.temperature)} (95 % intervals)"
    )


def evaluation_table(evaluation: Any, ks: Sequence[int]) -> Table:
    """Snapshots as rows, pass@k with intervals as columns."""
    names = ["snapshot", *[f"pass@{k}" for k in ks], "mean length", "cut off"]
    made = table(*names, right=names[1:])
    for scores in evaluation.scores:
        made.add_row(
            scores.snapshot,
            *[interval(scores.pass_at(k)) for k in ks],
            f"{scores.mean_tokens:.1f} tokens",
            share(scores.cut_off_fraction),
        )
    return made


def difference_lines(evaluation: Any, ks: Sequence[int]) -> list[str]:
    """For every k: how much the last snapshot differs from the first, and what that means."""
    if len(evaluation.scores) < 2:
        return []
    first, last = evaluation.scores[0].snapshot, evaluation.scores[-1].snapshot
    return [
        f"pass@{k}: {last} minus {first}: {points(evaluation.difference(k))}, "
        f"{evaluation.verdict(k)}"
        for k in ks
    ]


# ---------------------------------------------------------------- anything else


def arrow_table(found: Any, num_rows: int = 50, width: int = 60) -> Table:
    """An Arrow table, its first rows; long values are shortened."""
    made = table(*found.column_names, right=_numeric(found))
    for row in found.slice(0, num_rows).to_pylist():
        made.add_row(*[Text(cell(v, width)) for v in row.values()])
    return made


def _numeric(found: Any) -> list[str]:
    import pyarrow.types as kinds

    return [f.name for f in found.schema if kinds.is_integer(f.type) or kinds.is_floating(f.type)]


def cell(value: Any, width: int) -> str:
    """One value in one line, control characters made visible."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.hex()
    if isinstance(value, float):
        return number(value)
    text = visible(str(value))
    return text if len(text) <= width else text[: width - 3] + "..."


def visible(text: str) -> str:
    """Text without characters that could move the cursor or colour the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
