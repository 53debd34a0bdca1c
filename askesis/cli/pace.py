"""What the engines are doing: tokens a second, requests that run and wait, cache hits.

Engines count while they work (`askesis.protocols.Gauge`); a display reads the counts from a
thread of its own. Nothing here locks or waits, so reading costs an engine nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from askesis.lab.figures import count, share
from askesis.protocols import Gauge

WINDOW_S = 4.0  # over which a rate is taken


def total(engines: Mapping[Any, Any]) -> Gauge:
    """The gauges of several engines as one. Engines may open and close meanwhile."""
    whole = Gauge()
    for engine in list(engines.values()):
        gauge = engine.gauge
        whole.num_said += gauge.num_said
        whole.num_read += gauge.num_read
        whole.num_reused += gauge.num_reused
        whole.running += gauge.running
        whole.waiting += gauge.waiting
    return whole


class Pace:
    """How the engines do since `begin`, and how fast they speak just now."""

    def __init__(self, read: Callable[[], Gauge], now: Callable[[], float] = time.monotonic):
        self.read, self._now = read, now
        self.begin()

    def begin(self) -> None:
        """Count from here on."""
        self._first = self.read()
        self._seen = deque([(self._now(), self._first.num_said)])

    def since(self) -> Gauge:
        """Counts since `begin`; running and waiting are those of this moment.

        An engine that was closed meanwhile takes its counts along: never below zero.
        """
        gauge, first = self.read(), self._first
        gauge.num_said = max(0, gauge.num_said - first.num_said)
        gauge.num_read = max(0, gauge.num_read - first.num_read)
        gauge.num_reused = max(0, gauge.num_reused - first.num_reused)
        return gauge

    def tokens_per_s(self) -> float:
        """Tokens drawn a second over the last few seconds, or since `begin` if that is less."""
        now, said = self._now(), self.read().num_said
        seen = self._seen
        if said < seen[-1][1]:
            seen.clear()
        seen.append((now, said))
        while len(seen) > 2 and seen[1][0] <= now - WINDOW_S:
            seen.popleft()
        began, before = seen[0]
        return (said - before) / (now - began) if now > began else 0.0

    def words(self) -> list[str]:
        """The figures as people read them; [] where nobody speaks."""
        rate, gauge = self.tokens_per_s(), self.since()
        if not rate and not gauge.running and not gauge.waiting:
            return []
        found = [f"{count(rate)} tokens/s"]
        if gauge.running or gauge.waiting:
            found += [f"{count(gauge.running)} running", f"{count(gauge.waiting)} waiting"]
        return [*found, *cache_words(gauge)]


def cache_words(gauge: Gauge) -> list[str]:
    """The share of prompt tokens that were found computed already; [] where none was."""
    if not gauge.num_reused:
        return []
    return [f"cache hits {share(gauge.num_reused / (gauge.num_reused + gauge.num_read))}"]
