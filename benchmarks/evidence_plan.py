"""What an experiment is going to be: `results/<recipe>.plan.toml`, committed before its first run.

claim = "one sentence"
source = "card [146]"                  # of the catalogue, or the paper
world = "countdown"                    # of all arms that do not name another
metric = "pass@1"                      # or pass@K, or score: what the claim is about
smallest_effect = 0.03                 # worth having, in units of the metric
seeds = [0, 1, 2, 3, 4]
more_seeds = [5, 6, 7]                 # run only where five leave a comparison undecided
budget = {tokens = 500000}
tasks = 1000                           # claim tasks
attempts = 4                           # at each

[arms.grpo]
recipe = "grpo"
options = {"tasks.num" = "64"}         # the same in every trial
trials = [{"learn.policy.learning-rate" = "1e-4"}, ...]    # on decide tasks, seed 100

[[comparisons]]
what = "GRPO learns more than expert iteration from the same tokens"
first = "rft"                          # an arm, or "start": the weights all arms began with
second = "grpo"                        # expected to be higher
metric = "pass@8"                      # where it is not the plan's
smallest_effect = 0.05                 # the same
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from askesis.lab.arm import Arm, Look

RESULTS = Path(__file__).parents[1] / "results"
START = "start"
TUNING_SEED = 100
TUNING_TASKS, TUNING_ATTEMPTS = 500, 4
_USUAL: dict[str, Any] = {
    "seeds": [0, 1, 2, 3, 4],
    "more_seeds": [5, 6, 7],
    "tasks": 1000,
    "attempts": 4,
    "look": "answers",
}


@dataclass(frozen=True)
class ArmPlan:
    """One arm: what is run, and the trials its options are chosen from."""

    name: str
    recipe: str
    world: str
    options: Mapping[str, str]
    trials: tuple[Mapping[str, str], ...]


@dataclass(frozen=True)
class Comparison:
    """`second` minus `first` in a metric."""

    what: str
    first: str
    second: str
    metric: str
    smallest_effect: float


@dataclass(frozen=True)
class EvidencePlan:
    """A plan, read. `name` is that of its file."""

    name: str
    claim: str
    source: str
    metric: str
    seeds: tuple[int, ...]
    more_seeds: tuple[int, ...]
    budget: Mapping[str, float]
    tasks: int
    attempts: int
    look: str
    arms: Mapping[str, ArmPlan]
    comparisons: tuple[Comparison, ...]

    def trials(self, arm: ArmPlan) -> list[Arm]:
        """The arm's tuning runs, scored on decide tasks; none where there is nothing to choose."""
        if len(arm.trials) < 2:
            return []
        look = Look("decide", TUNING_TASKS, TUNING_ATTEMPTS, kind=self.look)
        return [self._arm(arm, trial, TUNING_SEED, look) for trial in arm.trials]

    def runs(self, arm: ArmPlan, trial: Mapping[str, str], seeds: tuple[int, ...]) -> list[Arm]:
        """The arm with the chosen trial, once a seed, scored on claim tasks."""
        look = Look("claim", self.tasks, self.attempts, kind=self.look)
        return [self._arm(arm, trial, seed, look) for seed in seeds]

    def _arm(self, arm: ArmPlan, trial: Mapping[str, str], seed: int, look: Look) -> Arm:
        options = {"world": arm.world, **arm.options, **trial}
        name = f"{arm.name} {' '.join(trial.values())} seed {seed}"
        return Arm(name, arm.recipe, tuple(options.items()), seed, dict(self.budget), look)


def read_plan(name: str, folder: Path = RESULTS) -> EvidencePlan:
    """The plan of a name. Raises SystemExit with what is wrong with it."""
    path = folder / f"{name}.plan.toml"
    try:
        found: dict[str, Any] = _USUAL | tomllib.loads(path.read_text())
        arms = {
            k: ArmPlan(
                k,
                v.get("recipe", k),
                v.get("world", found["world"]),
                {o: str(x) for o, x in v.get("options", {}).items()},
                tuple({o: str(x) for o, x in t.items()} for t in v.get("trials", [{}])),
            )
            for k, v in found["arms"].items()
        }
        comparisons = tuple(
            Comparison(
                c["what"],
                c["first"],
                c["second"],
                c.get("metric", found["metric"]),
                float(c.get("smallest_effect", found["smallest_effect"])),
            )
            for c in found["comparisons"]
        )
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise SystemExit(f"{path} is no plan: {error!r}") from None
    for name_ in {n for c in comparisons for n in (c.first, c.second)} - {START, *arms}:
        raise SystemExit(f"{path} compares {name_!r}, which is none of its arms")
    budget: dict[str, float] = {k: float(v) for k, v in _budget(found).items()}
    return EvidencePlan(
        name, found["claim"], str(found.get("source", "")), found["metric"], tuple(found["seeds"]),
        tuple(found["more_seeds"]), budget, found["tasks"], found["attempts"], found["look"], arms,
        comparisons,
    )  # fmt: skip


def _budget(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(found["budget"])
