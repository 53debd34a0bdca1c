"""The page about a run: did it improve, how it learnt, what it did and said, whence its data.

`askesis report` writes it from a run directory and nothing else, also while the run is going.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from askesis.lab import figures
from askesis.lab.report_data import ReportData, report_data
from askesis.search.draw import as_svg, speaker_of
from askesis.web.page import render_page, span, write_page
from askesis.web.run_charts import (
    flow_chart,
    headline_chart,
    learning_charts,
    look_estimates,
    system_charts,
)


def write_report(path: Path, to: Path | None = None) -> Path:
    """Write the page about a run or a comparison; the file it was written to.

    By default RUN/report.html, COMPARISON/compare.html. Raises RunError where there is neither,
    where a file of it is missing or damaged, or where the page cannot be written.
    """
    from askesis.lab.compare.record import is_comparison

    if is_comparison(path):
        from askesis.web.compare import write_comparison

        return write_comparison(path, to)
    return write_page(render(report_data(path)), to or path / "report.html")


def render(data: ReportData) -> str:
    """The page as text."""
    alarms = alarms_of(data)
    hero = headline_chart(data, alarms)
    charts = [*([hero] if hero else []), *learning_charts(data, alarms)]
    system = system_charts(data)
    flow = flow_chart(data)
    groups: dict[str, list[tuple[int, str]]] = {}
    for index, made in enumerate([*charts, *system, *([flow] if flow else [])]):
        groups.setdefault(made.pop("group"), []).append((index, made["title"]))
    return render_page(
        "report.html.j2",
        {
            "run": data.run,
            "data": data,
            "charts": [*charts, *system, *([flow] if flow else [])],
            "axes": data.axes,
            "groups": groups,
            "tiles": tiles(data),
            "alarms": alarms,
            "looks": looks(data.run.looks),
            "claims": claim_words(data.run.looks),
            "kinds": kinds(data),
            "config": json.dumps(data.run.config, indent=2, default=str),
            "stages": _stage_rows(data),
            "notices": notices(data),
            "pictures": pictures(data),
        },
    )


# ---------------------------------------------------------------- figures and words


def alarms_of(data: ReportData) -> list[dict[str, Any]]:
    """One entry an alarm and metric: the rounds (from 1) it was raised after, and its words."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for alarm in data.alarms:
        entry = found.setdefault(
            (alarm.name, alarm.key),
            {
                "name": alarm.name.replace("_", " "), "key": alarm.key, "rounds": [],
                "value": alarm.value, "threshold": alarm.threshold, "words": alarm.words,
                "meaning": alarm.meaning, "advice": alarm.advice,
            },
        )  # fmt: skip
        entry["rounds"].append(alarm.round + 1)
    return list(found.values())


def notices(data: ReportData) -> list[str]:
    """What a reader must know before believing the page."""
    run = data.run
    found = []
    if run.state == "running":
        found.append(
            "The run was going on when this page was written: rounds whose segment is not closed "
            "yet are provisional, and what was said in them is not shown. Write the page again "
            "to see more."
        )
    if run.state == "interrupted" and run.lines:
        lost = sum(not x.durable for x in run.lines)
        again = f" Its last {lost} rounds are not durable and will be made again." if lost else ""
        found.append(
            f"The run was interrupted before its end.{again} askesis resume {run.path} goes on."
        )
    if run.lines and not any(k.startswith("measure/") for k in run.last_metrics):
        found.append(
            "No round has been measured, so the curves below are of training alone and say "
            f"nothing about other tasks. askesis eval {run.path} measures the kept snapshots."
        )
    if data.said.every > 1:
        found.append(f"Histories of tasks are of one task in {data.said.every}, chosen by a hash.")
    return found


def kinds(data: ReportData) -> list[tuple[str, str, int]]:
    """(what the filter calls it, words, how many of the attempts shown)."""
    said = data.said.said
    rows = [
        ("", "all", len(said)),
        ("right", "right", sum(s.verdict == "right" for s in said)),
        ("wrong", "wrong", sum(s.verdict == "wrong" for s in said)),
        ("partly", "partly right", sum(s.verdict == "partly" for s in said)),
        ("unknown", "not judged", sum(s.verdict == "unknown" for s in said)),
        ("cut", "truncated", sum(s.cut_off for s in said)),
        ("newly", "newly solved", sum(s.newly for s in said)),
        ("learnt", "learnt from", sum(s.learnt for s in said)),
        ("error", "failed", sum(bool(s.error) for s in said)),
    ]
    always = ("", "right", "wrong", "cut", "newly")
    return [row for row in rows if row[2] or row[0] in always]


def pictures(data: ReportData) -> dict[str, Markup]:
    """Attempt -> the tree it was found in, drawn for the page, the way to it marked.

    Everything that was said is escaped where it is drawn (`askesis.search.draw`).
    """
    return {
        attempt: Markup(
            as_svg(s.tree, speaker_of(s.tree), outcomes=s.outcomes, marked=s.marked, on_page=True)
        )
        for attempt, s in data.trees.shown.items()
    }


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
    """Evaluations as they are shown: one row a look, pass@k with intervals."""
    return [
        {**row, "cells": {key: span(e) for key, e in look_estimates(row).items()}} for row in rows
    ]


def claim_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """One sentence: what the claim tasks said of the first and of the last snapshot."""
    claims = [r for r in rows if r["role"] == "claim" and "pass@1" in r["metrics"]]
    if not claims:
        return ""
    first = claims[0]
    alike = [r for r in claims if r["world"] == first["world"]]
    last = alike[-1]
    a, b = look_estimates(first)["pass@1"], look_estimates(last)["pass@1"]
    told = f"On {figures.count(first['num_tasks'])} tasks that no round has seen, "
    if first["snapshot"] == last["snapshot"]:
        return f"{told}{first['snapshot']} is right in {span(a)} of its attempts."
    told += f"pass@1 was {span(a)} for {first['snapshot']} and {span(b)} for {last['snapshot']}"
    if None in (a["low"], a["high"], b["low"], b["high"]):
        return f"{told}."
    if b["low"] > a["high"]:
        return f"{told}: higher, and the intervals do not touch."
    if b["high"] < a["low"]:
        return f"{told}: lower, and the intervals do not touch."
    return (
        f"{told}: the intervals overlap, so these figures alone show no difference "
        "(askesis eval compares the two task by task, which sees more)."
    )


def _stage_rows(data: ReportData) -> list[tuple[str, str, str, float]]:
    """(stage, time, share, fraction), the longest first."""
    whole = sum(data.run.seconds.values()) or 1.0
    rows = sorted(data.run.seconds.items(), key=lambda item: -item[1])
    return [(stage, figures.duration(s), figures.share(s / whole), s / whole) for stage, s in rows]
