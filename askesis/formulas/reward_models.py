"""Reward models: scores from pairs, rankings, ties and labels; rewards read off log-ratios."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from askesis.formulas.means import masked, weighted_mean


def bradley_terry(
    chosen: Tensor,
    rejected: Tensor,
    norm: float,
    margin: float | Tensor = 0.0,
    centre_coef: float = 0.0,
) -> Tensor:
    """Logistic loss on the difference of two scores.

        L = -(1 / norm) * sum_i [ log sigma( r+_i - r-_i - m_i ) - g * (r+_i + r-_i)^2 ]

    chosen, rejected: r+, r-, (P,). norm: pairs of the step. margin: m, a number or (P,), at least
    0: how much better the chosen one is said to be. centre_coef: g, 0.01 where used: scores are
    only known up to a shift, and this pins it. Sources: Bradley and Terry 1952; margin: Touvron et
    al. 2023, "Llama 2", equation 2; centring: Eisenstein et al. 2023, "Helping or Herding?".

    >>> t = torch.tensor
    >>> round(float(bradley_terry(t([2.0]), t([1.0]), norm=1.0, margin=1.0)), 4)  # log 2
    0.6931
    """
    loss = -F.logsigmoid(chosen - rejected - margin)
    if centre_coef:
        loss = loss + centre_coef * (chosen + rejected).square()
    return loss.sum() / norm


def plackett_luce(scores: Tensor, valid: Tensor, norm: float) -> Tensor:
    """Likelihood of a whole ranking: again and again the best of what is left.

        L = -(1 / norm) * sum_i sum_{k < K_i} log [ exp r_ik / sum_{j >= k} exp r_ij ]

    scores: r, (L, K), each row *from best to worst*, rows padded at the end. valid: bool or 0/1
    (L, K). norm: rankings of the step (or their choices, sum of K_i - 1). Two items: Bradley-Terry.
    Sources: Plackett 1975; Luce 1959.

    >>> scores, valid = torch.zeros(1, 3), torch.ones(1, 3)
    >>> round(float(plackett_luce(scores, valid, norm=1.0)), 4)  # log 3!
    1.7918
    """
    real = valid != 0
    # a large negative number, not minus infinity: its difference with itself must be 0
    low = torch.full_like(scores, torch.finfo(scores.dtype).min / 4)
    kept = torch.where(real, scores, low)
    rest = torch.logcumsumexp(kept.flip(-1), -1).flip(-1)
    return torch.where(real, rest - kept, torch.zeros_like(kept)).sum() / norm


def rao_kupper(
    first: Tensor, second: Tensor, outcome: Tensor, threshold: float | Tensor, norm: float
) -> Tensor:
    """Pairs with ties: a tie is a difference that is too small to see.

        P(1 > 2) = sigma( d - eta ),   P(2 > 1) = sigma( -d - eta ),   d = r1 - r2
        P(tie)   = 1 - P(1 > 2) - P(2 > 1)
        L = -(1 / norm) * sum_i log P(outcome_i)

    first, second: r1, r2, (P,). outcome: (P,), 1 first, -1 second, 0 tie. threshold: eta, above 0,
    in units of the score; without ties in the data it wants to be 0, which is Bradley-Terry. norm:
    pairs. Source: Rao and Kupper 1967, with theta = exp(eta).

    >>> t = torch.tensor
    >>> round(float(rao_kupper(t([0.0]), t([0.0]), t([0]), 1.0, norm=1.0).exp()), 4)  # 1 / 0.4621
    2.164
    """
    eta = torch.as_tensor(threshold, dtype=first.dtype, device=first.device)
    d = first - second
    win, lose = F.logsigmoid(d - eta), F.logsigmoid(-d - eta)
    # P(tie) = (e^(2 eta) - 1) * P(1 > 2) * P(2 > 1)
    tie = torch.log(torch.expm1(2 * eta)) + win + lose
    return -torch.where(outcome > 0, win, torch.where(outcome < 0, lose, tie)).sum() / norm


def davidson(
    first: Tensor, second: Tensor, outcome: Tensor, log_nu: float | Tensor, norm: float
) -> Tensor:
    """Pairs with ties: a tie is as likely as the geometric mean of both wins, times nu.

        P(1 > 2) ~ e^(r1),   P(2 > 1) ~ e^(r2),   P(tie) ~ nu * e^((r1 + r2) / 2)
        L = -(1 / norm) * sum_i log P(outcome_i)

    Arguments as `rao_kupper`; log_nu: log nu, minus infinity is Bradley-Terry. Source: Davidson
    1970.

    >>> t = torch.tensor
    >>> round(float(davidson(t([0.0]), t([0.0]), t([0]), 0.0, norm=1.0)), 4)  # log 3
    1.0986
    """
    nu = torch.as_tensor(log_nu, dtype=first.dtype, device=first.device)
    scores = torch.stack([first, second, nu + (first + second) / 2], -1)
    logp = torch.log_softmax(scores, -1)
    which = torch.where(outcome > 0, 0, torch.where(outcome < 0, 1, 2)).long()
    return -logp.gather(-1, which[..., None]).sum() / norm


def label_loss(logit: Tensor, label: Tensor, weight: Tensor, norm: float) -> Tensor:
    """Cross entropy of a score with a label: outcome heads and process heads.

        L = -(1 / norm) * sum_t w_t * [ l_t log sigma(r_t) + (1 - l_t) log sigma(-r_t) ]

    logit: r, (S,) for outcomes, (S, T) for processes, where weight picks the last token of each
    step. label: l, in [0, 1], the same shape: right or wrong, or the share of roll-outs that came
    out right (soft labels). norm: the sum of weights in the step. Sources: Cobbe et al. 2021 and
    Lightman et al. 2023 (hard), Wang et al. 2024, "Math-Shepherd" (both); with logit the scaled
    log-ratio of two language models it is the loss of the implicit process reward model, card
    [133].

    >>> loss = label_loss(torch.tensor([0.0]), torch.tensor([1.0]), torch.ones(1), norm=1.0)
    >>> round(float(loss), 4)
    0.6931
    """
    logit = masked(logit, weight)
    each = F.binary_cross_entropy_with_logits(logit, label.to(logit.dtype), reduction="none")
    return weighted_mean(each, weight, norm)


def implicit_values(logp: Tensor, logp_reference: Tensor, mask: Tensor, beta: float) -> Tensor:
    """What an outcome reward model that is a log-ratio thinks of every prefix.

        q_t = sum_{i <= t} beta * log [ pi(y_i) / ref(y_i) ]
            = beta * log E_{y ~ ref(. | y_<=t)} exp( r(y) / beta )

    logp, logp_reference, mask: (S, T). beta: 0.05 in the paper. Returns q, (S, T), constant where
    the mask is 0; the last one is the outcome's reward r(y). The expectation is over completions of
    the prefix by the reference. Source: Yuan et al. 2024, "Free Process Rewards without Process
    Labels", proposition 3.1; card [133]. A better reward model is a worse policy: never share its
    weights with the actor.

    >>> logp, ref = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-2.0, -4.0]])
    >>> implicit_values(logp, ref, torch.ones(1, 2), beta=0.5).tolist()
    [[0.5, 2.0]]
    """
    return beta * (masked(logp, mask) - masked(logp_reference, mask)).cumsum(-1)


def implicit_step_rewards(values: Tensor, last_of_step: Tensor) -> Tensor:
    """A step's reward is what it adds: q at its last token minus q at the last token before.

        r_k = q_{t_k} - q_{t_{k-1}},   q_{t_0} = 0

    values: q, (T,), from `implicit_values`. last_of_step: int64 (K,), increasing positions. Returns
    (K,). How steps are cut is not in the paper and changes the minimum over steps. Card [133].

    >>> implicit_step_rewards(torch.tensor([0.5, 2.0, 1.0]), torch.tensor([1, 2])).tolist()
    [2.0, -1.0]
    """
    at = values[last_of_step]
    return at - torch.cat([at.new_zeros(1), at[:-1]])
