"""Divergence from a reference at a price of its own for the first answer and for later ones."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.protocols import Metrics
from askesis.records import Sample


@dataclass(frozen=True, kw_only=True)
class KLOfTurns:
    """Every token's log-ratio to the reference, taken off its advantage at its turn's price.

        A_t <- A_t - b ( log pi(y_t) - log ref(y_t) ),    b of the turn that token t is in

    first_coef: of the first answer, at least 0; large, it pins first answers to the reference while
        revisions learn (SCoRe's first stage, b2 in card [2]).
    later_coef: of all others, at least 0.
    A part of `Learn.columns`, for samples with the per-token columns advantage and turn
    (`TurnAdvantages`). The gradient is that of the divergence of next tokens, summed over the
    answer, where answers were sampled by the weights that learn: right for one update a round.
    `kl_first` and `kl_later`: mean log-ratio of a first answer and of a later one, in nats.
    """

    first_coef: float = 0.1
    later_coef: float = 0.01

    makes = frozenset({"advantage"})

    def __post_init__(self) -> None:
        for name in ("first_coef", "later_coef"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(
                    f"KLOfTurns.{name} is out of range",
                    expected="at least 0",
                    found=repr(getattr(self, name)),
                )

    @property
    def needs(self) -> frozenset[str]:
        """The columns it reads."""
        if not (self.first_coef or self.later_coef):
            return frozenset()
        return frozenset({"weight", "advantage", "turn", "logp_old", "logp_reference"})

    def __call__(self, samples: Many[Sample]) -> tuple[list[Sample], Metrics]:
        """Samples in their order, with the column advantage written anew."""
        prices = np.array([self.first_coef, self.later_coef])
        if not prices.any():
            return list(samples), {}
        totals, counts = np.zeros(2), np.zeros(2)
        made = []
        for sample in samples:
            rows = []
            for row in sample.sequences:
                turn = _column(row, "turn")
                learnt = (np.asarray(row.columns["weight"]) != 0) & (turn > 0)
                ratio = np.where(learnt, row.columns["logp_old"] - row.columns["logp_reference"], 0)
                is_later = (turn > 1).astype(int)
                advantage = _column(row, "advantage") - prices[is_later] * ratio
                for later in (0, 1):
                    own = learnt & (is_later == later)
                    totals[later] += ratio[own].sum(dtype=np.float64)
                    counts[later] += len(np.unique(turn[own]))
                columns = {**row.columns, "advantage": advantage.astype(np.float32)}
                rows.append(replace(row, columns=columns))
            made.append(replace(sample, sequences=tuple(rows)))
        first, later = totals / np.maximum(1, counts)
        return made, {"kl_first": float(first), "kl_later": float(later)}


def _column(row: Any, name: str) -> np.ndarray:
    if name not in row.columns:
        raise ConfigError(
            f"KLOfTurns needs the column {name!r} of every token",
            found=", ".join(sorted(row.columns)),
            hint="choose the selector TurnAdvantages, which makes it",
        )
    return np.asarray(row.columns[name])
