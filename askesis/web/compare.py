"""The page about a comparison: what can be concluded, and the figures behind it.

`askesis report COMPARISON` writes it from compare.json (`askesis.lab.compare.record`) and nothing
else. Every arm has one colour on the whole page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from askesis.lab.compare.record import AXES, Comparison, Score, read_comparison
from askesis.lab.figures import count, duration
from askesis.web.charts import NUM_COLORS, chart, is_share, line, points, upright
from askesis.web.page import render_page, write_page

AXIS_NAMES = {
    "tokens": "tokens generated",
    "trained_tokens": "tokens trained on",
    "updates": "updates",
    "flops": "floating-point operations",
    "seconds": "seconds",
    "core_seconds": "core seconds",
}
COST_NAMES = AXIS_NAMES
DASHES = ("solid", "dash", "dot", "dashdot")  # a second set of colours differs by its dashes
Chart = dict[str, Any]


def write_comparison(path: Path, to: Path | None = None) -> Path:
    """Write the page about a comparison (default: COMPARISON/compare.html)."""
    page = render(read_comparison(path), path)
    return write_page(page, to or path / "compare.html")


def render(c: Comparison, path: Path) -> str:
    """The page as text."""
    metrics = c.metrics or [c.metric]
    groups: dict[str, list[Chart]] = {
        "curves": curve_charts(c),
        "budget": budget_charts(c, metrics),
        "improvement": improvement_charts(c),
        "profile": profile_charts(c),
        "worth": worth_charts(c),
    }
    charts: list[Chart] = []
    places: dict[str, list[tuple[int, str]]] = {}
    for name, made in groups.items():
        places[name] = [(len(charts) + i, m["title"]) for i, m in enumerate(made)]
        charts += made
    return render_page(
        "compare.html.j2",
        {
            "c": c,
            "path": path,
            "charts": charts,
            "axes": {"round": [0]},
            "groups": places,
            "metrics": metrics,
            "axis_names": {k: AXIS_NAMES.get(k, k) for k in _axes(c)},
            "tables": {m: _table(c, m) for m in metrics},
            "notices": notices(c),
            "costs": _costs(c),
            "cost_names": COST_NAMES,
            "reversals": reversals(c),
            "colors": {arm: i % NUM_COLORS for i, arm in enumerate(c.arms)},
            "budget_words": budget_words(c.budget),
        },
    )


def _axes(c: Comparison) -> list[str]:
    """The axes that any curve has, those that everybody knows first."""
    had = {a for arms in c.curves.values() for per_axis in arms.values() for a in per_axis}
    return [a for a in AXES if a in had] + sorted(had - set(AXES))


def _look(c: Comparison, arm: str) -> tuple[int, str]:
    """Colour and dash of an arm."""
    i = c.arms.index(arm) if arm in c.arms else len(c.arms)
    return i, DASHES[i // NUM_COLORS % len(DASHES)]


def _opacity(c: Comparison) -> float:
    """Bands of many arms lie on each other, so they are paler."""
    return 0.18 if len(c.arms) <= 3 else 0.09


# ---------------------------------------------------------------- charts


def curve_charts(c: Comparison) -> list[Chart]:
    """One chart a world: mean over seeds with its band, against the axis that is chosen."""
    percent = is_share(c.metric)
    found = []
    for world in c.worlds:
        arms = c.curves.get(world, {})
        views = {axis: _curve_view(c, world, arms, axis, percent) for axis in _axes(c)}
        found.append({"title": f"{c.metric} on {world}", "switch": "axis", "views": views})
    return found if _axes(c) else []


def _curve_view(
    c: Comparison, world: str, arms: Mapping[str, Any], axis: str, percent: bool
) -> Chart:
    traces = []
    for arm in c.arms:
        at = arms.get(arm, {}).get(axis, [])
        if not at:
            continue
        index, dash = _look(c, arm)
        bands = all(p.low is not None and p.high is not None for p in at)
        traces += line(
            arm, [p.x for p in at], [p.value for p in at],
            [p.low for p in at] if bands else (), [p.high for p in at] if bands else (),
            index=index, percent=percent, what=AXIS_NAMES.get(axis, axis), dash=dash,
            opacity=_opacity(c),
        )  # fmt: skip
    shapes = []
    if axis in c.budget:
        shapes.append(upright(c.budget[axis], "@soft", "dash"))
    start = c.start.get(world, {}).get(c.metric)
    if start is not None and start.value is not None:
        shapes.append(_level(start.value))
    name = AXIS_NAMES.get(axis, axis)
    return chart(
        world, traces, percent=percent, shapes=shapes, xaxis={"title": {"text": name}},
        showlegend=True,
    )  # fmt: skip


def _level(value: float) -> dict[str, Any]:
    """A dotted line at the start's score."""
    return {
        "type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": value, "y1": value,
        "line": {"color": "@soft", "width": 1, "dash": "dot"},
    }  # fmt: skip


