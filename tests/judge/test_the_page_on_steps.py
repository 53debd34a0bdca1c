"""The page on judges of steps lists what there is, with the meanings the judges have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from askesis.registry import PARTS
from askesis.select.step_rewards import Transform
from askesis.steps import MEANINGS, SEPARATORS
from tests.judge.test_step_judges import GROUP, JUDGES, tables

PAGE = (Path(__file__).parents[2] / "docs" / "step-judges.md").read_text()


def rows(heading: str) -> dict[str, str]:
    """The first table below a heading: first cell -> the rest."""
    table = PAGE.partition(f"## {heading}")[2].partition("## ")[0]
    return dict(re.findall(r"^\| `([a-z._]+)` \| (.+) \|$", table, re.MULTILINE))


def test_every_judge_of_steps_and_every_meaning_is_on_the_page():
    assert set(rows("The contract")) == set(MEANINGS)
    assert set(rows("The judges")) == {name for name in PARTS if name.startswith("judge.steps.")}
    assert set(rows("From scores to learning")) == {n for n in PARTS if n.startswith("select.step_")} - {
        name for name in PARTS if name.startswith("select.step_splice")
    }  # fmt: skip


@pytest.mark.slow
def test_judges_say_the_meanings_that_the_page_gives_them():
    said: dict[str, set[str]] = {}
    for judge in JUDGES:
        (name,) = [n for n, row in PARTS.items() if row.load() is type(judge)]
        found = {str(v.kind) for v in tables().judge(judge, GROUP) if v.kind in MEANINGS}
        said.setdefault(name, set()).update(found)
    for name, text in rows("The judges").items():
        given = {m for m in MEANINGS if m in text.partition("|")[0]}
        if given:
            assert given <= said[name] and (len(said[name]) == len(given) or "prover" in name), name


def test_every_transform_is_on_the_page():
    for transform in Transform.__args__:
        assert f"`{transform}`" in PAGE
    assert SEPARATORS == ",;\n"  # "a comma, a semicolon and a line end"
