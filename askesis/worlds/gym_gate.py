"""What may reach the scorers of reasoning-gym.

Some of the library's scorers evaluate the answer as Python, directly or through sympy's parser
(which does): an answer like `__import__("os").remove("...")` would be executed. So every answer
passes a gate first. For those scorers it admits only a narrow form, which their right answers
have; what does not fit scores 0 unread. Known from the source of reasoning-gym 0.1.25; in
another version a scorer that evaluates and is not in these tables is found by looking for the
calls in its module (`evaluates`), and gets the narrowest gate.
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from askesis.text.limits import unreadable

# Scorers that call eval() on the answer, hoping for a list.
EVALUATE_LISTS = frozenset({"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"})
# Scorers that parse the answer with sympy: whole numbers and + - * / only, or functions too.
SYMPY_ARITHMETIC = frozenset({"countdown", "puzzle24"})
SYMPY_FUNCTIONS = frozenset(
    {"intermediate_integration", "polynomial_multiplication", "simple_integration"}
)
IN_WORKER = SYMPY_ARITHMETIC | SYMPY_FUNCTIONS

_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "exp", "log", "ln", "sqrt", "pi"}
)
_CALLS_EVALUATION = re.compile(r"\b(?:parse_expr|sympify|eval|exec)\([^)]*answer")
_HUGE_EXPONENT = re.compile(r"[0-9.][eE][+-]?0*[0-9]{4}")
_NO_NUMBER = re.compile(r"(?<![A-Za-z])[+-]?(?:nan|inf|infinity)[ij]?(?![A-Za-z])", re.I)
_LONG_RUN = re.compile(r"[0-9]{400}")
_LIST = re.compile(r"[A-Za-z0-9_\s,\[\]'\"-]*")
_KEYWORD = re.compile(r"\b(?:for|if|in|is|or|and|not|lambda|yield|await|async)\b")
_FORMULA = re.compile(r"[A-Za-z0-9\s+*/^().-]*")
_POWER = re.compile(
    r"(?:\*\*|\^)\s*(?:[0-9]{1,3}|\(-?[0-9]{1,3}(?:/[0-9]{1,3})?\))(?!\s*(?:[0-9.^]|\*\*))"
)


def refused(name: str, answer: str, max_chars: int) -> str:
    """Why an answer must not reach the scorer of a task family, or ""."""
    why = unreadable(answer, max_chars)
    if why:
        return why
    if _HUGE_EXPONENT.search(answer) or _LONG_RUN.search(answer):
        return "a number too large to read"
    if _NO_NUMBER.search(answer):  # compared with anything, nan passes some tolerances
        return "not a number"
    if nesting(answer) > 50:
        return "nested too deeply"
    if name in EVALUATE_LISTS:
        return _refused_list(answer)
    if name in SYMPY_ARITHMETIC:
        arithmetic = re.fullmatch(r"[0-9\s+*/().-]{1,200}", answer)
        doubled = "**" in answer or "//" in answer
        return "" if arithmetic and not doubled else "not plain arithmetic"
    if name in SYMPY_FUNCTIONS:
        return _refused_formula(answer)
    if evaluates(name):
        plain = re.fullmatch(r"[A-Za-z0-9 ,.-]{1,200}", answer)
        return "" if plain else "not plain enough for a scorer that evaluates"
    return ""


def nesting(text: str) -> int:
    """How deep the brackets of a text go."""
    depth = deepest = 0
    for c in text:
        if c in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in ")]}":
            depth -= 1
    return deepest


_found: dict[str, bool] = {}


def evaluates(name: str) -> bool:
    """Whether the module of a task family calls an evaluating function on an answer."""
    if name not in _found:
        from reasoning_gym.factory import DATASETS

        kind: Any = DATASETS[name][0]
        try:
            source = inspect.getsource(sys.modules[kind.__module__])
        except (OSError, TypeError):
            source = "eval(answer"  # no source to look at: trust nothing
        _found[name] = bool(_CALLS_EVALUATION.search(source)) and name not in _HARMLESS
    return _found[name]


# Looked at by hand: evaluates its own reference answer only; a parser of its own.
_HARMLESS = frozenset({"number_sorting", "propositional_logic"})


def _refused_list(answer: str) -> str:
    # no brackets to call with, no operators, no dots, no comprehension: names and literals only
    if not _LIST.fullmatch(answer) or _KEYWORD.search(answer):
        return "not a plain list"
    return ""


def _refused_formula(answer: str) -> str:
    if len(answer) > 300 or not _FORMULA.fullmatch(answer):
        return "not a plain formula"
    for word in re.findall(r"[A-Za-z]+", answer):
        if len(word) > 1 and word not in _FUNCTIONS:
            return f"{word[:20]!r} is no function of formulas"
    if re.search(r"\.\s*[A-Za-z]|[A-Za-z)]\s*\.", answer):
        return "not a plain formula"
    if len(_POWER.findall(answer)) != len(re.findall(r"\*\*|\^", answer)):
        return "a power that is no small number"
    if re.search(r"[0-9)]\s*(?:\*\*|\^)\s*[0-9(]*[0-9]{3}", answer):
        return "a power too large to compute"
    if len(re.findall(r"\)\s*(?:\*\*|\^)", answer)) > 2:
        return "powers of powers"
    return ""
