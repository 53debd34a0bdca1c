"""The gate that every answer passes before anything reads it closely.

An answer is written by a model that is rewarded for whatever the verifier accepts, so it is
hostile input. What is too long, holds control characters or digits of another script is not
read at all: it scores 0 after one cheap look, whatever the world.
"""

from __future__ import annotations

import unicodedata

MAX_ANSWER_CHARS = 16_384  # longer answers are not read; about eight times the tiny context
_ALLOWED_CONTROLS = "\n\t\r"
_TURNS_AROUND = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # what you see is not it


def unreadable(text: object, max_chars: int = MAX_ANSWER_CHARS) -> str:
    """Why an answer is not read, in a few words, or "" where it may be.

    Costs O(1) for long answers and O(max_chars) otherwise.

    >>> unreadable("12*3=36")
    ''
    >>> unreadable("1" * 100_000)
    'longer than 16384 characters'
    """
    if not isinstance(text, str):
        return "not text"
    if len(text) > max_chars:
        return f"longer than {max_chars} characters"
    if text.isascii():
        if any(c < " " and c not in _ALLOWED_CONTROLS for c in text) or "\x7f" in text:
            return "control characters"
        return ""
    for c in text:
        kind = unicodedata.category(c)
        # Cc control, Cs half of a surrogate pair. Zero-width spaces stay: real data has them.
        if (kind in ("Cc", "Cs") and c not in _ALLOWED_CONTROLS) or c in _TURNS_AROUND:
            return "control characters"
        if kind == "Nd" and not "0" <= c <= "9":
            return "digits of another script"
    return ""
