"""One learner in several processes: each computes a part of every step, all make the same update.

    accelerate launch --cpu --num_processes 2 my_script.py

Every process holds the model, the optimiser and all samples of a step. Of its micro-batches each
process computes every n-th, gradients and sums are added up over the processes, and all apply the
same update, so that the result is that of one process to rounding. `together` hands the samples
of the first process to the others, so only the first needs to have made them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from askesis.errors import ConfigError

T = TypeVar("T")


class Processes:
    """The processes that `accelerate launch` (or torchrun) started; see `several_processes`."""

    def __init__(self) -> None:
        try:
            from accelerate import PartialState
        except ImportError:
            raise ConfigError(
                "several processes need the library accelerate, which is not installed",
                hint="pip install accelerate",
            ) from None
        cpu = not torch.cuda.is_available()
        self.state = PartialState(cpu=cpu)
        self.rank, self.num = self.state.process_index, self.state.num_processes

    def share(self, pieces: Sequence[T]) -> list[T]:
        """The part of a step's micro-batches that this process computes."""
        return list(pieces[self.rank :: self.num])

    def add_up(self, report: Any, parameters: Sequence[Tensor]) -> None:
        """Add gradients and the report's sums over all processes, in one message.

        A process that had nothing to compute adds zeros.
        """
        if self.num == 1:
            return
        from accelerate.utils import gather_object, reduce

        counts = [report.loss, float(report.tokens), float(report.positions), float(report.padding)]
        used = [p.grad is not None for p in parameters]
        plain = [{"counts": counts, "metrics": report.metrics, "used": used}]
        everybody = gather_object(plain)
        report.loss = sum(found["counts"][0] for found in everybody)
        report.tokens, report.positions, report.padding = (
            int(sum(found["counts"][i] for found in everybody)) for i in (1, 2, 3)
        )
        names = dict.fromkeys(name for found in everybody for name in found["metrics"])
        report.metrics = {
            name: sum(found["metrics"].get(name, 0.0) for found in everybody) for name in names
        }
        # What no process has a gradient for keeps none, so that the optimiser leaves it alone.
        flags = zip(*(found["used"] for found in everybody), strict=True)
        trained = [p for p, used in zip(parameters, flags, strict=True) if any(used)]
        if not trained:
            return
        flat = reduce(torch.cat([_gradient(p).reshape(-1) for p in trained]), reduction="sum")
        first = 0
        for p in trained:
            p.grad = flat[first : first + p.numel()].view_as(p).clone()
            first += p.numel()

    def together(self, samples: Sequence[T]) -> list[T]:
        """The first process's samples, in every process."""
        if self.num == 1:
            return list(samples)
        from accelerate.utils import broadcast_object_list

        box = [list(samples)]
        broadcast_object_list(box, from_process=0)
        return box[0]

    def close(self) -> None:
        """Leave the group; call it at the end of a script."""
        self.state.destroy_process_group()


def processes() -> Processes | None:
    """The processes this one belongs to; None where it was started alone."""
    return Processes() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None


def _gradient(parameter: Tensor) -> Tensor:
    return parameter.grad if parameter.grad is not None else torch.zeros_like(parameter)
