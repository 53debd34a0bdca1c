"""The page: one HTML file that needs nothing else, written from a run directory.

It opens offline, in light and dark, on a phone. The plotting library is embedded once,
compressed; a browser that cannot unpack it still shows every table. Text that models said is
escaped by the template and never becomes HTML.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from askesis.errors import RunError
from askesis.lab import figures
from askesis.lab.report_data import Curve, ReportData, report_data

HERE = Path(__file__).parent
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


def write_report(path: Path, to: Path | None = None) -> Path:
    """Write the page about a run; the file it was written to (default RUN/report.html).

    Raises RunError where there is no run or the file cannot be written.
    """
    target = to or path / "report.html"
    page = render(report_data(path))
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")
        aside.replace(target)
    except OSError as error:
        raise RunError(
            f"the page cannot be written to {target} ({error.strerror or error})",
            hint="give another file with --to",
        ) from error
    return target


def render(data: ReportData) -> str:
    """The page as text."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": figures.count,
        "share": figures.share,
        "duration": figures.duration,
        "size": figures.size,
        "number": figures.number,
    }
    charts = [*learning_charts(data), *system_charts(data)]
    return environment.get_template("report.html.j2").render(
        run=data.run,
        data=data,
        groups=_groups(charts),
        charts=[asdict_plain(c) for c in charts],
        tiles=tiles(data),
        looks=looks(data.run.looks),
        config=json.dumps(_without_marks(data.run.config), indent=2),
        plotly=plotly_packed(),
        stages=_stage_rows(data),
    )


def _without_marks(tree: Any) -> Any:
    """A configuration for reading."""
    if isinstance(tree, dict):
        return {k: _without_marks(v) for k, v in tree.items()}
    return [_without_marks(v) for v in tree] if isinstance(tree, list) else tree


# ---------------------------------------------------------------- charts


def learning_charts(data: ReportData) -> list[dict[str, Any]]:
    """A chart for every metric, those that say most first; what never changed is left out."""
    found: list[dict[str, Any]] = []
    order = [*STAGE_TITLES, *(s for s in data.curves if s not in STAGE_TITLES)]
    for stage in order:
        for curve in sorted(data.curves.get(stage, ()), key=_rank):
            if len({y for y in curve.y if y is not None}) < 2:
                continue
            found.append(
                {
                    "group": STAGE_TITLES.get(stage, stage),
                    "title": curve.key.partition("/")[2] or curve.key,
                    "kind": "line",
                    "curves": [curve],
                }
            )
    return found


def _rank(curve: Curve) -> int:
    """Where a curve stands within its stage; equals keep their order."""
    name = curve.key.partition("/")[2]
    places = [i for i, known in enumerate(FIRST) if name.startswith(known) or f"/{known}" in name]
    return places[0] if places else len(FIRST)


def system_charts(data: ReportData) -> list[dict[str, Any]]:
    """What the system was doing: seconds by stage and tokens by purpose, round by round."""
    found = []
    if data.times:
        found.append(
            {"group": "system", "title": "seconds by stage", "kind": "area", "curves": data.times}
        )
    if data.costs:
        found.append(
            {"group": "system", "title": "tokens by purpose", "kind": "area", "curves": data.costs}
        )
    return found


def asdict_plain(chart: Mapping[str, Any]) -> dict[str, Any]:
    """A chart as JSON values; names of costs in words."""
    return {**chart, "curves": [_curve(c) for c in chart["curves"]]}


def _curve(curve: Curve) -> dict[str, Any]:
    plain = asdict(curve)
    plain["name"] = COST_NAMES.get(curve.key, curve.key)
    return plain


def _groups(charts: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, str]]]:
    """Group -> (index of the chart, its title)."""
    found: dict[str, list[tuple[int, str]]] = {}
    for index, chart in enumerate(charts):
        found.setdefault(chart["group"], []).append((index, chart["title"]))
    return found


# ---------------------------------------------------------------- figures


def tiles(data: ReportData) -> list[tuple[str, str]]:
    """(figure, what it is), the handful that says what happened."""
    run = data.run
    rounds = f"{len(run.lines)}" + (f" of {run.num_rounds}" if run.num_rounds else "")
    generated = sum(n for k, n in run.costs.items() if k.startswith("generated/"))
    found = [
        (rounds, "rounds"),
        (figures.count(run.costs.get("attempts", 0)), "attempts"),
        (figures.count(generated), "tokens generated"),
        (figures.count(run.costs.get("trained", 0)), "tokens trained on"),
        (figures.duration(sum(run.seconds.values())), "in stages"),
        (figures.size(run.num_bytes), "on disk"),
    ]
    if run.num_errors:
        found.append((figures.count(run.num_errors), "errors recorded"))
    return found


def looks(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Claim evaluations as they are shown: one row a look, pass@k with intervals."""
    found = []
    for row in rows:
        metrics = row["metrics"]
        cells = {}
        for key, value in metrics.items():
            if key.startswith("pass@") and "/" not in key:
                low, high = metrics.get(f"{key}/low"), metrics.get(f"{key}/high")
                known = low is not None and high is not None
                span = f" ({100 * low:.1f} – {100 * high:.1f})" if known else ""
                cells[key] = figures.share(value) + span
        found.append({**row, "cells": cells})
    return found


def _stage_rows(data: ReportData) -> list[tuple[str, str, str, float]]:
    """(stage, time, share, fraction), the longest first."""
    whole = sum(data.run.seconds.values()) or 1.0
    rows = sorted(data.run.seconds.items(), key=lambda item: -item[1])
    return [(stage, figures.duration(s), figures.share(s / whole), s / whole) for stage, s in rows]


@lru_cache(maxsize=1)
def plotly_packed() -> str:
    """The plotting library, gzipped and in base64 (about 1.9 MB instead of 4.8)."""
    from plotly.offline import get_plotlyjs

    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode("ascii")
