"""Whether two answers are the same mathematical object, by math-verify, in a worker process.

The library builds symbolic objects and guards itself with alarm signals, so it must not run in
this process (it raises in any thread). `gate` refuses what would only cost time; what it lets
through runs under the workers' limits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec

from askesis.errors import WorldError
from askesis.text.answers import final_answer
from askesis.worlds.workers import Job, Outcome, shared_workers

MAX_CHARS = 300
MAX_NESTING = 12
_LONG_NUMBER = re.compile(r"[0-9]{40}|[0-9]{3,}[ ]*!|![ ]*!|[0-9][eE]\+?[0-9]{4}")
_TOWER = re.compile(r"[0-9)}][ ]*(?:\^|\*\*)|[0-9]{5}")
_POWER = re.compile(r"(?:\^|\*\*)[ ]*(\{|\(|[0-9]{3,}|.)")


def same_mathematics(pairs: Sequence[tuple[str, str]]) -> list[Outcome]:
    """For each (reference, text): an outcome whose value is True, False, or None with a reason.

    The text's final answer is compared. Raises WorldError where math-verify is not installed.
    """
    if find_spec("math_verify") is None:
        raise WorldError(
            "mathematical answers need the library math-verify, which is not installed",
            hint="Type pip install 'askesis[math]', or give the world ?kind=numeric",
        )
    outcomes: list[Outcome | None] = []
    jobs = []
    for reference, text in pairs:
        answer = final_answer(text)
        why = gate(answer)
        outcomes.append(Outcome(False, why) if why else None)
        if not why:
            jobs.append(Job(f"{__name__}:equal", (final_answer(reference), answer)))
    done = iter(shared_workers().run(jobs) if jobs else [])
    return [next(done) if outcome is None else outcome for outcome in outcomes]


def gate(answer: str) -> str:
    """Why an answer is not worth a symbolic look, or ""."""
    if not answer:
        return "no answer in it"
    if len(answer) > MAX_CHARS:
        return f"an answer longer than {MAX_CHARS} characters"
    depth = deepest = 0
    for c in answer:
        depth += (c in "([{") - (c in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        return f"nested deeper than {MAX_NESTING}"
    if _LONG_NUMBER.search(answer):
        return "a number too long to compute with"
    for match in _POWER.finditer(answer):
        exponent = _group(answer, match.start(1))
        rest = answer[match.start(1) + len(exponent) :].lstrip(" )}")
        # e^{x^2} is an answer, 9^{9^9} and (2^{99})^{99} are not
        if _TOWER.search(exponent) or rest.startswith(("^", "**")):
            return "a power too large to compute"
    return ""


def _group(text: str, first: int) -> str:
    """A bracketed group beginning at `first`, or the word or number there."""
    opening = text[first]
    if opening not in "{(":
        match = re.match(r"-?[0-9.]+|.", text[first:], re.S)
        return match[0] if match else ""
    depth = 0
    for at in range(first, len(text)):
        depth += (text[at] in "{(") - (text[at] in "})")
        if depth == 0:
            return text[first : at + 1]
    return text[first:]


# ---------------------------------------------------------------- in the worker


def prepare_worker() -> None:
    import math_verify  # noqa: F401


def equal(reference: str, answer: str) -> bool:
    """Runs in the worker only: parse both as LaTeX or plain expressions and compare."""
    from math_verify import parse, verify

    gold = parse(_dollars(reference), parsing_timeout=None)
    found = parse(_dollars(answer), parsing_timeout=None)
    return bool(gold and found and verify(gold, found, timeout_seconds=None))


def _dollars(text: str) -> str:
    return text if "$" in text or "\\boxed" in text else f"${text}$"
