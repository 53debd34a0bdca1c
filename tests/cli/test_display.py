"""The panel and the plain lines say what a run does."""

from __future__ import annotations

import io
import sys
import threading
import time
from types import SimpleNamespace

from rich.console import Console

from askesis.budget import Meter
from askesis.cli.display import LiveDisplay, PlainDisplay, open_display
from askesis.cli.pace import Pace, total
from askesis.measure.alarms.alarm import Alarm
from askesis.plan import Budget, Parts, Phase, Plan, Until
from askesis.protocols import Gauge
from askesis.run import Position


def fake_run(rounds: int | None = 4, **budget: float) -> SimpleNamespace:
    phase = Phase(parts=Parts(), until=Until(rounds=rounds))
    plan = Plan(recipe="none", phases=(phase,), budget=Budget(**budget))
    speakers = SimpleNamespace(engines={("fake", "policy", ""): SimpleNamespace(gauge=Gauge())})
    return SimpleNamespace(
        plan=plan, meter=Meter(), position=Position(), seconds=10.0, speakers=speakers
    )


def gauge_of(run: SimpleNamespace) -> Gauge:
    return next(iter(run.speakers.engines.values())).gauge


def play_a_round(display, run) -> None:
    """Two tasks, eight attempts, one of them an error, two samples."""
    for stage, num_in, num_out, metrics in (
        ("tasks", 0, 2, {}),
        ("explore", 2, 8, {}),
        ("judge", 8, 8, {}),
        ("select", 8, 2, {"select/kept_fraction": 0.25}),
        ("learn", 2, 2, {"learn/policy/loss": 0.5}),
        ("measure", 0, 3, {"measure/pass@1": 0.125, "measure/pass@1/low": 0.1}),
    ):
        display.stage_began(stage, stage, num_in)
        if stage == "explore":
            run.meter.counts["generated/train"] += 1000
            gauge_of(run).num_read += 30
            gauge_of(run).num_reused += 10 * run.position.total
            display.failed("explore", "explore", "task-1", "ValueError: [red]no[/red]")
        display.stage_ended(stage, stage, 0.5, num_out, metrics)
    run.position.total += 1
    display.round_ended(SimpleNamespace(index=run.position.total - 1, phase=run.plan.phases[0]), {})


def test_a_round_is_one_plain_line_with_its_key_numbers():
    out = io.StringIO()
    display = PlainDisplay(Console(file=out, width=200))
    run = fake_run()
    display.run_began(run)
    play_a_round(display, run)
    play_a_round(display, run)
    lines = out.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("round 1/4")
    for part in (
        "8 attempts",
        "1,000 tokens",
        "2,000 tokens/s",
        "2 samples",
        "kept 25.0 %",
        "loss 0.5",
        "pass@1 12.5 %",
    ):
        assert part in lines[0]
    assert "cache hits" not in lines[0]  # nothing was found in a cache
    assert "cache hits 25.0 %" in lines[1]  # 10 of this round's 40
    assert "1 errors" in lines[0]
    assert "2 errors" in lines[1]
    assert "\x1b" not in out.getvalue()


def test_the_panel_has_the_stages_as_rows():
    out = io.StringIO()
    display = LiveDisplay(Console(file=out, width=100))
    run = fake_run()
    display.run = run
    play_a_round(display, run)
    display.stage_began("explore", "explore", 2)
    display.console.print(display.panel())
    text = out.getvalue()
    for part in ("round 2 of 4", "> explore", "judge", "17 %", "2,000 tokens/s", "pass@1 12.5 %"):
        assert part in text
    assert "retain" not in text  # it never ran


def test_the_remaining_time_is_that_of_the_nearest_end():
    run = fake_run(rounds=None)
    display = PlainDisplay(Console(file=io.StringIO()))
    display.run_began(run)
    play_a_round(display, run)
    assert display.remaining_s() is None
    run = fake_run(rounds=None, seconds=60.0, tokens=3000.0)
    display.run_began(run)
    play_a_round(display, run)  # a third of the tokens in ten seconds
    assert display.remaining_s() == 20.0


def test_a_pipe_and_a_dumb_terminal_get_plain_lines(monkeypatch):
    assert isinstance(open_display(Console(file=io.StringIO())), PlainDisplay)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(open_display(Console(file=io.StringIO(), force_terminal=True)), PlainDisplay)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Console(file=io.StringIO(), force_terminal=True)
    assert isinstance(open_display(terminal), LiveDisplay)
    assert isinstance(open_display(terminal, plain=True), PlainDisplay)


def test_a_live_panel_gives_the_terminal_back():
    out = io.StringIO()
    display = LiveDisplay(Console(file=out, force_terminal=True, width=100))
    run = fake_run()
    display.run_began(run)
    play_a_round(display, run)
    display.run_ended("the plan is done")
    display.stop()
    assert not display.live.is_started
    assert out.getvalue().count("\x1b[?25h") >= 1  # the cursor is shown again


