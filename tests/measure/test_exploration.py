"""Exploration and exploitation in the round's own attempts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.measure.exploration import Exploration
from askesis.measure.seen import hashed, look_up, nothing_seen, remember
from askesis.records import About, Verdict, VerdictKind
from askesis.store import codec
from tests.explore.host import Host, NoTruth, says, view
from tests.measure.rounds import judged, with_logp

HOST = Host(says({}))


def measured(part: Exploration, seen, state=None) -> dict[str, float]:
    return part.measure(HOST.context("measure", seen.index, state=state), seen)


def observed(part: Exploration, state, seen):
    return part.observe(HOST.context("observe", seen.index), state, seen)


def test_the_figures_of_b_star_on_a_round_of_two_tasks():
    # task 0+1: right texts "1", "1", "0=1" and one wrong; task 1+1: one right, three wrong
    seen = judged(
        [("1", 1.0), ("1", 1.0), ("0=1", 1.0), ("7", 0.0)],
        [("2", 1.0), ("3", 0.0), ("4", 0.0), ("5", 0.0)],
    )
    found = measured(Exploration(distinct=(2, 9), target=2), seen)
    assert found["distinct_pass@4/2"] == 0.5  # only the first task has two different right ones
    assert found["reward@4/2"] == 0.5  # the second task's second best is wrong
    assert "distinct_pass@4/9" not in found
    # selected are the right ones: min(2/2, 1) * 2/3 and min(1/2, 1) * 1/1
    assert found["balance"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert found["distinct_correct_fraction"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["new_solution_fraction"] == 1.0
    assert found["never_solved_fraction"] == 0.0
    assert found["balance/low"] <= found["balance"] <= found["balance/high"]
    by_answer = measured(Exploration(by="answer"), seen)
    assert by_answer["distinct_correct_fraction"] == pytest.approx((1 / 3 + 1) / 2)
    # K below the group's size is an expectation over subsets: 1 - [pairs without both] = 2 of 6
    two = measured(Exploration(k=2, distinct=(2,)), seen)
    assert two["distinct_pass@2/2"] == pytest.approx(2 / 6 / 2)


def test_another_judges_values_rank_what_is_right():
    seen = judged([("1", 1.0), ("0=1", 1.0), ("7", 0.0)])
    attempts = seen.all_groups[0].attempts
    ratings = [0.2, 0.9, 0.5]  # the second best rated is wrong
    seen.verdicts.extend(
        Verdict("prm", About(a.id), VerdictKind.VALUE, r)
        for a, r in zip(attempts, ratings, strict=True)
    )
    rated = Exploration(judge="critic", rater="prm", distinct=(1, 2), keep=0.4, target=1)
    found = measured(rated, seen)
    assert found["reward@3/1"] == 1.0
    assert found["reward@3/2"] == 0.0
    assert found["balance"] == 0.5  # two kept, one of them right
    assert measured(Exploration(judge="critic", distinct=(2,)), seen)["reward@3/2"] == 1.0


def test_entropy_is_the_surprise_of_sampled_tokens():
    seen = judged([("1", 1.0), ("22", 0.0)])
    assert "token_entropy" not in measured(Exploration(), seen)  # nobody knows the probabilities
    found = measured(Exploration(), with_logp(seen, -math.log(4)))
    assert found["token_entropy"] == pytest.approx(math.log(4), rel=1e-6)


def test_what_earlier_rounds_found_is_remembered():
    part = Exploration()
    rounds = [
        judged([("1", 1.0), ("9", 0.0)], [("8", 0.0), ("9", 0.0)]),
        judged([("1", 1.0), ("0=1", 1.0)], [("8", 0.0), ("2", 1.0)], index=1),
        judged([("7", 0.0), ("7", 0.0)], index=2, first=2),
    ]
    state = part.init(None)
    found = []
    for seen in rounds:
        found.append(measured(part, seen, state))
        state = codec.loads(codec.dumps(observed(part, state, seen)))  # as after a kill
    assert [f["tasks_tried"] for f in found] == [2, 2, 3]
    assert [f["never_solved_fraction"] for f in found] == [0.5, 0.0, pytest.approx(1 / 3)]
    assert found[1]["new_solution_fraction"] == pytest.approx(2 / 3)  # "0=1" and "2", not "1"
    assert found[1]["first_solved_fraction"] == 1.0
    assert "first_solved_fraction" not in found[0]
    assert "new_solution_fraction" not in found[2]


def test_a_round_without_verdicts_or_without_truth_is_no_error():
    assert measured(Exploration(), view([])) == {}
    blind = Host(says({}), world=NoTruth())
    seen = judged([("1", 1.0), ("2", None)])
    found = Exploration().measure(blind.context("measure"), seen)
    assert found["distinct_correct_fraction"] == 1.0  # what the judge says, not the truth
    nothing = judged([("1", None)])
    assert measured(Exploration(), nothing) == {}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.booleans(), max_size=5), max_size=8)
)
def test_a_memory_without_limit_is_a_dictionary(rounds):
    memory, wanted = nothing_seen(), {}
    for index, flags in enumerate(rounds):
        memory = remember(memory, flags, index, 100)
        for name, flag in flags.items():
            wanted[name] = wanted.get(name, False) or flag
    seen, flagged = look_up(memory, list("abcdefghz"))
    assert dict(zip("abcdefghz", seen.tolist(), strict=True)) == {
        n: n in wanted for n in "abcdefghz"
    }
    assert flagged.tolist() == [wanted.get(n, False) for n in "abcdefghz"]
    assert memory["key"].dtype == np.uint64 and memory["last"].dtype == np.int32


def test_a_full_memory_forgets_what_was_seen_longest_ago():
    # nine names, room for eight: the two oldest go, so that this happens rarely
    memory = remember(nothing_seen(), dict.fromkeys(["old", "kept"], True), 0, 8)
    memory = remember(memory, {"kept": False}, 1, 8)
    memory = remember(memory, dict.fromkeys([f"n{i}" for i in range(7)], False), 2, 8)
    seen, flagged = look_up(memory, ["old", "kept", "n0", "n6"])
    assert seen.tolist() == [False, False, True, True]
    assert len(memory["key"]) == 7  # an eighth below the limit
    assert not flagged[2]
    assert hashed("a") != hashed("b")


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.0}, {"k": -1}, {"distinct": (0,)}, {"target": 0}, {"by": "sound"},
        {"memory": 0},
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="Exploration"):
        Exploration(**wrong)
