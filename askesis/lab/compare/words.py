"""What can be concluded, and what cannot, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from askesis.formulas.crossed import crossed_difference
from askesis.formulas.intervals import Estimate, detectable_difference
from askesis.lab.arm import ArmResult
from askesis.lab.compare.contest import Contest
from askesis.lab.compare.curves import ended, table_at

Results = Mapping[str, Sequence[ArmResult]]
AXIS_WORDS = {
    "tokens": "generated tokens",
    "trained_tokens": "trained tokens",
    "updates": "updates",
    "flops": "arithmetic",
    "seconds": "seconds",
    "core_seconds": "core seconds",
}


def conclusions(contest: Contest, world: str, results: Results) -> list[str]:
    """Sentences about one world: against the start, between arms, and across budgets."""
    on = f"On {world}: " if len(contest.worlds) > 1 else ""
    if len(contest.seeds) < 2:
        return [
            f"{on}one seed was run. What other seeds would give cannot be said from one: every "
            "interval is infinite, and the order of the arms may be luck. Run at least five."
        ]
    mark = common_mark(contest, results, contest.axis)
    tables = {n: table_at(r, contest.axis, mark, contest.metric) for n, r in results.items()}
    order = ranking(tables)
    said = [_against_start(contest, on, name, results[name]) for name in order]
    said.append(_best(contest, on, order, results))
    said += _other_axes(contest, on, order, results)
    if len(contest.seeds) < 5:
        said.append(
            f"{on}{len(contest.seeds)} seeds are few: intervals are wide, and what is not shown "
            "here may still be there."
        )
    return said


def ranking(tables: Mapping[str, np.ndarray]) -> list[str]:
    """Arms, the highest mean first."""
    return sorted(tables, key=lambda name: -float(tables[name].mean()))


def rankings(contest: Contest, results: Results, axes: Sequence[str]) -> dict[str, list[str]]:
    """The order at every budget axis: at the budget on its own, elsewhere at the most that all
    arms have spent."""
    found = {}
    for axis in axes:
        mark = common_mark(contest, results, axis)
        tables = {n: table_at(r, axis, mark, contest.metric) for n, r in results.items()}
        found[axis] = ranking(tables)
    return found


def common_mark(contest: Contest, results: Results, axis: str) -> float:
    """Where arms are read on an axis."""
    if axis in contest.budget:
        return float(contest.budget[axis])
    return min(ended(r, axis) for rs in results.values() for r in rs)


def difference(
    contest: Contest,
    axis: str,
    mark: float,
    first: Sequence[ArmResult],
    second: Sequence[ArmResult],
    confidence: float = 0.95,
) -> Estimate:
    """`second` minus `first` at a mark of an axis, paired by the seeds that both finished."""
    seeds = {r.arm.seed for r in first} & {r.arm.seed for r in second}
    tables = [
        table_at([r for r in some if r.arm.seed in seeds], axis, mark, contest.metric)
        if seeds
        else np.zeros((0, 0))
        for some in (first, second)
    ]
    return crossed_difference(tables[0], tables[1], confidence)


def _against_start(contest: Contest, on: str, name: str, results: Sequence[ArmResult]) -> str:
    end = common_mark(contest, {name: results}, contest.axis)
    start = table_at(results, contest.axis, 0.0, contest.metric)
    d = crossed_difference(start, table_at(results, contest.axis, end, contest.metric))
    figure = f"{_interval(d)} in {contest.metric}"
    if d.low > 0:
        return f"{on}{name} improved on its start by {figure}."
    if d.high < 0:
        return f"{on}{name} got worse than its start: {figure}."
    return f"{on}{name}: no difference from its start shown, {figure}."


def _best(contest: Contest, on: str, order: Sequence[str], results: Results) -> str:
    """The first against all others. Several comparisons at 95 % each err more often together, so
    the winner is only called one against all others at 95 % of what remains (Bonferroni)."""
    best, rest = order[0], order[1:]
    if not rest:
        return f"{on}only {best} was finished: there is nothing to compare it with."
    confidence = 1 - 0.05 / len(rest)
    mark = common_mark(contest, results, contest.axis)
    beaten: list[tuple[str, Estimate]] = []
    open_: list[tuple[str, Estimate]] = []
    for name in rest:
        d = difference(contest, contest.axis, mark, results[name], results[best], confidence)
        (beaten if d.low > 0 else open_).append((name, d))
    said = []
    if beaten:
        told = ", ".join(
            f"{n} (by {_points(d.value)}, at least {_points(d.low)})" for n, d in beaten
        )
        said.append(f"{on}{best} ended above {told}")
    if open_:
        told = ", ".join(f"{n} ({_points(d.value)}, {_seen(d, confidence)})" for n, d in open_)
        begun = (
            f"{on}no difference shown between {best} and "
            if not said
            else "; no difference shown to "
        )
        said.append(f"{begun}{told}")
    return "".join(said) + "."


def _seen(d: Estimate, confidence: float) -> str:
    """The smallest difference that this many seeds and tasks would have shown."""
    half = (d.high - d.low) / 2
    normal = detectable_difference(1.0, confidence, 0.5)
    return f"{_points(detectable_difference(half / normal, confidence))} would have been seen"


def _other_axes(contest: Contest, on: str, order: Sequence[str], results: Results) -> list[str]:
    """A winner that loses where something else is counted."""
    said = []
    for axis in ("core_seconds", "trained_tokens", "tokens"):
        if axis == contest.axis:
            continue
        mark = common_mark(contest, results, axis)
        if mark <= 0:
            continue
        tables = {n: table_at(r, axis, mark, contest.metric) for n, r in results.items()}
        other = ranking(tables)[0]
        if other == order[0]:
            continue
        d = difference(contest, axis, mark, results[order[0]], results[other])
        shown = "" if d.low > 0 else ", but no difference between the two is shown there"
        said.append(
            f"{on}counted in {AXIS_WORDS[axis]} ({mark:,.0f} of them) {other} is ahead of "
            f"{order[0]} by {_interval(d)}{shown}."
        )
    return said


def _interval(d: Estimate) -> str:
    return f"{_points(d.value)} ({100 * d.low:+.1f} to {100 * d.high:+.1f})"


def _points(x: float) -> str:
    return f"{100 * x:+.1f} points" if np.isfinite(x) else "unknown"
