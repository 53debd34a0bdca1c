"""A look at worlds whose answers can be listed: the exact probability of each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from askesis.errors import WorldError
from askesis.lab.looks.sight import FIRST, ROLE, Sight
from askesis.records import Task

if TYPE_CHECKING:
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

OF_SHARPNESS = (
    *("favourite_mass", "log_favourite", "sharpened", "greedy_finds_favourite", "greedy_right"),
    *("right_mass", "favourite_right", "mass_where_favourite_right", "mass_where_favourite_wrong"),
    *("coverage_cost", "listed_mass", "entropy"),
)


def sharpness(outside: Outside, tasks: Sequence[Task], look: Look) -> Sight:
    """The probability of every listed answer, exactly (`askesis.measure.sharpness`).

    The favourite is the answer that the run's *first* snapshot likes best.

        favourite_mass              its probability now; log_favourite is the logarithm, in nats
        sharpened                   whether it has more than half of the mass
        greedy_finds_favourite, greedy_right    what greedy decoding says
        right_mass                  probability of a right answer: pass@1, exactly; pass@K beside
        favourite_right             whether the favourite is right
        mass_where_favourite_right, mass_where_favourite_wrong    right_mass of those tasks
        coverage_cost               log10 of 1 / favourite_mass of the first snapshot: draws needed
        listed_mass                 of all listed answers; the rest says something else
        entropy                     of the listed answers, in nats
    """
    from scipy.special import logsumexp

    from askesis.measure.sharpness import listed

    ctx = outside.context("sharpness")
    world = ctx.world()
    rows = listed(ctx, tasks, ROLE, first=FIRST)
    if any(row is None for row in rows):
        raise WorldError(f"some answers of world {world.id!r} could not be scored")
    kept = [row for row in rows if row is not None]
    answers = [world.list_answers(row.task) for row in kept]
    right = [
        np.array([world.verify(row.task, text).score >= 1 for text in texts])
        for row, texts in zip(kept, answers, strict=True)
    ]
    best = [int(np.argmax(row.then)) for row in kept]
    logp = [float(row.now[b]) for row, b in zip(kept, best, strict=True)]
    mass = [_share(np.exp(row.now[r]).sum()) for row, r in zip(kept, right, strict=True)]
    good = [bool(r[b]) for r, b in zip(right, best, strict=True)]
    inside = [row.now - logsumexp(row.now) for row in kept]
    greedy = [texts.index(row.greedy.text) if row.greedy.text in texts else -1
              for row, texts in zip(kept, answers, strict=True)]  # fmt: skip
    found = {
        "favourite_mass": [_share(np.exp(x)) for x in logp],
        "log_favourite": logp,
        "sharpened": [float(x > np.log(0.5)) for x in logp],
        "greedy_finds_favourite": [float(g == b) for g, b in zip(greedy, best, strict=True)],
        "greedy_right": [float(g >= 0 and r[g]) for g, r in zip(greedy, right, strict=True)],
        "right_mass": mass,
        "favourite_right": [float(g) for g in good],
        "mass_where_favourite_right": [m for m, g in zip(mass, good, strict=True) if g],
        "mass_where_favourite_wrong": [m for m, g in zip(mass, good, strict=True) if not g],
        "coverage_cost": [
            float(-row.then[b] / np.log(10)) for row, b in zip(kept, best, strict=True)
        ],
        "listed_mass": [_share(np.exp(logsumexp(row.now))) for row in kept],
        "entropy": [float(-(np.exp(p) * p).sum()) for p in inside],
        **{f"pass@{k}": [1 - (1 - m) ** k for m in mass] for k in {1, look.num_attempts}},
        "tokens": [float(len(row.greedy.tokens)) for row in kept],
    }
    tokens = sum(len(row.greedy.tokens) for row in kept)
    cut = sum(row.greedy.stop.cut_off for row in kept)
    return Sight(found, [[m] for m in mass], tokens, cut, len(kept))


def _share(value: Any) -> float:
    """A probability; the last digits of a sum may carry it above one."""
    return min(1.0, float(value))
