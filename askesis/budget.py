"""What was spent: one meter for everybody, and when a run has to stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from askesis.plan import Budget
from askesis.records import Purpose


class Meter:
    """Counters of a run. Keys are `generated/<purpose>`, `scored/<purpose>`, `trained`,
    `updates`, `attempts`, `checks`, `calls`, all in tokens or plain counts, and `flops`: 2 N for a
    generated or scored token and 6 N for a trained one, N being the parameters of the model that
    did it (Kaplan et al. 2020, section 2.1); what a prompt costs to read is not counted.

    Measuring and claim evaluation are counted, but outside the budget.
    """

    def __init__(self, counts: Mapping[str, float] | None = None) -> None:
        self.counts: dict[str, float] = defaultdict(float, counts or {})

    def add(self, key: str, amount: float) -> None:
        self.counts[key] += amount

    def said(self, purpose: Purpose, tokens: int, parameters: int = 0) -> None:
        """Tokens that a model of so many parameters generated (0: unknown, as of an endpoint)."""
        self.counts[f"generated/{purpose.value}"] += tokens
        self._worked(purpose, 2.0 * tokens * parameters)

    def scored(self, purpose: Purpose, tokens: int, parameters: int = 0) -> None:
        """Tokens that a model of so many parameters read."""
        self.counts[f"scored/{purpose.value}"] += tokens
        self._worked(purpose, 2.0 * tokens * parameters)

    def trained(self, tokens: int, parameters: int = 0) -> None:
        """Tokens that went forward and backward through a model of so many parameters."""
        self.counts["trained"] += tokens
        self.counts["flops"] += 6.0 * tokens * parameters

    def _worked(self, purpose: Purpose, flops: float) -> None:
        if flops and purpose is not Purpose.MEASURE:
            self.counts["flops"] += flops

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
        for name, limit, used in self._limits(budget, seconds):
            if used >= limit:
                return f"budget.{name} of {limit:g} reached ({used:g} used)"
        return ""

    def share(self, budget: Budget, seconds: float) -> float:
        """The share of the budget that is spent, by the limit that is nearest; 0 without limits."""
        shares = [used / max(limit, 1e-9) for _, limit, used in self._limits(budget, seconds)]
        return max(shares, default=0.0)

    def _limits(self, budget: Budget, seconds: float) -> list[tuple[str, float, float]]:
        """(name, limit, used) of every limit there is."""
        used = {
            "tokens": self.budget_tokens,
            "trained_tokens": self.counts["trained"],
            "updates": self.counts["updates"],
            "flops": self.counts["flops"],
            "seconds": seconds,
        }
        limits = [(name, getattr(budget, name), n) for name, n in used.items()]
        return [(name, float(limit), n) for name, limit, n in limits if limit is not None]

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """What was added since a copy of the counts was taken."""
        return {k: v - before.get(k, 0.0) for k, v in self.counts.items() if v != before.get(k, 0)}
