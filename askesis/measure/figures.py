"""Estimates as metrics: a value under its name, its interval under /low and /high."""

from __future__ import annotations

from math import isfinite, isnan

from askesis.formulas.intervals import Estimate
from askesis.protocols import Metrics


def put(found: Metrics, name: str, estimate: Estimate) -> None:
    """Write an estimate; nothing where its value is unknown. An end that is not known (one task
    has no interval) is left out, so that no picture has to draw infinity."""
    if isnan(estimate.value):
        return
    found[name] = estimate.value
    for end in ("low", "high"):
        if isfinite(limit := float(getattr(estimate, end))):
            found[f"{name}/{end}"] = limit
