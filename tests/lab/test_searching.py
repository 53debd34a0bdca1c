"""Searches outside a run, on real engines: the same tree on each, and prefixes read once."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.explore.search import Search
from askesis.lab.searching import searched
from askesis.search.evaluate import Confidence, Judged, Nothing
from askesis.search.expand import Draws
from askesis.search.frontier import BestFirst, BreadthFirst
from askesis.search.said import mean_logp
from askesis.search.steps import Steps
from askesis.worlds.addition import Addition
from tests.engines.cast import small_model

WORLD = Addition()
TASKS = WORLD.draw("train", np.random.default_rng(0), 3)


def bytes_search(**options) -> Search:
    """Steps of three tokens; the model is untrained and says anything."""
    return Search(
        edge=Steps(step_tokens=3, max_tokens=12), expand=Draws(num=2), num_simulations=6, **options
    )


def shape(group):
    return [(n.parent, [t.tokens.tolist() for t in n.edge]) for n in group.tree.nodes]


@pytest.mark.parametrize("engine", ["native", "transformers"])
def test_a_step_reads_what_was_said_before_it_and_nothing_in_between(engine):
    search = bytes_search(select=BreadthFirst(), evaluate=Nothing(), visit="all")
    for group in searched(search, small_model(), WORLD, TASKS[:1], engine=engine):
        for node in group.tree.nodes[1:]:
            way = group.tree.turns(node.index)
            read = np.concatenate([way[0].context, *[t.tokens for t in way[:-1]]])
            assert np.array_equal(way[-1].context, read)
        for attempt in group.attempts:
            (turn,) = attempt.turns
            assert len(turn.tokens) == len(turn.logp_model) <= 12


def test_the_tree_is_the_same_on_both_engines():
    search = bytes_search(select=BestFirst(), evaluate=Confidence(), end=Confidence(), visit="all")
    model = small_model()
    native, general = (
        searched(search, model, WORLD, TASKS, engine=e) for e in ("native", "transformers")
    )
    for a, b in zip(native, general, strict=True):
        assert shape(a) == shape(b) and len(a.tree.nodes) > 6
        for one, other in zip(a.tree.nodes[1:], b.tree.nodes[1:], strict=True):
            assert mean_logp(one.edge) == pytest.approx(mean_logp(other.edge), abs=1e-4)
            assert one.labels["own"] == pytest.approx(other.labels["own"], abs=1e-4)


def test_many_trees_at_once_are_the_trees_one_by_one():
    search = bytes_search(select=BreadthFirst(), evaluate=Nothing(), visit="all")
    model = small_model()
    together = searched(search, model, WORLD, TASKS)
    alone = [searched(search, model, WORLD, [task])[0] for task in TASKS]
    assert [shape(g) for g in together] == [shape(g) for g in alone]


def test_what_a_search_raises_is_raised():
    def breaks(task, text: str) -> float:
        raise ZeroDivisionError("by hand")

    search = bytes_search(select=BreadthFirst(), evaluate=Judged(by=breaks), visit="all")
    with pytest.raises(ZeroDivisionError):
        searched(search, small_model(), WORLD, TASKS[:1])
