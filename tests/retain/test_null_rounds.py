"""The study of rounds without learning: its claims on a few seeds, and its page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.null_rounds import CHANGES, RULES, one_life
from benchmarks.null_rounds_page import page
from benchmarks.null_rounds_run import one_run

RESULTS = Path(__file__).parents[2] / "results"


def test_a_slow_decline_passes_every_neighbour_and_not_the_best_kept():
    best = one_life("slow decline", "against the best kept, each fourth round", 0)
    last = one_life("slow decline", "against the last kept, each fourth round", 0)
    assert best["drift"] > -0.15 > last["drift"]
    assert best["reverts"] > last["reverts"]
    assert best["wrong_reverts"] <= 1


def test_the_naive_rule_believes_too_much():
    assert one_life("nothing", "higher score on the same sixteen tasks", 0)["drift"] == 0
    believed = [one_life("nothing", "higher score on the same sixteen tasks", s) for s in range(5)]
    assert sum(x["believed_too_high"] for x in believed) / 5 > 0.1


@pytest.mark.slow
def test_a_real_run_of_chance_is_held_at_its_best():
    held, free = (one_run(CHANGES["slow decline"], keep, 0, 60) for keep in (True, False))
    assert free["drift"] < -0.1 < held["drift"]
    assert held["reverts"] > 0 and held["decisions"] == 15


def test_the_page_is_that_of_its_figures():
    whole = json.loads((RESULTS / "null_rounds.json").read_text())
    text = (RESULTS / "null_rounds.md").read_text()
    assert text == page(whole, list(CHANGES), list(RULES))
