"""Four habits: which habits of reasoning a model is primed with decides what RL makes of it."""

from __future__ import annotations

from askesis.explore.demonstrate import Demonstrate
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.leashes import KLToReference
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.measure.habits import Habits
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.advantages import GroupAdvantages
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def four_habits(
    habit: str = "backtrack+verify",
    wrong: bool = False,
    num_demonstrations: int = 4000,
    max_tokens: int = 192,
) -> Plan:
    """Supervised learning of demonstrations in a habit, then group relative policy optimisation.

    habit: of the demonstrations: a world's name, several with "+", "filler:" in front for dots of
    the same length; plain shows bare solutions, none leaves the priming out. wrong: they end wrong.
    num_demonstrations: learnt five times over. max_tokens: of an attempt under RL.
    """
    primed = Parts(
        tasks=Uniform(num=num_demonstrations),
        explore=Demonstrate(habit="plain" if habit == "none" else habit, wrong=wrong),
        judge=Verifier(),
        select={"policy": Threshold(threshold=0.0)},
        learn={"policy": Learn(epochs=5, schedule="cosine")},
    )
    learn = Learn(
        objectives=(ClippedPolicyGradient(), KLToReference(coef=0.001)),
        reference="phase_start",
        num_batches=1,
        together="prompt",
        learning_rate=3e-4,
    )
    trained = Parts(
        tasks=Uniform(num=64),
        explore=SampleAttempts(num_attempts=8, max_tokens=max_tokens),
        judge=Verifier(),
        select={"policy": GroupAdvantages()},
        learn={"policy": learn},
    )
    measure = (Groups(), Ability(max_tokens=max_tokens), Habits())
    prime = Phase(name="prime", parts=primed, until=Until(rounds=1))
    main = Phase(parts=trained, measure=measure, until=Until(rounds=64), reset=("optimizer",))
    phases = (main,) if habit == "none" else (prime, main)
    return Plan(recipe="four_habits", phases=phases)
