"""The charts of a run's page: how well it does, every metric, time and tokens, the attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from askesis.lab import figures
from askesis.lab.report_data import Curve, ReportData
from askesis.web.charts import (
    chart,
    color,
    curve_traces,
    is_share,
    line,
    points,
    stacked,
    upright,
)

STAGE_TITLES = {
    "measure": "Measured",
    "judge": "Judged",
    "learn": "Learning",
    "select": "Selected",
    "explore": "Explored",
    "tasks": "Tasks",
    "retain": "Retained",
}
FIRST = ("pass@", "train_accuracy", "vote_share", "groups_effective", "loss", "kept_fraction")
COST_NAMES = {"trained": "trained on"}
HEADLINES = (  # metrics of the large chart: those of the first kind that a run has
    ("measure/pass@", "measure/train_accuracy"),
    ("measure/preference_accuracy",),
    ("measure/train_accuracy", "measure/train_solved_fraction"),
    ("measure/vote_share",),
    ("select/reward",),
)
MOST_MARKS = 200  # alarms marked on one chart
FLOW_COLORS = {
    "right": "@right",
    "wrong": "@wrong",
    "partly": "@cut",
    "cut off": "@cut",
    "unknown": "@soft",
}


def headline_chart(data: ReportData, alarms: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The large chart: how well it does on tasks of its own, with claims and alarms marked."""
    known = [c for stage in data.curves.values() for c in stage]
    shown: list[Curve] = []
    for kind in HEADLINES:
        shown = [c for c in known if c.key.startswith(kind) and len(c.x) > 0]
        if shown:
            break
    if not shown:
        return None
    traces = [t for i, c in enumerate(shown) for t in curve_traces(c, c.key.partition("/")[2], i)]
    for i, c in enumerate(shown):
        name = c.key.partition("/")[2]
        rows = claim_points(data, name)
        if rows:
            traces.append(points(f"{name}, claimed", rows, index=i))
    percent = all(is_share(c.key) for c in shown)
    marks = _alarm_marks(alarms, shown[0])
    return {
        **chart(
            "how well it does", [*traces, *marks], rounds=True, percent=percent,
            shapes=_alarm_lines(alarms) + _phase_lines(data),
            annotations=_phase_names(data), xaxis={"title": {"text": "round"}},
        ),
        "group": "headline",
    }  # fmt: skip


def learning_charts(
    data: ReportData, alarms: Sequence[Mapping[str, Any]] = ()
) -> list[dict[str, Any]]:
    """A chart for every metric, those that say most first; what never changed is left out."""
    found: list[dict[str, Any]] = []
    order = [*STAGE_TITLES, *(s for s in data.curves if s not in STAGE_TITLES)]
    for stage in order:
        for curve in sorted(data.curves.get(stage, ()), key=_rank):
            if len({y for y in curve.y if y is not None}) < 2:
                continue
            raised = [a for a in alarms if a["key"] == curve.key]
            title = curve.key.partition("/")[2] or curve.key
            traces = [*curve_traces(curve, title), *_alarm_marks(raised, curve)]
            found.append(
                {
                    **chart(
                        title, traces, rounds=True, percent=is_share(curve.key),
                        showlegend=False, shapes=_alarm_lines(raised),
                    ),
                    "group": STAGE_TITLES.get(stage, stage),
                }
            )  # fmt: skip
    return found


def _rank(curve: Curve) -> int:
    """Where a curve stands within its stage; equals keep their order."""
    name = curve.key.partition("/")[2]
    places = [i for i, known in enumerate(FIRST) if name.startswith(known) or f"/{known}" in name]
    return places[0] if places else len(FIRST)


def _alarm_marks(alarms: Sequence[Mapping[str, Any]], curve: Curve) -> list[dict[str, Any]]:
    """A mark on the curve for every time an alarm was raised."""
    raised = [(r, a["name"]) for a in alarms for r in a["rounds"]][:MOST_MARKS]
    if not raised:
        return []
    return [
        {
            "x": [r for r, _ in raised],
            "y": [_value_at(curve, r) for r, _ in raised],
            "customdata": [name for _, name in raised],
            "name": "alarms",
            "mode": "markers",
            "marker": {"symbol": "triangle-down", "size": 13, "color": "@wrong"},
            "hovertemplate": "alarm: %{customdata}<extra></extra>",
        }
    ]


