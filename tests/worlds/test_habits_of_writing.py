"""Demonstrations in several habits at once, of matched length, right and wrong."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.text.expressions import parse_expression
from askesis.text.habits import count_habits
from askesis.worlds.habits import wanted_habits, with_dots
from askesis.worlds.open import open_world

SINGLE = ("plain", "verify", "backtrack", "sub_goal", "filler")
SHOWN = {"verify": "verification", "backtrack": "backtracking", "sub_goal": "sub_goals",
         "backward": "backward_chaining", "search": "backtracking"}  # fmt: skip
WORLDS = ("countdown", "chain_arithmetic", "addition", "maze")


def demonstrations(world, habit, num=12, **options):
    """(task, text, habits counted)"""
    rng = np.random.default_rng(0)
    for task in world.draw("train", rng, num):
        text = world.demonstrate(task, rng, habit, **options)
        yield task, text, count_habits(world.id, task.prompt, text)


def test_the_habits_of_the_first_version_are_written_as_ever():
    """Warm starts rest on them. Golden: sha256 of these texts by the code of commit eacc9c7."""
    written = hashlib.sha256()
    for name in WORLDS:
        world, rng = open_world(name), np.random.default_rng(0)
        for task in world.draw("train", rng, 40):
            for habit in SINGLE:
                for wrong in (False, True):
                    text = world.demonstrate(task, rng, habit, wrong=wrong)
                    written.update(repr((task.prompt, text)).encode())
    assert written.hexdigest() == "584d0debec5dca4740eab159fc3744d9f258a3e876b721daad88e9f5c634e680"


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("habit", ["backtrack+verify", "verify+sub_goal+backtrack"])
@pytest.mark.parametrize("wrong", [False, True])
def test_several_habits_are_all_there_and_the_score_is_as_asked(name, habit, wrong):
    world = open_world(name)
    for task, text, counted in demonstrations(world, habit, wrong=wrong):
        assert world.verify(task, text).score == float(not wrong)
        if name == "maze" or wrong:
            continue  # a narrow maze may have no detour; a wrong last step may begin at the target
        assert all(getattr(counted, SHOWN[h]) == 1 for h in habit.split("+")), text


@pytest.mark.parametrize("name", WORLDS)
def test_matched_filler_is_as_long_as_the_habit_and_shows_none(name):
    world = open_world(name)
    for wrong in (False, True):
        for task in world.draw("train", np.random.default_rng(0), 12):
            texts = [
                world.demonstrate(task, np.random.default_rng(7), habit, wrong=wrong)
                for habit in ("verify+sub_goal", "filler:verify+sub_goal")
            ]
            assert len(texts[0]) == len(texts[1])
            assert world.verify(task, texts[1]).score == float(not wrong)
            if not (name == "maze" and wrong):  # a wrong step in a maze may happen to undo another
                assert count_habits(world.id, task.prompt, texts[1]).total == 0


def test_countdown_works_backwards_and_searches():
    world = open_world("countdown")
    for task, text, counted in demonstrations(world, "backward"):
        target, rest = int(task.data["target"]), text.split(";")[0].removeprefix("#")
        left, right = rest.split("=")
        assert parse_expression(left).value == int(right) and left.startswith(str(target))
        assert counted.backward_chaining == 1 and world.verify(task, text).score == 1.0
    found = [counted.backtracking for _, _, counted in demonstrations(world, "search", num=40)]
    assert set(found) == {1, 2, 3}


def test_all_four_at_once():
    world = open_world("countdown")
    for _, _, counted in demonstrations(world, "verify+backtrack+sub_goal+backward"):
        assert counted.total == 4


@pytest.mark.parametrize(
    ("habit", "said"),
    [("backwards", "Did you mean"), ("plain+verify", "stand alone"), ("filler+verify", "stand alone"),
     ("", "There are"), ("filler:", "There are"), ("search", "There are")],
)  # fmt: skip
def test_habits_that_a_world_does_not_have_are_refused(habit, said):
    world = open_world("addition")
    task = world.draw("train", np.random.default_rng(0), 1)[0]
    with pytest.raises(WorldError) as raised:
        world.demonstrate(task, np.random.default_rng(0), habit)
    assert said in str(raised.value) or "Did you mean" in str(raised.value)


def test_names_and_dots():
    assert wanted_habits("w", "plain", SINGLE) == frozenset()
    assert wanted_habits("w", "verify+backtrack", SINGLE) == {"verify", "backtrack"}
    assert with_dots("12345678", "1234", ";") == "#..;1234"
    assert (
        with_dots("123456", "1234", ";") == "#;1234" and with_dots("12345", "1234", ";") == "1234"
    )
