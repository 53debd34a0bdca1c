"""Lessons on process reward models, card [171]: what best-of-n does not see.

    python -m benchmarks.process_lessons [--workers 2] [--folder runs/process_lessons]

Careless writers make right answers with wrong steps. Heads of the same model learn from the same
answers, labelled in seven ways; then each names the first error of fresh answers, and chooses the
best of eight. Writes results/process_lessons.json and .md; a killed command goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from askesis.context import Verdicts
from askesis.formulas.best_of_k import best_of_k
from askesis.formulas.judging import first_error
from askesis.formulas.pass_at_k import majority_at_k
from askesis.formulas.step_rewards import Aggregator, aggregate
from askesis.judge.steps.head import StepHead
from askesis.judge.steps.rollouts import RolloutValues
from askesis.judge.steps.truth import StepTruth
from askesis.lab.outside import Outside
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.attempts import agreed
from askesis.measure.step_quality import Seen, step_figures
from askesis.records import Attempt, TaskRole
from askesis.rng import Streams
from askesis.select.step_labels import StepLabels
from askesis.steps import StepScores, step_scores
from askesis.worlds.open import open_world
from benchmarks.diagnose_judging import spearman
from benchmarks.process_lessons_labels import SCHEMES, Known, annotated, labelled, labels_told
from benchmarks.process_lessons_page import page
from benchmarks.step_study import (
    Piece,
    answered,
    arguments,
    claimed,
    finish,
    learnt,
    opened,
    over_seeds,
    pieces,
    tasks_of,
    verdicts_of,
    write,
)

STUDY = "process_lessons"
WORLD = "chain_arithmetic?difficulty=0.3&slips=0.12&mended=0.6&padded=0.1"
ANNOTATOR_ERRS = 0.3  # how often the second annotator names another place than the true one
FIGURES = ("first_error_f1", "auroc", "last_is_least")
BY: tuple[Aggregator, ...] = ("min", "product", "last")


class Judged(NamedTuple):
    """An answer to a claim task: what a head says of its steps, which are right, how it ends."""

    scores: StepScores | None
    truth: tuple[float, ...]
    right: bool
    final: str


def main() -> None:
    given = arguments(STUDY).parse_args()
    todo = pieces(STUDY, WORLD, given, learnt=640, asked=200, num_updates=100)
    rows = finish(one_seed, todo, given.folder, given.workers)
    write(STUDY, todo[0], summed(rows), page, given)


# ---------------------------------------------------------------- one seed


def one_seed(piece: Piece) -> dict[str, Any]:
    """Answers, labels, heads, and what each head is worth."""
    world = open_world(piece.world)
    outside = Outside({"policy": opened(piece, "policy")}, world, seed=piece.seed)
    groups = answered(outside, tasks_of(piece, TaskRole.TRAIN, piece.learnt), 2, "learnt")
    values = verdicts_of(
        outside, RolloutValues(num_rollouts=piece.num_rollouts), groups, "rollouts"
    )
    truth = verdicts_of(outside, StepTruth(), groups, "truth")
    rng = Streams(piece.seed).generator("annotator")
    known: dict[str, tuple[Attempt, Known]] = {}
    for attempt in (a for g in groups for a in g.attempts):
        valued, right = step_scores(values, attempt), step_scores(truth, attempt)
        if valued is None or right is None:
            continue
        told = annotated(right.values.tolist(), rng, ANNOTATOR_ERRS)
        known[attempt.id] = (
            attempt,
            Known(valued.values, right.values, told, float(valued.values[-1])),
        )
    models: dict[str, Any] = {"policy": opened(piece, "policy")}
    found: dict[str, Any] = {"labels": {}, "heads": {}}
    for scheme in SCHEMES:
        verdicts = labelled(scheme, known, groups, values)
        ctx = outside.context(f"select.{scheme}")
        samples = StepLabels(before=False).select(ctx, groups, verdicts)
        objective = LabelledReward(where="weight")
        models[scheme] = learnt(piece, opened(piece, scheme, "value"), objective, samples)
        found["labels"][scheme] = labels_told(scheme, [k for _, k in known.values()])
    outside.close()
    outside = Outside(models, world, seed=piece.seed)
    fresh = answered(
        outside, tasks_of(piece, TaskRole.CLAIM, piece.asked), piece.num_attempts, "asked"
    )
    truth = verdicts_of(outside, StepTruth(), fresh, "asked truth")
    for scheme in SCHEMES:
        judge = StepHead(head=scheme, says="correctness")
        said = verdicts_of(outside, judge, fresh, f"asked {scheme}")
        rows = [[judged(world, a, said, truth) for a in g.attempts] for g in fresh]
        found["heads"][scheme] = worth(rows, rng)
        found["without"] = without_heads(rows)
    outside.close()
    return found


# ---------------------------------------------------------------- what a head is worth


def judged(world: Any, attempt: Attempt, said: Verdicts, truth: Verdicts) -> Judged:
    """An answer with a head's scores and the truth; an answer without steps has none of either."""
    scores, true = step_scores(said, attempt), step_scores(truth, attempt)
    right = world.verify(attempt.task, attempt.text)
    steps = () if true is None else tuple(true.values.tolist())
    return Judged(scores, steps, right.score >= 1.0, right.answer)


