"""What self-correction can do on fresh tasks."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError, TruthError
from askesis.explore.turns import SelfCorrect
from askesis.measure.revisions import Revisions
from askesis.records import Purpose
from tests.explore.host import Host, NoTruth, eval_sum, says, view

ASKED = SelfCorrect(num_attempts=4, num_turns=3, instruction="again")


def improving(text: str, u: float) -> str:
    """Wrong at first, right once it was asked to look again, and spoilt the third time."""
    lines = text.split("\n")
    return str(eval_sum(lines[0])) if lines.count("again") == 1 else "x"


def test_accuracy_turn_by_turn_on_fresh_tasks():
    host = Host(says(improving))
    ctx = host.context("measure", purpose=Purpose.MEASURE)
    found = Revisions(explore=ASKED, num_tasks=5).measure(ctx, view([]))
    assert [found[f"fresh/turn_accuracy/{t}"] for t in (1, 2, 3)] == [0, 1, 0]
    assert found["fresh/correction_gain"] == 0 and found["fresh/equal_token_vote"] == 0
    assert host.meter.counts["generated/train"] == 0


def test_a_task_that_is_drawn_twice_has_noise_of_its_own():
    seen = []
    host = Host(says(lambda text, u: seen.append(u) or "7"))
    part = Revisions(explore=SelfCorrect(num_attempts=1), num_tasks=60, difficulty=0.0)
    part.measure(host.context("measure"), view([]))  # ten different tasks at most
    assert len(set(seen)) == 120


def test_what_cannot_be_measured_is_refused():
    ctx = Host(says(improving), world=NoTruth()).context("measure")
    with pytest.raises(TruthError):
        Revisions(explore=ASKED).measure(ctx, view([]))
    for wrong in ({"num_tasks": 1}, {"threshold": 0.0}, {"difficulty": 2.0}):
        with pytest.raises(ConfigError, match=rf"Revisions\.{next(iter(wrong))}"):
            Revisions(explore=ASKED, **wrong)
    with pytest.raises(ConfigError, match=r"Revisions\.explore"):
        Revisions(explore=None)
