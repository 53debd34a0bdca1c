"""chain_arithmetic-v1, addition-v1 and maze-v1: what is right, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.records import TaskRole
from askesis.worlds.addition import Addition, column_sum, columns
from askesis.worlds.chain_arithmetic import ChainArithmetic, chain_value
from askesis.worlds.maze import NUM_SMALLEST, Maze, allowed_moves, rows_of, shortest_way

CHAIN, ADDITION, MAZE = ChainArithmetic(), Addition(), Maze()


# ---------------------------------------------------------------- chain_arithmetic


@pytest.fixture
def chain():
    """7 +5 *3 -9: 12, 36, 27."""
    return CHAIN.task("7 +5 *3 -9", "27", data={"first": 7, "operations": ["+5", "*3", "-9"]})


def test_a_slip_makes_its_own_line_wrong_and_no_other(chain):
    checked = CHAIN.verify(chain, "7+5=13\n13*3=39\n39-9=30")
    assert (checked.score, checked.steps) == (0.0, (0.0, 1.0, 1.0))


def test_a_right_outcome_can_come_from_wrong_steps(chain):
    checked = CHAIN.verify(chain, "7+5=12\n12*3=26\n26+1=27")
    assert (checked.score, checked.steps) == (1.0, (1.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("27", 1),
        ("#hm\n7+5=12\n12*3=36\n36-9=27\n#ok", 1),
        ("36-9=27", 1),
        ("7+5=12", 0),
        ("027", 1),
        ("27.0", 0),
        ("27 apples", 0),
        ("\n", 0),
        ("9999999999", 0),
        ("-27", 0),
    ],
)
def test_only_the_last_value_decides_the_outcome(chain, answer, score):
    assert CHAIN.verify(chain, answer).score == score


def test_lines_behind_the_last_operation_are_wrong_steps(chain):
    assert CHAIN.verify(chain, "7+5=12\n12*3=36\n36-9=27\n27+0=27").steps[-1] == 0.0


def test_all_chains_of_the_easiest_sort_are_counted():
    rng = np.random.default_rng(0)
    seen = {CHAIN.generate(rng, 0.0).prompt for _ in range(12_000)}
    # 3773 by the count of ways; 12,000 draws see most, and can never see more
    assert 3_000 <= len(seen) <= CHAIN.count(0.0) == 3_773


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_true_values_stay_in_range(seed, difficulty):
    task = CHAIN.generate(np.random.default_rng(seed), difficulty)
    assert 0 <= chain_value(task) == int(task.answer) <= 199


# ---------------------------------------------------------------- addition


@given(st.integers(0, 10**10), st.integers(0, 10**10))
@settings(max_examples=50, deadline=None)
def test_columns_add_up_to_the_sum(a, b):
    assert column_sum(a, b) == str(a + b)
    assert len(columns(a, b)) == max(len(str(a)), len(str(b)))


def test_columns_are_judged_one_by_one():
    task = ADDITION.task("48+75", "123", data={"numbers": [48, 75]})
    right = ADDITION.verify(task, "8+5+0=13\n4+7+1=12\n=123")
    assert (right.score, right.steps) == (1.0, (1.0, 1.0, 1.0))
    forgotten = ADDITION.verify(task, "8+5+0=13\n4+7+0=11\n=113")
    assert (forgotten.score, forgotten.steps) == (0.0, (1.0, 0.0, 0.0))
    assert ADDITION.verify(task, "123").score == 1
    assert ADDITION.verify(task, "4+7+1=12").score == 0


def test_the_order_of_the_summands_makes_no_other_problem():
    one = ADDITION.task("48+75", data={"numbers": [48, 75]})
    other = ADDITION.task("75+48", data={"numbers": [75, 48]})
    assert ADDITION.named(one).id == ADDITION.named(other).id


# ---------------------------------------------------------------- maze

ROWS = "S.#\n..#\n#.G"


@pytest.mark.parametrize(
    ("answer", "score", "why"),
    [
        ("DRDR", 1, ""),
        ("RDDR", 1, ""),
        ("D R\nD R", 1, ""),
        ("#two ways\nDRDR", 1, ""),
        ("RLDRDR", 1, ""),  # longer than need be
        ("DRD", 0, "does not end on G"),
        ("DRDRL", 0, "does not end on G"),
        ("DRDRLR", 0, "goes on after G"),
        ("RRDR", 0, "move 2 is illegal"),
        ("LDRDR", 0, "move 1 is illegal"),
        ("drdr", 0, "'d' is no move"),
        ("DU" * 4 + "DRDR", 0, "12 moves, allowed are 9"),
        ("", 0, "no moves in it"),
    ],
)
def test_a_way_through_the_maze(answer, score, why):
    checked = MAZE.verify(MAZE.task(ROWS), answer)
    assert (checked.score, checked.why) == (score, why)


def test_a_move_into_a_wall_leaves_you_where_you_are_and_counts():
    task = MAZE.task(ROWS)
    start = MAZE.initial(task)
    assert MAZE.observe(task, start) == "0,0 DR"
    bumped = MAZE.step(task, start, "U")
    assert (bumped.legal, bumped.done, bumped.truncated) == (False, False, False)
    assert bumped.state == {"at": [0, 0], "moves": 1}
    assert start == {"at": [0, 0], "moves": 0}  # states are values, not changed
    for nonsense in ("", "UD", "north", None, 7, "D" * 10_000_000, "\x00"):
        assert MAZE.step(task, start, nonsense).legal is False


def test_arriving_is_done_and_running_out_of_moves_is_truncated():
    task = MAZE.task(ROWS)
    state = MAZE.initial(task)
    for letter in "DRD":
        state = MAZE.step(task, state, letter).state
    arrived = MAZE.step(task, state, "R")
    assert (arrived.done, arrived.truncated, arrived.rewards) == (True, False, {"policy": 1.0})
    assert arrived.observation == "G"
    # any state can be kept and walked again
    assert MAZE.step(task, state, "R") == arrived
    state = MAZE.initial(task)
    for _ in range(allowed_moves(rows_of(task)) - 1):
        state = MAZE.step(task, state, "U").state
    late = MAZE.step(task, state, "U")
    assert (late.done, late.truncated) == (False, True)


def test_turned_and_mirrored_mazes_are_one_problem():
    rows = ROWS.split("\n")
    mirrored = "\n".join(r[::-1] for r in rows)
    turned = "\n".join("".join(c) for c in zip(*rows[::-1], strict=True))
    forms = {MAZE.canonical(MAZE.task(m)) for m in (ROWS, mirrored, turned)}
    assert len(forms) == 1


def test_the_smallest_mazes_are_counted():
    rng = np.random.default_rng(0)
    seen = {MAZE.canonical(MAZE.generate(rng, 0.0)) for _ in range(4_000)}
    assert len(seen) <= NUM_SMALLEST  # 479 by enumeration of all 9216 grids
    assert len(seen) > 0.8 * NUM_SMALLEST


def test_a_demonstrated_way_is_a_shortest_one():
    rng = np.random.default_rng(0)
    for task in MAZE.draw(TaskRole.TRAIN, rng, 20):
        way = MAZE.demonstrate(task, rng)
        assert len(way) == len(shortest_way(rows_of(task))) == len(task.answer)
