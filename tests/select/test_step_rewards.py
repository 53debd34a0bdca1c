"""Scores of steps become advantages and rewards of tokens, and labels of heads."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.formulas.step_rewards import delta, look_ahead, progress, step_leave_one_out
from askesis.judge.steps.truth import StepTruth
from askesis.learn.credit import GeneralisedAdvantages
from askesis.models.scripted import ScriptedModel
from askesis.records import About, Attempt, Group, StopReason, Verdict, VerdictKind
from askesis.select.step_advantages import StepAdvantages
from askesis.select.step_labels import StepLabels
from askesis.select.step_lessons import StepLessons
from askesis.select.step_outcomes import StepOutcomes
from askesis.select.step_rewards import StepRewards, at_tokens
from askesis.steps import StepScores, step_verdict
from tests.explore.host import Host
from tests.judge.test_step_judges import FAILED, WHOLE, Chain, said, tables

VALUE, CORRECT = VerdictKind.VALUE, VerdictKind.CORRECTNESS
ONE, TWO = said("x,x,x", 0), said("x,y", 1)  # 6 and 4 tokens with their ends
GROUP = Group("g", (ONE, TWO))
SCORES = {
    ONE.id: StepScores(np.array([0.5, 0.75, 1.0]), VALUE, tuple(WHOLE), before=0.25),
    TWO.id: StepScores(np.array([0.5, 0.0]), VALUE, ((0, 0, 2), (0, 2, 4)), before=0.25),
}


def verdicts(scores=None, values=(1.0, 0.0)) -> Verdicts:
    scores = SCORES if scores is None else scores
    found = [step_verdict("s-v1", a, scores[a.id]) for a in GROUP.attempts if a.id in scores]
    return Verdicts(found + [Verdict("o", About(a.id), VerdictKind.OUTCOME, v)
                             for a, v in zip(GROUP.attempts, values, strict=True)])  # fmt: skip


def chosen(part, said_=None, group=GROUP, state=None):
    """Samples, and what was noted, of a part that selects for the policy."""
    ctx = tables().context("select", slot="select.policy", state=state)
    samples = part.select(ctx, [group], said_ if said_ is not None else verdicts())
    return samples, {k.removeprefix("select/"): v for k, v in ctx.metrics.items()}


def learnt(sample, name: str) -> list[float]:
    (row,) = sample.sequences
    assert (row.columns[name][row.columns["weight"] == 0] == 0).all()
    return row.columns[name][row.columns["weight"] != 0].tolist()


# ---------------------------------------------------------------- formulas


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=8), st.integers(1, 7))
def test_delta_sums_to_a_prefixs_own_score_and_a_step_more_earns_nothing(scores, place):
    returns = np.cumsum(delta(scores)[::-1])[::-1]
    assert returns == pytest.approx([*scores[:-1], 0.0][: len(scores)])
    place = min(place, len(scores) - 1)
    if place > 0:  # a step that is said twice leaves the return of the first one what it was
        twice = [*scores[:place], scores[place - 1], *scores[place:]]
        assert delta(twice).sum() == pytest.approx(delta(scores).sum())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1))
def test_progress_sums_to_the_last_value_less_the_first(values, before):
    assert progress(values, before).sum() == pytest.approx(values[-1] - before)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.01, 0.99), max_size=6), st.floats(0, 1))
def test_a_look_ahead_raises_scores_and_never_above_a_later_one(values, rate):
    found = look_ahead(values, rate)
    assert (found >= np.array(values) - 1e-9).all()
    assert all(f <= max(values[k:]) + 1e-9 for k, f in enumerate(found))
    assert look_ahead(values, 0.0) == pytest.approx(values, abs=1e-6)


def test_a_look_ahead_sweeps_back_from_where_progress_stalls():
    # by hand, card [152]: u = 2; logits 0, 0.8473, 1.3863; V1 <- (0.8473 + 1.3863) / 2 = 1.1168,
    # V0 <- 0.5584; sigmoids 0.7534 and 0.6361
    assert look_ahead([0.5, 0.7, 0.8, 0.8]).round(4).tolist() == [0.6361, 0.7534, 0.8, 0.8]


def test_edges_of_the_formulas():
    assert delta([]).tolist() == delta([])[:0].tolist() == [] and delta([0.7]).tolist() == [0.0]
    assert progress([], 0.5).tolist() == [] and look_ahead([]).tolist() == []
    assert [len(r) for r in step_leave_one_out([[], [1.0, 3.0]])] == [0, 2]
    assert step_leave_one_out([[], [1.0, 3.0]])[1].tolist() == [1.0, 3.0]
    with pytest.raises(ConfigError, match="finite"):
        delta([float("nan")])
    with pytest.raises(ValueError, match="at least two"):
        step_leave_one_out([[1.0]])


# ---------------------------------------------------------------- advantages


def test_the_outcome_goes_to_all_tokens_and_a_steps_reward_to_those_up_to_it():
    samples, found = chosen(StepAdvantages(steps=StepRewards(transforms=("progress",), coef=2)))
    # leave one out: 1 and -1; progress 0.25, 0.25, 0.25 and 0.25, -0.5, each with what comes later
    assert learnt(samples[0], "advantage") == pytest.approx([2.5, 2.5, 2, 2, 1.5, 1.5])
    assert learnt(samples[1], "advantage") == pytest.approx([-1.5, -1.5, -2, -2])
    assert found["step_reward"] == pytest.approx((0.75 - 0.25) / 2)
    assert found["steps_per_attempt"] == 2.5 and found["unscored_fraction"] == 0
    assert found["reward"] == 0.5 and found["mixed_fraction"] == 1


def test_an_advantage_is_the_steps_own_where_nothing_is_summed():
    own = StepAdvantages(steps=StepRewards(transforms=("progress",)), to_go=False, baseline="none")
    samples, _ = chosen(own)
    assert learnt(samples[0], "advantage") == pytest.approx([1.25] * 6)
    assert learnt(samples[1], "advantage") == pytest.approx([0.25, 0.25, -0.5, -0.5])


@pytest.mark.parametrize(
    ("transforms", "options", "expected"),
    [
        ((), {}, [2.25, 2.25, 1.75, 1.75, 1, 1]),
        (("clip",), {"eta": 0.75}, [-0.25, -0.25, 0, 0, 0, 0]),
        (("delta",), {}, [0.5, 0.5, 0.75, 0.75, 0, 0]),
        (("clip", "delta"), {"eta": 0.75}, [-0.25, -0.25, 0, 0, 0, 0]),
        (("best_of", "progress"), {"best_of": 2}, [1 - 0.4375] * 2 + [0.25] * 2 + [0.0625] * 2),
        (("progress",), {"normalise": True}, [1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_transforms_are_those_of_the_papers_in_their_order(transforms, options, expected):
    steps = StepRewards(transforms=transforms, **options)
    samples, _ = chosen(StepAdvantages(steps=steps, outcome_coef=0.0))
    assert learnt(samples[0], "advantage") == pytest.approx(expected)


def test_primes_return_is_two_leave_one_out_returns_added():
    """By hand, the formula of card [146] with steps for tokens: rewards 1, 2, 3 against 4, 0."""
    scores = {ONE.id: StepScores(np.array([1.0, 2, 3]), VerdictKind.LOG_RATIO, tuple(WHOLE)),
              TWO.id: StepScores(np.array([4.0, 0]), VerdictKind.LOG_RATIO, ((0, 0, 2), (0, 2, 4)))}  # fmt: skip
    part = StepAdvantages(steps=StepRewards(), step_baseline="leave_one_out", gamma=0.5)
    samples, _ = chosen(part, verdicts(scores))
    own = [-1 + 0.5 * (0 + 0.5 * 1), 0 + 0.5 * 1, 1.0]  # less 2, the mean of 4 and 0
    other = [2 + 0.5 * -2, -2.0]  # less 2, the mean of 1, 2 and 3
    assert learnt(samples[0], "advantage") == pytest.approx(np.repeat(np.add(own, 1), 2).tolist())
    assert learnt(samples[1], "advantage") == pytest.approx(
        np.repeat(np.subtract(other, 1), 2).tolist()
    )


def test_whitened_advantages_have_mean_0_and_spread_1_over_learnt_tokens():
    samples, _ = chosen(StepAdvantages(whiten=True))
    every = np.concatenate([learnt(s, "advantage") for s in samples])
    assert every.mean() == pytest.approx(0, abs=1e-6) and every.std() == pytest.approx(1, abs=1e-5)


def test_without_weight_of_steps_it_asks_for_none_and_is_the_outcomes_advantage():
    bare = verdicts(scores={})
    samples, found = chosen(StepAdvantages(steps=StepRewards(coef=0.0)), bare)
    assert learnt(samples[0], "advantage") == [1.0] * 6 and "step_reward" not in found
    with pytest.raises(ConfigError, match="needs scores of steps from any judge"):
        chosen(StepAdvantages(), bare)
    with pytest.raises(ConfigError, match="from judge 'other'; expected verdicts of meaning value"):
        chosen(StepAdvantages(steps=StepRewards(judge="other", meaning="value")))


def test_an_attempt_nobody_scored_keeps_its_outcome():
    some = verdicts({TWO.id: SCORES[TWO.id]})
    samples, found = chosen(StepAdvantages(), some)
    assert learnt(samples[0], "advantage") == [1.0] * 6 and found["unscored_fraction"] == 0.5


def test_steps_that_end_early_leave_the_rest_to_the_outcome():
    labels = {ONE.id: StepScores(np.array([1.0, 0.0]), CORRECT, tuple(WHOLE[:2]))}
    samples, _ = chosen(StepAdvantages(to_go=False), verdicts(labels))
    assert learnt(samples[0], "advantage") == [2, 2, 1, 1, 1, 1]


def test_progress_needs_a_value_before_the_first_step():
    labels = {ONE.id: StepScores(np.array([1.0, 0.0]), CORRECT, tuple(WHOLE[:2]))}
    with pytest.raises(ConfigError, match="before the first step; found scores of meaning correct"):
        chosen(StepAdvantages(steps=StepRewards(transforms=("progress",))), verdicts(labels))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: StepRewards(transforms=("square",)),
        lambda: StepRewards(coef=-1.0),
        lambda: StepRewards(meaning="outcome"),
        lambda: StepAdvantages(gamma=2.0),
        lambda: StepAdvantages(baseline="half"),
        lambda: StepLabels(meaning="advantage"),
    ],
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=re.compile("expected .*found", re.S)):
        wrong()


def test_spans_that_an_attempt_does_not_have_are_refused():
    with pytest.raises(ConfigError, match="tokens that it has"):
        at_tokens(TWO, SCORES[ONE.id], np.ones(3))


# ---------------------------------------------------------------- rewards on the way, labels


def test_a_learner_with_values_is_paid_at_the_last_token_of_each_step():
    part = StepOutcomes(steps=StepRewards(transforms=("delta",), coef=0.5))
    samples, _ = chosen(part, state=part.init(None))
    assert [s.columns["reward"] for s in samples] == [1.0, 0.0]
    assert learnt(samples[0], "step_reward") == pytest.approx([0, -0.125, 0, 0.375, 0, 0])
    paid = GeneralisedAdvantages(kl_coef=0, lambda_=1.0, whiten=False, step_rewards=True)
    assert paid.needs == {"weight", "reward", "value_old", "step_reward"}
    for sample in samples:
        row = sample.sequences[0]
        row.columns["value_old"] = np.zeros(len(row.tokens), np.float32)
    made, _ = paid(samples)
    assert learnt(made[0], "returns") == pytest.approx([1.25, 1.25, 1.375, 1.375, 1, 1])
    unpaid, _ = GeneralisedAdvantages(kl_coef=0, lambda_=1.0, whiten=False)(samples)
    assert learnt(unpaid[0], "returns") == [1.0] * 6


def test_labels_stand_where_a_head_is_read():
    samples, found = chosen(StepLabels())
    row = samples[0].sequences[0]
    assert row.tokens.tolist() == [0, *ONE.turns[0].tokens]
    assert row.columns["weight"].tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert row.columns["label"].tolist() == [0.25, 0, 0.5, 0, 0.75, 0, 1.0]
    assert found["steps"] == 7 and found["good_fraction"] == pytest.approx(3.25 / 7)
    samples, _ = chosen(StepLabels(before=False))
    assert samples[0].sequences[0].columns["weight"].tolist() == [0, 0, 1, 0, 1, 0, 1]


def test_balanced_labels_weigh_alike_on_both_sides_of_a_half():
    samples, _ = chosen(StepLabels(balance=True))
    rows = [s.sequences[0].columns for s in samples]
    good = sum(float(r["weight"][r["label"] >= 0.5].sum()) for r in rows)
    whole = sum(float(r["weight"].sum()) for r in rows)
    assert good == pytest.approx(3.5) and whole == pytest.approx(7)


def test_a_critic_learns_to_name_the_first_wrong_step():
    host = Host({"policy": tables().models["policy"], "critic": ScriptedModel("critic", "")},
                world=Chain())  # fmt: skip
    texts = ("x,x,x", "x,y,y", "y", "x,x")
    group = Group("g", (*(said(t, i) for i, t in enumerate(texts)), FAILED))
    told = Verdicts(host.judge(StepTruth(), group))
    lessons = {}
    for balance in (False, True):
        ctx = host.context("select", slot="select.critic")
        samples = StepLessons(balance=balance).select(ctx, [group], told)
        lessons[balance] = [s.sources[0] for s in samples]
        for sample in samples:
            assert sample.model == "critic"
            (row,) = sample.sequences
            read, answer = (
                "".join(chr(t) for t in row.tokens[row.columns["weight"] == w] if t < 0x110000)
                for w in (0, 1)
            )
            steps = group.attempts[int(sample.sources[0][-1])].text.split(",")
            assert read.splitlines()[0] == "a" and len(read.splitlines()) == len(steps) + 2
            assert answer == (str(steps.index("y") + 1) if "y" in steps else "ok")
    assert lessons[False] == ["a#0", "a#1", "a#2", "a#3"] and len(lessons[True]) == 4
    with pytest.raises(ConfigError, match="called right or wrong"):
        StepLessons().select(host.context("select", slot="select.critic"), [group], Verdicts([]))
    with pytest.raises(ConfigError, match="same separators"):
        StepLessons(separators="\n").select(
            host.context("select", slot="select.critic"), [group], told
        )


def test_nothing_is_learnt_of_attempts_without_labels_and_nothing_at_all_is_an_error():
    group = Group("g", (FAILED, ONE, TWO))
    some = verdicts({TWO.id: SCORES[TWO.id]})
    samples, _ = chosen(StepLabels(), some, group)
    assert [s.sources for s in samples] == [(TWO.id,)]
    with pytest.raises(ConfigError, match="nothing to learn about steps"):
        chosen(StepLabels(), verdicts(scores={}))
    ratio = {ONE.id: StepScores(np.array([2.0]), VerdictKind.LOG_RATIO, (WHOLE[0],))}
    with pytest.raises(ConfigError, match="no labels"):
        chosen(StepLabels(), verdicts(ratio))
    silent = Group("g", (Attempt("f", ONE.start, (), StopReason.FAILED),))
    assert chosen(StepLabels(), verdicts(scores={}), silent)[0] == []
