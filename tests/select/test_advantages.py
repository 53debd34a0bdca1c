"""Group statistics become advantages; what cannot be compared is left out, or refused in a line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.records import About, Group, StopReason, Turn, Verdict, VerdictKind
from askesis.select.advantages import GroupAdvantages, RunningAdvantages
from askesis.select.group_accuracy import GroupAccuracy
from askesis.select.refill import Refill
from tests.explore.host import Host, Sums, attempt, says, view

HOST = Host(says(lambda text, u: "7"))


def group(a: int, values: list[float | None], **options) -> tuple[Group, list[Verdict]]:
    task = Sums().make(a, 4)
    attempts = tuple(attempt(task, str(i), i, **options) for i in range(len(values)))
    said = [
        Verdict("verifier:sums-v1", About(x.id), VerdictKind.OUTCOME, v)
        for x, v in zip(attempts, values, strict=True)
    ]
    return Group(f"g{a}", attempts), said


def select(part, *made, state=None):
    groups, verdicts = [g for g, _ in made], Verdicts([v for _, said in made for v in said])
    ctx = HOST.context("select", slot="select.policy", state=state)
    return part.select(ctx, groups, verdicts), ctx.metrics


def advantages(part, *made, **options) -> list[float]:
    return [round(s.columns["advantage"], 4) for s in select(part, *made, **options)[0]]


@pytest.mark.parametrize(
    ("baseline", "expected"),
    [
        ("standardised", [1.7321, -0.5774, -0.5774, -0.5774]),  # (r - 1/4) / sqrt(3/16)
        ("centred", [0.75, -0.25, -0.25, -0.25]),
        ("leave_one_out", [1.0, -0.3333, -0.3333, -0.3333]),
        ("half", [0.5, -0.5, -0.5, -0.5]),
    ],
)
def test_a_baseline_is_the_formula_of_its_paper(baseline, expected):
    part = GroupAdvantages(baseline=baseline, epsilon=0.0)
    assert advantages(part, group(3, [1, 0, 0, 0])) == expected


def test_a_sample_is_what_was_read_and_said_with_weights_on_what_was_said():
    (first, *_), _ = select(GroupAdvantages(), group(3, [1, 0]))
    (row,) = first.sequences
    assert row.tokens.tolist() == [ord(c) for c in "3+40"] + [0x110000]
    assert row.columns["weight"].tolist() == [0, 0, 0, 1, 1]
    assert first.model == "policy" and first.sources == ("sums-v1:3+4#0",)


def test_groups_without_a_signal_have_no_advantage_or_are_left_out():
    made = group(3, [1, 1]), group(4, [0, 1])
    assert advantages(GroupAdvantages(baseline="centred"), *made) == [0, 0, -0.5, 0.5]
    part = GroupAdvantages(baseline="centred", mixed_only=True)
    assert advantages(part, *made) == [-0.5, 0.5]
    assert select(part, *made)[1]["select/mixed_fraction"] == 0.5


def test_unknown_and_failed_attempts_are_left_out_of_the_group():
    part = GroupAdvantages(baseline="centred")
    assert advantages(part, group(3, [1, None, 0])) == [0.5, -0.5]
    broken, said = group(4, [1, 0, 0])
    lost = replace(broken.attempts[2], stop=StopReason.FAILED, turns=(), error="no answer")
    assert advantages(part, (replace(broken, attempts=(*broken.attempts[:2], lost)), said)) == [
        0.5, -0.5,
    ]  # fmt: skip


def test_attempts_that_were_cut_off_count_unless_they_shall_not():
    cut = group(3, [1, 0, 0], stop=StopReason.LENGTH)
    assert len(advantages(GroupAdvantages(), cut, group(4, [1, 0]))) == 5
    assert len(advantages(GroupAdvantages(cut_off=False), cut, group(4, [1, 0]))) == 2


def test_a_group_of_one_is_left_out_and_only_groups_of_one_are_refused_in_a_line():
    found, metrics = select(GroupAdvantages(), group(3, [1]), group(4, [1, 0]))
    assert len(found) == 2 and metrics["select/single_fraction"] == 0.5
    for part in (GroupAdvantages(), GroupAdvantages(baseline="leave_one_out"), GroupAccuracy()):
        with pytest.raises(
            ConfigError, match=r"two judged ones.*--explore\.num-attempts 2"
        ) as error:
            select(part, group(3, [1]), group(4, [0]))
        assert "\n" not in str(error.value)
    assert advantages(GroupAdvantages(baseline="half"), group(3, [1])) == [0.5]


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", [GroupAdvantages(), RunningAdvantages(), GroupAccuracy()])
def test_a_reward_that_is_not_finite_is_refused_with_its_attempt_and_judge(part, reward):
    expected = r"attempt sums-v1:3\+4#1 is no finite.*from judge verifier:sums-v1"
    with pytest.raises(ConfigError, match=expected):
        select(part, group(3, [1, reward]), state={"baselines": {}})


def test_length_costs_in_the_last_stretch_of_the_allowance():
    task = Sums().make(3, 4)
    made = tuple(attempt(task, "1" * n, i) for i, n in enumerate((8, 15)))  # and an end each
    said = [Verdict("v", About(a.id), VerdictKind.OUTCOME, 1.0) for a in made]
    part = GroupAdvantages(baseline="centred", overlong_fraction=0.5, overlong_coef=1.0)
    # allowance 16, margin 8: 9 tokens cost 1/8, 16 tokens cost 1; their mean is -9/16
    assert advantages(part, (Group("g", made), said)) == [0.4375, -0.4375]


def test_the_sampler_s_own_log_probabilities_come_along_where_asked_for():
    one, said = group(3, [1, 0])
    turn = one.attempts[0].turns[0]
    known = replace(turn, logp_sampling=np.array([-1.5, -0.5], np.float32))
    one = replace(one, attempts=(replace(one.attempts[0], turns=(known,)), one.attempts[1]))
    first, second = select(GroupAdvantages(sampling_logp=True), (one, said))[0]
    assert first.sequences[0].columns["logp_sampling"].tolist() == [0, 0, 0, -1.5, -0.5]
    assert not second.sequences[0].columns["logp_sampling"].any()
    assert "logp_sampling" not in select(GroupAdvantages(), (one, said))[0][0].sequences[0].columns


def test_a_running_baseline_follows_the_rewards_across_rounds():
    part, ctx = RunningAdvantages(decay=0.5), HOST.context()
    state = part.init(ctx)
    one = group(3, [1, 1])
    assert advantages(part, one, state=state) == [1.0, 0.5]
    after = part.observe(ctx, state, view([one[0]], one[1]))
    assert after == {"baselines": {"sums-v1": 0.75}} and state == {"baselines": {}}
    assert advantages(part, one, state=after) == [0.25, 0.125]


def test_baselines_of_roles_are_kept_apart():
    one, _ = group(3, [None, None])
    said = [
        Verdict("return", About(a.id, role=role), VerdictKind.OUTCOME, v)
        for a, role, v in zip(one.attempts, ("first", "second"), (1.0, -1.0), strict=True)
    ]
    part = RunningAdvantages(decay=0.5, by_role=True)
    assert advantages(part, (one, said), state={"baselines": {"sums-v1/first": 1.0}}) == [0.0, -1.0]


def test_mixed_groups_are_marked_right_or_wrong_with_their_accuracy():
    found, metrics = select(GroupAccuracy(), group(3, [1, 0, 0, 0]), group(4, [1, 1]))
    assert [s.columns["correct"] for s in found] == [1, 0, 0, 0]
    assert {(s.columns["accuracy"], s.columns["priority"]) for s in found} == {(0.25, 0.75)}
    assert metrics["select/mixed_fraction"] == 0.5


def test_refilling_keeps_mixed_groups_alone_and_only_as_many_as_wanted():
    made = [group(a, values) for a, values in ((1, [1, 0]), (2, [1, 1]), (3, [0, 1]), (5, [1, 0]))]
    verdicts = Verdicts([v for _, said in made for v in said])
    found = Refill(num_groups=2).mixed([g for g, _ in made], verdicts)
    assert [g.key for g in found] == ["g1", "g3"]


def test_only_the_words_of_the_role_are_learnt():
    task = Sums().make(3, 4)
    mine = attempt(task, "7", 0)
    other = Turn("critic", "no", "critic@0", np.array([1], np.int32), np.array([2, 3], np.int32))
    both = replace(mine, turns=(*mine.turns, other)), attempt(task, "8", 1)
    said = [
        Verdict("v", About(a.id), VerdictKind.OUTCOME, v) for a, v in zip(both, (1, 0), strict=True)
    ]
    found, _ = select(GroupAdvantages(role="critic"), (Group("g", both), said))
    assert [s.sequences[0].tokens.tolist() for s in found] == [[1, 2, 3]]
