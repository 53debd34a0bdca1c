"""Whether what was chosen in a round's pairs is truly better than what was rejected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError, TruthError
from askesis.formulas.intervals import clustered_mean
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.requests import All


@dataclass(frozen=True, kw_only=True)
class PairTruth:
    """The world's verifier on both sides of the round's pairs. Only a figure: nothing reads it.

    model: whose pairs. num_pairs: so many of them, drawn at random, at least 2.

    Nothing in a run that uses no truth, and nothing where the round made no pairs. Pairs whose
    sides score alike are in no precision. Intervals take pairs as independent. Source: the controls
    on card [52].
    """

    model: str = "policy"
    num_pairs: int = 256

    def __post_init__(self) -> None:
        if self.num_pairs < 2:
            raise ConfigError(
                "PairTruth.num_pairs is too small", expected="at least 2", found=str(self.num_pairs)
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        model, num_pairs = self.model, self.num_pairs
        attempts = {a.id: a for g in view.all_groups for a in g.attempts}
        pairs = [
            (attempts[s.sources[0]], attempts[s.sources[1]])
            for s in view.samples.get(model, ())
            if len(s.sources) == 2 and all(name in attempts for name in s.sources)
        ]
        chosen = ctx.generator("pairs").permutation(len(pairs))[:num_pairs]
        asked = [pairs[i] for i in sorted(chosen)]

        async def one(pair: Any) -> list[float]:
            return [c.score for c in await All([ctx.check(a.task, a.text) for a in pair])]

        outcomes = ctx.run([lambda pair=pair: one(pair) for pair in asked])
        errors = [o.error for o in outcomes if o.error is not None]
        if errors and all(isinstance(e, TruthError) for e in errors):
            return {}
        if errors and len(errors) == len(outcomes):
            raise errors[0]
        scores = np.array([o.value for o in outcomes if o.error is None])
        found: Metrics = {}
        if len(scores):
            better, worse = scores[:, 0], scores[:, 1]
            told = better != worse
            put(found, "pair_precision", clustered_mean([[x] for x in (better > worse)[told]]))
            put(found, "pair_chosen_score", clustered_mean([[x] for x in better]))
            put(found, "pair_rejected_score", clustered_mean([[x] for x in worse]))
        return found
