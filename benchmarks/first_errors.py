"""How many completions it takes to know where a wrong answer was lost, by four ways of asking.

    python -m benchmarks.first_errors [--world chain_arithmetic] [--tasks 200]

The tiny model, warm-started on chain_arithmetic, answers; each wrong answer to a task that was
solved in another attempt is searched from the same completions:

    every     completions of every prefix, as Monte-Carlo labels of steps need (no right one: lost)
    linear    prefixes from the first on, until one has no right completion
    halves    binary search (card [135])
    tree      the tree of card [135]: halves from its own completions, which are used again

Where an answer was really lost is told apart in two: the *first wrong step*, which the world knows,
and the *point of no return*, the first step behind which none of many further completions comes
right. Writes results/first_errors.json and .md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from math import isfinite, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from askesis.explore.sample import SampleAttempts
from askesis.formulas.intervals import Estimate
from askesis.formulas.judging import first_error
from askesis.formulas.ratios import bootstrap_over_clusters, ratio_of_sums
from askesis.lab.looks.sight import ROLE, outcomes
from askesis.lab.outside import Outside
from askesis.records import Attempt, Start, Task, TaskRole
from askesis.requests import All
from askesis.search.first_error import Omega, by_halves, completed, one_by_one
from askesis.steps import Span, aligned, steps_of

RESULTS = Path(__file__).parents[1] / "results"
ROLLOUTS = (1, 2, 4, 8, 16)
IN_TREES = (2, 8)  # with one roll-out no share lies between 0 and 1, and nothing is popped
WAYS = ("every", "linear", "halves", "tree")
FAR = 1_000  # draws of one prefix, named apart from those of the next


@dataclass(frozen=True)
class Found:
    """One wrong answer, searched one way. step: what was found; wrong: the first wrong step, -1 for
    none; lost: the point of no return; steps: how many it has. rollouts, tokens: what it took."""

    way: str
    num_rollouts: int
    step: int
    wrong: int
    lost: int
    steps: int
    rollouts: float
    tokens: float


async def searched(ctx: Any, task: Task, num_attempts: int, num_reference: int) -> list[Found]:
    """All ways on the wrong answers to one task; nothing where no attempt or every one is right."""
    attempts = list(await SampleAttempts(num_attempts=num_attempts).explore(ctx, Start(task)))
    checked = await All([ctx.check(task, a.text) for a in attempts])
    wrong = [a for a, c in zip(attempts, checked, strict=True) if c.score < 1 and _spans(ctx, a)]
    if not any(c.score >= 1 for c in checked):
        return []
    found = [
        row for rows in await All([_ways(ctx, a, num_reference) for a in wrong]) for row in rows
    ]
    if wrong:
        trees = [_trees(ctx, task, num, num_reference) for num in IN_TREES]
        found += [row for rows in await All(trees) for row in rows]
    return found


def _decode(ctx: Any, tokens: Any) -> str:
    return str(ctx.decode(ROLE, tokens))


def _spans(ctx: Any, attempt: Attempt) -> tuple[Span, ...]:
    return steps_of(attempt, partial(_decode, ctx), role=ROLE)


async def _truth(ctx: Any, attempt: Attempt, num: int) -> tuple[int, int, int, list[Any]]:
    """First wrong step, point of no return, number of steps, and the completions of each prefix."""
    spans = _spans(ctx, attempt)
    told = await ctx.check(attempt.task, attempt.text)
    steps = aligned(attempt, spans, told.steps, told.spans, partial(_decode, ctx))
    rows = await All(
        [
            completed(ctx, attempt, spans[n - 1][::2], range(n * FAR, n * FAR + num), role=ROLE)
            for n in range(1, len(spans))
        ]
    )
    alive = [n for n, row in enumerate(rows, 1) if any(s >= 1 for s, _ in row[max(ROLLOUTS) :])]
    return first_error(steps.tolist()), max(alive, default=0), len(spans), rows


async def _ways(ctx: Any, attempt: Attempt, num_reference: int) -> list[Found]:
    wrong, lost, num_steps, rows = await _truth(ctx, attempt, max(ROLLOUTS) + num_reference)
    found = []
    for num in ROLLOUTS:
        tokens = [float(sum(t for _, t in row[:num])) for row in rows]

        async def value(n: int, num: int = num) -> float:
            return sum(score for score, _ in rows[n - 1][:num]) / num

        by_ways = {"linear": one_by_one, "halves": by_halves}
        answers = {way: await how(num_steps, value) for way, how in by_ways.items()}
        asked = {way: sorted(answer.values) for way, answer in answers.items()}
        step = {way: int(answer.step or 0) for way, answer in answers.items()}
        asked["every"], step["every"] = list(range(1, num_steps)), step["linear"]
        for way in WAYS[:3]:
            paid = float(sum(tokens[n - 1] for n in asked[way]))
            took = (float(num * len(asked[way])), paid)
            found.append(Found(way, num, step[way], wrong, lost, num_steps, *took))
    return found


async def _trees(ctx: Any, task: Task, num: int, num_reference: int) -> list[Found]:
    """What a tree finds; its whole cost is shared out over what it found."""
    grove = await Omega(num_rollouts=num, role=ROLE).grow(ctx, Start(task))
    rollouts = sum(len(p.ends) for p in grove.prefixes)
    share = 1 / max(1, len(grove.searched))
    truth = await All(
        [_truth(ctx, s.attempt, max(ROLLOUTS) + num_reference) for s in grove.searched]
    )
    return [
        Found("tree", num, s.step, wrong, lost, steps, rollouts * share, grove.num_tokens * share)
        for s, (wrong, lost, steps, _) in zip(grove.searched, truth, strict=True)
    ]


# ---------------------------------------------------------------- figures


def figures(groups: Sequence[Sequence[Found]]) -> dict[str, Any]:
    """Per way and number of roll-outs: shares and means with intervals; groups are tasks."""
    found: dict[str, Any] = {"tasks": len([g for g in groups if g])}
    every = {(f.way, f.num_rollouts) for g in groups for f in g}
    rows = []
    for way in WAYS:
        for num in ROLLOUTS:
            if (way, num) not in every:
                continue
            own = [[f for f in g if (f.way, f.num_rollouts) == (way, num)] for g in groups]
            base = [[f for f in g if (f.way, f.num_rollouts) == ("every", num)] for g in groups]
            rows.append(_row(way, num, own, base))
    found["rows"] = rows
    least = min((num for _, num in every), default=1)
    plain = [[f for f in g if (f.way, f.num_rollouts) == ("every", least)] for g in groups]
    found["answers"] = sum(map(len, plain))
    has = lambda f: f.wrong >= 0
    found["no_return_behind"] = _share(plain, lambda f: f.lost > f.wrong, has)
    found["no_return_at"] = _share(plain, lambda f: f.lost == f.wrong, has)
    found["no_return_before"] = _share(plain, lambda f: f.lost < f.wrong, has)
    found["steps"] = _share(plain, lambda f: f.steps, high=1e9)
    return found


def _row(
    way: str, num: int, own: Sequence[Sequence[Found]], base: Sequence[Sequence[Found]]
) -> dict[str, Any]:
    row: dict[str, Any] = {"way": way, "num_rollouts": num, "searched": sum(map(len, own))}
    row["no_return"] = _share(own, lambda f: f.step == f.lost)
    row["first_wrong"] = _share(own, lambda f: f.step == f.wrong, lambda f: f.wrong >= 0)
    row["rollouts"] = _share(own, lambda f: f.rollouts, high=1e9)
    row["tokens"] = _share(own, lambda f: f.tokens, high=1e9)
    row["tokens_per_hit"] = _plain(_per_hit(own))
    if way in ("linear", "halves"):
        row["of_every"] = _plain(
            ratio_of_sums(
                [sum(f.tokens for f in g) for g in own], [sum(f.tokens for f in g) for g in base]
            )
        )
    return row


def _per_hit(groups: Sequence[Sequence[Found]]) -> Estimate:
    """Tokens of all answers over the number of those in which the point of no return was named."""
    flat = [f for g in groups for f in g]
    tokens = np.array([f.tokens for f in flat])
    hits = np.array([f.step == f.lost for f in flat])
    ends = np.cumsum([len(g) for g in groups])
    clusters = [range(int(end) - len(g), int(end)) for end, g in zip(ends, groups, strict=True)]

    def statistic(rows: np.ndarray) -> float:
        return float(tokens[rows].sum() / hits[rows].sum()) if hits[rows].any() else nan

    return bootstrap_over_clusters(statistic, clusters, np.random.default_rng(0))


def _share(
    groups: Sequence[Sequence[Found]],
    top: Callable[[Found], float],
    counts: Callable[[Found], bool] = lambda f: True,
    high: float = 1.0,
) -> list[float]:
    kept = [[f for f in g if counts(f)] for g in groups]
    found = ratio_of_sums(
        [float(sum(map(top, g))) for g in kept], [len(g) for g in kept], high=high
    )
    return _plain(found)


def _plain(found: Estimate) -> list[float]:
    return [round(float(x), 4) for x in (found.value, found.low, found.high)]


HEAD = """# Where an answer was lost, and what it takes to know

