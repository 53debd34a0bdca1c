"""Micro-batches of small models side by side, one thread each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar("T")
SMALL = 20_000_000  # trained parameters; larger ones fill all cores with one product, and a copy
# of their gradient per thread would be memory worth having


def workers_for(parameters: Sequence[Any]) -> int:
    """How many micro-batches to compute at once: torch's threads for a small model on a CPU."""
    on_cpu = bool(parameters) and parameters[0].device.type == "cpu"
    small = sum(p.numel() for p in parameters) <= SMALL
    return torch.get_num_threads() if small and on_cpu else 1


def each(function: Callable[[Any], T], pieces: Sequence[Any], num_workers: int) -> Iterator[T]:
    """`function` of every piece, in order.

    Small models on a CPU work on several pieces at once: their products are too small to be worth
    splitting, and threads that split them wait for each other at every one (on a busy machine for
    seconds). Every piece is computed by one thread and results keep their order, so the bits do
    not depend on how many work at once.
    """
    if num_workers == 1:
        yield from map(function, pieces)
        return
    whole = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if len(pieces) == 1:
            yield function(pieces[0])
            return
        with ThreadPoolExecutor(
            num_workers, initializer=lambda: torch.set_num_threads(1)
        ) as workers:
            yield from workers.map(function, pieces)
    finally:
        torch.set_num_threads(whole)
