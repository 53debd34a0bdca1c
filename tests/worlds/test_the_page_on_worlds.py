"""docs/add-a-world.md, done exactly as it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from askesis.records import TaskRole
from askesis.worlds.check import check_world
from askesis.worlds.open import open_world

PAGE = Path(__file__).parents[2] / "docs" / "add-a-world.md"


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text()
    Path("my_world.py").write_text(re.findall(r"```python\n(.*?)```", text, re.S)[0])
    return text


def test_the_world_on_the_page_is_under_sixty_lines(page):
    assert len(Path("my_world.py").read_text().splitlines()) < 60


def test_the_world_on_the_page_passes_the_self_check(page):
    world = open_world("my_world.py:SortLetters")
    assert [str(f) for f in check_world(world) if not f.ok] == []
    task = world.draw(TaskRole.TRAIN, np.random.default_rng(0), 1)[0]
    assert world.verify(task, "let me see\n" + task.answer).score == 1
    assert open_world("my_world.py:SortLetters?difficulty=0.25").difficulty == 0.25


@pytest.mark.slow
def test_the_commands_on_the_page_do_what_it_says(page, quick_warm_start, capsys):
    from askesis.cli.main import main

    commands = re.findall(r"```\n(askesis .*?)```", page, re.S)[0]
    for line in commands.strip().splitlines():
        assert main(shlex.split(line)[1:]) == 0, capsys.readouterr()
    assert "sort_letters-v1" in capsys.readouterr().out
