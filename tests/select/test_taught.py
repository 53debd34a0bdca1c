"""What of lessons and own answers is learnt, and what is only looked at."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.teach import Teach
from askesis.models.scripted import ScriptedModel
from askesis.records import About, Group, Start, StopReason, Task, Verdict, VerdictKind
from askesis.select.taught import Taught
from askesis.worlds.countdown import Countdown
from tests.explore.host import Host, attempt

TASK = Task("t", "countdown-v1", "3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})
RIGHT, OTHER, WRONG = "7*3=21,21+12=33", "3*7=21,12+21=33", "3*7=21,21-12=9"
HOST = Host({"policy": ScriptedModel("policy", {})}, world=Countdown())


def samples(part: Taught, *texts: str, shown: str | None = WRONG, stop=StopReason.ENDED, lie=None):
    """What an exam with these answers and one lesson make, with what was noted."""
    own = [attempt(TASK, text, i, stop=stop) for i, text in enumerate(texts)]
    lesson = HOST.explore(Teach(), Start(TASK, tag="lesson", privileged=shown))
    groups = [Group("t", tuple(own)), Group("t/lesson", tuple(lesson))]
    said = [
        Verdict("v", About(a.id), VerdictKind.OUTCOME,
                Countdown().verify(TASK, a.text).score if lie is None else lie)
        for g in groups for a in g.attempts
    ]  # fmt: skip
    ctx = HOST.context("select", slot="select.policy")
    return part.select(ctx, groups, Verdicts(said)), ctx.metrics


def text_of(row) -> str:
    return "".join(chr(t) for t in row.tokens.tolist() if t < 0x110000)


def test_a_lesson_is_learnt_at_the_plain_task_and_the_prompt_a_little():
    ((sample,), noted) = samples(Taught(), WRONG, WRONG)
    (row,) = sample.sequences  # no right answer of one's own: nothing to compare
    assert text_of(row) == TASK.prompt + "3*7=21,21+12=33"
    weight = row.columns["weight"]
    num = len(TASK.prompt)
    assert weight[0] == 0 and np.allclose(weight[1:num], 0.1) and np.all(weight[num:] == 1)
    assert not row.columns["side"].any() and noted["select/reflected_fraction"] == 0


def test_own_right_and_wrong_answers_stand_beside_it_and_are_not_learnt():
    ((sample,), noted) = samples(Taught(), OTHER, WRONG, RIGHT, WRONG)
    assert [text_of(r)[len(TASK.prompt) :] for r in sample.sequences] == [
        "3*7=21,21+12=33", OTHER, RIGHT, WRONG,
    ]  # fmt: skip
    sides = [r.columns["side"] for r in sample.sequences]
    assert [s[-1] for s in sides] == [1, 2, 2, -1] and not any(s[:-1].any() for s in sides)
    assert not any(r.columns["weight"].any() for r in sample.sequences[1:])
    assert sample.sources == ("0.explore/t/lesson#0", "t#0", "t#2", "t#1")
    assert noted["select/reflected_fraction"] == 1
    ((alone,), _) = samples(Taught(reflect=False), OTHER, WRONG)
    assert len(alone.sequences) == 1


def test_what_says_what_the_lesson_says_is_not_compared_with_it():
    ((sample,), _) = samples(Taught(), RIGHT, WRONG, shown=None)
    assert len(sample.sequences) == 1


def test_at_most_so_many_of_each_kind():
    ((sample,), _) = samples(Taught(max_right=1, max_wrong=1), OTHER, WRONG, RIGHT, "1", "2")
    assert [r.columns["side"][-1] for r in sample.sequences] == [1, 2, -1]


def test_a_lesson_that_a_judge_calls_wrong_is_not_learnt():
    assert samples(Taught(), WRONG, lie=0.0)[0] == []
    assert samples(Taught())[0]  # and one without an exam is


def test_limits_that_cannot_be_are_refused():
    for wrong in ({"prompt_weight": -1}, {"max_right": 0}, {"max_wrong": 0}):
        with pytest.raises(ConfigError):
            Taught(**wrong)
