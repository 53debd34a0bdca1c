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
look = "answers"                       # or another kind of `askesis.lab.arm.Look`
look_options = {num_turns = 5}         # of that kind
look_world = "countdown?difficulty=1"  # another world than the arms' own, such as a held-out family
beside = ["turn1"]                     # metrics that the page shows beside, where not the usual
start = "asked"                        # of all arms that name no other; without, the warm start

[starts.asked]                         # a stretch that arms begin with, made once, with seed 0:
recipe = "score"                       # with options that end it after its first phases
options = {"stage-one" = "0", "phases.stage_two.until.rounds" = "0"}

[arms.grpo]
recipe = "grpo"
options = {"tasks.num" = "64"}         # the same in every trial
trials = [{"learn.policy.learning-rate" = "1e-4"}, ...]    # on decide tasks, seed 100

[[comparisons]]
what = "GRPO learns more than expert iteration from the same tokens"
first = "rft"                          # an arm, "start": the weights all arms began with, or
                                       # "nothing": the metric itself is held against zero
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

from askesis.errors import AskesisError
from askesis.lab.arm import Arm, Look
from askesis.lab.looks.kinds import KINDS, check_look, figure_names

RESULTS = Path(__file__).parents[1] / "results"
START, NOTHING = "start", "nothing"
TUNING_SEED = 100
TUNING_TASKS, TUNING_ATTEMPTS = 500, 4
_USUAL: dict[str, Any] = {
    "seeds": [0, 1, 2, 3, 4],
    "more_seeds": [5, 6, 7],
    "tasks": 1000,
    "attempts": 4,
    "look": "answers",
    "look_options": {},
    "look_world": "",
}


@dataclass(frozen=True)
class ArmPlan:
    """One arm: what is run, and the trials its options are chosen from. start: one of the plan's,
    or "" for the warm start of the world."""

    name: str
    recipe: str
    world: str
    options: Mapping[str, str]
    trials: tuple[Mapping[str, str], ...]
    start: str = ""


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
    look_options: tuple[tuple[str, str], ...]
    beside: tuple[str, ...]
    starts: Mapping[str, Arm]
    arms: Mapping[str, ArmPlan]
    comparisons: tuple[Comparison, ...]
    look_world: str = ""

    def trials(self, arm: ArmPlan) -> list[Arm]:
        """The arm's tuning runs, scored on decide tasks; none where there is nothing to choose."""
        if len(arm.trials) < 2:
            return []
        look = self._look("decide", TUNING_TASKS, min(TUNING_ATTEMPTS, self.attempts))
        return [self._arm(arm, trial, TUNING_SEED, look) for trial in arm.trials]

    def runs(self, arm: ArmPlan, trial: Mapping[str, str], seeds: tuple[int, ...]) -> list[Arm]:
        """The arm with the chosen trial, once a seed, scored on claim tasks."""
        look = self._look("claim", self.tasks, self.attempts)
        return [self._arm(arm, trial, seed, look) for seed in seeds]

    def _look(self, role: str, num_tasks: int, num_attempts: int) -> Look:
        return Look(role, num_tasks, num_attempts, world=self.look_world, kind=self.look,
                    options=self.look_options)  # fmt: skip

    def _arm(self, arm: ArmPlan, trial: Mapping[str, str], seed: int, look: Look) -> Arm:
        options = {"world": arm.world, **arm.options, **trial}
        name = f"{arm.name} {' '.join(trial.values())} seed {seed}"
        start = self.starts[arm.start].key if arm.start else ""
        return Arm(
            name, arm.recipe, tuple(options.items()), seed, dict(self.budget), look, start=start
        )


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
                v.get("start", found.get("start", "")),
            )
            for k, v in found["arms"].items()
        }
        starts = {k: _start(k, v, found["world"]) for k, v in found.get("starts", {}).items()}
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
    for name_ in {n for c in comparisons for n in (c.first, c.second)} - {START, NOTHING, *arms}:
        raise SystemExit(f"{path} compares {name_!r}, which is none of its arms")
    for name_ in {arm.start for arm in arms.values() if arm.start} - set(starts):
        raise SystemExit(f"{path} begins with {name_!r}, which is none of its starts")
    look_options = tuple((str(k), str(v)) for k, v in found["look_options"].items())
    beside = tuple(found.get("beside", _beside(found["look"], found["attempts"])))
    _check_metrics(
        path,
        Look(num_attempts=found["attempts"], kind=found["look"], options=look_options),
        {found["metric"], *beside, *(c.metric for c in comparisons)},
    )
    budget: dict[str, float] = {k: float(v) for k, v in _budget(found).items()}
    return EvidencePlan(
        name, found["claim"], str(found.get("source", "")), found["metric"], tuple(found["seeds"]),
        tuple(found["more_seeds"]), budget, found["tasks"], found["attempts"], found["look"],
        look_options, beside, starts, arms, comparisons, found["look_world"],
    )  # fmt: skip


def _start(name: str, found: Mapping[str, Any], world: str) -> Arm:
    """The arm that a start is the end of: not looked at, and ended by its own plan."""
    options = {"world": found.get("world", world), **found.get("options", {})}
    given = tuple((k, str(v)) for k, v in options.items())
    return Arm(f"start {name}", found["recipe"], given, 0, {}, Look(snapshots="none"))


def _beside(look: str, attempts: int) -> list[str]:
    """What a page shows beside the metrics that are compared."""
    usual = {
        "pairs": [],
        "turns": ["turn1", "turn2", "wrong_to_right", "right_to_wrong", "unchanged"],
        "walks": ["success", "after_slips", "loops", "illegal"],
        "sharpness": ["favourite_mass", "greedy_right", "pass@1", f"pass@{attempts}"],
        "habits": ["pass@1", f"pass@{attempts}", "backtracking", "verification"],
    }
    return usual.get(look, ["pass@1", f"pass@{attempts}"])


def _check_metrics(path: Path, look: Look, metrics: set[str]) -> None:
    """A metric that no look gives would be missed only after hours of runs."""
    known = set()
    if look.kind in KINDS:
        try:
            check_look(look)
        except AskesisError as error:
            raise SystemExit(f"{path}: {error}") from None
        known = set(figure_names(look))
    counts = look.kind != "pairs"
    for metric in metrics:
        k = metric.removeprefix("pass@")
        passes = k != metric and k.isdigit() and 1 <= int(k) <= look.num_attempts
        if not (
            metric in known or metric == "score" or (counts and (passes or metric == "tokens"))
        ):
            raise SystemExit(f"{path}: look {look.kind!r} has no metric {metric!r}")


def _budget(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(found["budget"])
