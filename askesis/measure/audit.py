"""The judge held against the truth, on a subset of what it judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError, TruthError
from askesis.formulas.calibration import aurc, brier, calibration_error
from askesis.formulas.intervals import clustered_mean
from askesis.formulas.judging import error_rates, first_error, first_error_f1, inflation
from askesis.formulas.pass_at_k import vote
from askesis.formulas.ranking import clustered_auroc, ranking_accuracy
from askesis.formulas.ratios import bootstrap_over_clusters, ratio_of_sums
from askesis.measure.attempts import agreed, train_attempts, whole_groups
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import About, Attempt, StopReason, Verdict, VerdictKind
from askesis.requests import All, Checked

NUM_DRAWS = 100  # of each bootstrap: a tenth of a second for 256 attempts
STEP_IS_RIGHT = 0.5  # a step's correctness from which it counts as right


@dataclass(frozen=True, slots=True)
class Audited:
    """One attempt with what the judge said and what is true.

    value: the judge's (None: it did not know). right: by the world's verifier. answer: the
    canonical one. judged_steps, true_steps: correctness of steps by both, where both know them.
    """

    value: float | None
    right: bool
    answer: str = ""
    judged_steps: tuple[float, ...] = ()
    true_steps: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Audit:
    """False passes, false fails and calibration of the round's judge, against the world's truth.

    judge: whose verdicts are audited (id, with or without version); "" takes the last judge that
        knew, which is what selectors read by default.
    passing: a value of at least this is a pass. threshold: a verified score of at least this is
        right, in (0, 1].
    num_attempts: attempts verified in a round, at least 1; whole groups chosen at random. With 256
        of which half are wrong, a false-pass rate of 0.2 is known to about +-0.07 (independent
        attempts).

    Measuring comes after learning, the truth stays in here and only figures leave, so no stage
    learns from it. A recipe with truth "none" has no truth in its run at all: there this raises
    TruthError, and `askesis.lab.audit` does the same from the kept attempts afterwards. Costs no
    tokens. Auditing the world's own verifier shows that it agrees with itself.
    """

    judge: str = ""
    passing: float = 0.5
    threshold: float = 1.0
    num_attempts: int = 256

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1 or self.num_attempts < 1:
            raise ConfigError(
                "Audit.threshold or num_attempts is out of range",
                expected="in (0, 1] and at least 1",
                found=f"{self.threshold}, {self.num_attempts}",
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. Nothing where nobody judged anything."""
        judge, passing, threshold = self.judge, self.passing, self.threshold
        judged = [
            inside
            for attempts in train_attempts(view.all_groups)[0]
            if (inside := [a for a in attempts if view.verdicts.of(a, judge=judge)])
        ]
        groups = whole_groups(ctx, judged, self.num_attempts)
        if not groups:
            return {}

        async def one(attempts: list[Attempt]) -> list[Audited]:
            read = [a for a in attempts if a.stop is not StopReason.FAILED and a.text]
            found = await All([ctx.check(a.task, a.text) for a in read])
            truth = {a.id: c for a, c in zip(read, found, strict=True)}
            ctx.audits.extend(
                Verdict(
                    f"truth:{a.task.family}", About(a.id), VerdictKind.OUTCOME, truth[a.id].score
                )
                for a in read
            )
            return [
                audited(
                    a,
                    view.verdicts.of(a, judge=judge),
                    view.verdicts.value(a, judge=judge),
                    truth.get(a.id, Checked(0.0)),
                    threshold,
                )
                for a in attempts
            ]

        outcomes = ctx.run([lambda attempts=attempts: one(attempts) for attempts in groups])
        errors = [o.error for o in outcomes if o.error is not None]
        if len(errors) == len(outcomes):
            if isinstance(errors[0], TruthError):
                raise TruthError(
                    "this run has no truth to audit its judge with",
                    hint="take the audit out of the recipe's measures; askesis.lab.audit does it "
                    "afterwards",
                ) from errors[0]
            raise errors[0]
        rows = [o.value for o in outcomes if o.error is None]
        found = audit_figures(rows, passing, ctx.generator("bootstrap"))
        return {f"audit/{key}": value for key, value in found.items()}


def audited(
    attempt: Attempt, verdicts: Sequence[Any], value: float | None, truth: Checked, threshold: float
) -> Audited:
    """One attempt's row: the last verdict on its steps is compared where it has as many."""
    vectors = [v.vector for v in verdicts if v.kind is VerdictKind.CORRECTNESS and v.vector]
    judged = vectors[-1] if vectors and len(vectors[-1]) == len(truth.steps) else ()
    steps = truth.steps if judged else ()
    return Audited(value, truth.score >= threshold, truth.answer, tuple(judged), tuple(steps))


