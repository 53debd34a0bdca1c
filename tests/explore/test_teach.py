"""A teacher keeps what was right of a wrong attempt, and only as long as that leads somewhere."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError, WorldError
from askesis.explore.teach import Teach, mended
from askesis.models.scripted import ScriptedModel
from askesis.records import About, Group, Purpose, Start, Task, TokenOrigin, Verdict, VerdictKind
from askesis.tasks.lessons import Lessons
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.countdown import Countdown
from askesis.worlds.maze import Maze
from tests.explore.host import Host, Sums, attempt

RNG = np.random.default_rng
NUMBERS = Task("t", "countdown-v1", "3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})
CHAIN = Task(
    "c", "chain_arithmetic-v1", "7 +5 *3 -9", "27", data={"first": 7, "operations": ["+5", "*3", "-9"]}
)  # fmt: skip
MAZE = Task("m", "maze-v1", "S..\n.#.\n..G", "DDRR")


def silent(world) -> Host:
    return Host({"policy": ScriptedModel("policy", {})}, world=world)


# ---------------------------------------------------------------- mending


def test_what_was_right_is_kept_and_what_follows_is_the_teachers():
    assert mended(Countdown(), NUMBERS, "3*7=21,21-12=9", RNG(0)) == "3*7=21,21+12=33"
    wrong = "7+5=12\n12*3=35\n35-9=26"
    assert mended(ChainArithmetic(), CHAIN, wrong, RNG(0)) == "7+5=12\n12*3=36\n36-9=27"


def test_right_steps_that_lead_nowhere_are_not_kept():
    assert mended(Countdown(), NUMBERS, "12-7=5,5*3=15", RNG(0)) == "7*3=21,21+12=33"
    assert mended(Countdown(), NUMBERS, "", RNG(0)) == mended(Countdown(), NUMBERS, "?", RNG(0))


def test_nobody_is_taught_a_detour():
    assert mended(Maze(), MAZE, "RLRR", RNG(0)) in ("RRDD", "DDRR")  # R L leads back to S
    assert mended(Maze(), MAZE, "RRL", RNG(0)) == "RRDD"


def test_a_lesson_is_a_demonstration_that_read_the_mistake():
    start = Start(NUMBERS, tag="lesson", privileged="3*7=21,21-12=9")
    (lesson,) = silent(Countdown()).explore(Teach(), start)
    assert lesson.author == "teacher" and lesson.purpose is Purpose.DEMONSTRATION
    assert set(lesson.turns[0].origin) == {TokenOrigin.GIVEN} and lesson.num_tokens == 0
    (plain,) = silent(Countdown()).explore(Teach(), Start(NUMBERS, tag="lesson"))
    assert plain.text == "7*3=21,21+12=33" and plain.author == "teacher"


def test_a_world_that_cannot_go_on_from_a_beginning_says_so():
    start = Start(Sums().make(3, 4), privileged="8")
    with pytest.raises(WorldError, match="--lesson failed"):
        silent(Sums()).explore(Teach(), start)


# ---------------------------------------------------------------- which tasks


def exam(*answers: str) -> tuple[list[Group], Verdicts]:
    """Groups of two attempts at 3+0, 3+1, ...: right where the answer is in it."""
    groups = []
    for number, texts in enumerate(answers):
        task = Sums().make(3, number)
        groups.append(Group(task.id, tuple(attempt(task, t, i) for i, t in enumerate(texts))))
    said = [
        Verdict("v", About(a.id), VerdictKind.OUTCOME, Sums().verify(a.task, a.text).score)
        for g in groups for a in g.attempts
    ]  # fmt: skip
    return groups, Verdicts(said)


def wanted(part: Lessons, answers: tuple[str, ...]):
    groups, verdicts = exam(*answers)
    ctx = silent(Sums()).context("tasks", inputs={"groups": groups, "verdicts": verdicts})
    return part.draw(ctx), ctx.metrics


def test_lessons_are_about_what_went_wrong_and_show_it():
    starts, noted = wanted(Lessons(), ("33", "44", "59", "61"))
    assert {(s.task.prompt, s.privileged) for s in starts} == {("3+2", "9"), ("3+3", "1")}
    assert {s.tag for s in starts} == {"lesson"}
    assert noted == {"tasks/failed_fraction": 0.5, "tasks/lessons": 2.0}
    hidden, _ = wanted(Lessons(lesson="failed"), ("33", "44", "59", "61"))
    assert [(s.task.prompt, s.privileged) for s in hidden] == [
        (s.task.prompt, None) for s in starts
    ]


def test_the_control_asks_about_anything_and_no_more_often():
    starts, _ = wanted(Lessons(lesson="any", num=3), ("33", "44", "59", "61"))
    assert len(starts) == 3 and {s.privileged for s in starts} == {None}
    assert len(wanted(Lessons(num=1), ("33", "44", "59", "61"))[0]) == 1


def test_different_mistakes_at_a_task_can_each_have_a_lesson():
    starts, _ = wanted(Lessons(max_per_task=3), ("1" * 2, "12"))
    assert sorted((s.task.prompt, s.privileged) for s in starts) == [
        ("3+0", "1"), ("3+1", "1"), ("3+1", "2"),
    ]  # fmt: skip


def test_a_student_who_is_always_right_gets_no_lessons():
    assert wanted(Lessons(), ("33", "44"))[0] == []


def test_limits_that_cannot_be_are_refused():
    for wrong in ({"num": 0}, {"max_per_task": 0}, {"lesson": "hard"}):
        with pytest.raises(ConfigError):
            Lessons(**wrong)
