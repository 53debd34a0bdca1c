"""An average of a model's weights that follows its learning: a slow anchor, or a calm opponent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from askesis.errors import ConfigError
from askesis.formulas.games import moving_average


@dataclass(frozen=True, kw_only=True)
class MovingAverage:
    """The exponential moving average of a model's weights, kept under a tag.

    decay: of the average at every update, in [0, 1); it remembers about 1 / (1 - decay) updates.
    model: whose weights. tag: the name under which learners (`reference`) and roles (`snapshot`)
        find the average.

    It begins at the weights with which its first phase begins, and costs one copy of the weights.
    Where the model goes back to its best weights, the average does too.
    Sources: Hou et al. 2025, "T1", card [240]; Munos et al. 2023, Nash-MD with EMA, card [196].
    """

    decay: float = field(default=0.99, metadata={"lazy": True})
    model: str = field(default="policy", metadata={"lazy": True})
    tag: str = field(default="average", metadata={"lazy": True})

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ConfigError(
                "MovingAverage.decay is out of range", expected="in [0, 1)", found=str(self.decay)
            )

    def on_phase_start(self, ctx: Any) -> None:
        """The average is the present weights, unless an earlier phase left one."""
        if (self.model, self.tag) not in ctx.shelf.pins:
            ctx.shelf.pin(self.model, self.tag)
        ctx.shelf.follow(self.model, self.tag)

    def on_step_end(self, ctx: Any, model: Any) -> None:
        """Follow one update. The average gets a name of its own for every learning, because
        engines keep what they loaded under a name."""
        if model.name != self.model:
            return
        place = (self.model, self.tag)
        _, average, _ = ctx.shelf.pins[place]
        new = {
            name: moving_average(average[name], tensor.detach(), self.decay)
            for name, tensor in model.weights().items()
        }
        ctx.shelf.pins[place] = (f"{model.name}~{self.tag}@{model.version + 1}", new, None)
