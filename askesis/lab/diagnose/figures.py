"""What the answers of a probe say, as figures with intervals over tasks.

A figure that cannot be known is absent. docs/diagnose.md lists every key.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from askesis.formulas.calibration import aurc, calibration_error
from askesis.formulas.ceiling import SuccessRates, mixed_group_fraction, success_rates
from askesis.formulas.coverage import covered_fraction, log_coverage, sharpened_fraction
from askesis.formulas.intervals import Estimate, clustered_mean, t_interval
from askesis.formulas.pass_at_k import distinct_correct, pass_at_k, vote
from askesis.formulas.ranking import auroc, clustered_auroc
from askesis.lab.diagnose.asked import Probe, Probed, Try
from askesis.lab.evaluate import shown_k
from askesis.records import Task
from askesis.text.habits import NAMES, count_habits

Figures = Mapping[str, Estimate]
Habits = Callable[[Task, str], Mapping[str, float]]  # what a text shows, 0 or more of each habit

GROUPS = (8, 16)
BEYOND = (256, 1024)
DRAWS = (1, 64, 1024)


def figures(probe: Probe, habits: Habits | None = None) -> dict[str, Estimate]:
    """Everything, in the order in which it is told. habits counts habits in a text, if given."""
    found: dict[str, Estimate] = {}
    if probe.knows_right:
        found |= ability(probe.tasks, probe.num_attempts)
        found |= groups(probe.tasks, probe.num_attempts)
        found |= self_judgement(probe.tasks)
    found |= votes(probe.tasks, probe.knows_right)
    found |= coverage(probe.tasks)
    if probe.preferred:
        ranked = [[0.5 + 0.5 * float(np.sign(gap))] for gap in probe.preferred]
        found["preference_accuracy"] = clustered_mean(ranked)
    found |= lengths(probe.tasks)
    if habits is not None:
        found |= _habits(probe.tasks, habits)
    return found


# ---------------------------------------------------------------- ability and what lies above it


def ability(tasks: Sequence[Probed], num_attempts: int) -> dict[str, Estimate]:
    """pass@k as tried and beyond, the ceiling, and the headroom between one attempt and all."""
    n, right = num_attempts, [_num_right(p) for p in tasks]
    per_task = {k: [pass_at_k(n, c, k) for c in right] for k in sorted({*shown_k(n), min(n, 8)})}
    found = {f"pass@{k}": clustered_mean([[v] for v in values]) for k, values in per_task.items()}
    gaps = [most - one for one, most in zip(per_task[1], per_task[n], strict=True)]
    found["headroom"] = clustered_mean([[g] for g in gaps])
    found["solved_fraction"] = clustered_mean([[float(c > 0)] for c in right])
    found["distinct_correct"] = _mean([_num_distinct(p) for p in tasks])
    rates = success_rates([n] * len(right), right)
    seen = found[f"pass@{n}"]
    found |= {f"pass@{k}": _at_least(rates.pass_at(k), seen) for k in BEYOND if k > n}
    found["ceiling"] = _at_least(rates.ceiling(), seen)
    return found


def _at_least(guessed: Estimate, seen: Estimate) -> Estimate:
    """More attempts solve no fewer of these tasks: what was seen is a floor."""
    ends = (max(guessed.low, seen.low), max(guessed.high, seen.value))
    return Estimate(max(guessed.value, seen.value), *ends)


def groups(tasks: Sequence[Probed], num_attempts: int) -> dict[str, Estimate]:
    """Share of groups of eight and sixteen attempts that are neither all right nor all wrong."""
    right = [_num_right(p) for p in tasks]
    found = {}
    rates: SuccessRates | None = None
    for group in GROUPS:
        if group <= num_attempts:
            shares = [[mixed_group_fraction(num_attempts, c, group)] for c in right]
            found[f"mixed@{group}"] = clustered_mean(shares)
        else:
            rates = rates or success_rates([num_attempts] * len(right), right)
            found[f"mixed@{group}"] = rates.mixed(group)
    return found


# ---------------------------------------------------------------- how it judges itself


def self_judgement(tasks: Sequence[Probed]) -> dict[str, Estimate]:
    """Does it rank its right attempts above its wrong ones? AUROC within tasks that have both.

    By likelihood, by likelihood per token, by how many attempts agree, and by asking it.
    """
    signals: dict[str, list[float]] = {"likelihood": [], "likelihood_per_token": [], "votes": []}
    asked: list[float] = []
    for p in tasks:
        tries = [t for t in p.tries if not t.error]
        if 0 < sum(t.right for t in tries) < len(tries):
            said = Counter(t.answer for t in tries if t.answer)
            by = {
                "likelihood": [t.logp for t in tries],
                "likelihood_per_token": [t.logp / max(1, t.num_tokens) for t in tries],
                "votes": [float(said[t.answer]) for t in tries],
            }
            for name, values in by.items():
                if not np.isnan(values).any():
                    signals[name].append(auroc(values, [t.right for t in tries]))
        yes = [odds for is_right, odds in p.checks if is_right]
        no = [odds for is_right, odds in p.checks if not is_right]
        if yes and no:
            asked.append(auroc([*yes, *no], [True] * len(yes) + [False] * len(no)))
    signals["asking"] = asked
    return {f"auroc/{k}": clustered_mean([[v] for v in found]) for k, found in signals.items()
            if found}  # fmt: skip


def votes(tasks: Sequence[Probed], knows_right: bool) -> dict[str, Estimate]:
    """The vote of all attempts: its share, and where the truth is known its worth as confidence."""
    shares, won, gains = list[float](), list[float](), list[float]()
    for p in tasks:
        shares.append(vote([t.answer for t in p.tries])[1])
        if knows_right:
            won.append(_vote_right(p))
            gains.append(won[-1] - _num_right(p) / len(p.tries))
    if not any(shares):
        return {}  # no answer can be read out of any text
    found = {"vote_share": clustered_mean([[s] for s in shares])}
    if knows_right:
        found["majority"] = clustered_mean([[w] for w in won])
        found["vote_gain"] = _mean(gains)
        right = [w > 0.5 for w in won]
        squares = [[(s - r) ** 2] for s, r in zip(shares, right, strict=True)]
        found["vote_brier"] = clustered_mean(squares)
        found["vote_ece"] = Estimate(calibration_error(shares, right), math.nan, math.nan)
        found["vote_aurc"] = Estimate(aurc(shares, right), math.nan, math.nan)
        if 0 < sum(right) < len(right):
            found["vote_auroc"] = clustered_auroc([[s] for s in shares], [[r] for r in right])
    return found


def _vote_right(p: Probed) -> float:
    """Whether the vote of all attempts is right; of tied answers, the share that is."""
    counts = Counter(t.answer for t in p.tries if t.answer)
    most = max(counts.values(), default=0)
    winners = [a for a, n in counts.items() if n == most]
    share = [np.mean([t.right for t in p.tries if t.answer == a]) > 0.5 for a in winners]
    return float(np.mean(share)) if winners else 0.0


# ---------------------------------------------------------------- coverage


def coverage(tasks: Sequence[Probed]) -> dict[str, Estimate]:
    """What the model's own likelihood gives to right answers: to the reference, and to all that
    are known (the reference and what was found)."""
    known = [p for p in tasks if not math.isnan(p.reference_logp)]
    found: dict[str, Estimate] = {}
    if known:
        logp = [p.reference_logp for p in known]
        found["reference/log_coverage"] = Estimate(log_coverage(logp), math.nan, math.nan)
        found["reference/sharpened"] = clustered_mean([[sharpened_fraction([x])] for x in logp])
        for n in DRAWS:
            shares = [[covered_fraction([x], n)] for x in logp]
            found[f"reference/covered@{n}"] = clustered_mean(shares)
        nats = [-p.reference_logp / max(1, p.reference_tokens) for p in known]
        found["reference/nats_per_token"] = _mean(nats)
        found["reference/surprise"] = clustered_mean([[1 - math.exp(-x)] for x in nats])
    sets = [mass for p in tasks if (mass := known_mass(p)) is not None]
    if sets:
        found["right/log_coverage"] = Estimate(log_coverage(sets), math.nan, math.nan)
        for n in DRAWS:
            shares = [[covered_fraction([x], n)] for x in sets]
            found[f"right/covered@{n}"] = clustered_mean(shares)
    return found


def known_mass(p: Probed) -> float | None:
    """log of the probability of all right answers that are known; None where none is known and
    priced. A lower bound: there may be others."""
    logp = {t.text: t.logp for t in p.tries if t.right and not t.stop.cut_off}
    if p.reference is not None and not math.isnan(p.reference_logp):
        logp[p.reference] = p.reference_logp
    found = [x for x in logp.values() if not math.isnan(x)]
    return min(0.0, float(np.logaddexp.reduce(found))) if found else None


# ---------------------------------------------------------------- lengths and habits


def lengths(tasks: Sequence[Probed]) -> dict[str, Estimate]:
    """Tokens an attempt, and the shares that were cut off, failed or said nothing."""
    return {
        "tokens_per_attempt": _mean([_share(p, lambda t: t.num_tokens) for p in tasks]),
        "truncated_fraction": _shares(tasks, lambda t: t.stop.cut_off),
        "failed_fraction": _shares(tasks, lambda t: bool(t.error)),
        "silent_fraction": _shares(tasks, lambda t: not t.text.strip()),
    }


def seen_habits(task: Task, text: str) -> dict[str, float]:
    """How often a text verifies, turns back, names sub-goals or works backwards, by the rules of
    the task's world [6]."""
    found = count_habits(task.family, task.prompt, text)
    return {name: float(n) for name in NAMES if (n := getattr(found, name)) is not None}


def _habits(tasks: Sequence[Probed], habits: Habits) -> dict[str, Estimate]:
    """Share of attempts that show a habit, by habit."""
    seen = [[habits(p.task, t.text) for t in p.tries] for p in tasks]
    names = sorted({name for each in seen for one in each for name in one})
    return {
        f"habit/{name}": clustered_mean([[float(one.get(name, 0) > 0) for one in e] for e in seen])
        for name in names
    }


def _num_right(p: Probed) -> int:
    return sum(t.right for t in p.tries)


def _num_distinct(p: Probed) -> int:
    return distinct_correct([t.answer or t.text for t in p.tries], [t.right for t in p.tries])


def _share(p: Probed, of: Callable[[Try], float]) -> float:
    return float(np.mean([of(t) for t in p.tries]))


def _shares(tasks: Sequence[Probed], of: Callable[[Try], float]) -> Estimate:
    return clustered_mean([[_share(p, of)] for p in tasks])


def _mean(values: Iterable[float]) -> Estimate:
    """A mean that is no share, with its interval over tasks; unknown with one task."""
    found = t_interval(list(values))
    unknown = not math.isfinite(found.low)
    return Estimate(found.value, math.nan, math.nan) if unknown else found
