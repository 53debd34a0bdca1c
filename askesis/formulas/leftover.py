"""Advantage-leftover lunch: offline policy gradients whose whole answer is one action.

One weighted likelihood covers A-LoL and its variants; they differ in the weight alone.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from askesis.formulas.means import masked, sequence_sum

Importance = Literal["sequence", "token", "none", "gold"]
IMPORTANCES: tuple[str, ...] = get_args(Importance)


def leftover_lunch(
    logp: Tensor,
    mask: Tensor,
    advantage: Tensor,
    norm: float,
    logp_reference: Tensor | None = None,
    importance: str = "sequence",
    clip: float = 0.9,
    kl_coef: float = 0.0,
) -> Tensor:
    """A-LoL: advantage times importance weight times negative log-likelihood.

        L = -(1 / norm) * sum_i A_i * sum_t w_it * log pi(y_it)
            + kl_coef * (1 / norm) * sum_i sum_t [ log pi(y_it) - log ref(y_it) ]

        sequence:  w_it = clip( exp sum_t l_it, 1 - e, 1 + e )          A-LoL
        token:     w_it = clip( exp l_it, 1 - e, 1 + e )                "A-LoL seq" (its name)
        none:      w_it = 1                                             A-LoL ref-free; NLL if A = 1
        gold:      w_it = max( pi(y_it), 0.1 )                          reward-GOLD
        with l_it = log pi(y_it) - log ref(y_it); nothing flows back through w

    logp, mask: (S, T). advantage: A, (S,): reward minus the reference's expected reward, negative
    ones left out before (A-LoL); the reward itself (R-LoL, weighted behaviour cloning). norm:
    answers of the step. logp_reference: (S, T), needed by sequence, token and kl_coef. clip: e, 0.9
    in the paper. kl_coef: beta of A-LoL KL, which goes with importance none. Its term moves A by
    -beta, so that answers with A below beta are pushed down. Where examples are also *drawn* in
    proportion to A, A enters squared, as in the authors' code. Source: Baheti et al. 2024,
    "Leftover Lunch: Advantage-based Offline Reinforcement Learning for Language Models";
    card [82].

    >>> logp, ref = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.5]]).log()
    >>> ones, A = torch.ones(1, 2), torch.tensor([0.5])
    >>> by = {k: leftover_lunch(logp, ones, A, 1.0, ref, k) for k in ("none", "sequence", "token")}
    >>> {k: round(float(v), 4) for k, v in by.items()}  # 0.5 * 2 log 2 times 1, 1.9, (1.9 + 1) / 2
    {'none': 0.6931, 'sequence': 1.317, 'token': 1.0051}
    """
    if importance not in IMPORTANCES:
        raise ValueError(f"importance is one of {', '.join(IMPORTANCES)}, not {importance!r}")
    logp, real = masked(logp, mask), (mask != 0).to(logp.dtype)
    if logp_reference is None:
        if importance in ("sequence", "token") or kl_coef:
            raise ValueError("logp_reference is needed for this importance weight or KL")
        gap = torch.zeros_like(logp)
    else:
        gap = logp - masked(logp_reference, mask)
    loss = -(
        advantage.detach() * sequence_sum(_weight(logp, gap, real, importance, clip) * logp, real)
    )
    if kl_coef:
        loss = loss + kl_coef * sequence_sum(gap, real)
    return loss.sum() / norm


def _weight(logp: Tensor, gap: Tensor, real: Tensor, importance: str, clip: float) -> Tensor:
    """w_it of `leftover_lunch`."""
    if importance == "none":
        return real
    if importance == "gold":
        return logp.detach().exp().clamp(min=0.1)
    if importance == "sequence":
        gap = sequence_sum(gap, real)[:, None].expand_as(gap)
    return gap.detach().exp().clamp(1 - clip, 1 + clip)
