"""Answers that try to hurt: what every verifier must score 0, quickly."""

from __future__ import annotations

HOSTILE: dict[str, str] = {
    "empty": "",
    "white space": " \n\t" * 50,
    "ten megabytes of one digit": "1" * 10_000_000,
    "ten megabytes of lines": "1+1=2\n" * 1_666_666,
    "deep nesting": "(" * 5_000 + "1" + ")" * 5_000,
    "deep lists": "[" * 4_000,
    "a tower of powers": "9**9**9**9**9",
    "a huge power": "10**10**10",
    "a LaTeX tower": "$10^{10^{10^{10}}}$",
    "a huge exponent": "1e999999999",
    "a huge factorial": "99999999!!!!",
    "a very long number": "9" * 16_000,
    "a very long fraction": "1/" + "7" * 8_000,
    "division by zero": "1/0=0",
    "Arabic digits": "\u0661\u0662+\u0663=\u0661\u0665",
    "full-width digits": "\uff13\uff16-\uff13=\uff13\uff13",
    "control characters": "1\x00\x01\x1b[2J\x7f",
    "turned-around text": "\u202e33=3-63",
    "half a surrogate pair": "\ud800" * 10,
    "Python that would run": "__import__('os').system('false')",
    "Python in a list": "[().__class__.__mro__[1].__subclasses__() for _ in [1]]",
    "commas": "," * 16_000,
    "semicolons": ";" * 16_000,
    "equal signs": "=" * 16_000,
    "unclosed marks": "<answer>" * 2_000 + "\\boxed{" * 100,
    "signs": "-" * 2_000 + "1",
    "not a number": "nan",
    "infinity": "inf",
}

MOST_S = 0.05  # what one of them may take
