"""From names to worlds, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.records import TaskRole
from askesis.worlds.open import open_world

OUTSIDE = """
from askesis.worlds.addition import Addition

class Mine(Addition):
    id = "mine-v3"

def made(num: int = 1, fancy: bool = False, name: str = "x"):
    world = Mine()
    world.options = (num, fancy, name)
    return world

def needs(path: str):
    return Mine()

finished = Mine(difficulty=0.5)
not_a_world = 7

class Half:
    id = "half-v1"
    truth = frozenset()
    def draw(self, *_): ...
"""


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "my_file.py"
    path.write_text(OUTSIDE)
    return str(path)


def test_a_name_without_version_is_the_latest():
    assert open_world("countdown").id == "countdown-v1"
    assert open_world("countdown-v1").id == "countdown-v1"


def test_options_are_read_as_the_world_wants_them():
    world = open_world("maze?difficulty=0.25")
    assert world.id == "maze-v1?difficulty=0.25"
    assert {t.difficulty for t in world.draw(TaskRole.TRAIN, np.random.default_rng(0), 5)} == {0.25}


def test_worlds_in_ones_own_file_need_no_registration(outside):
    assert open_world(f"{outside}:Mine").id == "mine-v3"
    assert open_world(f"{outside}:finished").id == "mine-v3?difficulty=0.5"
    assert open_world(f"{outside}:made?num=3&fancy=true&name=y").options == (3, True, "y")


def test_worlds_of_installed_packages_are_found(monkeypatch):
    from importlib.metadata import EntryPoint

    entry = EntryPoint("elsewhere", "askesis.worlds.maze:Maze", "askesis.worlds")
    monkeypatch.setattr("askesis.worlds.open.entry_points", lambda group: [entry])
    assert open_world("elsewhere?difficulty=0").id == "maze-v1?difficulty=0"
    with pytest.raises(WorldError, match="Did you mean 'elsewhere'"):
        open_world("elswhere")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("countdwn", "Did you mean 'countdown'?"),
        ("countdown-v9", "Did you mean 'countdown-v1'?"),
        ("", "a world's name is empty"),
        ("jsonl", "Type jsonl:NAME_OR_PATH"),
        ("questions.jsonl", "Did you mean 'jsonl:questions.jsonl'?"),
        ("maze?difficulti=1", "Did you mean 'difficulty'?"),
        ("maze?difficulty=hard", "expected float; found 'hard'"),
        ("maze?difficulty=2", "from 0 (easiest) to 1; found 2"),
        ("maze?=2", "expected name=value"),
        ("nowhere.py:World", "there is no file nowhere.py"),
        ("nowhere.py", "Type nowhere.py:my_world"),
        ("FILE:Mne", "Did you mean 'Mine'?"),
        ("FILE:not_a_world", "is no world: it lacks id"),
        ("FILE:Half", "it lacks num_canonical, max_answer_tokens, canonical(), verify()"),
        ("FILE:finished?difficulty=1", "takes no options"),
        ("FILE:needs", "needs path"),
        ("FILE:made?num=x", "expected int; found 'x'"),
    ],
)
def test_mistakes_get_one_line_that_says_what_to_type(spec, said, outside):
    with pytest.raises(WorldError) as caught:
        open_world(spec.replace("FILE", outside))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_listing_worlds_imports_no_heavy_library():
    heavy = ("torch", "pyarrow", "reasoning_gym", "math_verify", "sympy")
    code = (
        "import sys, askesis.worlds.table, askesis.worlds.open as o; o.open_world('countdown'); "
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
