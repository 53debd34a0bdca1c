"""Whether a model prefers what annotators prefer, on pairs it never learnt from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.intervals import clustered_mean
from askesis.protocols import Metrics
from askesis.records import Start, TaskRole, Turn
from askesis.requests import All

By = Literal["log_ratio", "reward"]


@dataclass(frozen=True, kw_only=True)
class PreferenceAccuracy:
    """The share of annotated pairs of *decide* tasks that a model ranks as the annotators did.

    by: "log_ratio": the policy's log-probability of an answer less the reference's, which is the
        reward that DPO learns; "reward": what a reward model's head says after it.
    num_pairs: pairs, each of a task of its own draw, at least 2; with 256 the interval is about
        +-0.06 wide.
    num_votes: annotators asked about a pair, at least 1, where the world can ask any number.
    world: on which world. role: whose answers they are, and with "log_ratio" whose log-probability.
    reference: the role it is compared with. reader: the role whose head is read.

    Annotators err, so even the truth does not reach 1; pairs with as many votes for both are left
    out. Nothing where the world has no preferences.
    """

    by: By = "log_ratio"
    num_pairs: int = 256
    num_votes: int = 1
    world: str = "main"
    role: str = "policy"
    reference: str = field(default="reference", metadata={"lazy": True})
    reader: str = field(default="reward", metadata={"lazy": True})

    def __post_init__(self) -> None:
        if self.by not in get_args(By) or self.num_pairs < 2 or self.num_votes < 1:
            raise ConfigError(
                "PreferenceAccuracy.by, num_pairs or num_votes is out of range",
                expected="log_ratio or reward, at least 2, at least 1",
                found=f"{self.by!r}, {self.num_pairs}, {self.num_votes}",
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        by, num_votes, role = self.by, self.num_votes, self.role
        world = ctx.world(self.world)
        tasks = ctx.draw(TaskRole.DECIDE, self.num_pairs, world=self.world)
        if not hasattr(world, "annotated_pair"):
            return {}
        rng = ctx.generator("pairs")
        pairs = [(t, *world.annotated_pair(t, rng, num_votes)) for t in tasks]
        asked = [(Start(t), (a, b)) for t, a, b, share in pairs if share > 0.5]

        async def gap(start: Start, texts: tuple[str, str]) -> float:
            turns = [Turn(role, text) for text in texts]
            if by == "reward":
                scores = await All([ctx.value(self.reader, start, (turn,)) for turn in turns])
                return float(scores[0] - scores[1])
            speakers = (role, self.reference)
            found = await All([ctx.score(s, start, (), t) for t in turns for s in speakers])
            logp = [float(np.sum(f)) for f in found]
            return (logp[0] - logp[1]) - (logp[2] - logp[3])

        outcomes = ctx.run([_call(gap, *each) for each in asked])
        if failed := next((o.error for o in outcomes if o.error is not None), None):
            raise failed
        gaps = [o.value for o in outcomes]
        if not gaps:
            return {}
        # a model that says the same of both has not chosen: half right
        right = clustered_mean([[0.5 + 0.5 * float(np.sign(g))] for g in gaps])
        return {
            "preference_accuracy": right.value,
            "preference_accuracy/low": right.low,
            "preference_accuracy/high": right.high,
            "preference_margin": float(np.mean(gaps)),
        }


def _call(function: Any, *arguments: Any) -> Any:
    return lambda: function(*arguments)
