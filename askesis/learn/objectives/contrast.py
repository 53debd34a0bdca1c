"""What right and wrong answers look like inside the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from askesis.errors import must_fit
from askesis.formulas.contrast import triplet

ANCHOR, POSITIVE, NEGATIVE = 1.0, 2.0, -1.0  # the values of the column side, at a row's last token


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """Right answers to a task closer together than right and wrong ones (card [25]).

    margin: by how much, in cosine distance, in [0, 2]; 1 in the paper.
    coef: what the loss is multiplied by; 0.5 in the paper.

    A sample is a set of answers to one task. The column side is 0 but at the last token of a row,
    where it is 1 for the answer that the others are compared with, 2 for other right ones, -1 for
    wrong ones. The state there, after the last norm, stands for the answer. Only the one compared
    with needs a weight: it is learnt, the others are looked at. The loss is a mean over samples;
    one without all three kinds adds nothing.
    """

    margin: float = 1.0
    coef: float = 0.5

    needs = frozenset({"weight", "side"})
    uses = frozenset({"hidden"})
    atom = "set"

    def __post_init__(self) -> None:
        must_fit(self, {"margin": (0 <= self.margin <= 2, "in [0, 2]")})

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        side = torch.nan_to_num(batch.column("side"))
        side = torch.where((side == ANCHOR) & (batch.column("weight") == 0), 0.0, side)
        rows, last = side.nonzero(as_tuple=True)
        states, kinds, owner = out.hidden[rows, last], side[rows, last], batch.sample[rows]
        states = states.float() if states.dtype in (torch.float16, torch.bfloat16) else states
        loss = states.sum() * 0.0
        compared = side.new_zeros(())
        for number in range(batch.num_samples):
            here = owner == number
            anchor = states[here & (kinds == ANCHOR)]
            positive, negative = (
                states[here & (kinds == POSITIVE)],
                states[here & (kinds == NEGATIVE)],
            )
            if len(anchor) and len(positive) and len(negative):
                loss = loss + triplet(anchor[0], positive, negative, self.margin)
                compared = compared + 1
        return loss / norm["samples"], {"compared_fraction": compared / norm["samples"]}
