"""Words on the command line become options of a recipe."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.cli.options import defaults, directory_name, split, value_at, whole
from askesis.config import override
from askesis.errors import ConfigError
from askesis.recipes.rft import rft
from askesis.recipes.star import star


def test_options_are_read_in_every_way_people_type_them():
    alone, options = split(
        ["star", "--rounds", "3", "--explore.num-attempts=16", "--set", "a.b=c=d", "--hint",
         "--budget.tokens", "2e6", "-o", "here", "--tasks.difficulty", "-1", "--dry-run"]
    )  # fmt: skip
    assert alone == ["star"]
    assert options == [
        ("rounds", "3"), ("explore.num-attempts", "16"), ("a.b", "c=d"), ("hint", "true"),
        ("budget.tokens", "2e6"), ("out", "here"), ("tasks.difficulty", "-1"),
        ("dry-run", "true"),
    ]  # fmt: skip


def test_a_switch_does_not_eat_the_recipe():
    assert split(["--dry-run", "star"]) == (["star"], [("dry-run", "true")])


def test_set_without_a_value_says_what_it_takes():
    with pytest.raises(ConfigError, match=r"--set takes a path and a value"):
        split(["star", "--set", "rounds"])


WORDS = ("--a", "--b=1", "c", "--set", "x=1", "--", "-o", "--dry-run", "")


@given(st.lists(st.sampled_from(WORDS)))
@settings(max_examples=50, deadline=None)
def test_no_line_of_words_breaks_the_reader(words):
    try:
        alone, options = split(words)
    except ConfigError:
        return
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in options)
    assert len(alone) + len(options) <= len(words)


@pytest.mark.parametrize("recipe", [rft, star])
def test_every_listed_option_can_be_set_to_its_own_default(recipe):
    plan = recipe()
    listed = dict(defaults(plan, recipe))
    assert {"world", "rounds", "seed", "explore.num-attempts"} <= set(listed)
    for path in ("rounds", "seed", "explore.temperature", "select.policy.max-per-task"):
        assert override(plan, path, listed[path]) == plan


def test_a_value_is_found_behind_its_path():
    plan = rft()
    assert value_at(plan, "world") == "countdown"
    assert value_at(plan, "explore.num_attempts") == plan.phases[0].parts.explore.num_attempts
    assert value_at(plan, "model") == "tiny"
    assert value_at(plan, "engine") == "auto"
    assert value_at(plan, "no.such.path") is None


def test_a_default_directory_names_recipe_world_and_seed():
    plan = override(override(rft(), "world", "jsonl:some/where/my questions.jsonl"), "seed", "3")
    assert directory_name(plan, "rft") == "rft-jsonl-my-questions-s3"
    assert directory_name(override(plan, "world", "a/b.py:mine"), "c/d.py:r") == "r-mine-s3"
    assert "/" not in directory_name(override(plan, "world", "../../etc"), "rft")


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "", "٣"])
def test_a_count_must_be_a_whole_number(text):
    with pytest.raises(ConfigError, match="whole number"):
        whole("num", text)
