"""Walked worlds: where a walk begins, trees of walks, and demonstrations move by move."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError, WorldError
from askesis.explore.demonstrate_walk import DemonstrateWalk
from askesis.explore.tree_walk import TreeWalk
from askesis.explore.walk import Walk
from askesis.records import Purpose, Start, StopReason, TokenOrigin, Turn
from askesis.worlds.countdown import Countdown
from askesis.worlds.maze import Maze
from tests.explore.host import Corridor, Host, Sums, says

MAZE = Maze()


def maze(*rows: str):
    return MAZE.task("\n".join(rows), "")


# ---------------------------------------------------------------- worlds that are walked


def test_the_worlds_own_walk_ends_every_walked_world_in_as_few_moves_as_it_says():
    for world in (MAZE, Countdown()):
        for task in world.draw("train", np.random.default_rng(0), 10):
            state, actions = (
                world.initial(task),
                world.demonstrate_walk(task, np.random.default_rng(1)),
            )
            assert world.moves_left(task, state) == len(actions)
            for action in actions:
                assert action in world.actions(task, state)
                moved = world.step(task, state, action)
                assert world.moves_left(task, moved.state) == world.moves_left(task, state) - 1
                state = moved.state
            assert moved.done and moved.rewards == {"policy": 1.0}


def test_countdown_takes_steps_back_and_refuses_what_is_no_step():
    world = Countdown()
    task = world.task("3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})
    first = world.initial(task)
    away = world.step(task, first, "12 - 7")
    assert (away.observation, away.legal, away.done) == ("3 5", True, False)
    assert world.moves_left(task, away.state) == 3  # back, 7*3, 21+12
    back = world.step(task, away.state, "undo")
    assert (back.observation, back.state["moves"], back.state["past"]) == ("3 7 12", 2, [])
    assert world.way_back(task, away.state, first) == ("undo",)
    assert world.way_back(task, first, away.state) is None
    for action in ("undo", "7-12", "12/7", "5+3", "33", "", "7*3=21", None):
        refused = world.step(task, first, action)
        assert not refused.legal and refused.state["pool"] == [3, 7, 12]
    end = world.step(task, world.step(task, first, "7*3").state, "21+12")
    assert end.done and end.observation == "33" and not end.truncated


def test_a_walk_that_never_ends_is_cut_off_by_countdown_itself():
    world = Countdown()
    task = world.task("3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})
    state = world.initial(task)
    for _ in range(12):
        moved = world.step(task, state, "wait")
        state = moved.state
    assert moved.truncated and not moved.done


def test_the_way_back_in_a_maze_is_the_shortest_one():
    task = maze("S..", ".#.", "..G")
    state = earlier = MAZE.initial(task)
    for move in "RLDDL":
        state = MAZE.step(task, state, move).state
    assert MAZE.way_back(task, state, earlier) == ("U", "U")


# ---------------------------------------------------------------- where a walk begins


def test_a_walk_goes_on_where_its_prefix_led_and_says_no_observation_twice():
    world = Corridor()
    prefix = (Turn("world", "at 0"), Turn("policy", "r"), Turn("world", "at 1"))
    host = Host(says(lambda text, u: "r"), world=world)
    (found,) = host.explore(Walk(num_attempts=1), Start(world.make(), prefix))
    assert [t.text for t in found.turns] == ["r"] and found.stop is StopReason.DONE


def test_a_walk_begins_in_the_state_it_is_given():
    world = Corridor()
    host = Host(says(lambda text, u: "r"), world=world)
    (found,) = host.explore(Walk(num_attempts=1), Start(world.make(), state=[1, 5]))
    assert [t.text for t in found.turns] == ["at 1", "r"]


def test_walking_is_refused_before_the_first_round_where_no_world_has_turns():
    host = Host(says({}), world=Sums())
    for part in (Walk(), TreeWalk(), DemonstrateWalk()):
        with pytest.raises(WorldError, match="no world of this run has turns"):
            part.on_phase_start(host.context("explore"))


# ---------------------------------------------------------------- demonstrations


def test_a_demonstrated_walk_shows_what_the_walker_would_read_and_say():
    task = maze("S..", "##.", "..G")
    (found,) = Host(says({}), world=MAZE).explore(DemonstrateWalk(), Start(task))
    own = [t for t in found.turns if t.role == "policy"]
    assert [t.text for t in own] == ["R", "R", "D", "D"] and found.stop is StopReason.DONE
    assert found.rewards == {"policy": 1.0} and found.purpose is Purpose.DEMONSTRATION
    assert all((t.origin == TokenOrigin.GIVEN).all() for t in own)
    read = "".join(chr(c) for c in own[1].context)
    assert read == task.prompt + "\n0,0 R\nR\n0,1 LR"  # the open directions in the order UDLR


# ---------------------------------------------------------------- trees


def said(attempt):
    return tuple(t.text for t in attempt.turns)


def test_a_tree_walks_down_the_better_branch_and_its_leaves_are_attempts():
    """In the corridor "r" twice is the goal, and every step before it costs a tenth."""
    world = Corridor()
    host = Host(says(lambda text, u: "l" if u < 0.5 else "r"), world=world)
    group = host.explore(TreeWalk(num_simulations=12, num_children=3), Start(world.make()))
    tree = group.tree
    ends = [n for n in tree.nodes if "attempt" in n.labels]
    assert len(ends) == len(group.attempts) == len({said(a) for a in group.attempts})
    for node in ends:
        attempt = group.attempts[int(node.labels["attempt"])]
        whole = tree.nodes[0].edge + tree.turns(node.index)
        assert all(a is b for a, b in zip(attempt.turns, whole, strict=True))
        paid = sum(t.rewards.get("policy", 0.0) for t in attempt.turns)
        assert attempt.rewards["policy"] == pytest.approx(paid)
    assert tree.nodes[0].visits == 12 == sum(n.visits for n in ends)
    first = {n.edge[0].text: n for n in tree.children(0)}
    assert set(first) == {"l", "r"}
    better, worse = sorted(first.values(), key=lambda n: -n.value)
    assert better.visits > worse.visits >= 1
    # a place's value is the mean outcome of the simulations that passed it
    for place in first.values():
        below = [
            n
            for n in ends
            if n.index == place.index or place.index in [p.index for p in tree.path(n.index)]
        ]
        paid = [
            n.visits * group.attempts[int(n.labels["attempt"])].rewards["policy"] for n in below
        ]
        assert place.visits == sum(n.visits for n in below)
        assert place.value == pytest.approx(sum(paid) / place.visits)


def test_a_tree_of_one_move_has_one_attempt_and_equal_moves_are_one_child():
    world = Corridor()
    host = Host(says(lambda text, u: "r"), world=world)
    group = host.explore(TreeWalk(num_simulations=5, num_children=4), Start(world.make()))
    assert len(group.attempts) == 1 and len(group.tree.nodes) == 3
    assert [n.visits for n in group.tree.nodes] == [5, 5, 5]


@pytest.mark.parametrize(
    "options",
    [{"num_simulations": 0}, {"num_children": 0}, {"exploration_coef": -1.0}, {"max_steps": 0},
     {"temperature": -1.0}, {"illegal": "jump"}],
)  # fmt: skip
def test_a_tree_refuses_options_that_cannot_be(options):
    with pytest.raises(ConfigError, match="TreeWalk"):
        TreeWalk(**options)
