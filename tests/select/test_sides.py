"""Pairs of two sides, and the explorer that puts a demonstration beside the model's answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.against_demonstration import AgainstDemonstration
from askesis.measure.pair_truth import PairTruth
from askesis.records import About, Group, Purpose, Start, StopReason, Verdict, VerdictKind
from askesis.select.sides import Sides, side_of
from tests.explore.host import Host, NoTruth, Sums, attempt, says, view

TASK = Sums().make(3, 4)
HOST = Host({**says(lambda text, u: "7" if u < 0.5 else "8"), **says({}, "opponent")})


def said(text: str, index: int, by: str = "policy", **options):
    one = attempt(TASK, text, index, **options)
    return replace(one, turns=(replace(one.turns[0], role=by),))


def shown(text: str, index: int):
    return attempt(TASK, text, index, purpose=Purpose.DEMONSTRATION)


def pairs(part: Sides, *attempts, values=()):
    about = [About(a.id) for a in attempts]
    verdicts = [
        Verdict("j", o, VerdictKind.OUTCOME, v) for o, v in zip(about, values, strict=False)
    ]
    ctx = HOST.context("select", slot="select.policy")
    found = part.select(ctx, [Group("g", attempts)], Verdicts(verdicts))
    texts = ["/".join("".join(chr(t) for t in r.tokens[3:-1]) for r in s.sequences) for s in found]
    return texts, found, ctx.metrics


def test_a_side_is_a_demonstration_a_tag_or_who_spoke():
    assert side_of(shown("7", 0)) == "demonstration"
    assert side_of(said("7", 0, "opponent")) == "opponent" and side_of(said("7", 0)) == "policy"
    assert side_of(said("7", 0, start=Start(TASK, tag="degraded"))) == "degraded"


def test_a_demonstration_is_chosen_over_each_own_answer():
    texts, found, metrics = pairs(Sides(), shown("7", 0), said("8", 1), said("9", 2), said("7", 3))
    assert texts == ["7/8", "7/9"]
    assert metrics["select/same_fraction"] == pytest.approx(1 / 3)
    assert found[0].sources == ("sums-v1:3+4#0", "sums-v1:3+4#1") and not found[0].columns
    for row in found[0].sequences:  # a demonstration is learnt whole, and its end
        assert row.columns["weight"].tolist() == [0, 0, 0, 1, 1]


def test_own_answers_are_chosen_over_an_opponents_one_to_one_or_all():
    four = [said("a", 0), said("b", 1), said("x", 2, "opponent"), said("y", 3, "opponent")]
    part = Sides(chosen="policy", rejected="opponent")
    assert pairs(part, *four)[0] == ["a/x", "b/y"]
    assert pairs(replace(part, pairing="all"), *four)[0] == ["a/x", "a/y", "b/x", "b/y"]
    assert pairs(part, *four[:3])[0] == ["a/x", "b/x"]
    assert pairs(part, *four[:2])[0] == []


def test_a_degraded_condition_is_learnt_as_if_it_had_been_the_plain_one():
    degraded = Start(TASK, tag="degraded", privileged="think of nothing")
    part = Sides(chosen="policy", rejected="degraded")
    texts, (one,), _ = pairs(part, said("a", 0), said("b", 1, start=degraded))
    assert texts == ["a/b"]
    assert one.sequences[0].tokens[:3].tolist() == one.sequences[1].tokens[:3].tolist()


def test_what_was_cut_off_is_never_chosen_and_what_failed_is_no_side():
    cut = {"stop": StopReason.LENGTH}
    part = Sides(chosen="policy", rejected="opponent")
    opponent = said("x", 1, "opponent", **cut)
    assert pairs(part, said("a", 0, **cut), opponent)[0] == []
    assert len(pairs(part, said("a", 0), opponent)[1]) == 1
    assert pairs(replace(part, cut_off=False), said("a", 0), opponent)[0] == []
    failed = replace(said("x", 1, "opponent"), stop=StopReason.FAILED)
    assert pairs(part, said("a", 0), failed)[0] == []


def test_values_make_margins_and_filter():
    two = [said("a", 0), said("b", 1), said("x", 2, "opponent"), said("y", 3, "opponent")]
    part = Sides(chosen="policy", rejected="opponent", judged=True)
    texts, found, metrics = pairs(part, *two, values=(0.5, None, 0.75, 0.0))
    assert texts == ["a/x"] and found[0].columns == {"margin": -0.25}
    assert metrics["select/filtered_fraction"] == 0.5
    strict = replace(part, min_margin=0.0)
    assert pairs(strict, *two, values=(0.5, 0.5, 0.75, 0.0))[0] == ["b/y"]
    assert part.makes == {"weight", "margin"} and Sides().makes == {"weight"}


def test_sides_that_say_the_same_are_the_same_whatever_their_values():
    two = [said("a", 0), said("b", 1), said("a", 2, "opponent"), said("y", 3, "opponent")]
    part = Sides(chosen="policy", rejected="opponent", judged=True, min_margin=0.0)
    for first in (0.25, None):  # the same text, and less by rounding, or unknown
        texts, _, metrics = pairs(part, *two, values=(first, 0.5, 0.25 + 1e-7, 0.75))
        assert texts == [] and metrics["select/same_fraction"] == 0.5
        assert metrics["select/filtered_fraction"] == 0.5


@pytest.mark.parametrize(
    "wrong",
    [{"chosen": "policy"}, {"pairing": "some"}, {"min_margin": 0.0},
     {"judged": True, "min_margin": math.inf}],
)  # fmt: skip
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"Sides\."):
        Sides(**wrong)


def test_the_demonstration_comes_first_and_own_answers_follow():
    found = HOST.explore(AgainstDemonstration(num_attempts=3, habit="steps"), Start(TASK))
    assert [side_of(a) for a in found] == ["demonstration"] + ["policy"] * 3
    assert found[0].text == "3+4=7" and {a.text for a in found[1:]} <= {"7", "8"}
    assert len({a.id for a in found}) == 4 and [len(a.turns) for a in found] == [1] * 4
    with pytest.raises(ConfigError, match="num_attempts"):
        AgainstDemonstration(num_attempts=0)


def truth(*attempts, world=None) -> dict[str, float]:
    group = Group("g", attempts)
    ctx = HOST.context("select", slot="select.policy")
    samples = Sides(pairing="all").select(ctx, [group], Verdicts())
    host = Host(says({}), world=world)
    seen = view([group], samples={"policy": samples})
    return PairTruth().measure(host.context("measure"), seen)


def test_the_truth_of_pairs_by_hand():
    # 7 is right: 7/8 and 7/9 are the right way round, 8/=7 is not; 8/9 says nothing
    found = truth(shown("7", 0), shown("8", 1), said("9", 2), said("=7", 3))
    assert found["pair_precision"] == pytest.approx(1 / 2)  # 7/9 right, 8/=7 wrong
    assert found["pair_chosen_score"] == 0.5 and found["pair_rejected_score"] == 0.5
    assert found["pair_precision/low"] < 0.5 < found["pair_precision/high"]


def test_without_pairs_or_without_truth_there_is_no_figure():
    assert truth(shown("7", 0)) == {}
    assert truth(shown("7", 0), said("9", 1), world=NoTruth()) == {}
    with pytest.raises(ConfigError, match="num_pairs"):
        PairTruth(num_pairs=1)
