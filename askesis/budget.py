"""What was spent: one meter for everybody, and when a run has to stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from askesis.plan import Budget
from askesis.records import Purpose


class Meter:
    """Counters of a run. Keys are `generated/<purpose>`, `scored/<purpose>`, `trained`,
    `updates`, `attempts`, `checks`, `calls`, all in tokens or plain counts.

    Measuring and claim evaluation are counted, but outside the budget.
    """

    def __init__(self, counts: Mapping[str, float] | None = None) -> None:
        self.counts: dict[str, float] = defaultdict(float, counts or {})

    def add(self, key: str, amount: float) -> None:
        self.counts[key] += amount

    def said(self, purpose: Purpose, tokens: int) -> None:
        self.counts[f"generated/{purpose.value}"] += tokens

    def scored(self, purpose: Purpose, tokens: int) -> None:
        self.counts[f"scored/{purpose.value}"] += tokens

    @property
    def budget_tokens(self) -> float:
        """Generated plus scored tokens of everything but measuring."""
        return sum(
            n
            for key, n in self.counts.items()
            if key.startswith(("generated/", "scored/")) and not key.endswith("/measure")
        )

    @property
    def measure_tokens(self) -> float:
        return sum(n for key, n in self.counts.items() if key.endswith("/measure"))

    def spent(self, budget: Budget, seconds: float) -> str:
        """Which limit is reached, in words; "" where none is."""
        limits = (
            ("tokens", budget.tokens, self.budget_tokens),
            ("trained_tokens", budget.trained_tokens, self.counts["trained"]),
            ("updates", budget.updates, self.counts["updates"]),
            ("seconds", budget.seconds, seconds),
        )
        for name, limit, used in limits:
            if limit is not None and used >= limit:
                return f"budget.{name} of {limit:g} reached ({used:g} used)"
        return ""

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """What was added since a copy of the counts was taken."""
        return {k: v - before.get(k, 0.0) for k, v in self.counts.items() if v != before.get(k, 0)}
