"""The comparison in results/: its text and its page say what its figures say."""

import json

from askesis.lab.compare.record import read_comparison
from benchmarks.comparison import RESULTS, page_of

FOLDER = RESULTS / "compare"


def test_the_text_is_what_its_command_makes_of_the_figures():
    assert (RESULTS / "compare.md").read_text() == page_of(FOLDER)


def test_it_is_of_six_recipes_five_seeds_two_worlds_and_a_million_tokens():
    found = read_comparison(FOLDER)
    assert len(found.arms) >= 6 and len(found.seeds) >= 5 and len(found.worlds) >= 2
    assert found.budget == {"tokens": 1e6} and not found.failed
    assert all(set(arms) == set(found.arms) for arms in found.tuned.values())


def test_the_page_carries_every_sentence_and_no_path_of_a_machine():
    page = (FOLDER / "compare.html").read_text()
    found = json.loads((FOLDER / "compare.json").read_text())
    assert all(words in page for words in found["conclusions"])
    assert "/home/" not in page and "file://" not in page
