"""What a recipe asks for and costs a round, read off its plan and its row; no model is opened."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from askesis.errors import AskesisError
from askesis.lab.estimate import _amounts
from askesis.plan import Plan
from askesis.records import NOTHING
from askesis.registry import RECIPES, Row

# What a recipe learns the policy from. A recipe that is not here is read off its needs alone.
FAMILIES: dict[str, str] = {
    "sft": "demonstrations",
    "star": "own right answers",
    "rest_em": "own right answers",
    "rft": "own right answers",
    "b_star": "own right answers",
    "self_consistency": "own votes",
    "sharpening": "own likelihood",
    "reinforce": "rewards",
    "rloo": "rewards",
    "grpo": "rewards",
    "dr_grpo": "rewards",
    "dapo": "rewards",
    "gspo": "rewards",
    "nft": "rewards",
    "ppo": "rewards",
    "t1": "rewards",
    "simplerl_zoo": "rewards",
    "a_lol": "given answers",
    "dpo": "preferences",
    "online_dpo": "preferences",
    "superhf": "preferences",
    "spo": "preferences",
    "nash_md": "preferences",
    "reward_model": "preferences, for a judge",
}
NO_GROUPS = frozenset({"reinforce", "ppo"})  # their baseline is no group's mean


@dataclass(frozen=True)
class RecipeFacts:
    """A recipe as the rules see it.

    num_tasks, num_attempts: a round of its last phase, with the options it is advised with.
    samples, epochs: what is learnt in a round at most. grouped: whether the baseline is the mean of
    a group. names: the models of its plan. rounds: the option that says how many rounds its last
    phase has. problem: why there is no plan.
    """

    name: str
    family: str
    truth: str = ""
    needs: tuple[str, ...] = ()
    num_tasks: float = 0.0
    num_attempts: float = 1.0
    samples: float = 0.0
    epochs: float = 1.0
    sampled: bool = True
    grouped: bool = False
    names: tuple[str, ...] = ("policy",)
    rounds: str = "rounds"
    options: Mapping[str, str] = field(default=NOTHING)
    problem: str = ""


def recipe_facts(
    world: str, options: Mapping[str, Mapping[str, str]] = NOTHING, names: Sequence[str] = ()
) -> list[RecipeFacts]:
    """The facts of all recipes of the registry (or of `names`), on a world.

    options: per recipe, options it is advised with (those it was studied with).
    """
    found = []
    for name, row in RECIPES.items():
        if not names or name in names:
            found.append(_facts(name, row, world, dict(options.get(name, {}))))
    return found


def _facts(name: str, row: Row, world: str, options: dict[str, str]) -> RecipeFacts:
    from askesis.lab.begin import plan_for

    family = FAMILIES.get(name, "")
    base = RecipeFacts(name, family, row.truth, row.needs, options=options)
    try:
        plan = plan_for(name, [("world", world), *options.items()])
    except AskesisError as error:
        return RecipeFacts(**{**vars(base), "problem": str(error)})
    phase = plan.phases[-1]
    amounts = _amounts(phase)
    starts = _number(phase.parts.get("tasks"), "num")
    return RecipeFacts(
        **{
            **vars(base),
            "num_tasks": starts,
            "num_attempts": amounts.attempts / max(1.0, starts),
            "samples": amounts.samples,
            "epochs": amounts.epochs,
            "sampled": amounts.sampled,
            "grouped": family == "rewards" and name not in NO_GROUPS,
            "names": tuple(_opened(plan)),
            "rounds": "rounds" if len(plan.phases) == 1 else f"phases.{phase.name}.until.rounds",
        }
    )


def _number(part: Any, field: str) -> float:
    value = getattr(part, field, 1)
    return float(value) if isinstance(value, int | float) else 1.0


def _opened(plan: Plan) -> list[str]:
    """Models that the subject takes the place of: all that begin as the tiny default."""
    return [name for name, spec in plan.models.items() if spec.source == "tiny"]


def command(
    facts: RecipeFacts,
    world: str,
    source: str,
    engine: str = "auto",
    budget: float | None = None,
    rounds: int = 0,
) -> str:
    """The line that runs a recipe on a model, ready for a shell.

    source: what `--model` takes; "" or "tiny" leaves the recipe's default. budget: tokens,
    generated or (where nothing is generated) learnt from; rounds: enough for that budget, 0 for
    the recipe's.
    """
    words = ["askesis", "run", facts.name, "--world", world]
    if source and source != "tiny":
        if facts.names == ("policy",):
            words += ["--model", source]
        else:
            for name in facts.names:
                words += [f"--models.{name}.source", source]
    if engine != "auto":
        words += ["--engine", engine]
    for path, value in facts.options.items():
        words += [f"--{path}", str(value)]
    if budget is not None:
        limit = "tokens" if facts.sampled else "trained-tokens"
        words += [f"--budget.{limit}", f"{budget:.0f}"]
    if rounds:
        words += [f"--{facts.rounds}", str(rounds)]
    return shlex.join(words)
