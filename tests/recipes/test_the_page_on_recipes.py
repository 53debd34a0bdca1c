"""docs/add-a-recipe.md, done exactly as it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "add-a-recipe.md"


def test_the_recipe_on_the_page_is_under_sixty_lines():
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[0]
    assert len(code.splitlines()) < 60


@pytest.mark.slow
def test_the_page_on_recipes_does_what_it_says(tmp_path, monkeypatch, quick_warm_start, capsys):
    from askesis.cli.main import main

    page = PAGE.read_text()
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    Path("my_recipe.py").write_text(blocks[0])
    compile(blocks[1], "page", "exec")
    commands = re.findall(r"```\n(askesis run.*?)```", page, re.S)[0].replace("\\\n", " ")
    for line in commands.strip().splitlines():
        monkeypatch.setattr("sys.argv", shlex.split(line))
        assert main() == 0, capsys.readouterr()
    shown = capsys.readouterr().out
    assert "hard_fraction" in shown
    from askesis.store.run_store import RunStore

    store = RunStore.open(Path("my_run"))
    assert store.config["phases"][0]["parts"]["select"]["policy"]["max_solved_fraction"] == 0.75
    assert len(store.rounds()) == 2
    store.close()
