"""The golden values of TRL as our samples and outputs, and the numbers that objectives give them.

golden/inputs.json: the drawn tensors, the advantages TRL makes of the rewards, and versions.
golden/losses.json: per case the function of TRL, its loss and its gradient. Both are written by
write_golden.py in an environment of TRL's own.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence as Many
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from askesis.learn.batch import collate, step_norm
from askesis.records import Sample, Sequence

FOLDER = Path(__file__).parent / "golden"
INPUTS: dict[str, Any] = json.loads((FOLDER / "inputs.json").read_text())
LOSSES: dict[str, Any] = json.loads((FOLDER / "losses.json").read_text())
TOKENS, MASK = np.array(INPUTS["tokens"], np.int32), np.array(INPUTS["mask"])
LENGTHS = np.array(INPUTS["real"]).sum(1)
ROWS = tuple(range(len(TOKENS)))
PAIRS = tuple((i, i + len(TOKENS) // 2) for i in range(len(TOKENS) // 2))


def leaf(name: str) -> Tensor:
    """A drawn tensor, float64, to be differentiated by."""
    return torch.tensor(INPUTS[name], dtype=torch.float64).requires_grad_()


def logp(logits: Tensor) -> Tensor:
    """Log-probability of each token given those before it, 0 at position 0."""
    rows = torch.log_softmax(logits[:, :-1], -1)
    found = rows.gather(-1, torch.from_numpy(TOKENS).long()[:, 1:, None])[..., 0]
    return torch.cat([torch.zeros_like(found[:, :1]), found], 1)


GIVEN = {name: logp(leaf(name)).detach().numpy() for name in ("old", "reference", "sampling")}


@dataclass(frozen=True)
class Term:
    """One objective on some of the rows.

    atoms: rows of each sample: (0,) is one answer, (0, 4) a pair of them. scale: what its loss is
    multiplied by. without_reference: the column logp_reference is 0 everywhere. kl: the column of
    that name. whole_row: learn prompts too. scores: the leaf is a number per row. halves: the first
    half of the rows is labelled good, as where they are pairs.
    """

    objective: Any
    atoms: tuple[tuple[int, ...], ...] = tuple((i,) for i in ROWS)
    scale: float = 1.0
    without_reference: bool = False
    kl: float = 0.0
    whole_row: bool = False
    scores: bool = False
    halves: bool = False

    def loss(self, of: Tensor) -> Tensor:
        """Its loss of all the rows' logits or scores, in one micro-batch."""
        samples = [self._sample(rows) for rows in self.atoms]
        batch = collate(samples)
        # float64, to compare with TRL in float64; shapes and all else as the trainer makes them
        batch = dataclasses.replace(
            batch,
            columns={k: v.double() for k, v in batch.columns.items()},
            sample_columns={k: v.double() for k, v in batch.sample_columns.items()},
        )
        order = [row for rows in self.atoms for row in rows]
        loss, _ = self.objective(self._outputs(of, order), batch, step_norm(samples))
        return self.scale * self.objective.coef * loss

    def _outputs(self, of: Tensor, order: list[int]) -> Any:
        width = int(LENGTHS[order].max())
        if self.scores:
            return SimpleNamespace(value=of[order][:, None].expand(-1, width))
        entropy = torch.distributions.Categorical(logits=of).entropy()[:, :-1]
        aligned = torch.cat([torch.zeros_like(entropy[:, :1]), entropy], 1)
        return SimpleNamespace(
            logp=logp(of)[order, :width],
            entropy=aligned[order, :width],
            logits=of[order, :width],
            logits_reference=leaf("reference")[order, :width],
        )

    def _sample(self, rows: Many[int]) -> Sample:
        scalars = {
            "advantage": INPUTS["advantage"][rows[0]],
            "label": rows[0] < len(ROWS) // 2 if self.halves else INPUTS["label"][rows[0]],
            "kl": self.kl,
        }
        if len(rows) > 1:
            scalars["margin"] = INPUTS["margin"][rows[0]]
        return Sample("policy", tuple(self._sequence(row) for row in rows), scalars)

    def _sequence(self, row: int) -> Sequence:
        n = LENGTHS[row]
        weight = MASK[row, :n] if not self.whole_row else np.r_[0, np.ones(n - 1)]
        reference = GIVEN["reference"][row, :n] * (not self.without_reference)
        columns = {"weight": weight, "logp_reference": reference}
        columns |= {f"logp_{k}": GIVEN[k][row, :n] for k in ("old", "sampling")}
        return Sequence(TOKENS[row, :n], {k: v.astype(np.float32) for k, v in columns.items()})


def loss_and_gradient(terms: Many[Term], of: str) -> tuple[float, Tensor]:
    """The sum of the terms' losses, and its gradient by the leaf."""
    found = leaf(of)
    total = torch.stack([term.loss(found) for term in terms]).sum()
    (gradient,) = torch.autograd.grad(total, found)
    return float(total.detach()), gradient


def trl(case: str) -> tuple[float, Tensor, str]:
    """TRL's loss and gradient of a case, and the leaf that they are of."""
    row = LOSSES[case]
    return row["loss"], torch.tensor(row["gradient"], dtype=torch.float64), row["of"]
