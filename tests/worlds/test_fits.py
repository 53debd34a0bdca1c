"""Every recipe has two worlds to run on, and is refused before round 0 where it has not what it
needs."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.records import TaskRole
from askesis.registry import RECIPES
from askesis.worlds.fits import fitting, lacks, must_fit
from askesis.worlds.open import open_world
from askesis.worlds.table import ADAPTERS, WORLDS

# Preferences are of one world, which has six variants; the other is any file of pairs.
OF_PREFERENCES = {n for n, row in RECIPES.items() if "preference" in row.needs}
OWN = [name for name in WORLDS if name not in ADAPTERS]


@pytest.mark.parametrize("name", sorted(set(RECIPES) - OF_PREFERENCES))
def test_two_worlds_have_what_a_recipe_needs(name):
    row = RECIPES[name]
    there = fitting(row.needs)
    assert len(there) >= 2, f"{name} needs {row.needs}, found {there}"
    for world in there:
        assert lacks(open_world(world), row.needs) == []


def test_sharpening_is_seen_exactly_on_two_worlds():
    assert fitting(("listed answers",)) == ["preferences", "garden_path"]
    world = open_world("preferences?difficulty=0")
    (task,) = world.draw(TaskRole.TRAIN, np.random.default_rng(0), 1)
    listed = world.list_answers(task)
    assert len(set(listed)) == 24 and listed == sorted(listed)
    assert sum(world.verify(task, text).score >= 1 for text in listed) == 1


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_default_world_of_a_recipe_fits(name):
    open_worlds(plan_for(name))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_world_that_does_not_fit_is_refused_and_those_that_do_are_named(name):
    needs = RECIPES[name].needs
    there = fitting(needs)
    for world in OWN:
        opened = open_world(world)
        if not lacks(opened, needs):
            must_fit(name, opened)
            continue
        with pytest.raises(WorldError, match=f"recipe '{name}' needs") as error:
            open_worlds(plan_for(name, [("world", world)]))
        assert all(f"--world {w}" in str(error.value) for w in there)


@pytest.mark.parametrize("name", OWN)
def test_the_table_of_worlds_says_what_they_know(name):
    world = open_world(name)
    said = {word.strip() for word in WORLDS[name].truth.split(",")}
    known = set(world.truth) | ({"listed answers"} if hasattr(world, "list_answers") else set())
    assert said == known
