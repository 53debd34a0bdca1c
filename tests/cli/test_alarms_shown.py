"""`askesis show` says what was raised, what it means and what to do."""

from __future__ import annotations

import io

from rich.console import Console

from askesis.cli.main import main
from askesis.cli.show import show_alarms
from askesis.measure.alarms.alarm import Alarm


def shown(alarms: list[Alarm]) -> str:
    out = io.StringIO()
    show_alarms(Console(file=out, width=200), alarms)
    return out.getvalue()


def one(name: str, at: int) -> Alarm:
    return Alarm(name, at, "k", 4.0, 3.0, f"seen at {at}\x1b[31m", f"{name} means", f"{name} do")


def test_every_kind_is_explained_once_however_often_it_was_raised():
    text = shown([one("forgetting", 3), one("judge_drift", 4), one("forgetting", 9)])
    assert "raised 3 times" in text
    assert "forgetting after round 4: seen at 3" in text and "after round 10" in text
    for words in ("forgetting means", "forgetting do", "judge_drift means"):
        assert text.count(words) == 1
    assert "\x1b" not in text, "a run directory's text cannot colour the terminal"


def test_an_alarm_raised_over_and_over_does_not_fill_the_screen():
    text = shown([one("forgetting", i) for i in range(0, 600, 6)])
    assert text.count("\n") < 10 and "and after rounds 19, 25" in text


def test_no_alarm_no_word():
    assert shown([]) == ""


def test_a_wrong_alarm_is_refused_before_anything_is_made(capsys, tmp_path):
    at = tmp_path / "run"
    assert main(["run", "rft", "--alarms", "forgeting", "--out", str(at)]) == 2
    assert "Did you mean 'forgetting'" in capsys.readouterr().err
    assert not at.exists()
