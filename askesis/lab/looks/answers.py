"""Looks at answers, one or several an attempt: what revising does, and which habits there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from askesis.formulas import correction
from askesis.formulas.pass_at_k import majority_at_k
from askesis.lab.looks.sight import Sight, mean, outcomes, own_turns
from askesis.records import Attempt, Start, StopReason, Task
from askesis.requests import All, Checked

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

HABITS = ("verification", "backtracking", "sub_goals", "backward_chaining")
OF_TURNS = (
    *("gain", "wrong_to_right", "right_to_wrong", "unchanged", "majority"),
    *("vote", "over_vote", "majority_over_vote", "votes"),
)
OF_HABITS = (*HABITS, "any_habit")

Said = list[tuple[Attempt, list[Checked]]]  # an attempt, and its answers as verified


def turns(
    outside: Outside,
    tasks: Sequence[Task],
    look: Look,
    num_turns: int = 2,
    window: int = 0,
    instruction: str = "",
) -> Sight:
    """Attempts of several answers, as `askesis.explore.turns.SelfCorrect` makes them.

    num_turns, window, instruction ("": the house's): as there. All figures are shares in [0, 1]:

        turn1, turn2, ...    attempts whose answer at that turn is right; the last one stands
        wrong_to_right       wrong at first and right in the end, of all
        right_to_wrong       the opposite
        gain                 the first less the second: the last turn less the first
        unchanged            attempts that end with the answer that they began with
        majority             the vote of an attempt's own answers is right
        votes                m, tokens of a whole attempt over those of a first answer; one number
        vote                 the vote of m first answers is right, the same tokens spent in parallel
        over_vote            the last answer's accuracy less that, and the majority's:
        majority_over_vote

    There are no more first answers to vote than attempts: where m is larger the vote has all.
    """
    from askesis.explore.turns import AGAIN, SelfCorrect

    explorer = SelfCorrect(
        num_attempts=look.num_attempts,
        num_turns=num_turns,
        temperature=look.temperature,
        window=window,
        instruction=instruction or AGAIN,
    )
    said = _answered(outside, "turns", explorer, tasks)
    first = sum(len(own_turns(a)[0].tokens) for group in said for a, _ in group)
    every = sum(a.num_tokens for group in said for a, _ in group)
    num_votes = max(1.0, every / first) if first else 1.0
    rows = [_corrected(group, num_turns, num_votes) for group in said]
    names = [*(f"turn{t}" for t in range(1, num_turns + 1)), *OF_TURNS]
    return _sight(said, {name: [row[name] for row in rows] for name in names}, look)


def habits(outside: Outside, tasks: Sequence[Task], look: Look, max_tokens: int = 0) -> Sight:
    """Single answers, and how often each habit is seen in one (`askesis.text.habits`).

    max_tokens: of an answer, 0 for the world's own allowance. Figures: mean counts an answer under
    the habit's name, the share of answers with any, and tokens an answer.
    """
    from askesis.explore.sample import SampleAttempts
    from askesis.text.habits import count_habits

    explorer = SampleAttempts(
        num_attempts=look.num_attempts,
        temperature=look.temperature,
        max_tokens=max_tokens or None,
    )
    said = _answered(outside, "habits", explorer, tasks)
    counted = [[count_habits(a.task.family, a.task.prompt, a.text) for a, _ in g] for g in said]
    found = {
        name: [mean(float(getattr(h, name) or 0) for h in group) for group in counted]
        for name in HABITS
    }
    found["any_habit"] = [mean(float(h.total > 0) for h in group) for group in counted]
    return _sight(said, found, look)


def _answered(outside: Outside, slot: str, explorer: Any, tasks: Sequence[Task]) -> list[Said]:
    """Attempts at each task with every answer verified; a task that fails has none. Raises what
    the first one raised where all fail."""
    ctx = outside.context(slot)

    async def one(task: Task) -> Said:
        made = [
            a
            for a in await explorer.explore(ctx, Start(task))
            if a.stop is not StopReason.FAILED and own_turns(a)
        ]
        checked = await All([All([ctx.check(task, t.text) for t in own_turns(a)]) for a in made])
        return list(zip(made, checked, strict=True))

    return outcomes(ctx, [partial(one, task) for task in tasks], list)


def _corrected(group: Said, num_turns: int, num_votes: float) -> dict[str, float]:
    """The figures of one task; all nothing where its attempts failed."""
    from askesis.measure.attempts import agreed

    right = [[c.score >= 1.0 for c in checked] for _, checked in group]
    answers = [[c.answer for c in checked] for _, checked in group]
    carried = [correction.carried(r, num_turns) for r in right]
    found = {f"turn{t + 1}": mean(float(c[t]) for c in carried) for t in range(num_turns)}
    mended = mean(float(r[-1] and not r[0]) for r in right)
    spoilt = mean(float(r[0] and not r[-1]) for r in right)
    own = mean(majority_at_k(*agreed(*p), len(p[0])) for p in zip(answers, right, strict=True))
    vote = 0.0
    if group:
        firsts = agreed([a[0] for a in answers], [r[0] for r in right])
        vote = correction.equal_token_vote(*firsts, min(num_votes, len(group)))
    last = found[f"turn{num_turns}"]
    return found | {
        "gain": last - found["turn1"],
        "wrong_to_right": mended,
        "right_to_wrong": spoilt,
        "unchanged": mean(float(a[0] == a[-1]) for a in answers),
        "majority": own,
        "votes": num_votes,
        "vote": vote,
        "over_vote": last - vote,
        "majority_over_vote": own - vote,
    }


def _sight(said: Sequence[Said], figures: dict[str, list[float]], look: Look) -> Sight:
    """An attempt's score is that of its last answer; what is missing of a task scores 0."""
    scores = [[float(checked[-1].score) for _, checked in group] for group in said]
    scores = [s + [0.0] * (look.num_attempts - len(s)) for s in scores]
    figures["tokens"] = [mean(float(a.num_tokens) for a, _ in group) for group in said]
    every = [a for group in said for a, _ in group]
    cut = sum(any(t.stop.cut_off for t in own_turns(a)) for a in every)
    return Sight(figures, scores, sum(a.num_tokens for a in every), cut, len(every))
