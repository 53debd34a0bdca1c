"""What updates did: the report of one, the metrics of many, and how metrics are named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.protocols import Metrics


@dataclass(slots=True)
class StepReport:
    """What one optimiser step did.

    tokens: real tokens learnt from, contexts included. positions: those that were computed, of
    which `padding` were padding; fewer than `tokens` where beginnings were shared. refused: why
    the update was not applied ("" where it was).
    """

    loss: float = 0.0
    grad_norm: float = 0.0
    tokens: int = 0
    positions: int = 0
    padding: int = 0
    refused: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


def prefixes(objectives: Sequence[Any]) -> list[str]:
    """What stands before each objective's metrics: nothing for one, their names for several.

    >>> from askesis.learn.objectives.leashes import EntropyBonus, KLToReference
    >>> prefixes((KLToReference(),)), prefixes((KLToReference(), EntropyBonus()))
    ([''], ['kl_to_reference/', 'entropy_bonus/'])
    """
    if len(objectives) == 1:
        return [""]
    seen: Counter[str] = Counter()
    found = []
    for objective in objectives:
        words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]*|[A-Z]+", type(objective).__name__)
        name = "_".join(words).lower()
        seen[name] += 1
        found.append(f"{name}/" if seen[name] == 1 else f"{name}_{seen[name]}/")
    return found


def summary(reports: Sequence[StepReport]) -> Metrics:
    """The metrics of a call's updates: means over those that were applied."""
    applied = [r for r in reports if not r.refused]
    tokens, positions = sum(r.tokens for r in reports), sum(r.positions for r in reports)
    padding = sum(r.padding for r in reports)
    found: Metrics = {
        "num_updates": len(applied),
        "num_refused": len(reports) - len(applied),
        "tokens": tokens,
        "padding_fraction": padding / positions if positions else 0.0,
        "shared_fraction": 1 - (positions - padding) / tokens if tokens else 0.0,
    }
    if applied:
        found["loss"] = float(np.mean([r.loss for r in applied]))
        found["loss/first"], found["loss/last"] = applied[0].loss, applied[-1].loss
        found["grad_norm"] = float(np.mean([r.grad_norm for r in applied]))
        found["grad_norm/max"] = max(r.grad_norm for r in applied)
        for name in dict.fromkeys(k for r in applied for k in r.metrics):
            found[name] = float(np.mean([r.metrics[name] for r in applied if name in r.metrics]))
    return found
