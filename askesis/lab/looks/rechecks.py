"""A look at answers that are told to look again: triggers at growing budgets beside none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from askesis.formulas.correction import equal_token_vote
from askesis.formulas.pass_at_k import majority_at_k
from askesis.lab.looks.sight import Sight, mean, outcomes, spoke
from askesis.records import Attempt, Start, Task
from askesis.requests import All, Checked

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

WAYS = ("growing", "even", "at_end")
OF_RECHECKS = (
    *(*WAYS, "plain", "over_plain", "over_even", "over_at_end"),
    *("vote", "plain_vote", "over_plain_vote", "cost"),
    *("wrong_taken_back", "right_taken_back"),
)
BEYOND = 1 << 20  # tokens; no answer is as long

Said = dict[str, list[tuple[Attempt, Checked]]]  # of each way, answers as verified


def rechecks(
    outside: Outside,
    tasks: Sequence[Task],
    look: Look,
    first_tokens: int = 16,
    growth: float = 2.0,
    trigger: str = "#",
) -> Sight:
    """Answers with triggers (`askesis.explore.deepening`) and without.

    first_tokens, growth, trigger: of the way whose budgets grow. Figures, shares in [0, 1] but for
    the last three:

        growing          attempts with triggers at growing budgets are right
        even             at even distances of first_tokens; at_end: with one trigger, at the end
        plain            attempts without triggers
        over_plain, over_even, over_at_end    growing less the other
        vote             the vote of the growing attempts is right
        plain_vote       the vote of as many plain ones as take the same tokens, of twice as many
                         that are drawn; over_plain_vote: vote less that
        cost             tokens of a growing attempt over those of a plain one, triggers included;
                         one number
        wrong_taken_back, right_taken_back    steps of a growing attempt that remarks take back

    Scores are those of the growing attempts. Card [20].
    """
    from askesis.explore.deepening import Deepening
    from askesis.explore.sample import SampleAttempts

    num, temperature = look.num_attempts, look.temperature
    own = Deepening(
        num_attempts=num,
        temperature=temperature,
        first_tokens=first_tokens,
        growth=growth,
        trigger=trigger,
    )
    ways: dict[str, Any] = {
        "growing": own,
        "even": replace(own, growth=1.0),
        "at_end": replace(own, first_tokens=BEYOND, end_checks=1),
        "plain": SampleAttempts(num_attempts=2 * num, temperature=temperature),
    }
    contexts = {name: outside.context(f"rechecks.{name}") for name in ways}

    async def one(task: Task) -> Said:
        found: Said = {}
        for name, explorer in ways.items():
            ctx = contexts[name]
            said = [a for a in await explorer.explore(ctx, Start(task)) if spoke(a)]
            checked = await All([ctx.check(task, a.text) for a in said])
            found[name] = list(zip(said, checked, strict=True))
        return found

    makers = [partial(one, task) for task in tasks]
    said: list[Said] = outcomes(contexts["growing"], makers, lambda: {name: [] for name in ways})
    cost = max(1.0, _tokens(said, "growing") / max(1e-9, _tokens(said, "plain")))
    rows = [_figures(group, cost * num) | {"cost": cost} for group in said]
    figures = {name: [row[name] for row in rows] for name in OF_RECHECKS}
    growing = [group["growing"] for group in said]
    figures["tokens"] = [mean(float(a.num_tokens) for a, _ in g) for g in growing]
    scores = [[float(c.score) for _, c in g] + [0.0] * (num - len(g)) for g in growing]
    every = [a for g in growing for a, _ in g]
    cut = sum(a.stop.cut_off for a in every)
    return Sight(figures, scores, sum(a.num_tokens for a in every), cut, len(every))


def _figures(said: Said, num_votes: float) -> dict[str, float]:
    """Of one task; all nothing where its attempts failed."""
    from askesis.measure.attempts import agreed
    from askesis.text.remarks import taken_back

    found = {name: mean(float(c.score >= 1.0) for _, c in group) for name, group in said.items()}
    votes = {
        name: agreed([c.answer for _, c in group], [c.score >= 1.0 for _, c in group])
        for name, group in said.items()
    }
    growing, plain = said["growing"], said["plain"]
    found["vote"] = majority_at_k(*votes["growing"], len(growing)) if growing else 0.0
    found["plain_vote"] = 0.0
    if plain:
        found["plain_vote"] = equal_token_vote(*votes["plain"], min(num_votes, len(plain)))
    found["over_plain_vote"] = found["vote"] - found["plain_vote"]
    found |= {f"over_{k}": found["growing"] - found[k] for k in ("plain", "even", "at_end")}
    back = [(c.steps, taken_back(a.text, c.spans)) for a, c in growing]
    for name, wanted in (("wrong", False), ("right", True)):
        found[f"{name}_taken_back"] = mean(
            float(sum(gone and (s >= 1.0) == wanted for s, gone in zip(*both, strict=True)))
            for both in back
        )
    return found


def _tokens(said: Sequence[Said], name: str) -> float:
    """Tokens of an attempt, with what was put into it."""
    return mean(float(sum(len(t.tokens) for t in a.turns)) for g in said for a, _ in g[name])
