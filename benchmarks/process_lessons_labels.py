"""Seven ways to label the steps of the same answers, for `benchmarks.process_lessons`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from askesis.context import Verdicts
from askesis.formulas.judging import first_error
from askesis.formulas.step_rewards import Aggregator, consensus
from askesis.records import Attempt, Group, VerdictKind
from askesis.steps import StepScores, step_scores, step_verdict

# Card [171]: values by their last step, correctness by the weakest or the product.
SCHEMES: dict[str, Aggregator] = {
    "outcome": "last",
    "soft": "last",
    "hard": "last",
    "any": "last",
    "annotator": "min",
    "consensus": "min",
    "oracle": "min",
}


class Known(NamedTuple):
    """What is known of an answer that is learnt from. values: (K,) share of completions from after
    each step that came out right; truth: (K,) which steps are; told: (K,) what the second
    annotator says; outcome: of the whole."""

    values: np.ndarray
    truth: np.ndarray
    told: np.ndarray
    outcome: float


def annotated(truth: Sequence[float], rng: np.random.Generator, errs: float) -> np.ndarray:
    """Correctness of steps by somebody who names the first wrong one, and who names with
    probability `errs` another place instead, all alike likely: another step, or none."""
    true, num = first_error(truth), len(truth)
    named = true
    if rng.random() < errs:
        others = [i for i in range(-1, num) if i != true]
        named = others[int(rng.integers(len(others)))]
    told = np.ones(num)
    if named >= 0:
        told[named:] = 0.0
    return told


def labels_of(scheme: str, known: Known) -> np.ndarray | None:
    """Labels of an answer's first steps, as many as there are; None where it is not learnt from.

    outcome: the outcome at the last step alone, NaN at the others. soft, hard, any: of
    completions. annotator, oracle: up to the first wrong step. consensus: where any and annotator
    name the same one.
    """
    if scheme == "outcome":
        return np.append(np.full(len(known.values) - 1, np.nan), known.outcome)
    if scheme == "soft":
        return known.values
    if scheme == "hard":
        return (known.values > 0.5).astype(float)
    some = (known.values > 0).astype(float)
    if scheme == "any":
        return some
    if scheme == "consensus":
        return consensus(some, known.told)
    labels = known.truth if scheme == "oracle" else known.told
    wrong = first_error(labels.tolist())
    return labels if wrong < 0 else labels[: wrong + 1]


def labelled(
    scheme: str,
    known: Mapping[str, tuple[Attempt, Known]],
    groups: Sequence[Group],
    values: Verdicts,
) -> Verdicts:
    """The labels of all answers as a judge of steps would say them."""
    said = []
    for attempt in (a for g in groups for a in g.attempts if a.id in known):
        labels = labels_of(scheme, known[attempt.id][1])
        valued = step_scores(values, attempt)
        if labels is None or valued is None:
            continue
        spans = valued.spans[: len(labels)]
        if scheme == "outcome":  # the whole answer as one step
            labels, spans = labels[-1:], ((spans[0][0], spans[0][1], spans[-1][2]),)
        scores = StepScores(labels, VerdictKind.CORRECTNESS, spans)
        said.append(step_verdict(f"{scheme}-labels", attempt, scores))
    return Verdicts(said)


def labels_told(scheme: str, known: Sequence[Known]) -> dict[str, float]:
    """How many answers are learnt from, of all, and how many of their labels up to the true first
    error are as the truth has them (halves and more count as right)."""
    kept, agree, num = 0, 0, 0
    for one in known:
        labels = labels_of(scheme, one)
        if labels is None:
            continue
        kept += 1
        wrong = first_error(one.truth.tolist())
        reach = len(one.truth) if wrong < 0 else wrong + 1
        for label, true in zip(labels[:reach], one.truth, strict=False):
            if not np.isnan(label):
                agree, num = agree + ((label >= 0.5) == (true >= 0.5)), num + 1
    return {"kept": kept / max(1, len(known)), "agree": agree / max(1, num)}
