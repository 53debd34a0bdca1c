"""One battery over every world that makes its own problems."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.protocols import Environment, World
from askesis.records import TaskRole
from askesis.worlds.check import check_world
from askesis.worlds.open import open_world
from askesis.worlds.roles import role_of
from askesis.worlds.table import ADAPTERS, WORLDS

PROCEDURAL = [name for name in WORLDS if name not in ADAPTERS]


@pytest.fixture(params=PROCEDURAL)
def world(request):
    return open_world(request.param)


def test_a_world_passes_its_own_check(world):
    assert [str(f) for f in check_world(world, seed=1, num=60) if not f.ok] == []


def test_a_world_keeps_the_contract(world):
    assert isinstance(world, World)
    assert isinstance(world, Environment) == ("turns" in world.truth)


def test_no_two_distinct_tasks_are_the_same_problem(world):
    tasks = world.draw_distinct(TaskRole.CLAIM, np.random.default_rng(0), 300)
    assert len({world.canonical(t) for t in tasks}) == 300
    assert {t.role for t in tasks} == {TaskRole.CLAIM}
    assert all(role_of(world.id, world.canonical(t)) is TaskRole.CLAIM for t in tasks)


def test_every_role_sees_the_same_mix_of_difficulties(world):
    means = []
    for role in TaskRole:
        tasks = world.draw(role, np.random.default_rng(0), 100)
        difficulties = np.sort([t.difficulty for t in tasks])
        means.append(difficulties.mean())
        # one task per slice of [0, 1]: the sorted difficulties hug the diagonal
        assert np.abs(difficulties - (np.arange(100) + 0.5) / 100).max() <= 0.5 / 100 + 0.05
    assert max(means) - min(means) < 0.02


def test_a_draw_at_a_difficulty_is_at_that_difficulty(world):
    tasks = world.draw(TaskRole.TRAIN, np.random.default_rng(0), 5, difficulty=0.3)
    assert [t.difficulty for t in tasks] == [0.3] * 5
    with pytest.raises(WorldError, match="difficulty"):
        world.draw(TaskRole.TRAIN, np.random.default_rng(0), 1, difficulty=1.5)


def test_more_distinct_tasks_than_there_are_is_refused_with_the_number(world):
    easiest = type(world)(difficulty=0.0)
    assert easiest.id == f"{world.id}?difficulty=0"
    with pytest.raises(WorldError, match="cannot give 1000000000 different claim tasks"):
        easiest.draw_distinct(TaskRole.CLAIM, np.random.default_rng(0), 10**9)


def test_a_space_that_turns_out_too_small_is_refused_after_bounded_tries(world, monkeypatch):
    from askesis.worlds import family

    monkeypatch.setattr(family, "_TRIES_AT_LEAST", 200)
    monkeypatch.setattr(family, "_TRIES_PER_TASK", 1)
    fixed = world.draw(TaskRole.TRAIN, np.random.default_rng(0), 1, 0.0)[0]
    monkeypatch.setattr(type(world), "generate", lambda *_: fixed)
    with pytest.raises(WorldError, match="found 1 in 200 tries"):
        world.draw_distinct(TaskRole.TRAIN, np.random.default_rng(0), 2)


def test_unknown_habits_get_the_nearest_name(world):
    task = world.draw(TaskRole.TRAIN, np.random.default_rng(0), 1)[0]
    with pytest.raises(WorldError, match="Did you mean 'backtrack'"):
        world.demonstrate(task, np.random.default_rng(0), "backtracking")
