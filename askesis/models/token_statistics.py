"""Log-probabilities, entropies and divergences of tokens, without the whole matrix of logits.

For a vocabulary of 150,000 the logits of 4,096 positions are 2.4 GB, and as much again for their
gradient. Here they exist for a bounded number of positions at a time. A small matrix is kept for
the backward pass, a large one made again there.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

LOGITS_IN_MEMORY = 1 << 24  # elements of one chunk of the vocabulary matrix: 64 MiB in float32
MORE_ON_GPU = 8  # times as many, since larger products keep it busy


def token_statistics(
    hidden: Tensor,
    head: Tensor,
    targets: Tensor,
    *,
    entropy: bool = False,
    reference: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Log-probability of each target, entropy, and KL divergence to a reference, (M,) each.

        log p_i = z_it - log sum_v exp z_iv,    H_i = - sum_v p_iv log p_iv,
        KL_i = sum_v p_iv (log p_iv - log q_iv),    z_i = head hidden_i

    hidden (M, width) and head (vocab, width): p is their softmax. targets: int64 (M,).
    reference: hidden states and head of q, which gets no gradient. What was not asked for is
    None. Results are float32, or float64 for float64 states.
    """
    other, other_head = reference if reference is not None else (None, None)
    logp, uncertain, apart = _Statistics.apply(hidden, head, targets, entropy, other, other_head)
    return logp, uncertain if entropy else None, apart if reference is not None else None


def logits_of(hidden: Tensor, head: Tensor) -> Tensor:
    """Logits in float32 (float64 for float64 states): (M, width), (vocab, width) -> (M, vocab)."""
    found = F.linear(hidden, head.to(hidden.dtype))
    return found if found.dtype == torch.float64 else found.float()


def _logits(hidden: Tensor, head: Tensor) -> Tensor:
    """The same without a derivative; on a GPU sums of bfloat16 products are never rounded."""
    if hidden.is_cuda and hidden.dtype == torch.bfloat16:
        try:
            return torch.mm(hidden, head.to(hidden.dtype).t(), out_dtype=torch.float32)
        except TypeError:  # torch before 2.8
            pass
    return logits_of(hidden, head)


def _times(share: Tensor, x: Tensor) -> Tensor:
    """share * x, and 0 where the share is 0 and x may be infinite. NaN stays NaN."""
    return torch.where(share == 0, 0.0, share * x)


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        head: Tensor,
        targets: Tensor,
        entropy: bool,
        other: Tensor | None,
        other_head: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        limit = LOGITS_IN_MEMORY * (MORE_ON_GPU if hidden.is_cuda else 1)
        size = max(1, limit // head.shape[0])
        whole = len(hidden) <= size
        dtype = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        found = [hidden.new_zeros(len(hidden), dtype=dtype) for _ in range(3)]
        ctx.wants, ctx.size, kept = (entropy, other is not None), size, None
        for first in range(0, len(hidden), size):
            some = slice(first, first + size)
            logp = torch.log_softmax(_logits(hidden[some], head), -1)
            found[0][some] = logp.gather(-1, targets[some, None])[:, 0]
            if entropy or other is not None:
                share = logp.exp()
                minus = _times(share, logp).sum(-1)
                found[1][some] = -minus
                if other is not None and other_head is not None:
                    cross = torch.log_softmax(_logits(other[some], other_head), -1)
                    found[2][some] = minus - _times(share, cross).sum(-1)
            kept = logp
        ctx.save_for_backward(hidden, head, targets, other, other_head, found[1], found[2])
        ctx.kept = kept if whole else None
        unasked = [found[1]] * (not entropy) + [found[2]] * (other is None)
        ctx.mark_non_differentiable(*unasked)
        return found[0], found[1], found[2]

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_logp: Tensor, grad_entropy: Tensor, grad_apart: Tensor
    ) -> tuple[Tensor | None, ...]:
        hidden, head, targets, other, other_head, uncertain, apart = ctx.saved_tensors
        wants_entropy, wants_apart = ctx.wants
        grad_hidden = torch.empty_like(hidden)
        grad_head = torch.zeros_like(head, dtype=grad_logp.dtype)
        for first in range(0, len(hidden), ctx.size):
            some = slice(first, first + ctx.size)
            logp = ctx.kept
            if logp is None:
                logp = torch.log_softmax(_logits(hidden[some], head), -1)
            share = logp.exp()
            # d log p_t / d z = onehot - p
            toward = share * -grad_logp[some, None]
            toward[torch.arange(len(toward), device=toward.device), targets[some]] += grad_logp[
                some
            ]
            if wants_entropy:  # d H / d z = -p (log p + H)
                slope = _times(share, logp + uncertain[some, None])
                toward.sub_(slope.mul_(grad_entropy[some, None]))
            if wants_apart:  # d KL / d z = p (log p - log q - KL)
                cross = torch.log_softmax(_logits(other[some], other_head), -1)
                slope = _times(share, logp - cross - apart[some, None])
                toward.add_(slope.mul_(grad_apart[some, None]))
            toward = toward.to(hidden.dtype)
            grad_hidden[some] = toward @ head.to(hidden.dtype)
            if ctx.needs_input_grad[1]:
                grad_head += toward.t() @ hidden[some]
        ctx.kept = None
        return (
            grad_hidden,
            grad_head.to(head.dtype) if ctx.needs_input_grad[1] else None,
            *(None,) * 4,
        )
