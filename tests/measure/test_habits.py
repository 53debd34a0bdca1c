"""Habits are counted where the demonstrators write them, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.measure.habits import Habits
from askesis.records import Group, TaskRole
from askesis.text.habits import NAMES, count_habits
from askesis.worlds.open import open_world
from tests.explore.host import Host, attempt, says, view

SHOWN = {"verify": "verification", "backtrack": "backtracking", "sub_goal": "sub_goals"}
WORLDS = ("countdown", "chain_arithmetic", "addition", "maze")


@pytest.mark.parametrize("name", WORLDS)
def test_a_demonstrated_habit_is_counted_and_no_other(name):
    world, rng = open_world(name), np.random.default_rng(0)
    for task in world.draw(TaskRole.TRAIN, rng, 25):
        for habit in ("plain", "filler", *SHOWN):
            text = world.demonstrate(task, rng, habit)
            found = count_habits(world.id, task.prompt, text)
            counts = {n: getattr(found, n) or 0 for n in NAMES}
            # a maze without room for a detour is walked without one
            wanted = {SHOWN[habit]} if habit in SHOWN else set()
            shown = {n for n, number in counts.items() if number}
            assert shown == wanted or (name == "maze" and not shown), (habit, text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("#33-12=21;7*3=21,21+12=33", (0, 0, 0, 1)),  # from the goal back
        ("#21+12=33;7*3=21,21+12=33", (0, 0, 1, 0)),
        ("7*3=21,21+12=33;#33=33 ok", (1, 0, 0, 0)),
        ("7+3=10;#10!=33;7*3=21,21+12=33", (1, 1, 0, 0)),
        ("7+3=10;7*3=21;7*3=21,21+12=33", (0, 2, 0, 0)),
        ("#ok", (0, 0, 0, 0)), ("#", (0, 0, 0, 0)), ("", (0, 0, 0, 0)), (";;;", (0, 0, 0, 0)),
        ("#33-12=21", (0, 0, 0, 0)),  # a plan for nothing
        ("#" + "9" * 20_000, (0, 0, 0, 0)), ("\x00", (0, 0, 0, 0)),
    ],
)  # fmt: skip
def test_countdown_answers_are_read_by_rule(text, wanted):
    found = count_habits("countdown-v1?difficulty=0.5", "3 7 12 -> 33", text)
    assert tuple(getattr(found, n) for n in NAMES) == wanted


def test_prose_is_read_by_phrases():
    text = (
        "First, we need the area. Wait, that does not work. Let me try again. "
        "Let me double-check: working backwards from 12 gives 3."
    )
    found = count_habits("gsm8k-1a2b-v1", "", text)
    assert (found.verification, found.backtracking, found.sub_goals, found.backward_chaining) == (
        1, 3, 1, 1,
    )  # fmt: skip
    assert count_habits("anything-v1", "", "The answer is 4.").total == 0


def test_a_round_shows_habits_per_attempt():
    world = open_world("countdown")
    rng = np.random.default_rng(1)
    groups = []
    for task in world.draw(TaskRole.TRAIN, rng, 4):
        texts = [world.demonstrate(task, rng, h) for h in ("plain", "verify", "backtrack", "plain")]
        groups.append(Group(task.id, tuple(attempt(task, t, i) for i, t in enumerate(texts))))
    ctx = Host(says({})).context("measure")
    found = Habits().measure(ctx, view(groups))
    assert found["habits/verification"] == found["habits/backtracking"] == 0.25
    assert found["habits/sub_goals"] == found["habits/backward_chaining"] == 0.0
    assert found["habits/any_fraction"] == 0.5
    assert Habits(num_attempts=1).measure(ctx, view(groups))["habits/verification"] == 0.25
    assert Habits().measure(ctx, view([])) == {}
    with pytest.raises(ConfigError, match="Habits"):
        Habits(num_attempts=0)
