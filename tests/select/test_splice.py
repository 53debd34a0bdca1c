"""Wrong walks spliced with right ones: what is left, what is learnt, and what is dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError, WorldError
from askesis.explore.moving import given_move, total
from askesis.models.tokenizer import ASSISTANT, END
from askesis.records import About, Attempt, Group, Start, StopReason, Turn, Verdict, VerdictKind
from askesis.search.walked import played
from askesis.select.splice import Splice
from askesis.worlds.countdown import Countdown
from askesis.worlds.maze import Maze
from tests.engines.cast import small_model
from tests.explore.host import Host, Sums

MAZE, COUNTDOWN = Maze(), Countdown()
MODEL = small_model()
#    S.#
#    ..G   shortest ways DRR and RDR
TASK = MAZE.task("S.#\n..G\n...", "DRR")
SUM = COUNTDOWN.task("3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})


def host(world=MAZE) -> Host:
    return Host({"policy": MODEL}, world=world)


def walked(where: Host, task, moves, index: int) -> Attempt:
    """An attempt of these moves, as a walker would have made it."""
    ctx, world, start = where.context("explore"), where.worlds["main"], Start(task)
    state = world.initial(task)
    turns = [Turn("world", world.observe(task, state))]
    for move in moves:
        moved = world.step(task, state, move)
        turns.append(
            replace(played(given_move(ctx, "policy", start, turns, move), moved), origin=None)
        )
        state = moved.state
        if not moved.done:
            turns.append(Turn("world", moved.observation))
    return Attempt(f"{task.id}#{index}", start, tuple(turns), StopReason.DONE, rewards=total(turns))


def spliced(part: Splice, walks, task=TASK, world=MAZE):
    """The samples of one group, and what was noted."""
    where = host(world)
    attempts = [walked(where, task, moves, i) for i, moves in enumerate(walks)]
    verdicts = [
        Verdict("return", About(a.id), VerdictKind.OUTCOME, a.rewards["policy"]) for a in attempts
    ]
    ctx = where.context("select", slot="select.policy")
    return part.select(ctx, [Group("g", tuple(attempts))], Verdicts(verdicts)), ctx.metrics


def moves_of(sample) -> tuple[str, str]:
    """The moves of a sample that weigh 0, and those that weigh 1, by " "."""
    (row,) = sample.sequences
    found: dict[bool, list[str]] = {False: [], True: []}
    marks = np.flatnonzero(row.tokens == ASSISTANT)
    ends = np.flatnonzero(row.tokens == END)
    for first, last in zip(marks, ends, strict=True):
        weight = row.columns["weight"][first + 1 : last + 1]
        assert weight.min() == weight.max()
        text = MODEL.renderer.decode(row.tokens[first + 1 : last])
        found[bool(weight[0])].append(text)
    # what is not a move of the walker weighs nothing
    assert row.columns["weight"].sum() == sum(len(t) + 1 for t in found[True])
    return " ".join(found[False]), " ".join(found[True])


ONLY = {"max_good": 0, "max_per_task": 100}


def test_a_bad_walk_is_left_at_its_first_bad_move_and_led_back_to_where_they_parted():
    # down, then down again and to the right: G is never met
    samples, noted = spliced(Splice(**ONLY), ["DRR", "DDRL"])
    assert [moves_of(s) for s in samples] == [("D D", "U R R")]
    assert noted["select/splices"] == 1 and noted["select/revision_delay"] == 1.0
    assert samples[0].sources == (f"{TASK.id}#1", f"{TASK.id}#0")


@pytest.mark.parametrize(
    ("options", "masked", "learnt"),
    [
        ({"locate": "end"}, "D D R L", "U R R"),
        ({"locate": "truth"}, "D D", "U R R"),
        ({"revision": "wait"}, "D D", "wait U R R"),
    ],
)
def test_where_it_is_left_and_what_is_said_are_options(options, masked, learnt):
    samples, _ = spliced(Splice(**ONLY, **options), ["DRR", "DDRL"])
    assert [moves_of(s) for s in samples] == [(masked, learnt)]


def test_by_value_a_beginning_that_others_save_is_not_yet_bad():
    """Of three walks that begin D D, one comes to G: after D D the mean outcome is 1/3 and was 1/2
    (of four) where the walks parted, after D D L it is 0."""
    walks = ["DRR", "DDURR", "DDLUU", "DDRL"]
    by_half, _ = spliced(Splice(**ONLY, drop=0.5), walks)
    assert {m[0] for m in map(moves_of, by_half)} == {"D D L", "D D R"}
    sooner, _ = spliced(Splice(**ONLY, drop=0.7), walks)
    assert "D D" in {m[0] for m in map(moves_of, sooner)}


def test_a_move_that_one_walk_tried_is_not_known_to_be_bad():
    """D D was tried twice and failed twice; D D R and the first R by one walk each."""
    walks = ["DRR", "DDRL", "DDLU", "RLRL"]
    samples, noted = spliced(Splice(**ONLY, min_walks=2), walks)
    assert [moves_of(s) for s in samples] == [("D D", "U R R")]
    assert noted["select/splice_pairs"] == 3
    once, _ = spliced(Splice(**ONLY), walks)
    assert ("R", "L D R R") in [moves_of(s) for s in once]


def test_a_splice_that_the_world_does_not_let_end_is_dropped():
    kept, noted = spliced(Splice(**ONLY, retreat=False), ["DRR", "DDRL"])
    assert kept == [] and noted["select/splice_pairs"] == 1 and noted["select/splices"] == 0


def test_moves_that_changed_nothing_leave_nothing_to_revise():
    """Into the wall and waiting: nothing to go back from, so no splice teaches them."""
    for bad in (["L", "U", "L"], ["wait", "wait"]):
        samples, noted = spliced(Splice(**ONLY), ["DRR", bad])
        assert samples == [] and noted["select/splice_pairs"] == 1


def test_in_countdown_steps_are_taken_back():
    samples, _ = spliced(Splice(**ONLY), [["7*3", "21+12"], ["12-7", "5*3"]], SUM, COUNTDOWN)
    assert [moves_of(s) for s in samples] == [("12-7", "undo 7*3 21+12")]


def test_good_walks_are_learnt_beside_the_splices_each_once():
    samples, noted = spliced(Splice(max_per_task=4), ["DRR", "DRR", "RDR", "DDRL"])
    assert sorted(moves_of(s) for s in samples) == [
        ("", "D R R"),
        ("", "R D R"),
        ("D D", "U R R"),
        ("D D", "U U R D R"),
    ]
    assert noted["select/reward"] == 0.75 and noted["select/samples"] == 4


def test_equal_splices_count_once_and_a_task_has_at_most_so_many():
    walks = ["DRR", "DRR", "DDRL", "DDLU", "DDUU", "RRRR"]
    every, _ = spliced(Splice(**ONLY), walks)
    assert len({moves_of(s) for s in every}) == len(every) > 1
    few, _ = spliced(Splice(max_good=0, max_per_task=1), walks)
    assert len(few) == 1


def test_without_a_good_or_a_bad_walk_there_is_nothing_to_splice():
    for walks in (["DRR", "RDR"], ["DDRL", "DDLU"]):
        samples, noted = spliced(Splice(**ONLY), walks)
        assert samples == [] and noted["select/splice_pairs"] == 0


def test_the_truth_about_moves_is_refused_where_nobody_knows_it():
    ctx = host(Sums()).context("select", slot="select.policy")
    with pytest.raises(WorldError, match="moves that are left"):
        Splice(locate="truth").on_phase_start(ctx)
    Splice(locate="truth").on_phase_start(host().context("select", slot="select.policy"))


@pytest.mark.parametrize(
    "options",
    [
        {"gap": -1.0},
        {"locate": "here"},
        {"drop": 1.0},
        {"min_walks": 0},
        {"max_good": -1},
        {"max_per_task": 0},
    ],
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="Splice"):
        Splice(**options)
