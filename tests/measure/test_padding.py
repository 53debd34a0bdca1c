"""Useless steps are appended to answers: which rewards pay for them?"""

from __future__ import annotations

import re

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.judge.steps.implicit import ImplicitSteps
from askesis.judge.steps.prover import ProverAdvantage
from askesis.judge.steps.truth import StepTruth
from askesis.measure.padding import PaddingProbe, padded, probe_padding
from askesis.models.tabular import TabularModel
from askesis.records import About, Group, TaskRole, Verdict, VerdictKind
from askesis.select.step_rewards import StepRewards
from askesis.steps import StepScores, step_verdict, steps_of
from askesis.worlds.open import open_world
from tests.explore.host import Host, attempt, says, view
from tests.judge.test_step_judges import ALPHABET, Chain, said

WORLD = open_world("chain_arithmetic?difficulty=0")
TASKS = WORLD.draw(TaskRole.TRAIN, np.random.default_rng(0), 6)
GOOD = [
    [attempt(t, WORLD.demonstrate(t, np.random.default_rng(1)), i)] for i, t in enumerate(TASKS)
]
SUM = re.compile(r"(-?\d+)([-+*])(\d+)=(-?\d+)")


class Valid:
    """Scores each step by itself: 0.9 where its sum is true or where it is a remark. The judge
    that card [128] warns of."""

    async def judge(self, ctx, group):
        found = []
        for one in group.attempts:
            spans = steps_of(one, lambda t: "".join(chr(c) for c in t if c < 0x110000), "\n")
            scores = StepScores(np.full(len(spans), 0.9), VerdictKind.CORRECTNESS, spans)
            found.append(step_verdict("valid-v1", one, scores))
        return found


class Promise:
    """Says what is to be expected after each step: useless ones change nothing."""

    async def judge(self, ctx, group):
        found = []
        for one in group.attempts:
            spans = steps_of(one, lambda t: "".join(chr(c) for c in t if c < 0x110000), "\n")
            values = np.minimum(1.0, 0.4 + 0.3 * np.arange(1, len(spans) + 1))
            scores = StepScores(values, VerdictKind.VALUE, spans, before=0.4)
            found.append(step_verdict("promise-v1", one, scores))
        return found


def context():
    return Host(says({}), world=WORLD).context("measure")


def again(one) -> str:
    """The last value plus nothing: a true sum that leads nowhere."""
    value = one.text.rpartition("=")[2].split()[0]
    return f"\n{value}+0={value}"


@pytest.mark.parametrize("pad", ["\n#ok", again], ids=["remark", "sum"])
def test_raw_scores_of_steps_pay_for_steps_that_do_nothing(pad):
    found = probe_padding(context(), GOOD, Valid(), pad)
    assert found.is_neutral and found.pays and found.num_attempts == 6
    assert found.growth.value == pytest.approx(0.9)
    assert np.diff(found.returns) == pytest.approx([0.9, 0.9, 1.8, 3.6])


@pytest.mark.parametrize(
    ("judge", "rewards"),
    [
        (Valid(), StepRewards(transforms=("delta",))),
        (Valid(), StepRewards(transforms=("clip",), eta=0.5)),
        (Valid(), StepRewards(transforms=("clip", "delta"), eta=0.95)),
        (Promise(), StepRewards(transforms=("progress",))),
        (Promise(), StepRewards(transforms=("best_of", "progress"))),
        (ProverAdvantage(inner=Promise()), None),
    ],
    ids=["delta", "clip", "clip_delta", "progress", "prover", "prover_judge"],
)
def test_bounded_and_telescoping_rewards_do_not(judge, rewards):
    paid = rewards.one if rewards else None
    found = probe_padding(context(), GOOD, judge, "\n#ok", paid=paid, counts=(2, 8))
    assert found.is_neutral and not found.pays
    assert found.growth.value == pytest.approx(0.0, abs=0.05)


def test_clip_without_delta_charges_a_judge_that_dislikes_padding():
    found = probe_padding(
        context(), GOOD, Valid(), "\n#ok", counts=(4,),
        paid=StepRewards(transforms=("clip",), eta=0.95).one,
    )  # fmt: skip
    assert found.growth.value == pytest.approx(-0.05)


def test_a_log_ratio_pays_for_what_its_model_likes():
    models = {name: TabularModel(name, ALPHABET) for name in ("policy", "reward")}
    host = Host(models, world=Chain(), keep={("reward", "base")})
    model = models["reward"]
    table = model.module.logits.detach().clone()
    table[3, 1] = table[1, 3] = 2.0  # likes x after a comma and a comma after x
    model.load({**model.weights(), "logits": table})
    host.shelf.learnt(model, 0)
    judge, ctx = ImplicitSteps(beta=1.0), host.context("measure")
    found = probe_padding(ctx, [[said("x")]], judge, ",x", counts=(1, 3))
    assert found.growth.value == pytest.approx(2 * (2.0 - np.log((np.e**2 + 4) / 5)), abs=1e-4)


def test_an_attempt_is_padded_in_front_of_its_end():
    (one,) = GOOD[0]
    made = padded(context(), one, "\n#ok", 2)
    assert made.text == one.text + "\n#ok\n#ok" and made.author == "padding"
    (turn,) = made.turns
    assert turn.tokens[-1] == 0x110000 and len(turn.tokens) == len(one.turns[0].tokens) + 8
    assert np.isnan(turn.logp_model).all() and turn.speaker == ""
    assert padded(context(), one, "\n#ok", 0) == one


def test_padding_that_changes_the_outcome_is_said_to_do_so():
    found = probe_padding(context(), GOOD, StepTruth(), "\n1+1=3", counts=(1,))
    assert not found.is_neutral and found.outcomes == (1.0, 0.0)


def test_what_cannot_be_probed_is_refused():
    class Mute:
        async def judge(self, ctx, group):
            return [Verdict("m", About(a.id), VerdictKind.OUTCOME, 1.0) for a in group.attempts]

    with pytest.raises(ConfigError, match="knows no steps"):
        probe_padding(context(), GOOD, Mute(), "\n#ok")
    with pytest.raises(ConfigError, match="counts above 0"):
        probe_padding(context(), GOOD, Valid(), "\n#ok", counts=())
    for wrong in ({"judge": None}, {"judge": Valid(), "pad": ""}):
        with pytest.raises(ConfigError, match="PaddingProbe"):
            PaddingProbe(**wrong)


def test_the_part_probes_the_attempts_of_a_round():
    groups = [Group(a.start.key, (a,)) for (a,) in GOOD]
    silent = Group("s", (attempt(TASKS[0], "", 99),))
    part = PaddingProbe(judge=Valid(), rewards=StepRewards(transforms=("delta",)))
    found = part.measure(context(), view([*groups, silent]))
    assert found["padding/growth"] == pytest.approx(0, abs=1e-9)
    assert found["padding/is_neutral"] == 1.0
    assert set(found) >= {"padding/return@0", "padding/return@2", "padding/return@8"}
    raw = PaddingProbe(judge=Valid()).measure(context(), view(groups))
    assert raw["padding/growth"] == pytest.approx(0.9)
    assert part.measure(context(), view([silent])) == {}