def worth(rows: Sequence[Sequence[Judged]], rng: np.random.Generator) -> dict[str, Any]:
    """First-error F1 and its kin, and what best-of-n by each aggregator chooses."""
    seen = [
        [Seen(j.scores, j.truth, j.right) for j in group if j.scores is not None] for group in rows
    ]
    quality = step_figures(seen, rng)
    found: dict[str, Any] = {name: float(quality.get(name, np.nan)) for name in FIGURES}
    for by in BY:
        found[f"best_by_{by}"] = chosen(rows, by)
    return found


def chosen(rows: Sequence[Sequence[Judged]], by: Aggregator) -> dict[str, float]:
    """Best of all answers to each task by an aggregator of a head's scores. right: share of chosen
    answers that are right; clean: that are, with no wrong step; hidden: of those that are right,
    the share with one."""
    right, clean = [], []
    for group in rows:
        values = [-np.inf if j.scores is None else aggregate(j.scores.values, by) for j in group]
        right.append(best_of_k(values, [j.right for j in group], len(group)))
        clean.append(best_of_k(values, [is_clean(j) for j in group], len(group)))
    return shares(float(np.mean(right)), float(np.mean(clean)))


def is_clean(answer: Judged) -> bool:
    """Right, and every step of it."""
    return answer.right and first_error(answer.truth) < 0


def shares(right: float, clean: float) -> dict[str, float]:
    """Right, clean, and what hides among the right ones (NaN where none is)."""
    return {"right": right, "clean": clean, "hidden": 1 - clean / right if right else np.nan}


def without_heads(rows: Sequence[Sequence[Judged]]) -> dict[str, dict[str, float]]:
    """The same of one answer, of a right one wherever there is any, and of the vote (whose answer
    is as clean as those who gave it are on average)."""
    one = shares(
        float(np.mean([j.right for g in rows for j in g])),
        float(np.mean([is_clean(j) for g in rows for j in g])),
    )
    some = shares(
        float(np.mean([any(j.right for j in g) for g in rows])),
        float(np.mean([any(map(is_clean, g)) for g in rows])),
    )
    right, clean = [], []
    for group in rows:
        votes = agreed([j.final for j in group], [j.right for j in group])
        right.append(majority_at_k(*votes, len(group)))
        good = [is_clean(j) for j in group if j.right]
        clean.append(right[-1] * float(np.mean(good)) if good else 0.0)
    vote = shares(float(np.mean(right)), float(np.mean(clean)))
    return {"one answer": one, "vote": vote, "any of them": some}


# ---------------------------------------------------------------- over seeds


def summed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the page says: every figure over seeds, the rankings, the claims."""

    def of(scheme: str, figure: str, part: str = "") -> list[float]:
        found = [row["heads"][scheme][figure] for row in rows]
        return [f[part] for f in found] if part else found

    def best(scheme: str, part: str) -> list[float]:
        return of(scheme, f"best_by_{SCHEMES[scheme]}", part)

    def plain(name: str, part: str) -> list[float]:
        return [row["without"][name][part] for row in rows]

    f1 = {scheme: of(scheme, "first_error_f1") for scheme in SCHEMES}
    heads = {
        scheme: {
            **{name: over_seeds(of(scheme, name)) for name in FIGURES},
            **{
                f"best_by_{by}": {
                    part: over_seeds(of(scheme, f"best_by_{by}", part))
                    for part in ("right", "clean", "hidden")
                }
                for by in BY
            },
        }
        for scheme in SCHEMES
    }
    monte_carlo = ("soft", "hard", "any")
    strongest = max(monte_carlo, key=lambda s: float(np.mean(best(s, "right"))))
    claims = [
        claimed("the oracle's head names first errors better than `any`", f1["any"],
                f1["oracle"], 0.05),
        claimed("`consensus` does than `any`", f1["any"], f1["consensus"], 0.05),
        claimed("`consensus` does than `annotator`", f1["annotator"], f1["consensus"], 0.05),
        claimed(f"best-of-n by `{strongest}` is right more often than the vote",
                plain("vote", "right"), best(strongest, "right"), 0.01),
        claimed("best-of-n by `outcome` hides more wrong steps than by `oracle`",
                best("oracle", "hidden"), best("outcome", "hidden"), 0.03),
        claimed("best-of-n by `any` hides more wrong steps than by `oracle`",
                best("oracle", "hidden"), best("any", "hidden"), 0.03),
        claimed("the least score is the last one more often with `any` than with `oracle`",
                of("oracle", "last_is_least"), of("any", "last_is_least"), 0.05),
    ]  # fmt: skip
    return {
        "annotator_errs": ANNOTATOR_ERRS,
        "schemes": dict(SCHEMES),
        "heads": heads,
        "labels": {
            s: {k: over_seeds([row["labels"][s][k] for row in rows]) for k in ("kept", "agree")}
            for s in SCHEMES
        },
        "without": {
            name: {part: over_seeds(plain(name, part)) for part in ("right", "clean", "hidden")}
            for name in ("one answer", "vote", "any of them")
        },
        "ranks": {
            part: over_seeds([
                rank_correlation([f1[s][i] for s in SCHEMES], [best(s, part)[i] for s in SCHEMES])
                for i in range(len(rows))
            ])
            for part in ("right", "clean")
        },
        "claims": claims,
        "rows": list(rows),
    }  # fmt: skip


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Spearman's, 0 where one of the two does not vary; NaN where one has a NaN."""
    if np.isnan([*first, *second]).any():
        return float("nan")
    return spearman(np.array(first), np.array(second))


if __name__ == "__main__":
    main()