def test_the_pace_is_that_of_the_last_seconds_and_never_below_zero():
    gauge, clock = Gauge(), [100.0]
    engines = {"a": SimpleNamespace(gauge=gauge), "b": SimpleNamespace(gauge=Gauge(num_said=50))}
    pace = Pace(lambda: total(engines), lambda: clock[0])
    assert pace.words() == []
    rates = []
    for second in range(1, 11):
        gauge.num_said += 100 if second < 6 else 1000
        clock[0] += 1
        rates.append(pace.tokens_per_s())
    assert rates[3] == 100 and rates[-1] == 1000  # over the last four seconds
    gauge.running, gauge.waiting, gauge.num_read, gauge.num_reused = 8, 24, 60, 20
    assert pace.words() == ["1,000 tokens/s", "8 running", "24 waiting", "cache hits 25.0 %"]
    del engines["a"]  # an engine is closed and takes its counts along
    assert pace.since().num_said == 0
    assert pace.tokens_per_s() == 0


def test_while_somebody_speaks_the_panel_tells_how_fast():
    out = io.StringIO()
    display = LiveDisplay(Console(file=out, width=100))
    run = fake_run()
    display.run = run
    display.stage_began("explore", "explore", 2)
    gauge = gauge_of(run)
    gauge.num_said, gauge.running, gauge.waiting = 10**6, 512, 3000
    gauge.num_read, gauge.num_reused = 100, 300
    time.sleep(0.001)
    display.console.print(display.panel())
    for part in ("tokens/s   512 running   3,000 waiting", "cache hits 75.0 %"):
        assert part in out.getvalue()
    display.stage_ended("explore", "explore", 0.5, 8, {})
    before = len(out.getvalue())
    display.console.print(display.panel())
    assert "running" not in out.getvalue()[before:]


def test_a_long_round_gives_signs_of_life_ever_more_rarely_and_then_its_line():
    out = io.StringIO()
    display = PlainDisplay(Console(file=out, width=200), quiet_s=0.02)
    run = fake_run()
    display.run_began(run)
    display.stage_began("explore", "explore", 2)
    gauge_of(run).num_said = 12345
    gauge_of(run).running = 7
    time.sleep(0.3)  # signs after 0.02, 0.04, 0.08, 0.16 of silence
    display.stage_ended("explore", "explore", 0.3, 8, {})
    play_a_round(display, run)
    display.run_ended("the plan is done")
    lines = out.getvalue().splitlines()
    signs = [line for line in lines if line.startswith("  explore for")]
    assert 2 <= len(signs) <= 5
    assert "12,345 tokens" in signs[0] and "tokens/s" in signs[0] and "7 running" in signs[0]
    assert lines[-1].startswith("round 1/4")
    display._signs.join(1.0)
    assert not display._signs.is_alive()


def test_a_panel_can_be_drawn_while_a_run_counts():
    """The terminal is redrawn from another thread: what a run adds to meanwhile is copied."""
    display = LiveDisplay(Console(file=io.StringIO(), width=100))
    run = display.run = fake_run()
    display.stage_began("explore", "explore", 2)
    over = threading.Event()

    def count() -> None:
        n = 0
        while not over.is_set():
            n += 1
            run.meter.counts[f"generated/{n % 50}"] += 1
            run.meter.counts.pop(f"generated/{(n + 1) % 50}", None)
            run.speakers.engines[n % 7] = SimpleNamespace(gauge=Gauge(num_said=n))
            run.speakers.engines.pop((n + 1) % 7, None)

    thread, interval = threading.Thread(target=count), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(200):
            display.panel()
    finally:
        sys.setswitchinterval(interval)
        over.set()
        thread.join()


def raised(name: str = "forgetting", at: int = 1) -> Alarm:
    return Alarm(name, at, "measure/pass@1", 4.0, 3.0, "it fell from 0.5 to 0.3", "m", "a")


def test_an_alarm_is_a_line_of_its_own():
    out = io.StringIO()
    display = PlainDisplay(Console(file=out, width=200))
    display.run_began(fake_run())
    display.alarmed(raised())
    display.stop()
    assert "alarm forgetting after round 2: it fell from 0.5 to 0.3" in out.getvalue()


def test_the_panel_lists_alarms_and_the_line_stays_above_it():
    out = io.StringIO()
    display = LiveDisplay(Console(file=out, width=100, force_terminal=True))
    display.run_began(fake_run())
    display.alarmed(raised())
    display.alarmed(raised("reward_hacking", 4))
    display.run_ended("done")
    text = out.getvalue()
    assert "it fell from 0.5 to 0.3" in text
    assert "alarms: forgetting (round 2), reward_hacking (round 5)" in text
