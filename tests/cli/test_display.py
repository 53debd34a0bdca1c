"""The panel and the plain lines say what a run does."""

from __future__ import annotations

import io
from types import SimpleNamespace

from rich.console import Console

from askesis.budget import Meter
from askesis.cli.display import LiveDisplay, PlainDisplay, open_display
from askesis.plan import Budget, Parts, Phase, Plan, Until
from askesis.run import Position


def fake_run(rounds: int | None = 4, **budget: float) -> SimpleNamespace:
    phase = Phase(parts=Parts(), until=Until(rounds=rounds))
    plan = Plan(recipe="none", phases=(phase,), budget=Budget(**budget))
    return SimpleNamespace(plan=plan, meter=Meter(), position=Position(), seconds=10.0)


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
        "2 samples",
        "kept 25.0 %",
        "loss 0.5",
        "pass@1 12.5 %",
    ):
        assert part in lines[0]
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
