"""What the README says is generated, runs, or lies where it says."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.readme import SELF_TRAINING, SELF_TRAINING_PAGE, filled, filled_self_training

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_figure_in_the_readme_is_generated_from_committed_results():
    assert filled(README) == README


def test_the_page_on_self_training_says_of_each_recipe_when_to_use_it_and_what_was_seen():
    page = SELF_TRAINING_PAGE.read_text()
    assert filled_self_training(page) == page
    advice = page[: page.index("## Before you use a second turn")]
    assert set(re.findall(r"\[`(\w+)`\]\(methods", advice)) >= set(SELF_TRAINING)


def test_every_file_a_page_links_to_is_there():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_commands_of_the_readme_are_commands_of_the_program():
    from askesis.cli.main import app

    known = {c.name or c.callback.__name__ for c in app.registered_commands} | {"check"}
    said = set(re.findall(r"(?:^|\| |  )askesis ([a-z]+)", README, re.M))
    assert said
    assert said <= {name.strip("_") for name in known}, said - known


def test_the_recipes_of_the_readme_are_the_recipes_of_the_registry():
    from askesis.registry import RECIPES

    assert set(re.findall(r"\[`(\w+)`\]\(docs/methods", README)) == set(RECIPES)


def test_the_makefile_has_what_the_readme_names():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target
