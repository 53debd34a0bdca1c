"""Process advantages under a prover: rewarding progress (PAV, Setlur et al. 2024)."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.several import Several
from askesis.judge.steps.head import StepHead
from askesis.judge.steps.prover import ProverAdvantage
from askesis.judge.steps.rollouts import RolloutValues
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.policy_gradient import Reinforce
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.ability import Ability
from askesis.measure.step_quality import StepQuality
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.step_advantages import StepAdvantages
from askesis.select.step_labels import StepLabels
from askesis.select.step_rewards import StepRewards
from askesis.tasks.uniform import Uniform

ROLES = {"policy": RoleSpec(), "steps": RoleSpec(model="steps")}


def process_advantage(alpha: float = 3.0, best_of: int = 4, num_attempts: int = 4) -> Plan:
    """A head learns what the first policy makes of each prefix; then the policy is paid for the
    outcome, and at each step for what it changes for the best of several tries of that one.

    alpha: of the steps; 0 leaves the outcome. best_of: tries of the prover.
    """
    head = StepHead()
    judge = Several(judges=(ProverAdvantage(inner=head, best_of=best_of), Verifier()))
    steps = StepRewards(judge="prover", coef=alpha)
    parts = Parts(
        tasks=Uniform(num=128),
        explore=SampleAttempts(num_attempts=num_attempts),
        judge=judge,
        select={"policy": StepAdvantages(steps=steps, to_go=False)},
        learn={"policy": Learn(objectives=(Reinforce(),), num_batches=1, learning_rate=3e-4)},
    )
    measure = (Ability(), StepQuality(judge=head))
    rollouts = RolloutValues(num_rollouts=8, until_lost=True)
    main = Phase(parts=parts, measure=measure, until=Until(rounds=64))
    return Plan(
        recipe="process_advantage",
        phases=(head_phase(rollouts, StepLabels(balance=True), measure), main),
        models={"policy": ModelSpec(), "steps": ModelSpec(heads=("value",))},
        roles=ROLES,
    )


def head_phase(judge: RolloutValues, select: StepLabels, measure: tuple[object, ...]) -> Phase:
    """The phase in which the model "steps" learns what completions say of the first policy."""
    learn = Learn(objectives=(LabelledReward(where="weight"),), learning_rate=3e-4)
    parts = Parts(tasks=Uniform(num=256), explore=SampleAttempts(num_attempts=1), judge=judge,
                  select={"steps": select}, learn={"steps": learn})  # fmt: skip
    return Phase(name="steps", parts=parts, measure=measure, until=Until(rounds=8))
