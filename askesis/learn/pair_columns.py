"""Numbers of pairs made from their margins, for the objectives that read them.

They stand in `Learn.columns` and read the number margin, which selectors of pairs make: by how much
the chosen answer's value is above the rejected one's.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.preference import margin_scaled_beta
from askesis.protocols import Metrics
from askesis.records import Sample

Kind = Literal["logistic", "share"]
MARGIN = frozenset({"margin"})


@dataclass(frozen=True, kw_only=True)
class PairLabel:
    """The number label: the probability that a pair is the right way round.

        logistic:  c = 1 / (1 + exp(-margin / temperature))     share:  c = (1 + margin) / 2

    kind: "logistic" where values are scores of a Bradley-Terry model, "share" where they are shares
        of votes (`Annotated`, `WinRate` against one other).
    temperature: of logistic, above 0. For `Preference(soft_labels=True)`.
    """

    kind: Kind = "logistic"
    temperature: float = field(default=1.0, metadata={"lazy": True})

    needs, makes = MARGIN, frozenset({"label"})

    def __post_init__(self) -> None:
        _check(self, "kind", self.kind in get_args(Kind), "logistic or share")
        _check(self, "temperature", 0 < self.temperature < float("inf"), "above 0")

    def __call__(self, samples: Many[Sample]) -> tuple[list[Sample], Metrics]:
        """Samples in their order; `label_certainty`: the mean label, 1 all certain, 0.5 none."""
        margin = _margins(samples)
        if self.kind == "share":
            label = (1 + margin) / 2
        else:
            label = 1 / (1 + np.exp(-margin / self.temperature))
        if not ((label >= 0) & (label <= 1)).all():
            raise ConfigError(
                "shares of votes differ by at most 1",
                found=f"a margin of {np.abs(margin).max():g}",
                hint='PairLabel(kind="logistic") is for scores of any size',
            )
        return _with(samples, "label", label), {"label_certainty": float(label.mean())}


@dataclass(frozen=True, kw_only=True)
class PairBeta:
    """The number beta: larger where the margin is, and bounded (MM-RLHF, card [186]).

    beta, w, k: as `askesis.formulas.preference.margin_scaled_beta`. For
    `Preference(pair_beta=True)`.
    """

    beta: float = 0.1
    w: float = 0.5
    k: float = 0.5

    needs, makes = MARGIN, frozenset({"beta"})

    def __post_init__(self) -> None:
        _check(self, "beta", 0 < self.beta < float("inf"), "above 0")
        _check(self, "w", self.w >= 0, "at least 0")
        _check(self, "k", self.k >= 0, "at least 0")

    def __call__(self, samples: Many[Sample]) -> tuple[list[Sample], Metrics]:
        """Samples in their order; `beta` is the mean."""
        made = np.asarray(margin_scaled_beta(_margins(samples), self.beta, self.w, self.k))
        return _with(samples, "beta", made), {"beta": float(made.mean())}


@dataclass(frozen=True, kw_only=True)
class AdvantageGap:
    """The number advantage_gap: of steps with a common beginning, the margin of their values.

        A+ - A- = (Q+ - V) - (Q- - V) = Q+ - Q-

    Step-APO (card [24]); for `Preference(gap_coef=...)` with pairs of sibling steps whose judge
    gives values.
    """

    needs, makes = MARGIN, frozenset({"advantage_gap"})

    def __call__(self, samples: Many[Sample]) -> tuple[list[Sample], Metrics]:
        """Samples in their order; `advantage_gap` is the mean."""
        gap = _margins(samples)
        return _with(samples, "advantage_gap", gap), {"advantage_gap": float(gap.mean())}


def _margins(samples: Many[Sample]) -> np.ndarray:
    for sample in samples:
        if "margin" not in sample.columns:
            raise ConfigError(
                "this learner needs the number 'margin' of each pair",
                found=", ".join(sample.columns) or "none",
                hint="choose a selector that makes it, like select.best_and_worst",
            )
    return np.array([s.columns["margin"] for s in samples], np.float64)


def _with(samples: Many[Sample], name: str, values: np.ndarray) -> list[Sample]:
    return [
        replace(s, columns={**s.columns, name: float(v)})
        for s, v in zip(samples, values, strict=True)
    ]


def _check(part: object, name: str, fits: bool, expected: str) -> None:
    if not fits:
        raise ConfigError(
            f"{type(part).__name__}.{name} is out of range",
            expected=expected,
            found=repr(getattr(part, name)),
        )
