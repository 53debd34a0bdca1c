"""Hidden states held together or pushed apart."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cos of the angle between the last dimensions of a and b, in [0, 2].

    >>> import torch
    >>> cosine_distance(torch.tensor([1.0, 0.0]), torch.tensor([[3.0, 0.0], [0.0, 2.0]])).tolist()
    [0.0, 1.0]
    """
    return 1 - F.cosine_similarity(a, b, dim=-1)


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """Right answers to a task closer to one of them than wrong ones are, by a margin.

        L = mean over i, j of  max(0, d(h, h+_i) - d(h, h-_j) + margin),   d = 1 - cos

    anchor: the state of a right answer, (W,). positive: of other right answers to the same task,
    (P, W). negative: of wrong ones, (N, W). Returns a scalar; 0 where P or N is 0. margin: in
    [0, 2]; at 1 or more it is hardly ever reached. Source: Wang et al. 2023, "Democratizing
    Reasoning Ability: Tailored Learning from Large Language Model", self-reflection; card [25].

    >>> import torch
    >>> h = torch.tensor([1.0, 0.0])
    >>> wrong = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> float(triplet(h, h[None], wrong, margin=1.5))  # (0 - 1 + 1.5, 0 - 2 + 1.5 < 0) / 2
    0.25
    """
    if not len(positive) or not len(negative):
        return anchor.sum() * 0.0
    near, far = cosine_distance(anchor, positive), cosine_distance(anchor, negative)
    return (near[:, None] - far[None, :] + margin).clamp(min=0).mean()
