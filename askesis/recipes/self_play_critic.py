"""SPC: a critic plays against who spoils steps in secret (Chen et al. 2025)."""

from __future__ import annotations

from typing import Any, Literal

from askesis.explore.sample import SampleAttempts
from askesis.explore.sneaky_game import SneakyGame
from askesis.judge.first_error import FirstError
from askesis.judge.returns import Return
from askesis.judge.several import Several
from askesis.judge.steps.critic import StepCritic
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.played import Played
from askesis.select.step_lessons import StepLessons
from askesis.tasks.uniform import Uniform

PLAYER = "opponent"  # the critic as it sits in the game


def self_play_critic(
    errors: Literal["sneaky", "edits", "natural"] = "sneaky",
    lesson_rounds: int = 4,
    gate: bool = True,
    opponent: Literal["previous", "now"] = "previous",
    edit_share: float = 0.25,
) -> Plan:
    """Lessons about edited steps; then games in which a model spoils a step of a frozen policy's
    right answer and the critic of an earlier round names it. Both learn from what they won.

    errors: whose the critic learns in the end: the game's; edits, more of the same lessons; or
    natural, the policy's own wrong answers, found by completions. lesson_rounds: of the first
    phase, 0 for none. gate: completions decide what is wrong. opponent: the critic in the game, of
    the round before or of now. edit_share: of lessons beside games.
    """
    plays = errors == "sneaky"
    roles = (PLAYER, "sneaky") if plays else (PLAYER,)
    models = ("critic", "sneaky") if plays else ("critic",)
    paid = Several(judges=tuple(Return(role=role) for role in roles))
    sneaky = "sneaky" if plays else ""

    def lessons() -> Parts:
        edits = SneakyGame(edit_share=1.0, gate=gate, sneaky=sneaky, critic=PLAYER)
        chosen = {m: Played(role=r) for m, r in zip(models, roles, strict=True)}
        return Parts(tasks=Uniform(num=512), explore=edits, judge=paid, select=chosen,
                     learn={m: _taught() for m in models})  # fmt: skip

    if plays:
        game = SneakyGame(edit_share=edit_share, gate=gate, critic=PLAYER)
        won = {m: Played(role=r, lesson_coef=0.15) for m, r in zip(models, roles, strict=True)}
        parts = Parts(tasks=Uniform(num=512), explore=game, judge=paid, select=won,
                      learn={m: _paid() for m in models})  # fmt: skip
    elif errors == "edits":
        parts = lessons()
    else:
        parts = Parts(tasks=Uniform(num=128), explore=SampleAttempts(num_attempts=4),
                      judge=FirstError(num_rollouts=4), select={"critic": StepLessons()},
                      learn={"critic": _taught()})  # fmt: skip
    measure: tuple[Any, ...] = (StepQuality(judge=StepCritic()),)
    phases = (
        Phase(name="lessons", parts=lessons(), measure=measure, until=Until(rounds=lesson_rounds)),
        Phase(parts=parts, measure=measure, until=Until(rounds=6)),
    )
    played = RoleSpec(model="critic", snapshot=opponent if opponent == "previous" else "")
    return Plan(
        recipe="self_play_critic",
        phases=phases if lesson_rounds else phases[1:],
        models={"policy": ModelSpec(trainable=False), **{m: ModelSpec() for m in models}},
        roles={"policy": RoleSpec(), PLAYER: played, **{m: RoleSpec(model=m) for m in models}},
    )


def _taught() -> Learn:
    return Learn(epochs=2, batch_tokens=1024)


def _paid() -> Learn:
    clipped = ClippedPolicyGradient(ratio="sequence")
    return Learn(objectives=(clipped,), epochs=3, batch_tokens=1024, learning_rate=3e-4)
