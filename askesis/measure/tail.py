"""Which tasks what is learnt comes from: whether hard ones drop out of the training data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from askesis.errors import ConfigError
from askesis.formulas.intervals import clustered_mean
from askesis.measure.figures import put
from askesis.protocols import Metrics
from askesis.records import TaskRole


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The round's samples by the difficulty of their tasks.

    num_bins: equal ranges of difficulty, [b / B, (b + 1) / B), the last one closed; at least 2.
    model: whose samples.

    Plain self-training learns more and more from what is easy, since that is what succeeds: the
    share of hard tasks among its samples falls ("tail narrowing"). A task is covered where at least
    one sample came from an attempt at it. Costs no tokens. Source: the small check of card [62].
    """

    num_bins: int = 4
    model: str = field(default="policy", metadata={"lazy": True})

    def __post_init__(self) -> None:
        if not 2 <= self.num_bins <= 100:
            raise ConfigError(
                "Tail.num_bins is out of range", expected="from 2 to 100", found=str(self.num_bins)
            )

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key."""
        num_bins = self.num_bins
        found: Metrics = {}
        bin_of: dict[str, int] = {}  # of the attempts of train tasks
        group_of: dict[str, str] = {}
        for group in view.all_groups:
            for attempt in group.attempts:
                if attempt.task.role is TaskRole.TRAIN:
                    place = min(int(attempt.task.difficulty * num_bins), num_bins - 1)
                    bin_of[attempt.id] = place
                    group_of[attempt.id] = f"{attempt.task.id}~{attempt.start.copy}"
        tasks = {group_of[i]: place for i, place in bin_of.items()}
        sources = [s.sources for s in view.samples.get(self.model, ())]
        learnt = [ids for found_in in sources if (ids := [i for i in found_in if i in bin_of])]
        covered = {group_of[i] for ids in learnt for i in ids}
        for place in sorted(set(tasks.values())):
            inside = [task for task, b in tasks.items() if b == place]
            if learnt:
                share = sum(bin_of[ids[0]] == place for ids in learnt) / len(learnt)
                found[f"tail/sample_share_of_bin/{place}"] = share
            found[f"tail/task_share_of_bin/{place}"] = len(inside) / len(tasks)
            put(
                found,
                f"tail/covered_of_bin/{place}",
                clustered_mean([[t in covered] for t in inside]),
            )
        return found