def _alarm_lines(alarms: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line where each alarm was first raised."""
    return [upright(r) for r in sorted({a["rounds"][0] for a in alarms})]


def _value_at(curve: Curve, x: float) -> float | None:
    """The value of the curve's point that is nearest to x."""
    known = [(abs(at - x), y) for at, y in zip(curve.x, curve.y, strict=True) if y is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None


def _phase_starts(data: ReportData) -> list[tuple[float, str]]:
    """(round, phase) of every phase but the first."""
    found: list[tuple[float, str]] = []
    before = ""
    for run_line in data.run.lines:
        if run_line.phase != before:
            found.append((run_line.round + 0.5, run_line.phase))
            before = run_line.phase
    return found[1:20]


def _phase_lines(data: ReportData) -> list[dict[str, Any]]:
    return [upright(x, "@soft", "dash") for x, _ in _phase_starts(data)]


def _phase_names(data: ReportData) -> list[dict[str, Any]]:
    return [
        {"x": x, "y": 1, "yref": "paper", "text": name, "showarrow": False, "xanchor": "left"}
        for x, name in _phase_starts(data)
    ]


def system_charts(data: ReportData) -> list[dict[str, Any]]:
    """What the system was doing: seconds by stage, tokens by purpose and speed, round by round."""
    rounds: dict[str, Any] = {"xaxis": {"title": {"text": "round"}}}
    found = []
    if data.times:
        found.append(chart("seconds by stage", stacked(data.times, {}), **rounds))
    if data.costs:
        names = {c.key: COST_NAMES.get(c.key, c.key.replace("/", ": ")) for c in data.costs}
        found.append(chart("tokens by purpose", stacked(data.costs, names), **rounds))
    speeds = _speeds(data)
    if speeds:
        found.append(chart("tokens a second", speeds, yaxis={"rangemode": "tozero"}, **rounds))
    return [{**made, "group": "system"} for made in found]


def _speeds(data: ReportData) -> list[dict[str, Any]]:
    """Tokens generated a second of exploring, tokens trained on a second of learning."""
    times = {c.key: dict(zip(c.x, c.y, strict=True)) for c in data.times}
    tokens = {c.key: c for c in data.costs}
    found: list[dict[str, Any]] = []
    for key, stage in (("generated/train", "explore"), ("trained", "learn")):
        if key not in tokens or stage not in times:
            continue
        rows = [
            (x, y / spent)
            for x, y in zip(tokens[key].x, tokens[key].y, strict=True)
            if y is not None and (spent := times[stage].get(x))
        ]
        if rows:
            index = len(found)
            found += line(stage, [x for x, _ in rows], [y for _, y in rows], index=index)
    return found


def flow_chart(data: ReportData) -> dict[str, Any] | None:
    """What became of the attempts: how they ended, and whether they were learnt from."""
    flows = data.said.flows
    if not flows:
        return None
    kinds_ = list(dict.fromkeys(what for what, _, _ in flows))
    ends = {True: "learnt", False: "left out"}
    whole = sum(num for _, _, num in flows)
    totals = {k: sum(num for what, _, num in flows if what == k) for k in kinds_}
    learnt = {flag: sum(num for _, was, num in flows if was is flag) for flag in (True, False)}
    labels = [f"{figures.count(whole)} attempts"]
    labels += [f"{k} {figures.share(totals[k] / whole)}" for k in kinds_]
    labels += [f"{ends[flag]} {figures.share(learnt[flag] / whole)}" for flag in (True, False)]
    place = {k: i + 1 for i, k in enumerate(kinds_)}
    goal = {True: len(kinds_) + 1, False: len(kinds_) + 2}
    links = [(0, place[k], totals[k], k) for k in kinds_]
    links += [(place[what], goal[was], num, what) for what, was, num in flows]
    looks_ = [FLOW_COLORS.get(k, color(0)) for k in kinds_]
    trace = {
        "type": "sankey",
        "node": {
            "label": labels, "color": ["@soft", *looks_, "@accent", "@soft"],
            "pad": 18, "thickness": 14, "line": {"width": 0},
        },
        "link": {
            "source": [a for a, _, _, _ in links], "target": [b for _, b, _, _ in links],
            "value": [num for _, _, num, _ in links],
            "color": [f"{FLOW_COLORS.get(k, color(0))}:0.25" for *_, k in links],
        },
        "textfont": {"color": "@ink", "shadow": "none"},
        "showlegend": False,
    }  # fmt: skip
    return {**chart("what became of the attempts", [trace]), "group": "flow"}


# ---------------------------------------------------------------- claims


def look_estimates(row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """pass@k of one look with the interval, by key."""
    metrics = row["metrics"]
    return {
        key: {
            "value": value, "low": metrics.get(f"{key}/low"), "high": metrics.get(f"{key}/high")
        }
        for key, value in metrics.items()
        if key.startswith("pass@") and "/" not in key
    }  # fmt: skip


def claim_points(data: ReportData, key: str) -> list[tuple[float, Mapping[str, Any], str]]:
    """(round, estimate, words) of every look at claim tasks of the run's own world."""
    rounds = {s["id"]: s["round"] for s in data.run.snapshots}
    own = {row["world"] for row in data.run.looks}
    found: list[tuple[float, Mapping[str, Any], str]] = []
    for row in data.run.looks:
        e = look_estimates(row).get(key)
        if row["role"] == "claim" and e and row["snapshot"] in rounds:
            where = f" on {row['world']}" if len(own) > 1 else ""
            found.append((float(rounds[row["snapshot"]]), e, f"{row['snapshot']}, claimed{where}"))
    return found
