"""How far an answer goes, and how it can go on: exact cases, and a law over every world."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.records import Task, TaskRole
from askesis.worlds.addition import Addition
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.countdown import Countdown
from askesis.worlds.maze import Maze
from askesis.worlds.open import open_world
from askesis.worlds.views import Blind, RunView

RNG = np.random.default_rng
NUMBERS = Task(
    "t",
    "countdown-v1",
    "3 7 12 -> 33",
    "7*3=21,21+12=33",
    data={"numbers": [3, 7, 12], "target": 33},
)
MAZE = Task("m", "maze-v1", "S..\n.#.\n..G", "DDRR")


def test_equal_pools_are_equal_states_however_they_were_come_by():
    one = Countdown().states(NUMBERS, "7*3=21,21+12=33")
    other = Countdown().states(NUMBERS, "3*7=21,12+21=33")
    assert one == [(6, "12 21"), (15, "33")] and [s for _, s in other] == ["12 21", "33"]


def test_states_end_before_the_first_step_that_cannot_be_followed():
    world = Countdown()
    assert world.states(NUMBERS, "7*3=21,21+5=26") == [(6, "12 21")]  # 5 is not there
    assert world.states(NUMBERS, "7*3=22,22+12=34") == []  # a false value
    assert world.states(NUMBERS, "7*3=21,21+1") == [(6, "12 21")]  # states no value
    assert world.states(NUMBERS, "12-7=5;#5 no;7*3=21") == [(19, "12 21")]  # the last try
    assert world.states(NUMBERS, "") == world.states(NUMBERS, "x" * 5000) == []


def test_places_of_a_maze_are_states():
    assert Maze().states(MAZE, "DR") == [(1, "1,0")]  # a wall
    assert Maze().states(MAZE, "RL") == [(1, "0,1"), (2, "0,0")]


def test_an_answer_goes_on_from_where_it_stands_or_not_at_all():
    assert Countdown().finish(NUMBERS, "7*3=21", RNG(0)) == "7*3=21,21+12=33"
    assert Countdown().finish(NUMBERS, "12-7=5", RNG(0)) is None  # 3 and 5 do not make 33
    assert Countdown().finish(NUMBERS, "7*3=21,", RNG(0)) is None  # no whole steps
    assert Maze().finish(MAZE, "R", RNG(0)) == "RRDD"
    assert Maze().finish(MAZE, "RR", RNG(0)) == "RRDD" and Maze().finish(MAZE, "DR", RNG(0)) is None
    chain = ChainArithmetic()
    task = chain.draw(TaskRole.TRAIN, RNG(0), 1, 0.3)[0]
    whole = chain.demonstrate(task, RNG(0)).split("\n")
    assert chain.finish(task, whole[0], RNG(0)) == "\n".join(whole)
    assert chain.finish(task, whole[0] + "0", RNG(0)) is None
    task = Addition().draw(TaskRole.TRAIN, RNG(0), 1, 0.5)[0]
    assert Addition().finish(task, "1+1+1=3", RNG(0)) is None


@pytest.mark.parametrize("name", ["countdown", "maze", "chain_arithmetic", "addition"])
def test_every_beginning_of_a_solution_can_be_finished_rightly(name):
    world, rng = open_world(name), RNG(1)
    for task in world.draw(TaskRole.TRAIN, rng, 12):
        whole = world.demonstrate(task, rng)
        ends = [0, *(last for _, last in world.verify(task, whole).spans)]
        for end in ends:
            done = world.finish(task, whole[:end], rng)
            assert done is not None and done.startswith(whole[:end])
            assert world.verify(task, done).score == 1
        if "states" in world.truth:
            assert [e for e, _ in world.states(task, whole)] == ends[1:]


def test_a_run_may_ask_and_a_blind_one_may_not():
    assert RunView(Maze()).states(MAZE, "D") == [(1, "1,0")]
    for name in ("states", "finish"):
        assert not hasattr(Blind(Maze()), name)
