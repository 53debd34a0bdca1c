"""The look at trees, best-of-n and tree-of-thought under one judge, on tables and small runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from askesis.driver import Driver
from askesis.errors import ConfigError
from askesis.lab.arm import Look
from askesis.lab.looks.equal_tokens import MOST, End, Try, best, tries, within
from askesis.lab.looks.kinds import BASE, beside, check_look, figure_names, look_at
from askesis.lab.looks.sight import Sight
from askesis.lab.looks.trees import OF_TREES, trees
from askesis.lab.outside import Outside
from askesis.lab.snapshots import kept, resolve
from askesis.models.tabular import TabularModel
from askesis.store.run_store import RunStore
from tests.lab.test_look_at_beams import OneLetter


def seen(options: dict[str, Any] | None = None, **values: float) -> Sight:
    """At the prompts a and b; `values` are what the judge's head says of letters."""
    models = {name: TabularModel(name, "abxy") for name in ("policy", "value")}
    for letter, value in values.items():
        head = models["value"]
        head.module.value.data[head.renderer.ids[letter]] = value
    world = OneLetter()
    outside = Outside(models, world, seed=3)
    try:
        look, given = Look(num_attempts=5, kind="trees"), {"model": "value", "num": 40}
        tasks = [world.task("a"), world.task("b")]
        return trees(outside, tasks, look, **(given | (options or {})))
    finally:
        outside.close()


@pytest.mark.parametrize(("letter", "right"), [("x", [1, 0]), ("y", [0, 1]), ("a", [0, 0])])
def test_every_way_answers_what_the_judge_values_most(letter, right):
    """Forty draws say every letter; so do forty answers, where reading costs nothing."""
    found = seen(**{letter: 2.0}).figures
    assert found["tree"] == found["thought"] == found["best_of_n_generated"] == right
    assert found["reached"] == [1, 1] and set(found) == {*OF_TREES, "tokens"}


def test_all_ways_spend_what_the_tree_spent():
    """By hand. The tree draws 40 letters, 5 of them different with the end, and of each the
    judge reads the prompt and it. A single answer is 1 token, and 2 to be read."""
    found = {name: np.array(v) for name, v in seen(x=1.0).figures.items()}
    assert found["tree_tokens"].tolist() == [40 + 5 * 2] * 2
    assert found["tree_judged"].tolist() == [5, 5]
    assert found["thought_tokens"].tolist() == [50, 50]  # one beam is the same draws again
    assert found["best_of_n_tokens"].tolist() == [17 * 3] * 2  # nearer than 16 * 3
    assert found["best_of_n_judged"].tolist() == [17, 17]
    for other in ("thought", "best_of_n", "vote", "thought_generated", "best_of_n_generated"):
        assert np.allclose(found[f"over_{other}"], found["tree"] - found[other])


def test_the_look_s_own_attempts_are_at_all_tasks_and_searches_at_the_first():
    sight = seen({"num_searched": 1}, x=1.0)
    assert np.shape(sight.scores) == (2, 5) and len(sight.figures["tree"]) == 1
    assert len(sight.figures["tokens"]) == 2


def test_who_has_no_judge_is_refused_or_searched_by_its_own_confidence():
    with pytest.raises(ConfigError, match="'nobody'"):
        seen({"model": "nobody"})
    with pytest.raises(ConfigError, match="no such judge"):
        seen({"judge": "oracle"})
    without = seen({"model": "nobody", "otherwise": "confidence"}, x=9.0).figures
    assert without == seen({"judge": "confidence"}).figures
    assert set(without["tree_judged"]) == {0.0}  # confidence asks nobody
    assert without["tree_tokens"] == [40, 40]


def test_the_look_is_known_by_name_and_its_options_are_checked():
    look = Look(kind="trees", options=(("model", "value"),))
    check_look(look)
    assert figure_names(look) == list(OF_TREES)
    with pytest.raises(ConfigError, match="widths"):
        check_look(Look(kind="trees", options=(("widths", "2"),)))


# ---------------------------------------------------------------- equal tokens


def made(costs: list[tuple[int, int]], tokens: int, generated: int) -> list[Try]:
    async def make(i: int) -> Try:
        said, read = costs[i % len(costs)]
        return Try((), said, read, 1)

    (found,) = Driver({}).run([lambda: tries(make, tokens, generated)])
    assert found.error is None
    return list(found.value)


@pytest.mark.parametrize(
    ("costs", "tokens", "generated", "num"),
    [
        ([(10, 10)], 100, 0, 5),
        ([(10, 10)], 109, 0, 5),  # nearer to five than to six
        ([(10, 10)], 111, 0, 6),
        ([(10, 90)], 100, 40, 4),  # the larger of both budgets
        ([(500, 0)], 100, 100, 1),  # at least one
        ([(0, 0)], 10_000, 0, MOST),  # what costs nothing does not go on for ever
    ],
)
def test_as_many_tries_as_come_nearest_to_the_budget(costs, tokens, generated, num):
    assert len(made(costs, tokens, generated)) == num


def test_the_first_tries_that_come_nearest_to_a_budget():
    assert [within([10, 10, 10], b) for b in (1, 14, 15, 16, 99)] == [1, 1, 1, 2, 3]


def test_the_best_end_of_several_tries():
    low, high = End(0.1, True, "7"), End(0.3, False, "8")
    assert best([Try((low,), 1, 0, 1), Try((), 1, 0, 0)]) == 1.0
    assert best([Try((low,), 1, 0, 1), Try((high,), 1, 0, 1)]) == 0.0
    assert best([Try((), 1, 0, 0)]) == 0.0


# ---------------------------------------------------------------- runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "options", "look"),
    [
        ("rest_mcts", {"warm": "0", "num-simulations": "6"}, {"model": "value"}),
        ("implicit_prm", {"phases.reward.until.rounds": "1"}, {"judge": "implicit", "model": "reward"}),
        ("rft", {}, {"model": "value", "otherwise": "confidence"}),
    ],
)  # fmt: skip
def test_a_run_is_looked_at_with_its_judge_of_the_same_time(
    recipe, options, look, tmp_path, quick_warm_start
):
    from askesis.lab.begin import begin, plan_for

    given = {"world": "countdown", "rounds": "1", "tasks.num": "4", **options}
    begin(plan_for(recipe, list(given.items())), tmp_path / "run").improve()
    own = {"num_searched": "3", "num_simulations": "3", **look}
    wanted = Look("decide", 4, 2, kind="trees", options=tuple(own.items()))
    with RunStore.open(tmp_path / "run") as store:
        first, last = resolve(store, "first"), resolve(store, "last")
        judge = look["model"] if recipe != "rft" else ""
        then = [beside(store, wanted, row) for row in (first, last)]
        if judge:
            rows = kept(store, judge)
            assert [t[judge]["id"] for t in then] == [rows[0]["id"], rows[-1]["id"]]
            assert (
                len(rows) > 1 or recipe == "rest_mcts"
            )  # its judge learns from solved trees alone
        assert all((BASE in t) == ("judge" in look) for t in then)
    found = look_at(tmp_path / "run", last["id"], wanted)
    assert len(found["figures"]["tree"]) == 3 and len(found["scores"]) == 4
    assert min(found["figures"]["tree_tokens"]) > 0
