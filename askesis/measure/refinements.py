"""When, where and how refining helps: fresh *decide* tasks, refined both ways and ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from askesis.context import Verdicts
from askesis.errors import must_fit
from askesis.formulas.intervals import clustered_mean, paired_difference
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Attempt, Group, Start, StopReason, TaskRole
from askesis.requests import All, Checked
from askesis.search.branches import repair_kind
from askesis.steps import SEPARATORS, aligned, steps_of
from askesis.text.feedback import named_step


@dataclass(frozen=True, slots=True)
class Refined:
    """One draft: which of it and its refinements are right, by kind ("draft", "global", "local");
    which one stands in the end; whether the step that was named is the first wrong one (None:
    unknown, or nothing is wrong); and what the judge gives the draft."""

    right: dict[str, bool]
    chosen: str
    located: bool | None
    value: float


@dataclass(frozen=True, kw_only=True)
class Refinements:
    """What refining is worth on freshly drawn *decide* tasks, against as many plain drafts.

    explore: a `Refine`, whose roles, places and thresholds are taken; here every draft is refined.
    judge: who ranks a draft and its refinements, by a number whose sigmoid is the probability to be
        right. A draft it gives `explore.accept` or more stands as it is; else the best of three.
    num_tasks: at least 2. num_drafts: of each task, at least 1; of so many, 3 being what a refined
        draft costs at most, the best by the same judge is the rival.
    difficulty: in [0, 1], or None for the world's own spread.
    threshold: a score of at least this is right, in (0, 1].
    world: on which world.

    Outside of the run's budget. Card [172].
    """

    explore: Any
    judge: Any
    num_tasks: int = 64
    num_drafts: int = 3
    difficulty: float | None = None
    threshold: float = field(default=1.0)
    world: str = "main"

    def __post_init__(self) -> None:
        must_fit(
            self,
            {
                "explore": (hasattr(self.explore, "accept"), "a Refine"),
                "judge": (hasattr(self.judge, "judge"), "a judge"),
                "num_tasks": (self.num_tasks >= 2, "at least 2"),
                "num_drafts": (self.num_drafts >= 1, "at least 1"),
                "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
            },
        )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. TruthError in a run without truth."""
        num, threshold, judge = self.num_drafts, self.threshold, self.judge
        every = replace(self.explore, num_attempts=num, how="both", accept=None)
        accept = self.explore.accept
        tasks = ctx.draw(
            TaskRole.DECIDE, self.num_tasks, world=self.world, difficulty=self.difficulty
        )

        async def one(start: Start) -> list[Refined]:
            return await refined(ctx, every, judge, start, accept, threshold)

        starts = [Start(task, copy=i) for i, task in enumerate(tasks)]  # a task may come twice
        outcomes = ctx.run([lambda start=start: one(start) for start in starts])
        errors = [o.error for o in outcomes if o.error is not None]
        if errors and len(errors) == len(outcomes):
            raise errors[0]
        found = refinement_figures([o.value for o in outcomes if o.error is None and o.value])
        return {f"refine/{key}": value for key, value in found.items()}


async def refined(
    ctx: Any, explore: Any, judge: Any, start: Start, accept: float | None, threshold: float
) -> list[Refined]:
    """Drafts at one start with both refinements, judged as answers to the task alone."""
    attempts = [
        a for a in await explore.explore(ctx, start) if a.stop is not StopReason.FAILED and a.turns
    ]
    plain = tuple(_as_answer(a, explore.role) for a in attempts)
    said = Verdicts(await judge.judge(ctx, Group(start.key, plain)))
    checked = await All([ctx.check(a.task, a.text) for a in plain])
    below: dict[str, dict[str, tuple[Attempt, Checked]]] = {}
    for attempt, found in zip(attempts, checked, strict=True):
        kind = repair_kind(attempt)
        parent = attempt.parents[0] if kind else attempt.id
        below.setdefault(parent, {})[kind or "draft"] = (attempt, found)
    made = []
    for ways in below.values():
        if "draft" not in ways:
            continue
        value = {k: float(said.value(a, -np.inf) or 0.0) for k, (a, _) in ways.items()}
        likely = 1 / (1 + np.exp(-np.clip(value["draft"], -60, 60)))
        stands = accept is not None and likely >= accept
        made.append(
            Refined(
                {k: c.score >= threshold for k, (_, c) in ways.items()},
                "draft" if stands else max(ways, key=lambda k: value[k]),
                _located(ctx, explore, ways),
                value["draft"],
            )
        )
    return made


def _as_answer(attempt: Attempt, role: str) -> Attempt:
    """A refinement as if the drafter had said it at once, which is how it is judged."""
    start = replace(attempt.start, privileged=None, tag="")
    turn = replace(attempt.turns[-1], role=role, context=np.zeros(0, np.int32))
    return replace(attempt, start=start, turns=(turn,)) if attempt.start.tag else attempt


def _located(ctx: Any, explore: Any, ways: dict[str, tuple[Attempt, Checked]]) -> bool | None:
    draft, truth = ways["draft"]
    local = ways["local"][0].start.privileged if "local" in ways else None
    named = named_step((local or "").rpartition("\n")[2])
    if not truth.steps or min(truth.steps) >= 1 or named is None:
        return None

    def decode(tokens: np.ndarray) -> str:
        return str(ctx.decode(explore.role, tokens))

    spans = steps_of(draft, decode, getattr(explore, "separators", SEPARATORS), explore.role)
    right = aligned(draft, spans, truth.steps, truth.spans, decode)
    return bool(named == 1 + int(np.argmax(right < 1)))


def refinement_figures(groups: Sequence[Sequence[Refined]]) -> Metrics:
    """The figures of refined drafts, one inner sequence per task; keys without a prefix."""
    found: Metrics = {}
    if not groups:
        return found
    end = [[r.right[r.chosen] for r in group] for group in groups]
    best = [max(group, key=lambda r: r.value).right["draft"] for group in groups]
    put(found, "draft_accuracy", clustered_mean([[r.right["draft"] for r in g] for g in groups]))
    put(found, "refined_accuracy", clustered_mean(end))
    put(found, "best_draft_accuracy", clustered_mean([[b] for b in best]))
    if len(groups) > 1:
        first, second = [float(b) for b in best], [float(np.mean(e)) for e in end]
        put(found, "gain", paired_difference(first, second))
    wrong = [[r for r in g if not r.right["draft"]] for g in groups]
    good = [[r for r in g if r.right["draft"]] for g in groups]
    for kind in ("global", "local"):
        mended = [[r.right.get(kind, False) for r in g] for g in wrong]
        spoilt = [[not r.right.get(kind, True) for r in g] for g in good]
        put(found, f"mended_{kind}", clustered_mean([g for g in mended if g]))
        put(found, f"spoilt_{kind}", clustered_mean([g for g in spoilt if g]))
    either = [[any(r.right.values()) for r in g] for g in wrong]
    put(found, "mended_either", clustered_mean([g for g in either if g]))
    place = [[r.located for r in g if r.located is not None] for g in groups]
    put(found, "located", clustered_mean([g for g in place if g]))
    put(found, "doubted", clustered_mean([[r.chosen != "draft" for r in g] for g in groups]))
    return found