def budget_charts(c: Comparison, metrics: list[str]) -> list[Chart]:
    """One chart a world: every arm at the budget with its interval and seeds, the best on top."""
    found = []
    for world in c.worlds:
        views = {m: _budget_view(c, world, m) for m in metrics}
        height = max(210, 90 + 34 * len(c.arms))
        found.append({"title": world, "switch": "metric", "views": views, "height": height})
    return found if c.at_budget else []


def _budget_view(c: Comparison, world: str, metric: str) -> Chart:
    percent = is_share(metric)
    rows = [(arm, s) for arm, s in _scores(c, world, metric) if s.value is not None]
    traces: list[dict[str, Any]] = []
    for arm, score in reversed(rows):  # Plotly counts from below
        index, _ = _look(c, arm)
        form = ",.2%" if percent else ",.4~g"
        e = {"value": score.value, "low": score.low, "high": score.high}
        made = points(arm, [(0.0, e, arm)], index=index, percent=percent)
        across = {"x": made["y"], "y": [arm], "error_x": made.pop("error_y")}
        made |= across | {"hovertemplate": f"{arm}: %{{x:{form}}}<extra></extra>"}
        seeds = [v for v in score.per_seed if v is not None]
        traces.append(
            {
                "x": seeds, "y": [arm] * len(seeds), "mode": "markers", "name": "seeds",
                "marker": {"size": 7, "color": f"@c{index % NUM_COLORS}:0.35"},
                "hovertemplate": f"{arm}, one seed: %{{x:{form}}}<extra></extra>",
            }
        )  # fmt: skip
        traces.append(made)
    start = c.start.get(world, {}).get(metric)
    known = start is not None and start.value is not None
    shapes = [upright(start.value, "@soft", "dot")] if start and known and start.value else []
    axis: dict[str, Any] = {"tickformat": ",.3~%"} if percent else {}
    return chart(
        world, traces, shapes=shapes, showlegend=False,
        xaxis={"title": {"text": metric}, **axis}, yaxis={"type": "category"},
    )  # fmt: skip


def _scores(c: Comparison, world: str, metric: str) -> list[tuple[str, Score]]:
    """(arm, score) at the budget, the best first; arms without one last."""
    arms = c.at_budget.get(world, {})
    rows = [(arm, arms[arm][metric]) for arm in c.arms if metric in arms.get(arm, {})]
    return sorted(rows, key=lambda row: -(row[1].value if row[1].value is not None else -1e9))


def improvement_charts(c: Comparison) -> list[Chart]:
    """One heat map a world: the probability that the arm of the row beats that of the column."""
    found = []
    for world in c.worlds:
        table = c.improvement.get(world, {})
        arms = [arm for arm, _ in _scores(c, world, c.metric)] or c.arms
        arms = [a for a in arms if a in table]
        if len(arms) < 2:
            continue
        cells = [[table[a].get(b) for b in arms] for a in arms]
        words = [
            [
                "" if e is None or e.probability is None
                else f"{a} beats {b}: {100 * e.probability:.0f} %"
                + (f" ({100 * e.low:.0f} – {100 * e.high:.0f})"
                   if e.low is not None and e.high is not None else "")
                for b, e in zip(arms, row, strict=True)
            ]
            for a, row in zip(arms, cells, strict=True)
        ]  # fmt: skip
        trace = {
            "type": "heatmap", "x": arms, "y": arms,
            "z": [[None if e is None else e.probability for e in row] for row in cells],
            "zmin": 0, "zmax": 1, "showscale": False, "xgap": 2, "ygap": 2,
            "colorscale": [[0, "@wrong:0.75"], [0.5, "@line:0.5"], [1, "@right:0.75"]],
            "text": [
                ["" if e is None or e.probability is None else f"{100 * e.probability:.0f}"
                 for e in row] for row in cells
            ],
            "texttemplate": "%{text}", "textfont": {"color": "@ink", "size": 13},
            "customdata": words, "hovertemplate": "%{customdata}<extra></extra>",
        }  # fmt: skip
        made = chart(
            world, [trace], showlegend=False,
            yaxis={"autorange": "reversed", "type": "category", "showgrid": False, "nticks": 0},
            xaxis={"type": "category", "side": "top", "showgrid": False, "nticks": 0},
        )  # fmt: skip
        found.append({**made, "height": max(230, 70 + 40 * len(arms))})
    return found


