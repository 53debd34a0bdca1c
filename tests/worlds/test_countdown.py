"""countdown-v1: its rule, the truth of its steps, and how many problems there are."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
import pytest

from askesis.records import Task, TaskRole
from askesis.worlds.countdown import LEVELS, Countdown, level_of, reachable, solve

WORLD = Countdown()


def task(numbers: list[int], target: int) -> Task:
    return WORLD.task("", data={"numbers": numbers, "target": target})


# Worked by hand from the rule at the head of askesis/worlds/countdown.py.
@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("7*3=21,21+12=33", 1),
        ("7*3=21\n21+12=33", 1),
        ("3*7=21, 12+21=33", 1),
        ("7*3+12", 1),
        ("7*3+12=33", 1),
        ("12+(3*7)", 1),
        ("7*3=21,21+12", 1),  # only the last piece may leave out its value
        ("-3*-7+12", 1),  # a sign before a number of the pool
        ("12-7=5,5-3=2;7*3=21,21+12=33", 1),  # the last try counts
        ("7*3=21,21+12=33;#33=33 ok", 1),
        ("<answer>7*3+12</answer> so there", 1),
        ("7*3=21,21+12=33;12-7=5", 0),
        ("7*3=21,21+12=34", 0),
        ("7*3=22,21+12=33", 0),
        ("7*3=21,12+12=24", 0),  # 12 is used twice
        ("12+7=19", 0),  # 3 is left over
        ("33", 0),
        ("7*3", 0),
        ("7*3=21", 0),
        ("7*3,21+12=33", 0),
        ("7*3=21,21+12=33,33+0=33", 0),
        ("7**3=21,21+12=33", 0),
        ("#7*3=21,21+12=33", 0),
        ("", 0),
        (";;;", 0),
    ],
)
def test_the_rule(answer, score):
    checked = WORLD.verify(task([3, 7, 12], 33), answer)
    assert checked.score == score
    assert bool(checked.why) != bool(score)


def test_fractions_and_negative_numbers_are_allowed_on_the_way():
    # the classic 8/(3-8/3) = 24 needs 1/3 on the way
    assert WORLD.verify(task([3, 3, 8, 8], 24), "8/(3-8/3)").score == 1
    assert WORLD.verify(task([3, 3, 8, 8], 24), "8/3=8/3,3-8/3=1/3,8/(1/3)=24").score == 0
    assert WORLD.verify(task([4, 8, 16], 12), "4-8=-4,-4+16=12").score == 1
    assert WORLD.verify(task([4, 8, 16], 20), "4-8=-4,4+16=20").score == 0  # there is no 4 left


def test_each_step_is_judged_for_itself_and_found_in_the_text():
    answer = "7*3=22, 22+12=34"
    checked = WORLD.verify(task([3, 7, 12], 34), answer)
    assert checked.steps == (0.0, 1.0)  # the slip is in the first; the second follows from it
    assert [answer[a:b] for a, b in checked.spans] == ["7*3=22", "22+12=34"]
    assert checked.score == 0  # a target reached by a slip is not reached


def test_spans_are_places_in_the_whole_text_also_inside_a_mark():
    answer = "I think <answer>7*3=21,21+12=33</answer>"
    checked = WORLD.verify(task([3, 7, 12], 33), answer)
    assert [answer[a:b] for a, b in checked.spans] == ["7*3=21", "21+12=33"]


@pytest.mark.parametrize("level", LEVELS[:3])
def test_levels_have_as_many_problems_as_they_say(level):
    pools = combinations_with_replacement(range(1, level.largest + 1), level.num_numbers)
    assert sum(len(reachable(list(p), level.operators)) for p in pools) == level.num_canonical


@pytest.mark.slow
def test_there_is_room_for_a_thousand_claim_tasks_and_more():
    assert WORLD.num_canonical >= 10_000
    tasks = WORLD.draw_distinct(TaskRole.CLAIM, np.random.default_rng(0), 1_000)
    counts = np.bincount([LEVELS.index(level_of(t.difficulty)) for t in tasks])
    assert counts.min() >= 100  # every level, though the first has only about 150 of them


def test_every_drawn_task_can_be_made_again_by_search():
    for made in WORLD.draw(TaskRole.TRAIN, np.random.default_rng(3), 60):
        found = solve(made.data["numbers"], made.data["target"])
        assert found is not None
        assert WORLD.verify(made, found).score == 1


def test_a_task_that_came_from_elsewhere_is_demonstrated_by_search():
    rng = np.random.default_rng(0)
    assert WORLD.demonstrate(task([3, 7, 12], 33), rng) == "7*3=21,21+12=33"
    assert WORLD.demonstrate(task([1, 1, 1], 50), rng) is None


def test_drawing_is_the_same_on_every_machine():
    # made by this code when it was written; a change moves every warm start and claim set, and
    # then the version in the world's id has to rise
    tasks = WORLD.draw(TaskRole.TRAIN, np.random.default_rng(0), 3)
    assert [(t.prompt, t.answer, t.id) for t in tasks] == [
        ("5 7 8 10 -> 16", "8-7=1,5+1=6,10+6=16", "countdown-v1:54afd65fdc6a"),
        ("3 3 5 -> 12", "5*3=15,15-3=12", "countdown-v1:91941dc606c8"),
        ("4 7 7 9 -> 42", "7-4=3,9-3=6,7*6=42", "countdown-v1:ccd4dcdd1e29"),
    ]
