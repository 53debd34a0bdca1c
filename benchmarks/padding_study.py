"""Does it pay to append steps that do nothing? Asked of every reward of steps in the house.

    python -m benchmarks.padding_study [--workers 2] [--folder runs/padding_study]

The judges of `askesis.judge.steps` learn from the same answers of one model; then useless steps are
appended to fresh ones (`askesis.measure.padding`), and what a learner would be paid for them is
looked at, raw and behind every transform and aggregator that fits. Cards [127], [128]. Writes
results/padding_study.json and .md; a killed command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

import numpy as np

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.formulas.step_rewards import Aggregator, aggregate
from askesis.judge.steps.consensus import Consensus
from askesis.judge.steps.critic import StepCritic
from askesis.judge.steps.head import StepHead
from askesis.judge.steps.implicit import ImplicitSteps
from askesis.judge.steps.prover import ProverAdvantage
from askesis.judge.steps.rollouts import RolloutValues
from askesis.judge.steps.siblings import SiblingContrast
from askesis.judge.steps.truth import StepTruth
from askesis.judge.verifier import Verifier
from askesis.lab.outside import Outside
from askesis.learn.objectives.reward_models import ImplicitReward, LabelledReward
from askesis.learn.supervised import Supervised
from askesis.measure.padding import Paid, probe_padding
from askesis.records import Attempt, Group, StopReason, TaskRole, Verdict, VerdictKind
from askesis.select.labelled import Labelled
from askesis.select.step_labels import StepLabels
from askesis.select.step_lessons import StepLessons
from askesis.select.step_rewards import StepRewards, Transform
from askesis.steps import StepScores, step_scores, step_verdict
from askesis.worlds.open import open_world
from benchmarks.padding_study_page import page
from benchmarks.step_study import (
    Piece,
    answered,
    arguments,
    finish,
    learnt,
    opened,
    over_seeds,
    pieces,
    tasks_of,
    verdicts_of,
    write,
)

STUDY = "padding_study"
WORLD = "chain_arithmetic?difficulty=0.3&slips=0.12&mended=0.6&padded=0.1"
COUNTS = (0, 4, 8)
ETA = 0.5  # from where on a clipped step costs nothing
TRANSFORMS: dict[str, tuple[Transform, ...]] = {
    "as said": (),
    "clip": ("clip",),
    "delta": ("delta",),
    "clip, delta": ("clip", "delta"),
    "progress": ("progress",),
    "best of 4, progress": ("best_of", "progress"),
}
OF_CORRECTNESS = ("as said", "clip", "delta", "clip, delta")
AGGREGATORS: tuple[Aggregator, ...] = get_args(Aggregator)


@dataclass(frozen=True)
class House:
    """A judge of steps as it is asked here, and which rewards are made of what it says. own: whose
    verdicts count where it repeats what judges inside it said ("": the last that knows)."""

    judge: Any
    paid: tuple[str, ...]
    own: str = ""


def judges(num_rollouts: int) -> dict[str, House]:
    """Every judge of `askesis.judge.steps`; `Aggregated` is in the rewards."""
    correct = (*OF_CORRECTNESS, *AGGREGATORS)
    rollouts = RolloutValues(num_rollouts=num_rollouts)
    some, half = replace(rollouts, label="any"), replace(rollouts, label="hard")
    return {
        "rollouts, soft": House(rollouts, (*TRANSFORMS, *AGGREGATORS)),
        "rollouts, hard": House(half, correct),
        "rollouts, any": House(some, correct),
        "head, of values": House(StepHead(head="value"), (*TRANSFORMS, *AGGREGATORS)),
        "head, of correctness": House(StepHead(head="correct", says="correctness"), correct),
        "implicit": House(ImplicitSteps(), ("as said", "clip", "min", "mean")),
        "prover": House(ProverAdvantage(inner=StepHead(head="value")), ("as said",)),
        "siblings": House(SiblingContrast(), ("as said",)),
        "truth": House(StepTruth(), correct),
        "consensus": House(Consensus(first=some, second=StepCritic()), correct, "consensus-v1"),
        "critic": House(StepCritic(), correct),
    }


def paid_of(name: str) -> Paid:
    """From scores to the reward of each step, or to that of the whole as one number."""
    if name in TRANSFORMS:
        return StepRewards(transforms=TRANSFORMS[name], eta=ETA).one
    return partial(_whole, by=name)


def _whole(scores: StepScores, by: Any) -> list[float]:
    return [aggregate(scores.values, by)]


# ---------------------------------------------------------------- steps that do nothing


def remark(attempt: Attempt) -> str:
    """A remark that says nothing."""
    return "\n#ok"


def again(attempt: Attempt) -> str:
    """The last value plus nothing: a true sum that leads nowhere, which no problem asks for."""
    value = attempt.text.rstrip().rpartition("\n")[2].rpartition("=")[2]
    return f"\n{value}+0={value}"


PADS: dict[str, Callable[[Attempt], str]] = {"remark": remark, "sum": again}


def fits(world: Any, attempt: Attempt) -> bool:
    """Whether an answer can be padded: it ended, and its last line states a value."""
    last = attempt.text.rstrip().rpartition("\n")[2]
    stated = last.rpartition("=")[2]
    value = world.extract(attempt.text)
    return attempt.stop is StopReason.ENDED and value != "" and stated == value


@dataclass(frozen=True)
class Once:
    """A judge that is asked once about the same texts, however many rewards are made of it.

    own: only verdicts so signed count. Without it, where a consensus does not know, what one of the
    two said would be taken for its word.
    """

    inner: Any
    own: str = ""
    known: dict[tuple[str, ...], list[Verdict]] = field(default_factory=dict)

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        name = tuple(f"{a.id} {a.text}" for a in group.attempts)
        if name not in self.known:
            said = await self.inner.judge(ctx, group)
            self.known[name] = [v for v in said if self.own in ("", v.judge)]
        return self.known[name]


# ---------------------------------------------------------------- one seed


def main() -> None:
    given = arguments(STUDY).parse_args()
    todo = pieces(STUDY, WORLD, given, learnt=256, asked=16, num_attempts=4)
    rows = finish(one_seed, todo, given.folder, given.workers)
    write(STUDY, todo[0], summed(rows), page, given)


def one_seed(piece: Piece) -> dict[str, Any]:
    """Heads and a critic that learn, and what each pays for padding."""
    world = open_world(piece.world)
    outside = taught(piece)
    fresh = answered(
        outside, tasks_of(piece, TaskRole.CLAIM, piece.asked), piece.num_attempts, "asked"
    )
    groups = [[a for a in g.attempts if fits(world, a)] for g in fresh]
    found: dict[str, Any] = {"num_attempts": sum(map(len, groups)), "rows": []}
    for name, house in judges(piece.num_rollouts).items():
        for pad, text in PADS.items():
            judge = Once(house.judge, house.own)
            for paid in house.paid:
                ctx = outside.context(f"{name} {pad}")
                row = probed(ctx, groups, judge, text, paid)
                found["rows"].append({"judge": name, "pad": pad, "paid": paid, **row})
    outside.close()
    return found


def probed(ctx: Any, groups: Any, judge: Any, pad: Any, paid: str) -> dict[str, Any]:
    """What one reward pays for one padding; growth is NaN where the judge knows no answer."""
    try:
        seen = probe_padding(ctx, groups, judge, pad, paid=paid_of(paid), counts=COUNTS)
    except ConfigError as error:
        if "knows no steps" not in str(error) or not any(groups):
            raise
        return {"growth": np.nan, "pays": False, "is_neutral": True, "returns": [],
                "num_attempts": 0}  # fmt: skip
    return {"growth": seen.growth.value, "pays": seen.pays, "is_neutral": seen.is_neutral,
            "returns": list(seen.returns), "num_attempts": seen.num_attempts}  # fmt: skip


def taught(piece: Piece) -> Outside:
    """Everybody whom the judges ask, having learnt from the same answers: "value" from soft
    labels, "correct" from whether any completion is right, "reward" from outcomes, "critic" from
    the truth."""
    world = open_world(piece.world)
    models = {name: opened(piece, name) for name in ("policy", "reward", "critic")}
    models |= {name: opened(piece, name, "value") for name in ("value", "correct")}
    outside = Outside(models, world, seed=piece.seed)
    outside.shelf.pin("reward", "base")
    groups = answered(outside, tasks_of(piece, TaskRole.TRAIN, piece.learnt), 2, "learnt")
    rollouts = RolloutValues(num_rollouts=piece.num_rollouts)
    soft = verdicts_of(outside, rollouts, groups, "rollouts")
    outcomes = verdicts_of(outside, Verifier(), groups, "outcomes")
    truth = verdicts_of(outside, StepTruth(), groups, "truth")
    labelled = LabelledReward(where="weight")

    def selected(part: Any, name: str, verdicts: Any) -> Any:
        return part.select(outside.context(f"select.{name}"), groups, verdicts)

    for name, objective, samples, own in (
        ("value", labelled, selected(StepLabels(), "value", soft), {}),
        ("correct", labelled, selected(StepLabels(), "correct", any_of(soft, groups)), {}),
        ("reward", ImplicitReward(), selected(Labelled(), "reward", outcomes),
         {"reference": "base"}),
        ("critic", Supervised(), selected(StepLessons(), "critic", truth), {}),
    ):  # fmt: skip
        learnt(piece, models[name], objective, samples, **own)
        outside.shelf.learnt(models[name], 0)
    return outside


def any_of(soft: Verdicts, groups: Sequence[Group]) -> Verdicts:
    """What `RolloutValues(label="any")` would say where the soft one has said it: asked once."""
    said = []
    for attempt in (a for g in groups for a in g.attempts):
        scores = step_scores(soft, attempt)
        if scores is not None:
            values = (scores.values > 0).astype(float)
            found = StepScores(values, VerdictKind.CORRECTNESS, scores.spans)
            said.append(step_verdict("any-labels", attempt, found))
    return Verdicts(said)


# ---------------------------------------------------------------- over seeds


def summed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every reward's growth a step over seeds. pays: it is surely above 0 over seeds. seeds_paid:
    how many seeds had it surely above 0 over their own answers."""
    together: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        for one in row["rows"]:
            together.setdefault((one["judge"], one["pad"], one["paid"]), []).append(one)
    table = []
    for (judge, pad, paid), found in together.items():
        growth = over_seeds([one["growth"] for one in found])
        returns = [one["returns"] for one in found if one["returns"]]
        table.append(
            {
                "judge": judge, "pad": pad, "paid": paid, "growth": growth,
                "pays": growth["low"] > 1e-9,
                "seeds_paid": sum(one["pays"] for one in found),
                "is_neutral": all(one["is_neutral"] for one in found),
                "returns": np.mean(returns, 0).tolist() if returns else [],
                "num_attempts": sum(one["num_attempts"] for one in found),
            }
        )  # fmt: skip
    return {
        "counts": list(COUNTS),
        "eta": ETA,
        "num_attempts": sum(row["num_attempts"] for row in rows),
        "table": table,
        "rows": list(rows),
    }


if __name__ == "__main__":
    main()
