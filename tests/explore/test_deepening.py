"""Triggers at growing distances: where they stand, who said them, and when an answer is over."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.explore.deepening import Deepening
from askesis.records import Start, StopReason, Task, TokenOrigin
from tests.explore.host import Host, Sums, says


class Long(Sums):
    max_answer_tokens = 60


def deepen(script, **options):
    options.setdefault("num_attempts", 1)
    host = Host(says(script), world=Long())
    found = host.explore(Deepening(**options), Start(Task("t", "sums-v1", "3+4")))
    return [(a.turns[0], a) for a in found]


def forced(turn) -> str:
    origin = turn.origin if turn.origin is not None else np.zeros(len(turn.tokens))
    return "".join(chr(t) for t, o in zip(turn.tokens, origin, strict=True) if o)


def test_triggers_stand_at_budgets_that_grow():
    ((turn, attempt),) = deepen(
        lambda text, u: "x" * 99, first_tokens=4, trigger="!", whole_steps=False
    )
    gaps = [len(piece) for piece in turn.text.split("\n!")]
    assert gaps[:3] == [4, 8, 16] and attempt.stop is StopReason.LENGTH
    assert len(turn.tokens) <= 60 and forced(turn) == "\n!" * (len(gaps) - 1)
    ((turn, _),) = deepen(
        lambda text, u: "x" * 99, first_tokens=10, growth=1.0, trigger="!", whole_steps=False
    )
    assert {len(p) for p in turn.text.split("\n!")[:-1]} == {10}


def test_what_is_forced_is_not_learnt_and_its_probability_is_not_known():
    ((turn, attempt),) = deepen(
        lambda text, u: "x" * 99, first_tokens=5, trigger="!", whole_steps=False
    )
    put = np.asarray(turn.origin) == TokenOrigin.FORCED
    assert put.any() and np.isnan(turn.logp_sampling[put]).all()
    assert not np.isnan(turn.logp_sampling[~put]).any()
    assert attempt.num_tokens == int((~put).sum())


def test_an_answer_that_ends_within_its_budget_has_no_trigger():
    ((turn, attempt),) = deepen(lambda text, u: "3+4=7")
    assert (turn.text, turn.stop, turn.origin) == ("3+4=7", StopReason.ENDED, None)
    assert attempt.stop is StopReason.ENDED


def test_a_trigger_waits_for_the_end_of_the_step():
    lines = "one line\nand another one\n7"
    script = lambda text, u: lines[len(text.removeprefix("3+4").replace("#wait\n", "")) :]
    ((turn, _),) = deepen(script, first_tokens=4)
    assert turn.text == "one line\n#wait\nand another one\n#wait\n7"[: len(turn.text)]
    assert forced(turn).startswith("#wait\n") and turn.stop is StopReason.ENDED


def test_an_ended_answer_can_be_asked_to_look_again():
    """The script is wrong at first and right behind the trigger."""
    script = lambda text, u: "3+4=7" if "#wait" in text else "3+4=6"
    ((turn, attempt),) = deepen(script, first_tokens=50, end_checks=1)
    assert turn.text == "3+4=6\n#wait\n3+4=7" and attempt.stop is StopReason.ENDED
    assert int((turn.tokens == 0x110000).sum()) == 1  # one end, at the end


def test_attempts_differ_by_their_noise():
    found = deepen(lambda text, u: f"{u:.6f}", num_attempts=3)
    assert len({turn.text for turn, _ in found}) == 3


@pytest.mark.parametrize(
    "options", [{"first_tokens": 0}, {"growth": 0.5}, {"trigger": ""}, {"end_checks": -1}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="Deepening"):
        Deepening(**options)
