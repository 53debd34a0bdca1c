"""Memory of old samples, mixed into what is learnt next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from askesis.errors import must_fit
from askesis.records import Sample
from askesis.retain.packing import num_tokens, pack, unpack


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Keeps the samples of the last rounds and mixes some of them into each round's.

    rounds: how many past rounds are kept, at least 1.
    max_tokens: at most so many tokens are kept per model, oldest rounds forgotten first (None:
        no limit); bounds memory and the size of a segment on disk.
    fraction: share of the mixed tokens that are old, in [0, 1). Where the memory holds less,
        all of it is used; a round without new samples learns none of the old ones either.
    phases: names of the phases whose samples are kept (all where there are none); what was taught
        in the first phase can so be kept alive in the later ones.

    What is kept are the samples that were selected, never those that were mixed in. State: per
    model a list of rounds, oldest first, as plain arrays. Source: experience replay, Lin 1992;
    mixing into supervised rounds as in rehearsal, Robins 1995.
    """

    rounds: int = field(default=4, metadata={"lazy": True})
    max_tokens: int | None = field(default=None, metadata={"lazy": True})
    fraction: float = field(default=0.25, metadata={"lazy": True})
    phases: tuple[str, ...] = field(default=(), metadata={"lazy": True})

    def __post_init__(self) -> None:
        limits = {
            "rounds": (self.rounds >= 1, "at least 1"),
            "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1, or none"),
            "fraction": (0 <= self.fraction < 1, "in [0, 1)"),
        }
        must_fit(self, limits)

    def init(self, ctx: Any) -> dict[str, Any]:
        """No memory yet."""
        return {}

    def mix(self, ctx: Any, model: str, samples: Sequence[Sample]) -> list[Sample]:
        """The new samples followed by old ones, chosen at random without repetition."""
        new_tokens = sum(num_tokens(s) for s in samples)
        wanted = self.fraction / (1 - self.fraction) * new_tokens
        old = [s for kept in ctx.state.get(model, ()) for s in unpack(kept["samples"], model)]
        chosen: list[Sample] = []
        taken = 0
        for index in ctx.generator("replay", model).permutation(len(old)):
            if taken >= wanted:
                break
            chosen.append(old[index])
            taken += num_tokens(old[index])
        ctx.note(f"replay/{model}/tokens", taken)
        ctx.note(f"replay/{model}/fraction", taken / (taken + new_tokens) if taken else 0.0)
        return [*samples, *chosen]

    def observe(self, ctx: Any, state: Mapping[str, Any], view: Any) -> dict[str, Any]:
        """Remembers this round's samples and forgets what is too old or too much."""
        kept: dict[str, Any] = {}
        is_kept = not self.phases or view.phase in self.phases
        for model in dict.fromkeys([*state, *view.samples]):
            memory = list(state.get(model, ()))
            if is_kept and (new := view.samples.get(model)):
                memory.append(
                    {
                        "round": view.index,
                        "tokens": sum(num_tokens(s) for s in new),
                        "samples": pack(new),
                    }
                )
            memory = [m for m in memory if m["round"] > view.index - self.rounds]
            while (
                self.max_tokens is not None
                and len(memory) > 1
                and (sum(m["tokens"] for m in memory) > self.max_tokens)
            ):
                memory.pop(0)
            kept[model] = memory
        return kept
