"""Final answers: where in a text they stand, and when two of them are the same.

Four kinds of answer, each with a cheap exact comparison:

exact    the same characters after white space and case are made even
numeric  the same rational number ("1,200", "1200.0" and "2400/2" are one)
choice   the same letter of a multiple-choice question ("B", "(b)", "B. because")
math     the same mathematical object; numbers and equal text are settled here, the rest needs
         `askesis.worlds.workers` (a library that must run in another process)
"""

from __future__ import annotations

import re

from askesis.text.limits import unreadable
from askesis.text.rationals import parse_number, stated_number, write_number

KINDS = ("exact", "numeric", "choice", "math")

# Where a final answer stands, most explicit first. All are linear-time patterns.
_TAG, _END_TAG = "<answer>", "</answer>"
_HASHES = re.compile(r"####[ \t]*([^\n]{0,4000})")
_PHRASE = re.compile(r"(?:final answer|answer)[ ]?(?:is|:|=)[ ]*:?[ ]*(\S[^\n]{0,400})", re.I)
_BOXED = "\\boxed{"
_CHOICE = re.compile(r"(?<![A-Za-z0-9])\(?([A-Za-z])\)?(?![A-Za-z0-9'])")


def marked_answer(text: str) -> str | None:
    """The answer that a text marks as final (last mark of the most explicit sort), or None.

    Marks: `<answer>...</answer>`, `\\boxed{...}`, `#### ...`, "the answer is ...".

    >>> marked_answer("so 16 - 7 = 9\\n#### 9"), marked_answer("9")
    ('9', None)
    """
    for found in (_last_tagged(text), _last_boxed(text)):
        if found is not None:
            return found.strip()
    for pattern in (_HASHES, _PHRASE):
        matches = pattern.findall(text)
        if matches:
            return str(matches[-1]).strip()
    return None


def final_answer(text: str) -> str:
    """The marked answer, else the last line that is not empty, else ""."""
    marked = marked_answer(text)
    if marked is not None:
        return marked
    for line in reversed(text.splitlines()):
        if line.strip():
            return line.strip()
    return ""


def canonical_answer(text: str, kind: str = "exact") -> str:
    """The final answer of a text in the one form that equal answers share; "" where none.

    Reads nothing but the text, so it serves votes that use no truth.

    >>> canonical_answer("that makes #### $1,200.00", "numeric")
    '1200'
    """
    if unreadable(text):
        return ""
    answer = final_answer(text)
    if kind == "choice":
        letter = choice_letter(answer)
        return letter
    value = parse_number(answer)
    if value is None and kind == "numeric":
        # "9 eggs a day", "She earns $18." : a marked answer gives its first number, an unmarked
        # text its last one
        value = stated_number(answer, first=marked_answer(text) is not None)
    if value is not None:
        return write_number(value)
    return "" if kind == "numeric" else even(answer)


def even(text: str) -> str:
    """A text with white space and case made even and a full stop at the end taken off."""
    return " ".join(text.split()).strip().rstrip(".").casefold()


def choice_letter(text: str) -> str:
    """The letter a multiple-choice answer names, upper case, or "" where it names none or two.

    >>> choice_letter("(b) because"), choice_letter("A or B")
    ('B', '')
    """
    text = text[:400].strip()
    first = re.match(r"\(?([A-Za-z])(?:\)|\.|:|,|$|[ ]*\n)", text)
    if first:
        return first[1].upper()
    # "a" and "I" are words too: inside a sentence only capitals count
    letters = {m[1] for m in _CHOICE.finditer(text) if m[1].isupper() and m[1] != "I"}
    return letters.pop() if len(letters) == 1 else ""


def guess_kind(answer: str) -> str:
    """The kind of a reference answer: numeric, choice, math (has LaTeX or operators), or exact."""
    if parse_number(answer) is not None:
        return "numeric"
    if re.fullmatch(r"\(?[A-E]\)?\.?", answer.strip()):
        return "choice"
    if "\\" in answer or re.search(r"[\^=]|[0-9a-z)]\s*[-+*/]\s*[0-9a-z(]", answer):
        return "math"
    return "exact"


def same_answer(reference: str, text: str, kind: str) -> bool | None:
    """Whether a text's final answer is the reference; None where only mathematics can tell.

    `reference` is the bare reference answer. Never None for the kinds other than math.
    """
    if unreadable(text):
        return False
    wanted = canonical_answer(reference, "choice" if kind == "choice" else "exact")
    if kind == "numeric":
        wanted = canonical_answer(reference, "numeric")
    found = canonical_answer(text, "exact" if kind == "math" else kind)
    if found and found == wanted:
        return True
    if kind != "math" or not found:
        return False
    if parse_number(wanted) is not None and parse_number(found) is not None:
        return False
    return None


def _last_tagged(text: str) -> str | None:
    # found from the end by rfind: a lazy pattern would be quadratic in "<answer><answer>..."
    end = text.rfind(_END_TAG)
    first = text.rfind(_TAG, 0, end) if end >= 0 else -1
    return text[first + len(_TAG) : end] if first >= 0 else None


def _last_boxed(text: str) -> str | None:
    first = text.rfind(_BOXED)
    if first < 0:
        return None
    depth, start = 1, first + len(_BOXED)
    for at in range(start, min(len(text), start + 4000)):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return text[start:at]
    return None
