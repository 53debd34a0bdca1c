"""How far the policy is from where it was, how narrow it is, and what other worlds say."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch

from askesis.errors import ConfigError
from askesis.measure.drift import Drift
from askesis.measure.self_consuming import SelfConsuming
from askesis.measure.worlds import Worlds
from askesis.models.tabular import TabularModel
from askesis.records import About, Group, Purpose, Sample, Verdict, VerdictKind
from askesis.run import wanted_tags
from tests.explore.host import Host, Sums, attempt, says, view
from tests.lab.letters import letters
from tests.probes.house import LetterWorld

KEEP = {("policy", "base"), ("policy", "previous")}


def table(skill: float) -> torch.Tensor:
    """After a letter of the prompt: x with this logit, every answer one letter long."""
    logits = torch.zeros(6, 6)
    logits[:2, 2] = skill
    logits[:2, 4] = -30.0  # never silent
    logits[2:4, 4] = 30.0  # one letter, then the end
    logits[:2, :2] = -30.0  # x or y
    return logits


def measured(part: Drift, skill: float, previous: float | None = None) -> dict[str, float]:
    model = TabularModel("policy", "abxy", table(0.0))
    host = Host({"policy": model}, world=LetterWorld(), keep=KEEP)
    if previous is not None:
        model.load({"logits": table(previous)})
        host.shelf.learnt(model, 0)
        host.shelf.learning(model)
    model.load({"logits": table(skill)})
    host.shelf.learnt(model, 0)
    ctx = host.context("measure", 3, slot="measure.drift", purpose=Purpose.MEASURE)
    part.on_phase_start(ctx)
    found = part.measure(ctx, view([]))
    assert host.meter.budget_tokens == 0
    assert ctx.snapshot("policy") == host.shelf.current("policy")
    return found


def exact_kl(skill: float, before: float) -> float:
    p, q = torch.tensor([[skill, 0.0], [before, 0.0]]).softmax(-1)
    return float((p * (p / q).log()).sum())


def test_the_divergence_from_base_and_from_before_is_the_exact_one():
    found = measured(Drift(num_tasks=64, num_attempts=16), skill=2.0, previous=1.0)
    for name, before in (("base", 0.0), ("previous", 1.0)):
        exact = exact_kl(2.0, before)
        assert found[f"drift/kl_{name}/low"] <= exact <= found[f"drift/kl_{name}/high"]
        assert found[f"drift/kl_{name}_k1/low"] <= exact <= found[f"drift/kl_{name}_k1/high"]
        assert found[f"drift/kl_{name}"] == pytest.approx(exact, rel=0.2)
        # answers are a letter and the end
        assert found[f"drift/kl_{name}_per_token"] == pytest.approx(found[f"drift/kl_{name}"] / 2)
    assert found["drift/tokens"] == found["drift/tokens/low"] == 2


def test_nothing_learnt_is_no_distance_at_all():
    found = measured(Drift(num_tasks=4), skill=0.0)
    assert found["drift/kl_base"] == found["drift/kl_previous_k1"] == 0.0


def test_a_collapsed_policy_is_seen_as_one():
    wide = measured(Drift(num_tasks=64, num_attempts=8, snapshots=()), skill=0.0)
    narrow = measured(Drift(num_tasks=64, num_attempts=8, snapshots=()), skill=20.0)
    assert narrow["drift/identical_fraction"] == narrow["drift/agreement"] == 1
    assert narrow["drift/effective_answers"] == 1
    assert narrow["drift/identical_fraction/low"] < 1  # 64 tasks do not prove it of all
    assert wide["drift/agreement"] == pytest.approx(0.5, abs=0.05)
    assert wide["drift/identical_fraction"] < 0.1
    assert 1.7 < wide["drift/effective_answers"] <= 2
    assert narrow["drift/distinct_1"] == 1 / (64 * 8) < wide["drift/distinct_1"]
    assert wide["drift/distinct_2"] == 0  # answers of one word have no pairs of words
    assert not [k for k in wide if "kl" in k]


def test_without_log_probabilities_the_run_does_not_begin():
    ctx = Host(says(lambda text, u: "7")).context("measure")
    with pytest.raises(ConfigError, match=r"measure\.drift\.snapshots"):
        Drift().on_phase_start(ctx)
    Drift(snapshots=()).on_phase_start(ctx)
    found = Drift(num_tasks=4, snapshots=()).measure(ctx, view([]))
    assert found["drift/identical_fraction"] == 1


def test_answers_are_compared_as_the_world_reads_them():
    host = Host(says(lambda text, u: "7" if u < 0.5 else "so it is =7"))
    found = Drift(num_tasks=8, snapshots=()).measure(host.context("measure"), view([]))
    assert found["drift/agreement"] == 1
    assert found["drift/distinct_2"] > 0


def test_the_plan_keeps_the_snapshots_that_drift_needs():
    plan = letters()
    phase = replace(plan.phases[0], measure=(Drift(),))
    assert wanted_tags(replace(plan, phases=(phase,))) == KEEP


@pytest.mark.parametrize(
    "wrong", [{"num_tasks": 1}, {"num_attempts": 1}, {"ngrams": (0,)}], ids=str
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="Drift"):
        Drift(**wrong)


# ---------------------------------------------------------------- several worlds


def two_worlds(script):
    host = Host(says(script), world=Sums())
    host.worlds["letters"] = LetterWorld()
    return host


def test_every_world_has_its_own_figure():
    host = two_worlds(lambda text, u: "x" if text == "a" or u < 0.25 else "y")
    ctx = host.context("measure", slot="measure.worlds", purpose=Purpose.MEASURE)
    found = Worlds(num_tasks=64).measure(ctx, view([]))
    assert found["world/main/pass@1"] == 0
    low, high = (found[f"world/letters/pass@1/{end}"] for end in ("low", "high"))
    assert low < 0.875 < high
    assert found["worlds/worst"] == 0
    assert found["worlds/mean"] == found["world/letters/pass@1"] / 2
    assert host.meter.budget_tokens == 0


def test_only_the_worlds_asked_for_are_measured_and_they_must_exist():
    host = two_worlds(lambda text, u: "x")
    found = Worlds(worlds=("letters",), num_tasks=4).measure(host.context("measure"), view([]))
    assert not [k for k in found if "main" in k]
    with pytest.raises(ConfigError, match="Did you mean 'letters'"):
        Worlds(worlds=("leters",)).on_phase_start(host.context("measure"))
    with pytest.raises(ConfigError, match="num_tasks"):
        Worlds(num_tasks=1)


# ---------------------------------------------------------------- self-consuming training


def rewarded(*rewards: str):
    """A round: one group a string, g for a given answer and o for an own one, each with its reward
    ("o1 g0"); every answer is learnt."""
    groups, verdicts, samples = [], [], []
    for place, group in enumerate(rewards):
        task = Sums().make(place, 2)
        made = []
        for i, (who, value) in enumerate(group.split()):
            purpose = Purpose.DEMONSTRATION if who == "g" else Purpose.TRAIN
            made.append(attempt(task, "x", i, purpose=purpose))
            about = About(made[-1].id)
            verdicts.append(Verdict("rm-v1", about, VerdictKind.OUTCOME, float(value)))
            samples.append(Sample("policy", (), {}, (made[-1].id,)))
        groups.append(Group(task.id, tuple(made)))
    return view(groups, verdicts, samples={"policy": samples})


def test_what_is_left_to_gain_is_the_bound_on_the_rise():
    found = SelfConsuming().measure(None, rewarded("o0 o0 o1 o1"))
    e = 2.718281828
    # by hand: (3 / 4) * Var(1, 1, e, e) / e, in units of e
    assert found["self_consuming/least_increase"] == pytest.approx(0.75 * (e - 1) ** 2 / 3 / e / e)
    assert found["self_consuming/reward_variance"] == pytest.approx(1 / 3)
    assert found["self_consuming/reward"] == 0.5
    assert found["self_consuming/given_fraction"] == 0
    assert "self_consuming/most_divergence" not in found  # own samples alone: no bound
    alike = SelfConsuming().measure(None, rewarded("o1 o1 o1", "o0 o0 o0"))
    assert alike["self_consuming/least_increase"] == 0


def test_enough_given_data_bounds_the_divergence():
    found = SelfConsuming().measure(None, rewarded("o0 g1", "g1 g1"))
    assert found["self_consuming/given_fraction"] == 0.75
    # K = 2 and lambda = 1 / 3: -log(1 - 1 / 3)
    assert found["self_consuming/most_divergence"] == pytest.approx(-log(2 / 3))
    assert found["self_consuming/reward/low"] < 0.75 < found["self_consuming/reward/high"]
    half = SelfConsuming().measure(None, rewarded("o0 g1", "o1 g1"))
    assert "self_consuming/most_divergence" not in half  # lambda = 1: nothing is promised


def test_nothing_is_said_where_nothing_was_judged():
    assert SelfConsuming().measure(None, view([])) == {}
    assert SelfConsuming().measure(None, rewarded("o1")) == {}
