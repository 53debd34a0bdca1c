"""Walks that are measured: starts behind slips, loops, and what a perfect and a lost walker score."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.explore.walk import Walk
from askesis.measure.walks import Walks, repeated, slipped_start
from askesis.records import Attempt, Start, StopReason, Turn
from askesis.worlds.countdown import Countdown
from askesis.worlds.maze import Maze, find, rows_of
from tests.explore.host import Host, says

MAZE = Maze(difficulty=0.0)


def knows_the_way(text: str, u: float) -> str:
    """A shortest way from where the last observation says you are."""
    *rows, at = [*text.split("\n")[:3], text.split("\n")[-1]]
    task = MAZE.task("\n".join(rows), "")
    row, column = (int(n) for n in at.split()[0].split(","))
    state = {"at": [row, column], "moves": 0}
    left = MAZE.moves_left(task, state)
    return next(
        a for a in MAZE.actions(task, state)
        if MAZE.moves_left(task, MAZE.step(task, state, a).state) < left
    )  # fmt: skip


def figures(script, **options):
    host = Host(says(script), world=MAZE)
    part = Walks(walk=Walk(num_attempts=2, illegal="observe"), num_tasks=8, **options)
    return part.measure(host.context("measure"), None)


def test_who_knows_the_way_comes_home_from_the_beginning_and_after_slips():
    found = figures(knows_the_way)
    for name in ("walks", "walks_after_slips"):
        assert found[f"{name}/success"] == 1.0
        assert found[f"{name}/illegal_fraction"] == found[f"{name}/loop_fraction"] == 0.0
    assert found["walks_after_slips/moves_per_success"] > found["walks/moves_per_success"]


def test_who_stands_still_never_comes_home_and_repeats_himself():
    found = figures(lambda text, u: "wait", num_slips=0)
    assert found["walks/success"] == 0.0 and found["walks/illegal_fraction"] == 1.0
    assert found["walks/loop_fraction"] == pytest.approx(8 / 9)  # nine moves are allowed, all alike
    assert not [k for k in found if "slips" in k or "moves_per_success" in k]


@pytest.mark.parametrize("world", [Maze(), Countdown()], ids=["maze", "countdown"])
def test_slips_lead_away_and_are_read_by_the_walker(world):
    rng = np.random.default_rng(0)
    num_slipped = 0
    for task in world.draw("train", rng, 12):
        start = slipped_start(world, task, rng, 2, "policy")
        if start is None:
            continue
        state = world.initial(task)
        first, moves = (
            world.moves_left(task, state),
            [t for t in start.prefix if t.role == "policy"],
        )
        for turn in moves:
            state = world.step(task, state, turn.text).state
        assert world.moves_left(task, state) == first + len(moves)
        assert start.prefix[-1].text == world.observe(task, state)
        num_slipped += 1
    assert num_slipped > 6


def test_a_move_counts_as_repeated_where_the_world_looked_the_same():
    task = MAZE.task("S..\n...\n..G", "")
    assert find(rows_of(task), "S") == (0, 0)
    said = [Turn("world", "0,0"), Turn("policy", "R"), Turn("world", "0,1"), Turn("policy", "L"),
            Turn("world", "0,0"), Turn("policy", "R"), Turn("world", "0,1"), Turn("policy", "R")]  # fmt: skip
    whole = Attempt("a", Start(task), tuple(said), StopReason.DONE)
    assert repeated(whole, "policy") == [False, False, True, False]
    behind = Attempt("b", Start(task, tuple(said[:3])), tuple(said[3:]), StopReason.DONE)
    assert repeated(behind, "policy") == [False, False, True, False]


def test_nobody_to_walk_and_too_few_tasks_are_refused():
    host = Host(says({}), world=MAZE)
    with pytest.raises(ConfigError, match="no walker"):
        Walks().measure(host.context("measure"), None)
    with pytest.raises(ConfigError, match="num_tasks"):
        Walks(num_tasks=1)
    with pytest.raises(ConfigError, match="num_slips"):
        Walks(num_slips=-1)
