"""Which tests of the contract battery an engine is put to: those that need what it declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engines.cast import CAST

METHODS = {
    "say": ("say",),
    "score": ("score",),
    "value": ("value",),
    "hidden": ("hidden",),
    "act": ("act",),
    "mixture": ("mixture",),
    "named_weights": ("load", "attach", "drop"),
}
SETTINGS = {"stop_strings", "allowed", "bias", "min_p"}  # of sampling
PROMISES = {"logp", "exact_logp", "replayable"}  # about what the methods say
ELSEWHERE = {"mixture": "tests/engines/test_native.py"}

TESTED: dict[str, set[str]] = {}  # capability -> tests that need it


def needs(
    *capabilities: str, without: str = "", fresh: bool = False, **traits: Any
) -> Callable[..., Any]:
    """Run a test on every row of the cast that has the capabilities and traits (`bytes=True`).

    without: a capability that the rows must not have. The test gets the fixture `cast`; fresh: made anew for it, because it changes weights.
    """

    def choose(test: Any) -> Any:
        for capability in capabilities:
            TESTED.setdefault(capability, set()).add(test.__name__)
        rows = [
            pytest.param(name, marks=pytest.mark.slow) if part.slow else name
            for name, part in CAST.items()
            if set(capabilities) <= part.capabilities
            and without not in part.capabilities
            and all(getattr(part, key) == value for key, value in traits.items())
            and not part.absent()
        ]
        fixture = "fresh" if fresh else "cast"
        return pytest.mark.parametrize(fixture, rows, indirect=True)(test)

    return choose


def lacking(engine: Any) -> list[str]:
    """What is wrong with what an engine declares: unknown words, and methods it does not have."""
    known = set(METHODS) | SETTINGS | PROMISES
    found = [f"unknown capability {c!r}" for c in sorted(engine.capabilities - known)]
    for capability, methods in METHODS.items():
        for method in methods if capability in engine.capabilities else ():
            if not callable(getattr(engine, method, None)):
                found.append(f"declares {capability!r} without a method {method!r}")
    return found
