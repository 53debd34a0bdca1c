"""Probe (e): two phases on two worlds, with a quadratic penalty and a projection of the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from tests.probes.house import Draw, LetterWorld, Weighted, probability, run_plan


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """strength/2 * |w - w*|^2 from where the last phase ended (a unit-Fisher EWC)."""

    strength: float = 50.0

    def init(self, ctx: Any) -> dict[str, np.ndarray]:
        return {}

    def on_phase_end(self, ctx: Any) -> dict[str, np.ndarray]:
        return {k: v.numpy().copy() for k, v in ctx.models["policy"].weights().items()}

    def extra_loss(self, ctx: Any, model: Any) -> torch.Tensor:
        own = dict(model.module.named_parameters())
        terms = [((own[k] - torch.as_tensor(v)) ** 2).sum() for k, v in ctx.state.items()]
        return self.strength / 2 * sum(terms) if terms else torch.zeros(())


@dataclass(frozen=True, kw_only=True)
class Project:
    """Takes out of every step what would move the rows the last phase used."""

    def init(self, ctx: Any) -> dict[str, Any]:
        return {"rows": []}

    def on_phase_end(self, ctx: Any) -> dict[str, Any]:
        policy = ctx.models["policy"]
        return {"rows": [policy.renderer.ids["a"]]}

    def transform_step(self, ctx: Any, model: Any, before: Any) -> None:
        with torch.no_grad():
            for i in ctx.state["rows"]:
                model.module.logits[i] = before["logits"][i]


WORLDS = {
    "first": LetterWorld({"a": "x"}, id="first-v1"),
    "second": LetterWorld({"a": "y", "b": "y"}, id="second-v1"),
}


def run_both(path: Any, retain: tuple[Any, ...]) -> TabularModel:
    def phase(name: str, rounds: int) -> Phase:
        learn = Learn(learning_rate=0.15, schedule="constant")
        parts = Parts(tasks=Draw(num=16, world=name), judge=Verifier(),
                      explore=SampleAttempts(num_attempts=4, max_tokens=1),
                      select={"policy": Weighted(baseline=0.5)}, learn={"policy": learn})  # fmt: skip
        return Phase(name=name, parts=parts, retain=retain, until=Until(rounds=rounds))

    plan = Plan(recipe="probe_e", phases=(phase("first", 6), phase("second", 40)))
    models = {"policy": TabularModel("policy", "abxy")}
    run_plan(plan, WORLDS, models, path)
    return models["policy"]


@pytest.mark.slow
def test_without_retainers_the_first_world_is_forgotten(tmp_path):
    assert probability(run_both(tmp_path / "run", ()), "a", "x") < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("retainer", [Anchor(), Project()], ids=lambda r: type(r).__name__)
def test_a_penalty_or_a_projection_keeps_the_first_world(tmp_path, retainer):
    policy = run_both(tmp_path / "run", (retainer,))
    assert probability(policy, "a", "x") > 0.5


@pytest.mark.slow
def test_a_projection_leaves_room_to_learn_the_second_world(tmp_path):
    policy = run_both(tmp_path / "run", (Project(),))
    assert probability(policy, "b", "y") > 0.5
