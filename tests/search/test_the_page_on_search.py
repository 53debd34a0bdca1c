"""docs/search.md: what stands there runs, the picture is of the drawn tree, no part is missing."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from xml.etree import ElementTree

from askesis.explore.search import Search
from askesis.registry import PARTS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "search.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_example_prints_what_the_page_shows():
    shown = re.search(r"print\(as_text\(group\.tree\)\)\n```\n\n```text\n(.*?)\n```", PAGE, re.S)
    assert shown is not None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(CODE[0], "search.md", "exec"), {"__name__": "page"})
    assert out.getvalue().rstrip("\n") == shown[1]


def test_the_searches_of_the_papers_can_be_made():
    made: dict = {}
    exec(compile(CODE[1], "search.md", "exec"), made)
    found = {name for name, value in made.items() if isinstance(value, Search)}
    assert {"rest_mcts", "alphamath", "step_beam", "eta_mcts", "by_confidence"} < found


def test_the_picture_is_of_the_tree_that_is_drawn():
    drawn = re.search(r"<!-- tree -->\n```text\n(.*?)\n```", PAGE, re.S)
    assert drawn is not None
    lines = drawn[1].split("\n")[:-1]  # the last one says why it ended
    said = [re.sub(r"^[│├└─ ]*", "", line).split("  ")[0] for line in lines]
    picture = ElementTree.fromstring((DOCS / "search.svg").read_text())
    words = [t.text for t in picture.iter() if t.tag.endswith("text") and t.get("class") != "n"]
    assert sorted(words) == sorted(said) and len(words) > 10
    ends = sum("■" in line for line in lines)
    assert sum(t.tag.endswith("rect") for t in picture.iter()) == ends + 1


def test_every_part_of_a_search_is_on_the_page():
    for name, row in PARTS.items():
        if name.startswith("search."):
            assert f"`{row.target.rpartition(':')[2]}`" in PAGE, name