def profile_charts(c: Comparison) -> list[Chart]:
    """Share of runs whose score is above each threshold, over all worlds."""
    traces = []
    for arm in c.arms:
        p = c.profile.arms.get(arm)
        if p is None:
            continue
        index, dash = _look(c, arm)
        bands = len(p.low) == len(p.high) == len(p.value)
        traces += line(
            arm, c.profile.thresholds, p.value, p.low if bands else (), p.high if bands else (),
            index=index, percent=True, what=f"{c.metric} above", dash=dash,
            opacity=_opacity(c),
        )  # fmt: skip
    if not traces:
        return []
    axis = {"title": {"text": f"{c.metric} above"}}
    if is_share(c.metric):
        axis |= {"tickformat": ",.3~%"}  # type: ignore[dict-item]
    title = "share of runs above a score"
    return [chart(title, traces, percent=True, xaxis=axis, showlegend=True)]


def worth_charts(c: Comparison) -> list[Chart]:
    """One chart a world: what an arm reached against what it cost."""
    kinds = [k for k in COST_NAMES if any(k in of for w in c.cost.values() for of in w.values())]
    kinds.sort(key=lambda k: (k in c.budget, "seconds" not in k))  # what differs comes first
    percent = is_share(c.metric)
    found = []
    for world in c.worlds:
        views = {}
        for kind in kinds:
            traces = []
            for arm, score in _scores(c, world, c.metric):
                cost = c.cost.get(world, {}).get(arm, {}).get(kind)
                if cost is None or score.value is None:
                    continue
                e = {"value": score.value, "low": score.low, "high": score.high}
                index, _ = _look(c, arm)
                traces.append(points(arm, [(cost, e, arm)], index=index, percent=percent))
            name = COST_NAMES[kind]
            views[kind] = chart(
                world, traces, percent=percent, showlegend=True,
                xaxis={"title": {"text": f"{name} (mean of a run)"}, "rangemode": "tozero"},
            )  # fmt: skip
        if views:
            found.append({"title": f"{c.metric} on {world}", "switch": "cost", "views": views})
    return found


# ---------------------------------------------------------------- words and tables


def budget_words(budget: Mapping[str, float]) -> str:
    """1.0 M tokens, or 10 min 00 s."""
    words = []
    for key, value in budget.items():
        if "seconds" in key:
            words.append(f"{duration(value)} of {AXIS_NAMES.get(key, key)}")
        else:
            words.append(f"{count(value)} {AXIS_NAMES.get(key, key)}")
    return " and ".join(words)


def notices(c: Comparison) -> list[str]:
    """What a reader must know before believing a figure."""
    found = []
    if len(c.seeds) < 2:
        found.append(
            "One seed only: an interval over tasks says how well these weights are known, nothing "
            "says how another seed would have done. No method can be called better from this."
        )
    elif len(c.seeds) < 5 and not c.conclusions:  # which say so themselves
        found.append(
            f"{len(c.seeds)} seeds are few: the intervals are wide and rest on the assumption that "
            "seeds differ as a normal distribution does."
        )
    runs = len(c.arms) * len(c.worlds) * len(c.seeds)
    if c.failed:
        found.append(
            f"{len(c.failed)} of {runs} runs did not come to their end; they are listed below and "
            "in no figure."
        )
    return found


def reversals(c: Comparison) -> list[str]:
    """Sentences where the best arm under one budget is not the best under another."""
    found = []
    for world, by_axis in c.ranking.items():
        leaders = {axis: order[0] for axis, order in by_axis.items() if order}
        if len(set(leaders.values())) > 1:
            told = ", ".join(f"{arm} for {AXIS_NAMES.get(a, a)}" for a, arm in leaders.items())
            found.append(f"On {world} which mean is highest depends on the budget: {told}.")
    return found


def _table(c: Comparison, metric: str) -> list[dict[str, Any]]:
    """One row an arm and world, the best first, the start before them."""
    found = []
    for world in c.worlds:
        start = c.start.get(world, {}).get(metric)
        if start is not None:
            found.append({"world": world, "arm": "the start", "score": start, "is_start": True})
        for arm, score in _scores(c, world, metric):
            found.append({"world": world, "arm": arm, "score": score, "is_start": False})
    return found


def _costs(c: Comparison) -> list[tuple[str, str, dict[str, str]]]:
    """(world, arm, cost by kind as text)."""
    rows = []
    for world in c.worlds:
        for arm in c.arms:
            cost = c.cost.get(world, {}).get(arm)
            if cost:
                words = {k: duration(v) if "seconds" in k else count(v) for k, v in cost.items()}
                rows.append((world, arm, words))
    return rows
