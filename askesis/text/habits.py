"""Habits of reasoning, counted in a text by rules: how often somebody checks, turns back, plans.

Four habits are known to go with self-improvement (Gandhi et al. 2025, card [6]):

    verification       a result is held against what it should be
    backtracking       something tried is given up and something else tried
    sub_goals          a step on the way, or the way's length, is named before going
    backward_chaining  work from the goal back to what is given

The worlds of this package have formats of their own, so their rules are exact: they find what
`demonstrate` writes in each habit, and nothing in its plain or filler texts. Any other text is
read by English phrases, which is rough: compare such counts over rounds, not with anybody else's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from askesis.text.expressions import ExpressionError, parse_expression
from askesis.text.limits import unreadable
from askesis.text.rationals import parse_number
from askesis.text.steps import split_steps

NAMES = ("verification", "backtracking", "sub_goals", "backward_chaining")

_EQUATION = re.compile(r"\s*([^=\s][^=]*?)\s*(!?=)\s*([^=]+?)\s*")
_NUMBER = re.compile(r"-?[0-9]+")
_UNDONE = re.compile(r"UD|DU|LR|RL")


@dataclass(frozen=True, slots=True)
class Habits:
    """How often each habit is seen in one text. None: this kind of problem has no rule for it."""

    verification: int | None = 0
    backtracking: int | None = 0
    sub_goals: int | None = 0
    backward_chaining: int | None = 0

    @property
    def total(self) -> int:
        """All of them together."""
        return sum(getattr(self, name) or 0 for name in NAMES)


def count_habits(family: str, prompt: str, text: str) -> Habits:
    """The habits in `text`, an answer to `prompt` of a world.

    family: the world's id, with or without version and options; unknown ones are read as prose.
    Text that no verifier would read (too long, control characters) counts nothing.

    >>> count_habits("countdown-v1", "3 7 12 -> 33", "12-7=5,5*3=15;#15 no;7*3=21,21+12=33")
    Habits(verification=0, backtracking=1, sub_goals=0, backward_chaining=0)
    """
    name = re.split(r"-v[0-9]|[?]", family, maxsplit=1)[0]
    rule = _RULES.get(name, _prose)
    return rule(prompt, "" if unreadable(text) else text)


# ---------------------------------------------------------------- worlds of this package


def _countdown(prompt: str, text: str) -> Habits:
    """Tries and remarks stand between ";", a remark begins with "#".

    verification: a remark that ends with "ok", or compares two values ("#33=33", "#15!=33 no").
    backtracking: a try that is followed by another try. backward_chaining: a remark in
    front of a try that is an equation beginning at the target ("#33-12=21"). sub_goals: any other
    equation there ("#21+12=33": the last step is named first).
    """
    target = parse_number(prompt.rpartition("->")[2])
    pieces = [text[a:b] for a, b in split_steps(text, ";\n")]
    tries = [i for i, piece in enumerate(pieces) if not piece.startswith("#")]
    verified = goals = chained = 0
    for i, piece in enumerate(pieces):
        if not piece.startswith("#"):
            continue
        claim, verdict = _verdict(piece[1:])
        equation = _EQUATION.fullmatch(claim)
        if equation is None:
            verified += verdict == "ok"
            continue
        left, sign, right = equation.groups()
        if verdict or sign == "!=" or _NUMBER.fullmatch(left):
            verified += 1
        elif tries and i < tries[-1] and (first := _first_number(left)) is not None:
            is_from_goal = first == target and parse_number(right) != target
            chained += is_from_goal
            goals += not is_from_goal
    return Habits(verified, max(0, len(tries) - 1), goals, chained)


def _first_number(expression: str) -> object:
    """The first number of an expression, None where it is none."""
    try:
        return parse_expression(expression).literals[0]
    except (ExpressionError, IndexError):
        return None


def _lines(prompt: str, text: str, plan: str) -> Habits:
    """Scratchpads of lines: "#... ok" verifies, "#... no" in front of further lines turns back,
    a remark "#3 steps" (`plan`) in front of the first line is a plan. Both worlds compute
    forwards from what is given, so there is no working back from a goal."""
    lines = [text[a:b] for a, b in split_steps(text, "\n")]
    plain = [i for i, line in enumerate(lines) if not line.startswith("#")]
    verified = back = plans = 0
    for i, line in enumerate(lines):
        if not line.startswith("#"):
            continue
        claim, verdict = _verdict(line[1:])
        verified += verdict == "ok"
        if plain:
            back += verdict == "no" and i < plain[-1]
            plans += i < plain[0] and re.fullmatch(rf"[0-9]{{1,6}} {plan}s?", claim) is not None
    return Habits(verified, back, plans, None)


def _chain_arithmetic(prompt: str, text: str) -> Habits:
    return _lines(prompt, text, "step")


def _addition(prompt: str, text: str) -> Habits:
    return _lines(prompt, text, "column")


def _maze(prompt: str, text: str) -> Habits:
    """Lines of moves. verification: "#G ok". sub_goals: "#4 moves" in front. backtracking: a move
    that undoes the one before it, "UDUD" twice. Nothing is written from G back to S."""
    lines = [text[a:b] for a, b in split_steps(text, "\n")]
    remarks = [line for line in lines if line.startswith("#")]
    walk = "".join("".join(line.split()) for line in lines if not line.startswith("#"))
    back = len(_UNDONE.findall(walk))
    verified = sum(_verdict(r[1:])[1] == "ok" for r in remarks)
    plans = sum(re.fullmatch(r"#[0-9]{1,6} moves?", r) is not None for r in remarks)
    return Habits(verified, back, plans if walk else 0, None)


def _verdict(remark: str) -> tuple[str, str]:
    """A remark as (what it says, "ok" or "no" at its end, or "")."""
    head, _, last = remark.strip().rpartition(" ")
    return (head.strip(), last) if last in ("ok", "no") and head else (remark.strip(), "")


# ---------------------------------------------------------------- anything else

_PHRASES: dict[str, str] = {
    "verification": r"let(?:'|\u2019)?s (?:check|verify)|let me (?:double[- ])?(?:check|verify)|"
    r"double[- ]check|to verify|checking (?:this|that|the|our|my)|"
    r"(?:this|that|which) (?:is correct|checks out|does not match|doesn't match)",
    "backtracking": r"\bwait\b|let me try (?:again|another|a different)|let's try (?:another|a "
    r"different|again)|that (?:does not|doesn't|didn't) work|on second thought|"
    r"(?:go|going|step) back|start(?:ing)? over|i made (?:a|an) (?:mistake|error)|scratch that",
    "sub_goals": r"first,? (?:we|i|let)|(?:we|i) (?:first )?need to (?:find|get|compute|determine)|"
    r"our (?:first|next) (?:goal|step)|step [0-9]+\s*[:.)]|break (?:this|it|the problem) "
    r"(?:down|into)|the next step is",
    "backward_chaining": r"work(?:ing)? (?:backwards?|back from)|(?:start|starting) (?:from|with) "
    r"the (?:goal|target|answer|end)|reverse[- ]engineer|to (?:get|reach) [-0-9.]+,? (?:we|i) "
    r"(?:need|could|can|would)",
}
_READ: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE) for name, pattern in _PHRASES.items()
}


def _prose(prompt: str, text: str) -> Habits:
    """English phrases that usually go with a habit; each occurrence counts."""
    return Habits(*(sum(1 for _ in _READ[name].finditer(text)) for name in NAMES))


_RULES: dict[str, Callable[[str, str], Habits]] = {
    "countdown": _countdown,
    "chain_arithmetic": _chain_arithmetic,
    "addition": _addition,
    "maze": _maze,
}
