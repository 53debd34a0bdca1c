"""Which recipe can work on a diagnosed model, and why another cannot: a table of checks.

Every check is a short function of three things: the figures of the probe, what the world and the
model are, and what the recipe asks for. It answers None where nothing is wrong, else a `Finding`.
"Cannot" means that the recipe would not begin, or that what it learns from does not occur;
"doubtful" that it occurs too rarely, or may not occur at all as far as the intervals tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from askesis.formulas.intervals import Estimate
from askesis.lab.diagnose.facts import RecipeFacts

CANNOT, DOUBTFUL, CAN = "cannot", "doubtful", "can"

LEAST_HEADROOM = 0.02  # of pass@1: less is not worth a run
LEAST_RIGHT = 1.0  # right attempts expected in a round; below, most rounds learn nothing
LEAST_MIXED = 2.0  # groups a round that carry a gradient
FEW_MIXED = 8.0
MOST_CUT = 0.5  # of the attempts; above, it is the allowance of tokens that is learnt

ANSWERS_OF_ITS_OWN = frozenset({"own right answers", "rewards"})


@dataclass(frozen=True)
class Case:
    """What is diagnosed: figures by key, what the world knows, and why the model cannot learn."""

    figures: Mapping[str, Estimate]
    truth: frozenset[str]
    world: str
    num_attempts: int
    why_not: str = ""

    def get(self, key: str) -> Estimate | None:
        return self.figures.get(key)


@dataclass(frozen=True)
class Finding:
    """A reason against a recipe."""

    verdict: str
    why: str


Check = Callable[[Case, RecipeFacts], Finding | None]


def model_can_learn(case: Case, recipe: RecipeFacts) -> Finding | None:
    """Weights must be here."""
    return Finding(CANNOT, f"the model cannot learn: {case.why_not}") if case.why_not else None


def world_has_the_truth(case: Case, recipe: RecipeFacts) -> Finding | None:
    """What the recipe's row says that it needs, the world must declare."""
    words = {
        "answer": "answers that can be checked",
        "demonstration": "demonstrations",
        "preference": "preferences",
        "steps": "truth about steps",
        "turns": "turns to be walked",
    }
    missing = [words.get(n, n) for n in recipe.needs if n not in case.truth]
    if missing:
        return Finding(CANNOT, f"{case.world} has no {' and no '.join(missing)}")
    return None


def recipe_has_a_plan(case: Case, recipe: RecipeFacts) -> Finding | None:
    return Finding(CANNOT, recipe.problem) if recipe.problem else None


def something_is_left_to_gain(case: Case, recipe: RecipeFacts) -> Finding | None:
    """Who learns from his own attempts ends about where many attempts end now."""
    headroom, one = case.get("headroom"), case.get("pass@1")
    if headroom is None or one is None or recipe.family == "preferences, for a judge":
        return None
    if one.low >= 1 - LEAST_HEADROOM or 1 - one.value < LEAST_HEADROOM / 2:
        return Finding(CANNOT, f"pass@1 is already {one.value:.1%}")
    if recipe.family not in ANSWERS_OF_ITS_OWN or one.value == 0:
        return None
    most = f"{case.num_attempts} attempts solve no more than one does"
    if headroom.value < LEAST_HEADROOM / 2:
        return Finding(CANNOT, most)
    if headroom.low < LEAST_HEADROOM:
        return Finding(DOUBTFUL, f"headroom may be as small as {headroom.low:.1%}")
    return None


def right_answers_occur(case: Case, recipe: RecipeFacts) -> Finding | None:
    """A round must hold right attempts, or there is nothing to learn from."""
    one = case.get("pass@1")
    if one is None or recipe.family not in ANSWERS_OF_ITS_OWN:
        return None
    attempts = recipe.num_tasks * recipe.num_attempts
    if one.value == 0:
        return Finding(CANNOT, "none of its attempts was right")
    if attempts * one.value < LEAST_RIGHT:
        return Finding(
            CANNOT,
            f"{attempts * one.value:.1f} right attempts expected in a round of {attempts:.0f}",
        )
    return None


