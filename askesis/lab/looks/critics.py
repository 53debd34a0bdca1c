"""A look at a critic of steps: does it find the errors that a policy makes by itself?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from askesis.errors import ConfigError
from askesis.formulas.judging import first_error, first_error_f1
from askesis.lab.looks.sight import Sight, mean, outcomes, spoke
from askesis.records import Attempt, Group, Start, Task

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

OF_CRITICS = ("balanced", "named", "passed", "caught", "first_error_f1", "flawed")
UNREAD = 1_000_000  # where a critic said nothing that can be read: a step that no answer has

Read = list[tuple[int, int]]  # of each answer the first wrong step as the critic says, and in truth


def critics(outside: Outside, tasks: Sequence[Task], look: Look, model: str = "critic") -> Sight:
    """The look's attempts by the run's first policy, each read once by the critic, greedily.

    model: the critic, whose snapshots these are; the answers are the same for all of them. What it
    says is held against the world's truth about steps; what cannot be read is a miss. Figures:

        named            flawed answers whose first wrong step it names
        passed           flawless answers that it calls so
        balanced         the mean of both: 1/2 is what anybody has who always says "ok"
        caught           flawed answers that it calls flawed, wherever
        first_error_f1   ProcessBench's: the harmonic mean of named and passed; one number
        flawed           answers with a wrong step

    A task's `named` is its share of the numerator times tasks / (flawed answers / answers a task),
    so that the mean over tasks is the share of all flawed answers, and so on: numbers of single
    tasks can be above 1. All but `flawed` are 0 where no answer is of the kind. Scores are 1 where
    the critic is right about an answer; tokens are what it said. Needs a world with step truth.
    Cards [171], [207].
    """
    from askesis.context import Verdicts
    from askesis.explore.sample import SampleAttempts
    from askesis.judge.steps.critic import StepCritic
    from askesis.judge.steps.truth import StepTruth
    from askesis.steps import step_scores

    if model not in outside.models:
        raise ConfigError(f"the run has no model {model!r} that reads answers", hint="model = NAME")
    ctx = outside.context("critics")
    sample = SampleAttempts(num_attempts=look.num_attempts, temperature=look.temperature)
    critic, truth = StepCritic(critic=model), StepTruth()

    async def one(task: Task) -> tuple[Read, list[Attempt], int]:
        start = Start(task)
        said = tuple(a for a in await sample.explore(ctx, start) if spoke(a))
        group = Group(start.key, said)
        known = Verdicts(await truth.judge(ctx, group))
        heard = list(await critic.judge(ctx, group))
        found: Read = []
        for attempt in said:
            true, told = step_scores(known, attempt), step_scores(Verdicts(heard), attempt)
            if true is not None:
                wrong = UNREAD if told is None else first_error(told.values.tolist())
                found.append((wrong, first_error(true.values.tolist())))
        return found, list(said), sum(v.cost for v in heard)

    rows: list[Any] = outcomes(ctx, [partial(one, task) for task in tasks], lambda: ([], [], 0))
    reads: list[Read] = [row[0] for row in rows]
    scores = [[float(a == b) for a, b in read] for read in reads]
    scores = [s + [0.0] * (look.num_attempts - len(s)) for s in scores]
    figures = critic_figures(reads)
    figures["tokens"] = [row[2] / max(1, len(row[0])) for row in rows]
    every = [a for _, said, _ in rows for a in said]
    cut = sum(a.stop.cut_off for a in every)
    return Sight(figures, scores, sum(row[2] for row in rows), cut, len(every))


def critic_figures(reads: Sequence[Read]) -> dict[str, list[float]]:
    """The figures of what was read of each task, see `critics`."""
    every = [pair for read in reads for pair in read]
    num_flawed = sum(true >= 0 for _, true in every)
    num_tasks, num_sound = len(reads), len(every) - num_flawed

    def share(num: int, hits: list[int]) -> list[float]:
        return [h * num_tasks / num if num else 0.0 for h in hits]

    named = share(num_flawed, [sum(a == b >= 0 for a, b in read) for read in reads])
    passed = share(num_sound, [sum(a == b == -1 for a, b in read) for read in reads])
    caught = share(num_flawed, [sum(0 <= a < UNREAD and b >= 0 for a, b in read) for read in reads])
    f1 = first_error_f1(*zip(*every, strict=True)) if num_flawed and num_sound else 0.0
    return {
        "balanced": [(n + p) / 2 for n, p in zip(named, passed, strict=True)],
        "named": named,
        "passed": passed,
        "caught": caught,
        "first_error_f1": [f1] * num_tasks,
        "flawed": [mean(float(true >= 0) for _, true in read) for read in reads],
    }
