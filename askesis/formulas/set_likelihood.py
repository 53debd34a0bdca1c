"""Several correct answers to one task: three ways to be likely on the set of them."""

from __future__ import annotations

import torch
from torch import Tensor


def logsumexp_by_set(x: Tensor, set_id: Tensor, num_sets: int) -> Tensor:
    """log sum exp of the members of each set.

    x: (S,). set_id: int64 (S,), in [0, num_sets). Returns (num_sets,); minus infinity for a set
    that is empty or has only members of minus infinity.

    >>> x = torch.tensor([0.5, 0.25, 0.25]).log()
    >>> logsumexp_by_set(x, torch.tensor([0, 0, 1]), 2).exp().tolist()
    [0.75, 0.25]
    """
    with torch.no_grad():
        top = x.new_full((num_sets,), -torch.inf)
        top = top.scatter_reduce(0, set_id, x, "amax", include_self=True)
        top = torch.where(torch.isfinite(top), top, torch.zeros_like(top))
    total = x.new_zeros(num_sets).index_add(0, set_id, torch.exp(x - top[set_id]))
    return top + torch.log(total)


def mle_augmented(logp: Tensor, norm: float) -> Tensor:
    """Every correct answer of a set learnt alike.

        L = -(1 / norm) * sum_i log p(y_i | x)

    logp: log p(y_i | x), log-probability of each whole answer, (S,); sets do not matter. norm:
    usually the number of sets in the step (the paper sums over a task's programs). Returns a
    scalar. Source: Ni et al., "Learning Math Reasoning from Self-Sampled Correct and
    Partially-Correct Solutions" (ICLR 2023), MLE-Aug; card [248].

    >>> float(mle_augmented(torch.tensor([-1.0, -3.0]), norm=1.0))
    4.0
    """
    return -logp.sum() / norm


def beta_mml(logp: Tensor, set_id: Tensor, num_sets: int, beta: float, norm: float) -> Tensor:
    """Marginal likelihood of a set of correct answers, flattened by beta.

        L = -(1 / norm) * sum_k (1 / beta) * log sum_{i in set k} p(y_i | x_k)^beta

    logp: log p(y_i | x), (S,). set_id: which set an answer belongs to, int64 (S,), below
    num_sets. beta: in (0, 1]; 1 is MML, towards 0 the gradient becomes the mean over the set.
    norm: usually the number of sets in the step. Returns a scalar. The gradient's weight of answer
    i is p_i^beta / sum_j p_j^beta, so plain MML concentrates on the answer that is likeliest
    already. Sets without a member add nothing. The value contains -log(size) / beta and may be
    negative: watch its change, not its sign. Source: Ni et al. (ICLR 2023), beta-MML; card [248].

    >>> logp, set_id = torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor([0, 0, 1])
    >>> loss = beta_mml(logp, set_id, num_sets=2, beta=1.0, norm=2.0)
    >>> round(float(loss), 4)  # -(log 0.75 + log 0.25) / 2
    0.837
    """
    if not 0 < beta <= 1:
        raise ValueError(f"beta is in (0, 1], not {beta}")
    marginal = logsumexp_by_set(beta * logp, set_id, num_sets) / beta
    present = torch.bincount(set_id, minlength=num_sets) > 0
    return -marginal[present].sum() / norm


def mml(logp: Tensor, set_id: Tensor, num_sets: int, norm: float) -> Tensor:
    """Marginal likelihood: it is enough that one of the correct answers is likely.

        L = -(1 / norm) * sum_k log sum_{i in set k} p(y_i | x_k)

    Arguments as in `beta_mml` with beta = 1. Source: Guu et al. 2017, "From Language to Programs",
    as used in Ni et al. (ICLR 2023); card [248].

    >>> float(mml(torch.tensor([0.5, 0.5]).log(), torch.tensor([0, 0]), 1, norm=1.0))
    -0.0
    """
    return beta_mml(logp, set_id, num_sets, 1.0, norm)
