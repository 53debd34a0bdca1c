"""The controller between explore and select: what it tries, what it takes, and what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.formulas.exploration import balance_score
from askesis.records import About, Group, Verdict, VerdictKind
from askesis.select.steering import (
    Balance,
    Controller,
    EnoughRight,
    Setting,
    SteeredThreshold,
    Tried,
    least_cap,
)
from askesis.select.threshold import Threshold
from tests.explore.host import Host, Sums, attempt, says

HOST = Host(says({}))
RATER = "rater-v1"


def tried(*tasks: dict[float, list[tuple[str, float, float]]]) -> tuple[list[Group], Verdicts]:
    """Per task and temperature: (text, right, rating) of every attempt."""
    groups, said = [], []
    for number, each in enumerate(tasks):
        task, made = Sums().make(number % 10, number // 10), []
        for temperature, attempts in each.items():
            for text, right, rating in attempts:
                one = attempt(task, text, len(made))
                made.append(replace(one, turns=(replace(one.turns[0], temperature=temperature),)))
                about = About(made[-1].id)
                said.append(Verdict(RATER, about, VerdictKind.OUTCOME, rating))
                said.append(Verdict("truth-v1", about, VerdictKind.OUTCOME, right))
        groups.append(Group(task.id, tuple(made)))
    return groups, Verdicts(said)


COLD = [("a", 1, 1.0), ("a", 1, 1.0), ("a", 1, 1.0), ("x", 0, 0.0)]
WARM = [("a", 1, 1.0), ("b", 1, 0.5), ("x", 0, 0.2), ("y", 0, 0.7)]


def choose(part: Controller, made, wanted: int = 2) -> Setting:
    groups, verdicts = made
    return part.choose(groups, verdicts, num_samples=wanted * len(groups), num_tasks=len(groups))


def test_the_best_pair_of_temperature_and_threshold_by_hand():
    # n* = 2. cold: n' = 1 of 3 kept at 1.0 (1/2 * 1/3), of 4 at 0 (1/2 * 1/4); warm at 1.0: one of
    # one (1/2); at 0.5: two of three (1 * 2/3), the best; at 0: two of four (1/2)
    part = Controller(temperatures=(0.5, 1.2), thresholds=(0.0, 0.5, 1.0), rater=RATER)
    assert choose(part, tried({0.5: COLD, 1.2: WARM})) == Setting(1.2, 0.5, pytest.approx(2 / 3))
    # where one of a task is enough the careful threshold is as good as any: n' / n = 1
    assert choose(part, tried({0.5: COLD, 1.2: WARM}), wanted=1) == Setting(1.2, 1.0, 1.0)


def test_the_objective_can_be_another_one():
    made = tried({0.5: COLD, 1.2: WARM})
    part = Controller(temperatures=(0.5, 1.2), thresholds=(0.0, 0.5), rater=RATER)
    assert choose(replace(part, objective=EnoughRight()), made) == Setting(1.2, 0.5, 1.0)
    few = replace(part, objective=lambda selected, target: -sum(len(s) for s in selected))
    assert choose(few, made) == Setting(1.2, 0.5, -3.0) or choose(few, made).score == -3.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_no_other_setting_has_a_higher_balance_score(seed, target):
    rng = np.random.default_rng(seed)
    temperatures, thresholds = (0.5, 1.0, 1.5), (0.0, 0.25, 0.5, 0.75)
    made = tried(*(
        {t: [("abc"[rng.integers(3)], float(rng.integers(2)), round(float(rng.random()), 2))
             for _ in range(4)] for t in temperatures} for _ in range(3)
    ))  # fmt: skip
    part = Controller(temperatures=temperatures, thresholds=thresholds, rater=RATER, target=target)
    found = choose(part, made)
    value = {v.about.attempt: v.value for v in made[1] if v.judge == "truth-v1"}
    rating = {v.about.attempt: v.value for v in made[1] if v.judge == RATER}
    scores = []
    for temperature in temperatures:
        for threshold in thresholds:
            each = []
            for group in made[0]:
                kept = [a for a in group.attempts
                        if a.turns[0].temperature == temperature and rating[a.id] >= threshold]  # fmt: skip
                distinct = {a.text for a in kept if value[a.id] >= 1}
                each.append(balance_score(len(kept), len(distinct), target))
            scores.append(float(np.mean(each)))
    assert found.score == pytest.approx(max(scores))


def test_where_nothing_is_right_it_works_at_the_models_own_temperature_and_keeps_least():
    wrong = [("x", 0, 0.5), ("y", 0, 0.9)]
    part = Controller(temperatures=(0.5, 0.9, 1.2), thresholds=(0.0, 0.5), rater=RATER)
    assert choose(part, tried(dict.fromkeys((0.5, 0.9, 1.2), wrong))) == Setting(0.9, 0.5, 0.0)


def test_attempts_that_nobody_judged_are_refused_and_not_guessed():
    groups, _ = tried({0.5: COLD})
    with pytest.raises(ConfigError, match="no judged attempts"):
        choose(Controller(temperatures=(0.5,)), (groups, Verdicts()))


def test_one_candidate_of_each_is_a_fixed_setting():
    assert Controller(temperatures=(0.7,), thresholds=(0.2,)).fixed == Setting(0.7, 0.2)
    assert Controller(temperatures=(0.7,)).fixed is None


@pytest.mark.parametrize(
    "wrong",
    [{"temperatures": ()}, {"temperatures": (1.0, 1.0)}, {"temperatures": (-1.0,)}, {"target": 0},
     {"thresholds": (float("nan"),)}, {"thresholds": ()}, {"num_tasks": 0}, {"objective": 3}],
)  # fmt: skip
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"Controller.{next(iter(wrong))}"):
        Controller(**wrong)


def test_balance_and_its_first_factor():
    some = [[Tried(True, 1, "a"), Tried(True, 1, "a")], []]
    assert Balance()(some, 2) == pytest.approx((1 / 2 * 1 / 2) / 2)
    assert EnoughRight()(some, 2) == pytest.approx(1 / 4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=6), st.integers(1, 60))
def test_the_cap_is_the_smallest_that_reaches_the_size(counts, wanted):
    cap = least_cap(counts, wanted)
    size = sum(min(c, cap) for c in counts)
    assert size >= wanted or size == sum(counts)
    assert cap <= 1 or sum(min(c, cap - 1) for c in counts) < wanted


def test_a_round_keeps_what_reaches_the_chosen_threshold_up_to_the_wanted_size():
    many = [(t, 1, r) for t, r in zip("abcd", (0.9, 0.8, 0.6, 0.1), strict=True)]
    groups, verdicts = tried({1.0: many}, {1.0: many[:1]}, {1.0: many[3:]})
    part = SteeredThreshold(num_samples=3, keep=Threshold(judge=RATER))
    ctx = HOST.context("select", slot="select.policy", inputs={"setting": Setting(1.0, 0.5, 0.25)})
    found = part.select(ctx, groups, verdicts)
    # three of the first task and one of the second pass; two and one make three
    assert [s.sources[0].split("#")[0] for s in found] == ["sums-v1:0+0"] * 2 + ["sums-v1:1+0"]
    assert ctx.metrics["select/cap"] == 2 and ctx.metrics["select/threshold"] == 0.5
    assert ctx.metrics["select/steering_score"] == 0.25 and ctx.metrics["select/samples"] == 3
    bare = HOST.context("select", slot="select.policy")
    assert len(SteeredThreshold(keep=Threshold(threshold=0.8, judge=RATER)).select(
        bare, groups, verdicts)) == 3  # fmt: skip
    assert "select/steering_score" not in bare.metrics
