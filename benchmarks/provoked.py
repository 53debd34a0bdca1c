"""Runs that go well and runs in which one thing is made to go wrong, for counting alarms.

    askesis run benchmarks/provoked.py:pays_for_length --rounds 16

Every plan measures in every round, so that an alarm can answer within a few of them, and audits
its judge. The provoked ones differ from a clean one in what their name says and nothing else.
None of this is in the package: no recipe should be made so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.judge.wrong import Wrong
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.measure.audit import Audit
from askesis.measure.groups import Groups
from askesis.measure.worlds import Worlds
from askesis.plan import Parts, Phase, Plan, Until
from askesis.records import About, Group, Verdict, VerdictKind
from askesis.select.advantages import GroupAdvantages
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform

MEASURED = (Groups(), Ability(num_tasks=64, num_attempts=4), Audit())


@dataclass(frozen=True, kw_only=True)
class PaysForLength:
    """A judge that looks at nothing but how long an attempt is, as a share of its allowance."""

    allowance: int = 80

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        return [
            Verdict(
                "pays-for-length-v1",
                About(a.id),
                VerdictKind.OUTCOME,
                min(1.0, a.num_tokens / self.allowance),
            )
            for a in group.attempts
        ]


@dataclass(frozen=True, kw_only=True)
class LikesEverything:
    """A judge that passes whatever was said."""

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        return [
            Verdict("likes-everything-v1", About(a.id), VerdictKind.OUTCOME, 1.0)
            for a in group.attempts
        ]


def _gradients(judge: Any, rate: float) -> Parts:
    """Group-relative policy gradients."""
    learn = Learn(
        objectives=(ClippedPolicyGradient(),), num_batches=1, together="prompt", learning_rate=rate
    )
    return Parts(
        tasks=Uniform(num=32),
        explore=SampleAttempts(num_attempts=8),
        judge=judge,
        select={"policy": GroupAdvantages()},
        learn={"policy": learn},
    )


def _imitation(judge: Any, rate: float, **explore: Any) -> Parts:
    """Supervised learning on what passed."""
    return Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=8, **explore),
        judge=judge,
        select={"policy": Threshold(distinct="none")},
        learn={"policy": Learn(learning_rate=rate)},
    )


def _plan(name: str, parts: Parts, worlds: dict[str, str] | None = None) -> Plan:
    phase = Phase(parts=parts, measure=MEASURED, until=Until(rounds=16), measure_every=1)
    return Plan(recipe=name, phases=(phase,), worlds=worlds or {"main": "countdown"})


# ---------------------------------------------------------------- clean


def clean_gradients(rate: float = 3e-4) -> Plan:
    """Policy gradients with the world's own verifier: nothing is wrong."""
    return _plan("clean_gradients", _gradients(Verifier(), rate))


def clean_imitation(rate: float = 1e-3) -> Plan:
    """Learning from one's own correct attempts: nothing is wrong."""
    return _plan("clean_imitation", _imitation(Verifier(), rate))


# ---------------------------------------------------------------- provoked


def pays_for_length(rate: float = 3e-4) -> Plan:
    """Policy gradients on length."""
    return _plan("pays_for_length", _gradients(PaysForLength(), rate))


def errs(probability: float = 0.2, rate: float = 3e-4) -> Plan:
    """Policy gradients with a verifier that is wrong so often."""
    judge = Wrong(false_pass=probability, false_fail=probability)
    return _plan("errs", _gradients(judge, rate))


def collapses(temperature: float = 0.6, rate: float = 1e-3) -> Plan:
    """Imitation of everything the model says below temperature one: each round sharpens it."""
    parts = _imitation(LikesEverything(), rate, temperature=temperature)
    return _plan("collapses", parts)


def forgets(before: int = 5, rate: float = 1e-3) -> Plan:
    """Imitation on one world for `before` rounds and then on another; both are measured."""
    worlds = {"main": "countdown", "other": "chain_arithmetic"}
    measure = (Groups(), Worlds(num_tasks=64, num_attempts=4), Audit())
    parts = _imitation(Verifier(), rate)
    elsewhere = Parts(**{**parts, "tasks": Uniform(num=64, world="other")})
    first = Phase(
        name="first", parts=parts, measure=measure, until=Until(rounds=before), measure_every=1
    )
    second = Phase(
        name="second", parts=elsewhere, measure=measure, until=Until(rounds=11), measure_every=1
    )
    return Plan(recipe="forgets", phases=(first, second), worlds=worlds)
