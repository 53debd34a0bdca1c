"""What do rewards of steps reward? Judges that see a part of a step, card [149].

    python -m benchmarks.step_inputs [--workers 2] [--folder runs/step_inputs]

Every step is a thought ("#*3": the operation that comes) and an equation. Heads of the same model
learn the same pairs of sibling steps out of trees, each from another part of what was written; then
each guides a greedy search on fresh tasks. Writes results/step_inputs.json and .md; a killed
command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from askesis.explore.search import Search
from askesis.judge.verifier import Verifier
from askesis.lab.outside import Outside
from askesis.learn.objectives.reward_models import PairwiseReward
from askesis.records import Group, Sample, Start, StopReason, Task, TaskRole, Turn
from askesis.records import Sequence as Row
from askesis.requests import All
from askesis.search.expand import Draws
from askesis.search.frontier import StepBeam
from askesis.search.grown import Grown
from askesis.search.harvest import sibling_pairs, text_of, values
from askesis.search.place import Found, Place
from askesis.search.rollouts import Rollouts
from askesis.search.steps import Steps
from askesis.select.trees import judged_trees
from askesis.worlds.open import open_world
from benchmarks.process_lessons import shares
from benchmarks.step_inputs_page import page
from benchmarks.step_study import (
    Piece,
    answered,
    arguments,
    claimed,
    explored,
    finish,
    learnt,
    opened,
    over_seeds,
    pieces,
    tasks_of,
    verdicts_of,
    write,
)

STUDY = "step_inputs"
WORLD = "chain_arithmetic?difficulty=0.3&slips=0.12&mended=0.3&padded=1"
GAP = 0.5  # of the values of two siblings that make a pair; 0.7 on the card
NUM_STEPS = 12  # that a guided search may take
NOTHING = "?"  # stands for a part that is not shown
# A thought has at most five tokens, an equation at least six: a shorter edge goes on.
EDGE = Steps(min_tokens=6)

Kind = Literal["full", "equations", "last_equation", "next_thought", "thought_alone"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Pair(NamedTuple):
    """Two steps from one place of an answer, the better one first."""

    task: Task
    before: str
    better: str
    worse: str


def main() -> None:
    given = arguments(STUDY).parse_args()
    todo = pieces(STUDY, WORLD, given, learnt=160, asked=200, num_rollouts=3)
    rows = finish(one_seed, todo, given.folder, given.workers)
    write(STUDY, todo[0], summed(rows), page, given)


# ---------------------------------------------------------------- what is shown


def shown(kind: Kind, prompt: str, before: str, step: str) -> tuple[str, str]:
    """(prompt, text) as a judge of a kind sees a step behind what was written before.

    full: everything. equations: no thoughts. last_equation: the step's own, without the prompt.
    next_thought: everything before and the step's thought. thought_alone: that, without the prompt.
    """
    thoughts = [line for line in _lines(step) if line.startswith("#")]
    equations = [line for line in _lines(step) if not line.startswith("#")]
    past = _lines(before)
    if kind in ("last_equation", "thought_alone"):
        own = equations if kind == "last_equation" else thoughts
        return NOTHING, "\n".join(own) or NOTHING
    if kind == "equations":
        seen = [line for line in past if not line.startswith("#")] + equations
    elif kind == "next_thought":
        seen = past + thoughts
    else:
        seen = past + _lines(step)
    return prompt, "\n".join(seen) or NOTHING


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def seen_by(ctx: Any, role: str, kind: Kind, task: Task, before: str, step: str) -> Any:
    """What a judge is asked with: a start, and an open turn that holds what it may see."""
    prompt, text = shown(kind, task.prompt, before, step)
    tokens = np.array(ctx.encode(role, text), np.int32)
    turn = Turn("policy", text, tokens=tokens, stop=StopReason.OPEN)
    return Start(replace(task, prompt=prompt, answer=None, data={})), (turn,)


@dataclass(frozen=True, kw_only=True)
class Glimpse:
    """Places of a search by what a head says that sees a part of them."""

    role: str
    kind: Kind

    async def values(self, grown: Grown, places: Sequence[Place]) -> list[Found]:
        ctx, asked = grown.ctx, []
        for place in places:
            step = "".join(turn.text for turn in place.edge)
            whole = "".join(turn.text for turn in place.turns)
            before = whole.removesuffix(step)
            start, turns = seen_by(ctx, self.role, self.kind, grown.start.task, before, step)
            asked.append(ctx.value(self.role, start, turns))
        numbers = await All(asked)
        return [Found(p, float(n)) for p, n in zip(places, numbers, strict=True)]


# ---------------------------------------------------------------- one seed


def one_seed(piece: Piece) -> dict[str, Any]:
    """Trees, pairs, heads, and what each head is worth."""
    world = open_world(piece.world)
    outside = Outside({"policy": opened(piece, "policy")}, world, seed=piece.seed)
    pairs = pairs_of(outside, piece, tasks_of(piece, TaskRole.TRAIN, piece.learnt), "learnt")
    claim = tasks_of(piece, TaskRole.CLAIM, piece.asked)
    held_out = pairs_of(outside, piece, claim[: max(2, piece.asked // 4)], "held out")
    ctx, models = outside.context("pairs"), {"policy": opened(piece, "policy")}
    for kind in KINDS:
        samples = samples_of(ctx, kind, pairs)
        model = opened(piece, kind, "value")
        models[kind] = learnt(piece, model, PairwiseReward(), samples) if samples else model
    outside.close()
    outside = Outside(models, world, seed=piece.seed)
    found: dict[str, Any] = {"num_pairs": [len(pairs), len(held_out)], "kinds": {}}
    found["kinds"]["none"] = ends(world, answered(outside, claim, 1, "asked"))
    for kind in KINDS:
        guided = explored(outside, guide(kind), claim, f"asked {kind}")
        found["kinds"][kind] = {
            **ends(world, [chosen(g) for g in guided]),
            "accuracy": ordered(scores_of(outside, kind, held_out)),
        }
    outside.close()
    return found


def pairs_of(outside: Outside, piece: Piece, tasks: Sequence[Task], slot: str) -> list[Pair]:
    """Sibling steps of trees over tasks, one worth more than the other by more than GAP."""
    search = Search(
        edge=EDGE,
        expand=Draws(num=6),
        evaluate=Rollouts(num=piece.num_rollouts),
        visit="all",
        num_simulations=6,
    )
    groups = explored(outside, search, tasks, slot)
    outcomes = verdicts_of(outside, Verifier(), groups, f"{slot} outcomes")
    found = []
    for _, tree, ends_ in judged_trees(groups, outcomes):
        for pair in sibling_pairs(tree, values(tree, ends_, "backed"), GAP):
            before = "".join(text_of(node) for node in tree.path(pair.shared))
            better, worse = (text_of(tree.nodes[i]) for i in (pair.better, pair.worse))
            found.append(Pair(tree.start.task, before, better, worse))
    return found


def samples_of(ctx: Any, kind: Kind, pairs: Sequence[Pair]) -> list[Sample]:
    """Pairs as a head of a kind learns them; those that look alike to it teach nothing."""
    samples = []
    for pair in pairs:
        rows = []
        for step in (pair.better, pair.worse):
            start, turns = seen_by(ctx, "policy", kind, pair.task, pair.before, step)
            tokens = np.array(ctx.render("policy", start, turns), np.int32)
            weight = np.zeros(len(tokens), np.float32)
            weight[-1] = 1.0
            rows.append(Row(tokens, {"weight": weight}))
        if not np.array_equal(rows[0].tokens, rows[1].tokens):
            samples.append(Sample(kind, tuple(rows)))
    return samples


def guide(kind: Kind) -> Search:
    """The best of five steps by a head, again and again. Equal ones are not merged: so a guide that
    knows nothing chooses as one answer at temperature 1 does."""
    by = Glimpse(role=kind, kind=kind)
    five = Draws(num=5, merge="none")
    return Search(edge=EDGE, select=StepBeam(width=1), expand=five, evaluate=by, end=by,
                  visit="all", num_simulations=NUM_STEPS, max_depth=NUM_STEPS)  # fmt: skip


def chosen(group: Group) -> Group:
    """The end that a guided search came to: the best place of its deepest level, where that is one.
    Ends that it passed by are not counted."""
    deepest = max(node.depth for node in group.tree.nodes)
    level = [node for node in group.tree.nodes if node.depth == deepest]
    best = max(level, key=lambda n: (n.labels.get("own", -np.inf), -n.index))
    number = best.labels.get("attempt")
    return Group(group.key, () if number is None else (group.attempts[int(number)],))


def ends(world: Any, groups: Sequence[Group]) -> dict[str, float]:
    """Right, clean and hidden (`process_lessons.shares`) of one answer a task; none is wrong."""
    right, clean = 0, 0
    for group in groups:
        for attempt in group.attempts:
            checked = world.verify(attempt.task, attempt.text)
            right += checked.score >= 1.0
            clean += checked.score >= 1.0 and 0.0 not in checked.steps
    return shares(right / len(groups), clean / len(groups))


def scores_of(outside: Outside, kind: Kind, pairs: Sequence[Pair]) -> list[tuple[float, float]]:
    """What a head says of the better and of the worse step of each pair."""
    ctx = outside.context(f"scores {kind}")

    async def one(pair: Pair) -> tuple[float, float]:
        asked = [
            ctx.value(kind, *seen_by(ctx, kind, kind, pair.task, pair.before, step))
            for step in (pair.better, pair.worse)
        ]
        better, worse = await All(asked)
        return float(better), float(worse)

    found = []
    for outcome in ctx.run([partial(one, pair) for pair in pairs]):
        if outcome.error is not None:
            raise outcome.error
        found.append(outcome.value)
    return found


def ordered(scores: Sequence[tuple[float, float]]) -> float:
    """Share of pairs whose better step has the higher score; equal scores count a half."""
    if not scores:
        return float("nan")
    return float(np.mean([(b > w) + 0.5 * (b == w) for b, w in scores]))


# ---------------------------------------------------------------- over seeds


def summed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page says: every figure over seeds, and the claims."""

    def of(kind: str, figure: str) -> list[float]:
        return [row["kinds"][kind].get(figure, float("nan")) for row in rows]

    right = {kind: of(kind, "right") for kind in ("none", *KINDS)}
    claims = [
        claimed("seeing everything guides better than nothing", right["none"], right["full"], 0.02),
        claimed("thoughts add to equations", right["equations"], right["full"], 0.02),
        claimed("earlier equations add to the last one", right["last_equation"],
                right["equations"], 0.02),
        claimed("an equation tells more than the thought before it", right["next_thought"],
                right["last_equation"], 0.02),
        claimed("a thought guides better than nothing", right["none"], right["next_thought"],
                0.02),
    ]  # fmt: skip
    figures = ("right", "clean", "hidden", "accuracy")
    return {
        "gap": GAP,
        "num_pairs": [over_seeds([row["num_pairs"][i] for row in rows]) for i in (0, 1)],
        "kinds": {kind: {name: over_seeds(of(kind, name)) for name in figures} for kind in right},
        "claims": claims,
        "rows": list(rows),
    }


if __name__ == "__main__":
    main()
