"""What a person sees while a run goes on: a live panel, or one line a round.

The panel has the stages as rows: share of time, items in and out, the number worth a glance,
errors; while somebody speaks, a line tells how fast. Where the output is no terminal (or TERM
is dumb) there is one plain line a round, and one now and then while a round takes long.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from askesis.budget import Meter
from askesis.cli.pace import Pace, cache_words, total
from askesis.lab.figures import STAGES, count, duration, key_number
from askesis.lab.follow_curve import CurveFollower
from askesis.measure.alarms.alarm import Alarm
from askesis.protocols import Gauge
from askesis.run import Watcher

QUIET_S = 30.0  # without a plain line before one says what is going on
LONGEST_QUIET_S = 300.0


@dataclass
class StageRow:
    """What is known of one stage: over the whole run, and in its last call."""

    seconds: float = 0.0
    num_in: int = 0
    num_out: int = 0
    glance: str = ""
    errors: int = 0
    busy: bool = False


class Progress(Watcher):
    """Keeps the figures both displays show."""

    def __init__(self) -> None:
        self.run: Any = None
        self.rows = {stage: StageRow() for stage in STAGES}
        self.num_done = 0  # rounds since the display began
        self.num_errors = 0
        self.began = self._round_began = time.monotonic()
        self.last_round_s = 0.0
        self.phase = ""
        self._tokens_before = self._round_tokens_before = 0.0
        self.round_tokens = 0.0
        self.alarms: dict[str, int] = {}  # name -> the last round after which it was raised
        self.busy = ""  # the stage that works now
        self._stage_began = self.began
        self.pace = Pace(self._gauge)  # of the engines, in this stage
        self._round_pace = Pace(self._gauge)
        self.curve = CurveFollower()
        self.new_forecast = ""  # made after this round; most rounds make none

    # ------------------------------------------------------------ what a run says

    def run_began(self, run: Any) -> None:
        self.run = run
        self.began = self._round_began = time.monotonic()
        self._tokens_before = self._round_tokens_before = self._tokens()
        self._round_pace.begin()
        self.curve.began(run)

    def stage_began(self, stage: str, slot: str, num_in: int) -> None:
        row = self.rows.setdefault(stage, StageRow())
        row.busy, row.num_in = True, num_in
        self._stage_began = time.monotonic()
        self.pace.begin()
        self.busy = stage

    def stage_ended(
        self, stage: str, slot: str, seconds: float, num_out: int, metrics: Mapping[str, float]
    ) -> None:
        row = self.rows[stage]
        row.busy, self.busy = False, ""
        row.seconds += seconds
        row.num_out = num_out
        if stage == "explore" and seconds > 0:
            row.glance = f"{count((self._tokens() - self._round_tokens_before) / seconds)} tokens/s"
        else:
            row.glance = key_number(stage, metrics) or row.glance

    def failed(self, stage: str, slot: str, task: str, message: str) -> None:
        self.rows.setdefault(stage, StageRow()).errors += 1
        self.num_errors += 1

    def alarmed(self, alarm: Alarm) -> None:
        self.alarms[alarm.name] = alarm.round

    def round_ended(self, rd: Any, metrics: Mapping[str, float]) -> None:
        now = time.monotonic()
        self.last_round_s, self._round_began = now - self._round_began, now
        self.round_tokens = self._tokens() - self._round_tokens_before
        self._round_tokens_before = self._tokens()
        self.num_done += 1
        self.phase = rd.phase.name
        self.new_forecast = self.curve.ended(self.run, rd.phase, metrics)
        self._round_pace.begin()

    # ------------------------------------------------------------ figures

    def _tokens(self) -> float:
        """Tokens generated so far for anything but measuring."""
        counts = self._meter().counts.items()
        return sum(n for k, n in counts if k.startswith("generated/") and k != "generated/measure")

    def _meter(self) -> Meter:
        """A copy: the run counts on while the display, in a thread of its own, reads."""
        return Meter(dict(self.run.meter.counts))

    def _gauge(self) -> Gauge:
        return total(self.run.speakers.engines) if self.run is not None else Gauge()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    @property
    def tokens_per_s(self) -> float:
        return (self._tokens() - self._tokens_before) / max(1e-9, self.elapsed_s)

    def num_rounds(self) -> int | None:
        """How many rounds the plan has in all; None where a phase has no fixed number."""
        found = [phase.until.rounds for phase in self.run.plan.phases]
        known = [n for n in found if n is not None]
        return sum(known) if len(known) == len(found) else None

    def remaining_s(self) -> float | None:
        """Time to the end of the rounds or of the budget, whichever is nearer; None: unknown."""
        guesses = []
        rounds = self.num_rounds()
        if rounds is not None and self.num_done:
            each = (self._round_began - self.began) / self.num_done
            left = each * (rounds - self.run.position.total)
            guesses.append(left - (time.monotonic() - self._round_began))
        budget, meter = self.run.plan.budget, self._meter()
        if budget.seconds is not None:
            guesses.append(budget.seconds - self.run.seconds)
        for limit, used in (
            (budget.tokens, meter.budget_tokens),
            (budget.trained_tokens, meter.counts.get("trained", 0.0)),
            (budget.updates, meter.counts.get("updates", 0.0)),
        ):
            if limit is not None and used and self.num_done:
                guesses.append(self.run.seconds * (limit - used) / used)
        return max(0.0, min(guesses)) if guesses else None


class PlainDisplay(Progress):
    """One line a round, for logs and pipes; and a sign of life where a round takes long.

    quiet_s: seconds without a line before the first such sign; the next ones come at twice the
    distance each, up to five minutes.
    """

    def __init__(self, console: Console, quiet_s: float = QUIET_S) -> None:
        super().__init__()
        self.console, self.quiet_s = console, quiet_s
        self._patience_s, self._printed = quiet_s, time.monotonic()
        self._over = Event()

    def run_began(self, run: Any) -> None:
        super().run_began(run)
        self.stop()
        self._printed, self._over = time.monotonic(), Event()
        self._signs = Thread(target=self._give_signs, args=(self._over,), daemon=True)
        self._signs.start()

    def round_ended(self, rd: Any, metrics: Mapping[str, float]) -> None:
        hits = cache_words(self._round_pace.since())
        super().round_ended(rd, metrics)
        self._print(self.line(rd.index, metrics, hits))
        if self.new_forecast:
            self._print(f"  {self.new_forecast}")
        for row in self.rows.values():
            row.glance = ""

    def alarmed(self, alarm: Alarm) -> None:
        super().alarmed(alarm)
        self._print(f"  {alarm_line(alarm)}")

    def run_ended(self, reason: str) -> None:
        self.stop()

    def stop(self) -> None:
        """No more signs of life; a second call does nothing."""
        self._over.set()

    def _print(self, line: str) -> None:
        self._patience_s, self._printed = self.quiet_s, time.monotonic()
        self.console.print(line, highlight=False, soft_wrap=True)

    def _give_signs(self, over: Event) -> None:
        """The work of a thread: speak when nothing was printed for long."""
        while not over.wait(min(1.0, self.quiet_s)):
            if self.busy and time.monotonic() - self._printed >= self._patience_s:
                longer_s = min(2 * self._patience_s, max(LONGEST_QUIET_S, self.quiet_s))
                self._print(self.sign())
                self._patience_s = longer_s

    def sign(self) -> str:
        """`  explore for 1 min 30 s  123,456 tokens  2,345 tokens/s  512 running  ...`"""
        parts = [f"{self.busy} for {duration(time.monotonic() - self._stage_began)}"]
        said = self.pace.since().num_said
        if said:
            parts.append(f"{count(said)} tokens")
        return "  " + "  ".join([*parts, *self.pace.words()])

    def line(self, index: int, metrics: Mapping[str, float], hits: list[str]) -> str:
        """`round 3/8   12.4 s   2,048 attempts   81,920 tokens   9,123 tokens/s   ...`"""
        rounds = self.num_rounds()
        where = f"{index + 1}/{rounds}" if rounds is not None else f"{index + 1}"
        several = len(self.run.plan.phases) > 1
        parts = [
            f"round {where}" + (f" ({self.phase})" if several else ""),
            duration(self.last_round_s),
            f"{count(self.rows['explore'].num_out)} attempts",
            f"{count(self.round_tokens)} tokens",
            *filter(None, [self.rows["explore"].glance]),
            *hits,
            f"{count(self.rows['learn'].num_in)} samples",
        ]
        parts += [g for s in ("judge", "select", "learn", "measure") if (g := self.rows[s].glance)]
        if self.num_errors:
            parts.append(f"{count(self.num_errors)} errors")
        left = self.remaining_s()
        if left:
            parts.append(f"{duration(left)} left")
        return "  ".join(parts)

    def said(self, message: str) -> None:
        self._print(message)


class LiveDisplay(Progress):
    """The panel. It redraws four times a second, whatever the run does."""

    def __init__(self, console: Console, title: str = "askesis") -> None:
        super().__init__()
        self.console, self.title = console, title
        self.live = Live(self, console=console, refresh_per_second=4, transient=True)

    def run_began(self, run: Any) -> None:
        super().run_began(run)
        self.live.start()

    def run_ended(self, reason: str) -> None:
        self.live.stop()
        self.console.print(self.panel())

    def stop(self) -> None:
        """Give the terminal back; a second call does nothing."""
        self.live.stop()

    def alarmed(self, alarm: Alarm) -> None:
        super().alarmed(alarm)
        self.live.console.print(Text(alarm_line(alarm), "red"))

    def said(self, message: str) -> None:
        self.live.console.print(message, highlight=False)

    def __rich__(self) -> Panel:
        return self.panel()

    def panel(self) -> Panel:
        """Header and stages as rows."""
        table = Table(box=None, pad_edge=False, expand=True)
        for name, justify in (
            ("stage", "left"), ("time", "right"), ("in", "right"), ("out", "right"),
            ("", "left"), ("errors", "right"),
        ):  # fmt: skip
            table.add_column(name, justify=justify, header_style="dim")  # type: ignore[arg-type]
        rows = dict(self.rows)
        whole = sum(row.seconds for row in rows.values())
        for stage, row in rows.items():
            if not row.seconds and not row.busy and not row.errors:
                continue
            style = "bold" if row.busy else ""
            table.add_row(
                Text(("> " if row.busy else "  ") + stage, style),
                f"{100 * row.seconds / whole:.0f} %" if whole else "",
                count(row.num_in) if row.num_in else "",
                "" if row.busy and not row.num_out else count(row.num_out),
                Text(row.glance),
                Text(count(row.errors), "red") if row.errors else "",
            )
        words = self.pace.words() if self.busy else []
        speech = [Text("   ".join(words), "dim")] if words else []
        going = [Text(self.curve.words, "dim")] if self.curve.words else []
        raised = ", ".join(f"{name} (round {at + 1})" for name, at in self.alarms.items())
        going += [Text(f"alarms: {raised}", "red")] if raised else []
        return Panel(
            Group(self.header(), *speech, table, *going),
            title=self.title,
            title_align="left",
            width=76,
        )

    def header(self) -> Text:
        rounds = self.num_rounds()
        done = self.run.position.total
        shown = done if rounds is not None and done >= rounds else done + 1
        where = f"round {shown}" + (f" of {rounds}" if rounds is not None else "")
        phases = self.run.plan.phases
        if len(phases) > 1:
            where += f", phase {phases[min(self.run.position.phase, len(phases) - 1)].name}"
        left = self.remaining_s()
        parts = [
            where,
            f"{count(self._tokens())} tokens",
            f"{count(self.tokens_per_s)} tokens/s",
            duration(self.elapsed_s),
        ]
        if left:
            parts.append(f"about {duration(left)} left")
        return Text("   ".join(parts), style="cyan")


def alarm_line(alarm: Alarm) -> str:
    """`alarm reward_hacking after round 7: since round 3 ... (askesis show says what to do)`"""
    where = f"after round {alarm.round + 1}"
    return f"alarm {alarm.name} {where}: {alarm.words} (askesis show says what to do)"


def open_display(console: Console, title: str = "askesis", plain: bool = False) -> Any:
    """The panel on a terminal, plain lines elsewhere."""
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainDisplay(console)
    return LiveDisplay(console, title)