def audit_figures(
    groups: Sequence[Sequence[Audited]], passing: float, rng: np.random.Generator
) -> Metrics:
    """Everything an audit says, one inner sequence per task; keys without a prefix.

    passing: a value of at least this is a pass. rng: for the bootstrap. Figures of calibration
    need values in [0, 1] and are absent where any lies outside.
    """
    found: Metrics = {"num_attempts": float(sum(map(len, groups)))}
    put(found, "unknown_fraction", clustered_mean([[r.value is None for r in g] for g in groups]))
    known = [[r for r in g if r.value is not None] for g in groups]
    known = [g for g in known if g]
    values = [[float(r.value or 0.0) for r in g] for g in known]
    right = [[r.right for r in g] for g in known]
    if known:
        put(found, "truth", clustered_mean(right))
        put(found, "passed", clustered_mean([[v >= passing for v in g] for g in values]))
        rates = error_rates([[v >= passing for v in g] for g in values], right)
        put(found, "false_pass", rates.false_pass)
        put(found, "false_fail", rates.false_fail)
        put(found, "wrong_among_passed", rates.wrong_among_passed)
        put(found, "accuracy", rates.accuracy)
        put(found, "auroc", clustered_auroc(values, right))
        put(found, "ranking_accuracy", ranking_accuracy(values, right))
        if all(0 <= v <= 1 for g in values for v in g):
            put(found, "inflation", inflation(values, right))
            _calibration(found, "", values, right, rng)
    _steps(found, groups, rng)
    _votes(found, groups, rng)
    return found


def _calibration(
    found: Metrics,
    prefix: str,
    values: Sequence[Sequence[float]],
    right: Sequence[Sequence[bool]],
    rng: np.random.Generator,
) -> None:
    squares = [
        [brier([v], [r]) for v, r in zip(*pair, strict=True)]
        for pair in zip(values, right, strict=True)
    ]
    put(
        found, prefix + "brier", ratio_of_sums([sum(s) for s in squares], [len(s) for s in squares])
    )
    figures: dict[str, Callable[[Any, Any], float]] = {
        "ece": calibration_error,
        "adaptive_ece": lambda p, y: calibration_error(p, y, binning="mass"),
        "aurc": aurc,
    }
    p = np.array([v for g in values for v in g], float)
    y = np.array([r for g in right for r in g], bool)
    for name, function in figures.items():

        def statistic(rows: np.ndarray, function: Any = function) -> float:
            return float(function(p[rows], y[rows]))

        put(found, prefix + name, bootstrap_over_clusters(statistic, _rows(values), rng, NUM_DRAWS))


def _steps(found: Metrics, groups: Sequence[Sequence[Audited]], rng: np.random.Generator) -> None:
    """ProcessBench's F1, where the judge and the world both look at steps."""
    pairs = [
        [
            (first_error(r.judged_steps, STEP_IS_RIGHT), first_error(r.true_steps, STEP_IS_RIGHT))
            for r in g
            if r.true_steps
        ]
        for g in groups
    ]
    if not any(pairs):
        return
    judged, true = np.array([pair for g in pairs for pair in g]).T

    def statistic(rows: np.ndarray) -> float:
        return first_error_f1(judged[rows].tolist(), true[rows].tolist())

    put(found, "first_error_f1", bootstrap_over_clusters(statistic, _rows(pairs), rng, NUM_DRAWS))


def _votes(found: Metrics, groups: Sequence[Sequence[Audited]], rng: np.random.Generator) -> None:
    """The majority's share as a confidence in the majority's answer [17], task by task."""
    shares: list[list[float]] = []
    hits: list[list[bool]] = []
    for group in groups:
        answers, right = agreed([r.answer for r in group], [r.right for r in group])
        winner, share, _ = vote(answers)
        if len(group) > 1 and winner:
            shares.append([share])
            hits.append([right[answers.index(winner)]])
    if not shares:
        return
    put(found, "vote_accuracy", clustered_mean(hits))
    put(found, "vote_auroc", clustered_auroc(shares, hits))
    _calibration(found, "vote_", shares, hits, rng)


def _rows(groups: Sequence[Sequence[Any]]) -> list[range]:
    """Row numbers of each group, where all rows stand one after another."""
    ends = np.cumsum([len(g) for g in groups])
    return [range(int(end) - len(g), int(end)) for g, end in zip(groups, ends, strict=True)]
