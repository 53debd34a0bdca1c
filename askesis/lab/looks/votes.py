"""A look at choosing among answers: votes that a judge of steps weighs, beside plain ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from askesis.errors import ConfigError
from askesis.formulas.pass_at_k import majority_at_k
from askesis.lab.looks.sight import Sight, mean, outcomes, spoke
from askesis.records import Attempt, Group, Start, Task
from askesis.requests import All

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

BY = ("last", "min", "product")
OF_VOTES = (
    *("vote_sum", "majority", "best", "best_min", "best_product"),
    *("over_majority", "over_best", "over_mean"),
)


def votes(
    outside: Outside, tasks: Sequence[Task], look: Look, model: str = "steps", otherwise: str = ""
) -> Sight:
    """The look's attempts, chosen among by the value head of `model`, through a sigmoid, behind
    each step. No truth is asked for before an answer is chosen, and nothing more is generated.

    otherwise: "majority": where the run has no such model, every answer weighs the same and the
    first is the best. Figures, shares in [0, 1] but for differences:

        vote_sum         the answer whose attempts' last scores add up to most is right
        majority         the vote of the attempts is right
        best             the attempt with the highest score of its last step is right
        best_min         the same by the least of its steps, and by their product
        best_product
        over_majority    vote_sum less majority; less best; less the mean of the attempts
        over_best
        over_mean

    Raises ConfigError where there is no such model. Card [151].
    """
    from askesis.context import Verdicts
    from askesis.explore.sample import SampleAttempts
    from askesis.judge.steps.aggregated import Aggregated
    from askesis.judge.steps.head import StepHead
    from askesis.judge.weighted_vote import WeightedVote
    from askesis.measure.attempts import agreed

    if model not in outside.models and otherwise != "majority":
        raise ConfigError(f"the run has no model {model!r} to weigh votes", hint="model = NAME")
    ctx = outside.context("votes")
    sample = SampleAttempts(num_attempts=look.num_attempts, temperature=look.temperature)
    judges: dict[str, Any] = {}
    if model in outside.models:
        head = StepHead(head=model, says="correctness")
        judges = {by: Aggregated(inner=head, by=by) for by in BY}  # type: ignore[arg-type]
        judges["vote"] = WeightedVote(inner=judges["last"])

    async def one(task: Task) -> tuple[dict[str, float], list[float], list[Attempt]]:
        start = Start(task)
        said = tuple(a for a in await sample.explore(ctx, start) if spoke(a))
        checked = await All([ctx.check(task, a.text) for a in said])
        scores = [float(c.score) for c in checked]
        is_right = [score >= 1.0 for score in scores]
        known = await All([j.judge(ctx, Group(start.key, said)) for j in judges.values()])
        values = {
            name: [float(Verdicts(found).value(a, 0.0) or 0.0) for a in said]
            for name, found in zip(judges, known, strict=True)
        }
        majority = 0.0
        if said:
            majority = majority_at_k(*agreed([c.answer for c in checked], is_right), len(said))
        best = {by: _first_best(values.get(by, [1.0] * len(said)), is_right) for by in BY}
        won = [r for r, v in zip(is_right, values.get("vote", []), strict=False) if v]
        vote = float(any(won)) if "vote" in values else majority
        found = {"vote_sum": vote, "majority": majority, "best": best["last"]}
        found |= {f"best_{by}": best[by] for by in BY[1:]}
        found |= {"over_majority": vote - majority, "over_best": vote - best["last"]}
        found["over_mean"] = vote - mean(map(float, is_right))
        return found, scores + [0.0] * (look.num_attempts - len(scores)), list(said)

    def empty() -> tuple[dict[str, float], list[float], list[Attempt]]:
        return dict.fromkeys(OF_VOTES, 0.0), [0.0] * look.num_attempts, []

    rows: list[Any] = outcomes(ctx, [partial(one, task) for task in tasks], empty)
    every = [a for _, _, said in rows for a in said]
    figures = {name: [row[0][name] for row in rows] for name in OF_VOTES}
    figures["tokens"] = [mean(float(a.num_tokens) for a in said) for _, _, said in rows]
    cut = sum(a.stop.cut_off for a in every)
    num_tokens = sum(a.num_tokens for a in every)
    return Sight(figures, [row[1] for row in rows], num_tokens, cut, len(every))


def _first_best(values: Sequence[float], is_right: Sequence[bool]) -> float:
    """Whether the attempt valued most is right; of equals the first."""
    best = max(range(len(values)), key=lambda i: values[i], default=-1)
    return float(best >= 0 and is_right[best])
