"""Self-correction: what happens between a first answer and the last one.

Functions read `right`: per task, per attempt, per turn whether the answer of that turn is right.
Attempts may have different numbers of turns (who is content stops): an answer stands until it is
changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, nan

from askesis.formulas.intervals import Estimate, clustered_mean, paired_difference
from askesis.formulas.pass_at_k import majority_at_k
from askesis.formulas.ratios import ratio_of_sums

Turns = Sequence[Sequence[Sequence[bool]]]  # [task][attempt][turn]


@dataclass(frozen=True, slots=True)
class Flips:
    """First answers against last ones; shares of *all* attempts, as SCoRe counts them.

    wrong_to_right, right_to_wrong: answers mended and spoilt. gain: the difference of the two,
    which is accuracy at the last turn minus accuracy at the first.
    """

    wrong_to_right: Estimate
    right_to_wrong: Estimate
    gain: Estimate


def carried(turns: Sequence[bool], num_turns: int) -> list[bool]:
    """One attempt's correctness at every turn up to `num_turns`: the last answer stands.

        c_t = c_{min(t, T)}

    turns: at least one. Source: how multi-turn curves are read where attempts may stop early
    (RISE, card [237]).

    >>> carried([False, True], 4)
    [False, True, True, True]
    """
    if not turns or num_turns < len(turns):
        raise ValueError(f"need 1 to {num_turns} turns, got {len(turns)}")
    return [bool(t) for t in turns] + [bool(turns[-1])] * (num_turns - len(turns))


def accuracy_per_turn(right: Turns) -> list[Estimate]:
    """Share right at turn 1, 2, ... up to the longest attempt, with intervals over tasks.

        acc@t = mean over tasks of mean over attempts of c_t

    Source: SCoRe (card [2]), RISE (card [237]).

    >>> [e.value for e in accuracy_per_turn([[[False, True], [True]], [[False, False]]])]
    [0.25, 0.5]
    """
    longest = max((len(a) for task in right for a in task), default=0)
    full = [[carried(a, longest) for a in task] for task in right]
    return [clustered_mean([[a[t] for a in task] for task in full]) for t in range(longest)]


def flips(right: Turns) -> Flips:
    """What correction mended and what it spoilt, with intervals over tasks.

        i->c = P(wrong first, right last),  c->i = P(right first, wrong last),  gain = i->c - c->i

    Source: Kumar et al. 2024, SCoRe (card [2]): fractions of all, not of the wrong or
    right ones, which are `critique_level` and 1 - `confidence_level`.

    >>> found = flips([[[False, True], [True, True]], [[True, False], [False, False]]])
    >>> found.wrong_to_right.value, found.right_to_wrong.value, found.gain.value
    (0.25, 0.25, 0.0)
    """
    ends = _ends(right)
    first = [sum(a for a, _ in task) / len(task) for task in ends]
    last = [sum(b for _, b in task) / len(task) for task in ends]
    return Flips(
        clustered_mean([[b and not a for a, b in task] for task in ends]),
        clustered_mean([[a and not b for a, b in task] for task in ends]),
        paired_difference(first, last),
    )


def confidence_level(right: Turns) -> Estimate:
    """CL: how far right answers are left alone.

        CL = sum_i P(a_i) P(b_i | a_i) / sum_i P(a_i)

    P(a_i): share of attempts at task i whose first answer is right; P(b_i | a_i): of those, the
    share whose last answer is. NaN where no first answer is right. Source: Yang et al. 2024,
    "Confidence v.s. Critique" (card [84]).

    >>> confidence_level([[[True, True], [True, False]], [[True, True], [False, True]]]).value
    0.6666666666666666
    """
    ends = _ends(right)
    kept = [sum(a and b for a, b in task) / len(task) for task in ends]
    return ratio_of_sums(kept, [sum(a for a, _ in task) / len(task) for task in ends])


def critique_level(right: Turns) -> Estimate:
    """CS: how many wrong answers are mended.

        CS = sum_i (1 - P(a_i)) P(b_i | not a_i) / sum_i (1 - P(a_i))

    As `confidence_level`, of first answers that are wrong; NaN where none is. Source: Yang et al.
    2024 (card [84]).

    >>> critique_level([[[True, True], [False, False]], [[False, True], [False, False]]]).value
    0.3333333333333333
    """
    ends = _ends(right)
    mended = [sum(b and not a for a, b in task) / len(task) for task in ends]
    return ratio_of_sums(mended, [sum(not a for a, _ in task) / len(task) for task in ends])


def accuracy_after(accuracy_before: float, confidence: float, critique: float) -> float:
    """The combination of the two levels: accuracy after correction, an identity.

        Acc2 = Acc1 * CL + (1 - Acc1) * CS

    All in [0, 1]. Where Acc1 is 0 or 1 the level that does not exist (NaN) has no weight.
    Source: Yang et al. 2024 (card [84]).

    >>> accuracy_after(0.5, 0.9, 0.2)
    0.55
    """
    kept = accuracy_before * confidence if accuracy_before > 0 else 0.0
    mended = (1 - accuracy_before) * critique if accuracy_before < 1 else 0.0
    return kept + mended


def relative_self_correction(accuracy_before: float, accuracy_after: float) -> float:
    """RSS: where accuracy after correction lies between the worst and the best to be expected.

        RSS = (Acc2 - Acc1^2) / (2 * Acc1 * (1 - Acc1))

    0 at Acc2 = Acc1^2, 0.5 where nothing changed, 1 at Acc2 = 1 - (1 - Acc1)^2; within [0, 1]
    where CS <= Acc1 <= CL. NaN at Acc1 = 0 and 1. Source: Yang et al. 2024 (card [84]).

    >>> round(relative_self_correction(0.6, 0.6), 6)
    0.5
    """
    a = accuracy_before
    return (accuracy_after - a * a) / (2 * a * (1 - a)) if 0 < a < 1 else nan


def equal_token_vote(answers: Sequence[str], correct: Sequence[bool], num_votes: float) -> float:
    """Accuracy of a vote among first answers that costs as many tokens as correcting one.

        m = tokens of a corrected attempt / tokens of a first answer
        V = (1 - f) * maj@floor(m) + f * maj@(floor(m) + 1),    f = m - floor(m)

    answers, correct: canonical first answers of the n attempts at one task and whether they are
    right. num_votes: m, at least 1; NaN is returned where m > n, since n answers do not tell what
    more of them would. Correction that does not beat this figure is not worth its tokens (cards
    [2], [237]). Source: maj@k as `pass_at_k.majority_at_k`; the rest is interpolation.

    >>> equal_token_vote(["7", "7", "3"], [True, True, False], 2.0)
    0.6666666666666666
    >>> equal_token_vote(["7", "7", "3"], [True, True, False], 2.5)
    0.8333333333333333
    """
    if num_votes < 1:
        raise ValueError(f"a vote needs at least one answer, got {num_votes}")
    if num_votes > len(answers):
        return nan
    whole = floor(num_votes)
    part = num_votes - whole
    found = majority_at_k(answers, correct, whole)
    if part:
        found = (1 - part) * found + part * majority_at_k(answers, correct, whole + 1)
    return found


def _ends(right: Turns) -> list[list[tuple[bool, bool]]]:
    """(first right, last right) of every attempt; tasks without attempts are left out."""
    return [[(bool(a[0]), bool(a[-1])) for a in task] for task in right if task]
