"""How far the policy has moved from where it was, and how narrow it has become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.drift import agreement, effective_answers, sequence_kl
from askesis.formulas.intervals import Estimate, clustered_mean, t_interval
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import Start, Task, TaskRole, Turn
from askesis.requests import All, Sampling
from askesis.text.ngrams import distinct_fraction

Answer = Callable[[Task, str], str]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Divergence from earlier snapshots, length, distinct n-grams and collapse.

    num_tasks: fresh *decide* tasks per measurement, at least 2. num_attempts: attempts at each,
        at least 2, at temperature one: the divergence is of the model itself.
    snapshots: which ones the divergence is measured from, "base", "previous" (before the model's
        last learning), "phase_start" or an id the run keeps; none where an engine says no
        log-probabilities. Each costs one scoring of all attempts, and those in the plan that are
        moving tags are kept in memory.
    ngrams: the n of distinct-n, each at least 1.
    world, role: on which world which role is measured.

    Answers need no truth: an answer is what the world's `extract` finds, or else the plain text.
    Intervals are Student's at 95 % over tasks. See `askesis.lab.overoptimisation` for what the
    reward does over the square root of the divergence.
    """

    num_tasks: int = 64
    num_attempts: int = 4
    snapshots: tuple[str, ...] = ("base", "previous")
    ngrams: tuple[int, ...] = (1, 2)
    world: str = "main"
    role: str = "policy"

    def __post_init__(self) -> None:
        fits = self.num_tasks >= 2 and self.num_attempts >= 2 and all(n >= 1 for n in self.ngrams)
        if not fits:
            raise ConfigError(
                "Drift.num_tasks, num_attempts or ngrams is out of range",
                expected="at least 2, at least 2, each at least 1",
                found=f"{self.num_tasks}, {self.num_attempts}, {self.ngrams}",
            )

    def on_phase_start(self, ctx: Any) -> None:
        """Raises ConfigError where divergences are asked for and cannot be known."""
        if self.snapshots and "logp" not in ctx.capabilities(self.role):
            raise ConfigError(
                f"the engine of role {self.role!r} says no log-probabilities, which Drift needs",
                hint="choose another with --engine, or set measure.drift.snapshots to ()",
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. A task that fails is left out."""
        role, snapshots, num_attempts = self.role, self.snapshots, self.num_attempts
        tasks = ctx.draw(TaskRole.DECIDE, self.num_tasks, world=self.world)
        sampling = Sampling(1.0)

        async def one(index: int, task: Task) -> tuple[list[Turn], list[Any]]:
            start = Start(task)
            said = await All(
                [
                    ctx.say(role, start, attempt=i, draw=index, sampling=sampling)
                    for i in range(num_attempts)
                ]
            )
            # Our own log-probabilities come the same way as the others', so that what scoring
            # and sampling differ by in low precision is no divergence.
            under = ("", *snapshots) if snapshots else ()
            asked = [ctx.score(role, start, (), t, snapshot=s) for s in under for t in said]
            return said, await All(asked) if asked else []

        outcomes = ctx.run([lambda at=at: one(*at) for at in enumerate(tasks)])
        errors = [o.error for o in outcomes if o.error is not None]
        if len(errors) == len(outcomes):
            raise errors[0]
        kept = [(t, *o.value) for t, o in zip(tasks, outcomes, strict=True) if o.error is None]
        found = _narrowness([(task, said) for task, said, _ in kept], _answers(ctx))
        for n in self.ngrams:
            found[f"distinct_{n}"] = distinct_fraction((t.text for _, s, _ in kept for t in s), n)
        for place, snapshot in enumerate(snapshots, 1):
            found |= _divergence(snapshot, [scores for *_, scores in kept], place, num_attempts)
        return {f"drift/{key}": value for key, value in found.items()}


def _divergence(
    snapshot: str, scores: Sequence[Sequence[np.ndarray]], place: int, num_attempts: int
) -> Metrics:
    """k3 and k1 per answer, from one list per task: own scores first, then the snapshots'."""
    k1, k3, tokens = [], [], 0
    for each in scores:
        own, other = each[:num_attempts], each[place * num_attempts : (place + 1) * num_attempts]
        both = [sequence_kl(a, b) for a, b in zip(own, other, strict=True)]
        k1.append(float(np.mean([a for a, _ in both])))
        k3.append(float(np.mean([b for _, b in both])))
        tokens += sum(len(a) for a in own)
    found = _estimate(f"kl_{snapshot}", k3, low=0.0) | _estimate(f"kl_{snapshot}_k1", k1)
    found[f"kl_{snapshot}_per_token"] = sum(k3) * num_attempts / tokens if tokens else 0.0
    return found


def _narrowness(said: Sequence[tuple[Task, list[Turn]]], answer: Answer) -> Metrics:
    """Length, and how alike the attempts at one task are."""
    answers = [[answer(task, turn.text) for turn in turns] for task, turns in said]
    num = float(len(answers[0]))
    lengths = [float(np.mean([len(t.tokens) for t in turns])) for _, turns in said]
    alike = [float(len(set(a)) == 1) for a in answers]
    found = _estimate("tokens", lengths, low=0.0)
    put(found, "identical_fraction", clustered_mean([[x] for x in alike]))
    put(found, "agreement", clustered_mean([[agreement(a)] for a in answers]))
    return found | _estimate("effective_answers", [effective_answers(a) for a in answers], 1.0, num)


def _estimate(
    key: str, values: Sequence[float], low: float = -np.inf, high: float = np.inf
) -> Metrics:
    """A mean over tasks with its interval, clipped to the figure's range."""
    estimate = t_interval(values)
    found: Metrics = {}
    ends = max(low, estimate.low), min(high, estimate.high)
    put(found, key, Estimate(estimate.value, *ends))
    return found


def _answers(ctx: Any) -> Answer:
    def answer(task: Task, text: str) -> str:
        extract = getattr(ctx.world_of(task), "extract", None)
        return str(extract(text)) if extract is not None else " ".join(text.split())

    return answer
