"""Numbers as people read them, and which of a round's metrics are worth a glance."""

from __future__ import annotations

import math
from collections.abc import Mapping

STAGES = ("tasks", "explore", "judge", "select", "learn", "measure", "retain")

# For every stage the metrics to show, the first that a round has; (key ending, words, kind).
KEY_NUMBERS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "judge": (("right_fraction", "right", "share"), ("agreement", "agreement", "share")),
    "select": (("kept_fraction", "kept", "share"), ("num_kept", "kept", "count")),
    "learn": (("loss", "loss", "number"), ("reward", "reward", "number")),
    "measure": (
        ("pass@1", "pass@1", "share"),
        ("train_accuracy", "right", "share"),
        ("vote_share", "agreement", "share"),
    ),
    "retain": (("kept", "kept", "number"), ("num_replayed", "replayed", "count")),
}


def count(value: float) -> str:
    """12,345 up to a hundred thousand, then 1.2 M."""
    if not math.isfinite(value):
        return "-"
    for size, mark in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e5, "k")):
        if abs(value) >= size:
            scale = 1e3 if mark == "k" else size
            return f"{value / scale:,.1f} {mark}"
    return f"{value:,.0f}"


def share(value: float) -> str:
    """A fraction as per cent with one decimal."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else "-"


def duration(value_s: float) -> str:
    """4.2 s, 3 min 10 s, 2 h 05 min, 3 d 4 h."""
    if not math.isfinite(value_s):
        return "-"
    if value_s < 60:
        return f"{value_s:.1f} s"
    minutes, rest = divmod(round(value_s), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def size(value_bytes: float) -> str:
    """1.5 MB, in powers of 1000."""
    for mark, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value_bytes >= scale:
            return f"{value_bytes / scale:.1f} {mark}"
    return f"{value_bytes:.0f} B"


def number(value: float) -> str:
    """Three significant digits, without exponents where they can be avoided."""
    if not math.isfinite(value):
        return "-"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    if abs(value) < 1e-3 or abs(value) >= 1e6:
        return f"{value:.2e}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def as_kind(value: float, kind: str) -> str:
    return {"share": share, "count": count}.get(kind, number)(value)


def key_number(stage: str, metrics: Mapping[str, float]) -> str:
    """The number of a stage that is worth a glance, in words; "" where it has none."""
    for ending, words, kind in KEY_NUMBERS.get(stage, ()):
        for key, value in metrics.items():
            if key == f"{stage}/{ending}" or (
                key.startswith(f"{stage}/") and key.endswith(f"/{ending}")
            ):
                return f"{words} {as_kind(value, kind)}"
    return ""
