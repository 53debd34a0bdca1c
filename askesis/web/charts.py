"""Charts as plain values: Plotly's own traces and layouts, with colours left to the page.

A colour is a name of the style sheet, "@c0" or "@c0:0.16" with its opacity, so that one chart
serves light and dark. A chart is `{"title", "traces", "layout", "rounds"}`; where `rounds` is
true its x are rounds and the page can draw it against tokens or seconds instead. A chart with
`views` has one of several contents, chosen by the page's switch of the name `switch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from askesis.lab.report_data import Curve

NUM_COLORS = 8
FEW = 60  # points that still get a marker each
SHARES = ("pass@", "majority@", "best@", "accuracy", "fraction", "share", "groups_", "agreement")
Trace = dict[str, Any]


def color(index: int) -> str:
    """The colour of the n-th curve."""
    return f"@c{index % NUM_COLORS}"


def is_share(key: str) -> bool:
    """Whether a metric is a share of something, to be shown in per cent."""
    name = key.rpartition("/")[2]
    return any(word in name or f"/{word}" in key for word in SHARES)


def chart(
    title: str,
    traces: Sequence[Trace],
    *,
    rounds: bool = False,
    percent: bool = False,
    **layout: Any,
) -> dict[str, Any]:
    """A chart of these traces; further arguments are Plotly's layout."""
    made: dict[str, Any] = dict(layout)
    if percent:
        made["yaxis"] = {"tickformat": ",.3~%", **made.get("yaxis", {})}
    made.setdefault("showlegend", sum(t.get("showlegend", True) for t in traces) > 1)
    return {"title": title, "traces": list(traces), "layout": made, "rounds": rounds}


def line(
    name: str,
    x: Sequence[float],
    y: Sequence[float | None],
    low: Sequence[float | None] = (),
    high: Sequence[float | None] = (),
    *,
    index: int = 0,
    percent: bool = False,
    what: str = "round",
    dash: str = "solid",
    opacity: float = 0.16,
) -> list[Trace]:
    """A curve, and before it its band (of this opacity) where there is one."""
    form = ",.2%" if percent else ",.4~g"
    hover = f"%{{y:{form}}}"
    point: Trace = {
        "x": list(x),
        "y": list(y),
        "name": name,
        "legendgroup": name,
        "mode": "lines+markers" if len(x) < FEW else "lines",
        "line": {"color": color(index), "width": 2, "dash": dash},
        "marker": {"size": 5, "color": color(index)},
    }
    if not low:
        return [{**point, "hovertemplate": f"{what} %{{x:,.6~g}}: {hover}"}]
    scale = 100 if percent else 1
    digits = ".1f" if percent else ".4g"
    texts = [
        "" if a is None or b is None else f" ({scale * a:{digits}} – {scale * b:{digits}})"
        for a, b in zip(low, high, strict=True)
    ]
    shown = f"{what} %{{x:,.6~g}}: {hover}%{{customdata}}"
    return [
        band(name, x, low, high, index, opacity),
        {**point, "customdata": texts, "hovertemplate": shown},
    ]


def band(
    name: str,
    x: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    index: int = 0,
    opacity: float = 0.16,
) -> Trace:
    """The area between two curves, in pieces where a point is missing."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    piece: list[tuple[float, float, float]] = []

    def close() -> None:
        if piece:
            if xs:
                xs.append(None)
                ys.append(None)
            xs.extend([p[0] for p in piece] + [p[0] for p in reversed(piece)])
            ys.extend([p[2] for p in piece] + [p[1] for p in reversed(piece)])
            piece.clear()

    for at, below, above in zip(x, low, high, strict=True):
        if below is None or above is None:
            close()
        else:
            piece.append((at, below, above))
    close()
    return {
        "x": xs,
        "y": ys,
        "name": name,
        "legendgroup": name,
        "fill": "toself",
        "fillcolor": f"{color(index)}:{opacity}",
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
    }


def curve_traces(curve: Curve, name: str, index: int = 0) -> list[Trace]:
    """A metric over rounds with its band."""
    return line(
        name, curve.x, curve.y, curve.low, curve.high, index=index, percent=is_share(curve.key)
    )


def stacked(curves: Sequence[Curve], names: Mapping[str, str]) -> list[Trace]:
    """Amounts over rounds, one on the other: bars where they are few, areas where many."""
    found: list[Trace] = []
    for i, c in enumerate(curves):
        name = names.get(c.key, c.key)
        hover = f"round %{{x:,.6~g}}: %{{y:,.4~s}}<extra>{name}</extra>"
        shared = {"x": c.x, "y": c.y, "name": name, "hovertemplate": hover}
        if len(c.x) < FEW:
            found.append({**shared, "type": "bar", "marker": {"color": color(i)}})
        else:
            look = {"color": color(i), "width": 1}
            found.append({**shared, "mode": "lines", "line": look, "stackgroup": "all"})
    return found


def points(
    name: str,
    rows: Sequence[tuple[float, Mapping[str, Any], str]],
    *,
    index: int,
    symbol: str = "diamond",
    percent: bool = True,
) -> Trace:
    """Single measurements with error bars; rows are (x, {"value", "low", "high"}, words)."""
    known = [(x, e, words) for x, e, words in rows if e.get("value") is not None]
    form = ",.2%" if percent else ",.4~g"
    return {
        "x": [x for x, _, _ in known],
        "y": [e["value"] for _, e, _ in known],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [_above(e) for _, e, _ in known],
            "arrayminus": [_below(e) for _, e, _ in known],
            "color": color(index),
            "thickness": 1.5,
            "width": 4,
        },
        "customdata": [words for _, _, words in known],
        "name": name,
        "mode": "markers",
        "marker": {
            "symbol": symbol, "size": 10, "color": color(index),
            "line": {"color": "@card", "width": 1.5},
        },
        "hovertemplate": f"%{{customdata}}: %{{y:{form}}}<extra></extra>",
    }  # fmt: skip


def _above(e: Mapping[str, Any]) -> float:
    return 0.0 if e.get("high") is None else float(e["high"] - e["value"])


def _below(e: Mapping[str, Any]) -> float:
    return 0.0 if e.get("low") is None else float(e["value"] - e["low"])


def upright(x: float, look: str = "@wrong", dash: str = "dot") -> Trace:
    """A line over the whole height at one place, as a Plotly shape."""
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1,
        "line": {"color": look, "width": 1.5, "dash": dash},
    }  # fmt: skip
