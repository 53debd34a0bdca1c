"""Self-reinforcement on tables: who speaks for the weaker self, and which pairs pass."""

from __future__ import annotations

import math

import pytest

from tests.probes.house import probability
from tests.recipes.letters import metrics_of, on_letters

QUICK = [("num-labelled", "2"), ("measure-every", "1"),
         ("measure.ability.num-tasks", "2"), ("measure.ability.num-attempts", "1"), ("rounds", "1"),
         ("learn.policy.learning-rate", "0.3")]  # fmt: skip


@pytest.mark.slow
def test_each_rounds_weaker_self_is_the_one_before_and_its_reference_the_present_one(tmp_path):
    run = on_letters(
        "self_reinforcement", tmp_path / "run", *QUICK[:-2], ("rounds", "2"), QUICK[-1]
    )
    # two rounds of demonstrations make policy@2; what it was before its last learning is policy@1
    for index, (better, weaker) in {2: (2, 1), 3: (3, 2)}.items():
        said: dict[str, set[str]] = {}
        for attempt in run.store.read("attempts", {"round": index}):
            for turn in attempt.turns:
                said.setdefault(turn.role, set()).add(turn.speaker)
        assert said == {"policy": {f"policy@{better}"}, "weaker": {f"policy@{weaker}"}}
        found = metrics_of(run, index)
        if found["learn/policy/num_updates"]:
            assert found["learn/policy/loss/first"] == pytest.approx(math.log(2), abs=1e-6)
    run.store.close()


@pytest.mark.parametrize(
    "filter_by",
    [
        "likelihood",
        pytest.param("agreement", marks=pytest.mark.slow),
        pytest.param("none", marks=pytest.mark.slow),
    ],
)
def test_the_filter_lets_through_what_it_says(tmp_path, filter_by):
    option = ("filter-by", filter_by)
    run = on_letters("self_reinforcement", tmp_path / "run", *QUICK, option)
    verdicts = {v.about.attempt: v.value for v in run.store.read("verdicts", {"round": 1})}
    samples = list(run.store.read("samples", {"round": 1}))
    assert samples
    for sample in samples:
        better, worse = (verdicts[name] for name in sample.sources)
        if filter_by == "likelihood":
            assert better >= worse
        elif filter_by == "agreement":
            assert (better, worse) == (1.0, 0.0)
    left_out = metrics_of(run, 1)["select/filtered_fraction"]
    assert left_out == 0 if filter_by == "none" else left_out > 0
    run.store.close()


@pytest.mark.slow
def test_demonstrations_and_then_questions_alone_raise_what_is_right(tmp_path):
    # the seed raises x after a from a fifth; the pairs, which see no truth, go on in its direction
    run = on_letters("self_reinforcement", tmp_path / "run", *QUICK, ("filter-by", "agreement"))
    assert metrics_of(run, 1)["measure/pair_precision"] > 0.5
    assert probability(run.models["policy"], "a", "x") > 0.4
    run.store.close()