def groups_carry_a_gradient(case: Case, recipe: RecipeFacts) -> Finding | None:
    """Groups that are all right or all wrong have no advantage."""
    if not recipe.grouped:
        return None
    mixed = mixed_fraction(case, recipe.num_attempts)
    if mixed is None:
        return None
    num, of = mixed * recipe.num_tasks, f"{recipe.num_tasks:.0f} groups a round"
    if num < LEAST_MIXED:
        return Finding(CANNOT, f"{num:.1f} of {of} carry a gradient")
    if num < FEW_MIXED:
        return Finding(DOUBTFUL, f"only {num:.1f} of {of} carry a gradient")
    return None


def mixed_fraction(case: Case, group: float) -> float | None:
    """Share of mixed groups of the measured size that is nearest."""
    known = {int(k.partition("@")[2]): e.value for k, e in case.figures.items() if "mixed@" in k}
    return known[min(known, key=lambda size: abs(size - group))] if known else None


def votes_are_better_than_attempts(case: Case, recipe: RecipeFacts) -> Finding | None:
    """Who learns from votes ends about where the vote is now, right or wrong."""
    if recipe.family != "own votes":
        return None
    gain, share = case.get("vote_gain"), case.get("vote_share")
    if share is None:
        return Finding(CANNOT, "no answer can be read out of its attempts, so nothing is voted on")
    if gain is None:
        return Finding(DOUBTFUL, "nobody knows whether its votes are right")
    if gain.value <= 0:
        return Finding(CANNOT, f"its vote is {-gain.value:.1%} worse than one attempt")
    if not gain.low > 0:
        return Finding(DOUBTFUL, f"its vote is {gain.value:.1%} better, and that may be chance")
    return None


def likelihood_knows_what_is_right(case: Case, recipe: RecipeFacts) -> Finding | None:
    """Sharpening creates no correctness: likelier answers must be right more often [18]."""
    if recipe.family != "own likelihood":
        return None
    ranked = case.get("auroc/likelihood")
    if ranked is None:
        return Finding(DOUBTFUL, "nobody knows whether its likelier answers are the right ones")
    if ranked.high <= 0.5:
        return Finding(
            CANNOT, f"its likelier answers are wrong more often: AUROC {ranked.value:.2f}"
        )
    if not ranked.low > 0.5:
        return Finding(DOUBTFUL, f"its likelihood hardly knows what is right: {ranked.value:.2f}")
    return None


def some_rule_is_known(case: Case, recipe: RecipeFacts) -> Finding | None:
    """A recipe that no rule was written for is neither recommended nor excluded."""
    if recipe.family:
        return None
    return Finding(DOUBTFUL, "only its needs were checked: there is no rule for it yet")


def answers_are_not_cut_off(case: Case, recipe: RecipeFacts) -> Finding | None:
    cut = case.get("truncated_fraction")
    own = recipe.family in ANSWERS_OF_ITS_OWN | {"own votes"}
    if cut is not None and own and cut.value > MOST_CUT:
        return Finding(
            DOUBTFUL, f"{cut.value:.0%} of its attempts are cut off: it would learn to be short"
        )
    return None


CHECKS: tuple[Check, ...] = (
    model_can_learn,
    recipe_has_a_plan,
    world_has_the_truth,
    something_is_left_to_gain,
    right_answers_occur,
    groups_carry_a_gradient,
    votes_are_better_than_attempts,
    likelihood_knows_what_is_right,
    answers_are_not_cut_off,
    some_rule_is_known,
)


def judge(case: Case, recipe: RecipeFacts) -> tuple[str, tuple[str, ...]]:
    """("can", "doubtful" or "cannot", reasons): the worst finding decides. Where something cannot
    work the reasons why it would be doubtful are left out."""
    found = [f for check in CHECKS if (f := check(case, recipe)) is not None]
    for verdict in (CANNOT, DOUBTFUL):
        reasons = tuple(f.why for f in found if f.verdict == verdict)
        if reasons:
            return verdict, reasons
    return CAN, ()
