"""Pairs of attempts, and rewards as numbers of samples."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.records import About, Group, Verdict, VerdictKind
from askesis.select.outcomes import Outcomes
from askesis.select.pairs import BestAndWorst
from tests.explore.host import Host, Sums, attempt, says, view

HOST = Host({**says(lambda text, u: "7"), **says(lambda text, u: "", "reward")})


def group(values: list[float | None], texts: str = "abcd") -> tuple[Group, Verdicts]:
    task = Sums().make(3, 4)
    made = tuple(attempt(task, t, i) for i, t in enumerate(texts[: len(values)]))
    said = [
        Verdict("j", About(a.id), VerdictKind.OUTCOME, v) for a, v in zip(made, values, strict=True)
    ]
    return Group("g", made), Verdicts(said)


def select(part, made, state=None):
    ctx = HOST.context("select", slot="select.policy", state=state)
    return part.select(ctx, [made[0]], made[1]), ctx.metrics


def texts(samples) -> list[tuple[str, ...]]:
    return [tuple(chr(s.sequences[i].tokens[-2]) for i in (0, 1)) for s in samples]


def test_the_best_attempt_is_chosen_and_the_worst_rejected():
    (one,), metrics = select(BestAndWorst(), group([0.2, 0.9, 0.5, 0.1]))
    assert texts([one]) == [("b", "d")] and one.columns["margin"] == pytest.approx(0.8)
    assert one.columns["outcome"] == 1.0 and one.sources == ("sums-v1:3+4#1", "sums-v1:3+4#3")
    assert one.sequences[0].columns["weight"].tolist() == [0, 0, 0, 1, 1]
    assert metrics["select/pairs"] == 1 and metrics["select/tied_fraction"] == 0


def test_another_than_the_worst_can_be_rejected_at_random_but_none_as_good_as_the_best():
    ctx = HOST.context("select", slot="select.policy")
    many = [group([0.9, 0.5, 0.9, 0.1]) for _ in range(30)]
    found = BestAndWorst(rejected="random").select(ctx, [g for g, _ in many], many[0][1])
    assert set(texts(found)) == {("a", "b"), ("a", "d")}


def test_length_can_cost():
    made = group([1.0, 0.9], texts=["a" * 9, "b"])
    assert texts(select(BestAndWorst(), made)[0]) == [("a", "b")]
    assert texts(select(BestAndWorst(length_coef=0.1), made)[0]) == [("b", "a")]


def test_ties_make_no_pair_or_one_that_nobody_won():
    found, metrics = select(BestAndWorst(), group([0.5, 0.5]))
    assert found == [] and metrics["select/tied_fraction"] == 1
    (tie,), _ = select(BestAndWorst(ties=True), group([0.5, 0.5]))
    assert tie.columns == {"margin": 0.0, "outcome": 0.0}


def test_a_pair_of_the_same_text_teaches_nothing():
    assert select(BestAndWorst(), group([1.0, 0.0], texts="aa"))[0] == []


def test_a_reader_reads_whole_attempts_and_is_asked_after_the_last_token():
    (one,), _ = select(BestAndWorst(reader="reward"), group([0.0, 1.0]))
    for row, text in zip(one.sequences, "ba", strict=True):
        start = HOST.context().render("reward", attempt(Sums().make(3, 4), text).start,
                                      attempt(Sums().make(3, 4), text).turns)  # fmt: skip
        assert row.tokens.tolist() == start.tolist()
        assert row.columns["weight"].tolist() == [0.0] * (len(start) - 1) + [1.0]


def test_groups_of_one_and_rewards_that_are_not_finite_are_refused_in_a_line():
    with pytest.raises(ConfigError, match="two judged ones"):
        select(BestAndWorst(), group([1.0]))
    with pytest.raises(ConfigError, match="no finite number"):
        select(BestAndWorst(), group([1.0, float("nan")]))
    with pytest.raises(ConfigError, match=r"BestAndWorst\.rejected"):
        BestAndWorst(rejected="best")


def test_rewards_come_in_units_of_their_running_spread():
    part, made = Outcomes(), group([0.0, 1.0, 0.0, 1.0])
    state = part.init(None)
    found, metrics = select(part, made, state)
    assert [s.columns["reward"] for s in found] == [0, 2, 0, 2]  # the spread is 1/2
    assert metrics["select/reward_scale"] == 0.5 and metrics["select/reward"] == 0.5
    after = part.observe(None, state, view([made[0]], list(made[1])))
    assert after == {"moments": [4.0, 0.5, 1.0]} and state == part.init(None)
    clipped, _ = select(Outcomes(clip=1.5), made, state)
    assert max(s.columns["reward"] for s in clipped) == 1.5
    plain, _ = select(Outcomes(scale=False), made, state)
    assert [s.columns["reward"] for s in plain] == [0, 1, 0, 1]
    assert np.isfinite(after["moments"]).all()