Generated by `{command}`; do not edit.

Date {date}. {processor}, {cores} cores, torch {torch}.

{answers} wrong answers of the warm-started tiny model to {tasks} tasks of `{world}`, {steps} steps
each on average, each to a task that was solved in another of {num_attempts} attempts. The point of
no return is the first step behind which none of {num_reference} further completions comes right: it
lies at the first wrong step in {no_return_at} of them, behind it in {no_return_behind}, before it
in {no_return_before} (the prefix is right, and the model cannot go on from it).

k: completions of a prefix. *no return*, *first wrong*: share of answers in which that step was
named. Roll-outs and tokens for an answer; *tokens for a hit*: for an answer in which the point of
no return was named; *of every*: tokens over those of completing every prefix. 95 % intervals, tasks
as units. A tree searches its own answers, among them those to tasks the model mostly solves, and
pays for its first completions, which the other ways are given.

| way | k | answers | no return | first wrong | roll-outs | tokens | tokens for a hit | of every |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def page(whole: dict[str, Any]) -> str:
    """The text of results/first_errors.md."""
    found, machine = whole["figures"], whole["machine"]
    names = ("no_return_at", "no_return_behind", "no_return_before")
    text = HEAD.format(
        **whole["settings"], command=whole["command"], date=whole["date"], tasks=found["tasks"],
        answers=found["answers"], steps=f"{found['steps'][0]:.1f}", torch=machine["torch"],
        processor=machine["processor"], cores=machine["cores"],
        **{name: _percent(found[name]) for name in names},
    )  # fmt: skip
    for row in found["rows"]:
        cells = [row["way"], str(row["num_rollouts"]), str(row["searched"])]
        cells += [_percent(row[key]) for key in ("no_return", "first_wrong")]
        cells += [_number(row[key]) for key in ("rollouts", "tokens", "tokens_per_hit")]
        cells.append(_percent(row["of_every"]) if "of_every" in row else "")
        text += f"| {' | '.join(cells)} |\n"
    return text


