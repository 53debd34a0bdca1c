"""Learning from pairs without a reference: SimPO, ORPO, contrastive preference learning, SPaR."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def simpo(
    mean_logp_chosen: Tensor, mean_logp_rejected: Tensor, beta: float, gamma: float, norm: float
) -> Tensor:
    """Preference by mean log-probability per token, with a margin.

        L = -(1 / norm) * sum_i log sigma( beta * (lbar+_i - lbar-_i) - gamma )

    mean_logp_chosen, mean_logp_rejected: lbar = log pi(y|x) / |y|, (P,). beta: 2 to 2.5 in the
    paper, 10 for stronger models. gamma: target margin, 0.5 to 1.6 in the paper; some code takes
    gamma / beta instead. norm: number of pairs. Source: Meng et al. 2024, "SimPO", equation 6.

    >>> loss = simpo(torch.tensor([-0.5]), torch.tensor([-1.0]), beta=2.0, gamma=1.0, norm=1.0)
    >>> round(float(loss), 4)  # log 2
    0.6931
    """
    return -F.logsigmoid(beta * (mean_logp_chosen - mean_logp_rejected) - gamma).sum() / norm


def log_odds(mean_logp: Tensor) -> Tensor:
    """Log odds of an answer from its mean log-probability per token.

        log odds = lbar - log(1 - exp(lbar))

    mean_logp: lbar, below 0, any shape. At 0 (an answer of probability one) the odds are infinite.

    >>> round(float(log_odds(torch.tensor(0.5).log())), 4)
    0.0
    """
    # log(1 - e^x) without cancellation near 0 and far below: Maechler's two branches
    near = mean_logp > -0.6931
    safe_near = torch.where(near, mean_logp, torch.full_like(mean_logp, -0.5))
    safe_far = torch.where(near, torch.full_like(mean_logp, -1.0), mean_logp)
    log_rest = torch.where(
        near, torch.log(-torch.expm1(safe_near)), torch.log1p(-torch.exp(safe_far))
    )
    return mean_logp - log_rest


def orpo_term(mean_logp_chosen: Tensor, mean_logp_rejected: Tensor, norm: float) -> Tensor:
    """The odds-ratio term of ORPO; its loss is NLL(y+) + lambda times this.

        L_OR = -(1 / norm) * sum_i log sigma( log odds(y+_i) - log odds(y-_i) )
        odds(y) = P / (1 - P),   P = exp( log pi(y|x) / |y| )

    mean_logp_chosen, mean_logp_rejected: log pi / |y|, (P,), below 0. norm: number of pairs.
    lambda is 0.1 to 0.5 in the paper (0.1 in most code, where it is called beta). Source: Hong et
    al. 2024, "ORPO: Monolithic Preference Optimization without Reference Model", equations 6 and 7.

    >>> p = torch.tensor([0.75, 0.5]).log()
    >>> round(float(orpo_term(p[:1], p[1:], norm=1.0)), 4)  # odds 3 : 1, -log(3 / 4)
    0.2877
    """
    return -F.logsigmoid(log_odds(mean_logp_chosen) - log_odds(mean_logp_rejected)).sum() / norm


def discounted_sum(x: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Discounted sum over a segment's steps, counted without the masked places.

        s = sum_k gamma^k * x_k,   k = 0, 1, ... over places with mask

    x, mask: (S, T). Returns (S,).

    >>> x, m = torch.tensor([[1.0, 9.0, 2.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    >>> float(discounted_sum(x, m, gamma=0.5))
    2.0
    """
    real = mask != 0
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    power = (real.cumsum(-1) - 1).clamp(min=0).to(x.dtype)
    return torch.where(real, x * gamma**power, zero).sum(-1)


def contrastive_preference(
    score_chosen: Tensor, score_rejected: Tensor, bias: float, norm: float
) -> Tensor:
    """Contrastive preference learning on segments: a preference is a difference of regrets.

        S(g) = sum_t gamma^t * alpha * log pi(a_t | s_t)
        L = -(1 / norm) * sum_i log [ exp S+_i / (exp S+_i + exp(l * S-_i)) ]

    score_chosen, score_rejected: S+, S-, (P,): alpha times `discounted_sum` of the
    log-probabilities of a segment's own actions (all tokens of all of the learner's turns), or of
    log-ratios to the behaviour-cloned policy (CPL-KL). bias: l in (0, 1], the conservative factor
    on the losing segment; 0.5 with alpha 0.1, 0.75 with alpha 0.2 for CPL-KL. norm: number of
    pairs. With l = 1, one step, and log-ratios it is DPO. Source: Hejna et al. 2024, "Contrastive
    Preference Learning", section 3; card [201].

    >>> t = torch.tensor
    >>> loss = contrastive_preference(t([-1.0]), t([-2.0]), bias=0.5, norm=1.0)
    >>> round(float(loss), 4)  # S+ = l S-: log 2
    0.6931
    """
    return -F.logsigmoid(score_chosen - bias * score_rejected).sum() / norm