def _percent(found: Sequence[float]) -> str:
    if isnan(found[0]):
        return ""
    value, low, high = (round(100 * x) for x in found)
    return f"{value} % ({low} to {high})"


def _number(found: Sequence[float]) -> str:
    if not all(map(isfinite, found)):
        return "" if isnan(found[0]) else f"{found[0]:.0f}"
    value, low, high = (round(x) for x in found)
    return f"{value} ({low} to {high})"


def measured(
    model: Any, world: Any, tasks: Sequence[Task], num_attempts: int, num_reference: int, seed: int
) -> dict[str, Any]:
    """The figures of a model on tasks of a world."""
    outside = Outside({ROLE: model}, world, seed=seed)
    try:
        ctx = outside.context("first_errors")
        makers = [partial(searched, ctx, task, num_attempts, num_reference) for task in tasks]
        return figures(outcomes(ctx, makers, list))
    finally:
        outside.close()


def main() -> None:
    """Answers, searches, figures, page."""
    from askesis.lab.evaluate import draw_distinct
    from askesis.lab.warm_start import warm_model
    from askesis.plan import ModelSpec
    from askesis.worlds.open import open_world
    from benchmarks.machine import describe

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--attempts", type=int, default=4)
    parser.add_argument("--reference", type=int, default=32, help="completions that tell the truth")
    parser.add_argument("--world", default="chain_arithmetic")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    world = open_world(given.world)
    model = warm_model(ROLE, ModelSpec(source="tiny"), {"main": given.world})
    tasks = draw_distinct(world, TaskRole.CLAIM, given.tasks)
    found = measured(model, world, tasks, given.attempts, given.reference, given.seed)
    options = f"--world {given.world} --tasks {given.tasks} --attempts {given.attempts}"
    options += f" --reference {given.reference} --seed {given.seed}"
    command = f"python -m benchmarks.first_errors {options}"
    whole = {
        "command": command,
        "date": date.today().isoformat(),
        "machine": describe(),
        "settings": {
            "world": given.world,
            "num_attempts": given.attempts,
            "num_reference": given.reference,
            "seed": given.seed,
        },
        "figures": found,
    }
    (given.out / "first_errors.json").write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    (given.out / "first_errors.md").write_text(page(whole))
    print(page(whole))


if __name__ == "__main__":
    main()
