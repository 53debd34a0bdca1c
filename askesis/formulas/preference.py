"""Learning from pairs with a reference: every loss is a function of one margin.

    Delta_i = [log pi(y+) - log pi_ref(y+)] - [log pi(y-) - log pi_ref(y-)]

`preference_margin` makes it; the losses below take it. The reference is any snapshot: base (DPO),
the round's start (online DPO, card [253]), the opponent that wrote y- (SPIN, card [28]: the same
loss, with demonstrations as y+), an average. Log-probabilities are sums over the answer's tokens
unless said otherwise. Losses that need no reference are in `preference_free`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from askesis.formulas.finite import finite


def preference_margin(
    logp_chosen: Tensor,
    logp_rejected: Tensor,
    reference_chosen: Tensor | float = 0.0,
    reference_rejected: Tensor | float = 0.0,
) -> Tensor:
    """How much more the policy prefers the chosen answer than the reference does, in nats.

        Delta = [log pi(y+) - log pi_ref(y+)] - [log pi(y-) - log pi_ref(y-)]

    All (P,), one per pair. Source: Rafailov et al. 2023, "Direct Preference Optimization",
    inside of equation 7.

    >>> t = torch.tensor
    >>> preference_margin(t([-1.0]), t([-4.0]), t([-2.0]), t([-3.0])).tolist()
    [2.0]
    """
    return (logp_chosen - reference_chosen) - (logp_rejected - reference_rejected)


def soft_label_dpo(
    margin: Tensor,
    beta: float | Tensor,
    norm: float,
    label: float | Tensor = 1.0,
    offset: float | Tensor = 0.0,
) -> Tensor:
    """DPO with a probability that the pair is the right way round, and a required margin.

        z_i = beta_i * Delta_i - o_i
        L = -(1 / norm) * sum_i [ c_i * log sigma(z_i) + (1 - c_i) * log sigma(-z_i) ]

    margin: Delta, (P,), from `preference_margin`. beta: inverse temperature, above 0, one number or
    per pair (P,) (see `margin_scaled_beta`); 0.1 is usual. norm: number of pairs in the step.
    label: c, in [0, 1]. offset: o, in units of z. Returns a scalar; at the optimum
    sigma(z) = c. Special cases:

    - c = 1, o = 0: DPO (Rafailov et al. 2023, equation 7); SPIN (Chen et al. 2024, equation 4.7)
      with the opponent as reference;
    - c = 1 - smoothing: conservative DPO (Mitchell 2023);
    - c = rank agreement of two models, see `consistency_label`: CREAM (Wang et al. 2025, card
      [181]);
    - c = 1 - uncertainty, see `uncertainty_label`: UPO (card [92]);
    - o = alpha * (A+ - A-): Step-APO (see `step_apo`); o = a reward margin: offset DPO (Amini et
      al. 2024).

    In the wild "label_smoothing" s means c = 1 - s; at least one fork (card [186]) means c = s.

    >>> z = soft_label_dpo(torch.tensor([2.0]), beta=0.5, norm=1.0)  # -log sigma(1)
    >>> round(float(z), 4)
    0.3133
    >>> round(float(soft_label_dpo(torch.tensor([2.0]), 0.5, 1.0, label=0.75)), 4)  # + 0.25 * 1
    0.5633
    """
    z = beta * margin - offset
    c = torch.as_tensor(label, dtype=z.dtype, device=z.device)
    zero = torch.zeros((), dtype=z.dtype, device=z.device)
    for_it = torch.where(c > 0, c * F.logsigmoid(z), zero)  # 0 * minus infinity is 0 here
    against = torch.where(c < 1, (1 - c) * F.logsigmoid(-z), zero)
    return -(for_it + against).sum() / norm


def robust_dpo(margin: Tensor, beta: float, flip_rate: float, norm: float) -> Tensor:
    """DPO that is unbiased when a known share of labels is flipped.

        L = (1 / norm) * sum_i [ -(1 - e) * log sigma(z_i) + e * log sigma(-z_i) ] / (1 - 2 e)

    margin: (P,). z = beta * margin. flip_rate: e, in [0, 0.5). Unlike label smoothing the second
    term has a plus sign, so the loss has no lower bound. Source: Chowdhury et al. 2024, "Provably
    Robust DPO".

    >>> round(float(robust_dpo(torch.tensor([2.0]), 0.5, flip_rate=0.25, norm=1.0)), 4)
    -0.1867
    """
    if not 0 <= flip_rate < 0.5:
        raise ValueError(f"flip_rate is in [0, 0.5), not {flip_rate}")
    z = beta * margin
    each = -(1 - flip_rate) * F.logsigmoid(z) + flip_rate * F.logsigmoid(-z)
    return each.sum() / (1 - 2 * flip_rate) / norm


def ipo(margin: Tensor, tau: float, norm: float) -> Tensor:
    """Squared distance of the margin from a finite target: does not push for ever.

        L = (1 / norm) * sum_i ( Delta_i - 1 / (2 tau) )^2

    margin: (P,). tau: above 0, 0.1 is usual (called beta in most code). norm: number of pairs.
    Source: Azar et al. 2023, "A General Theoretical Paradigm to Understand Learning from Human
    Preferences", equation 17. In the wild the margin is often made from *mean* token
    log-probabilities, on which the same tau is a far weaker pull; the paper sums.

    >>> float(ipo(torch.tensor([2.0]), tau=0.125, norm=1.0))  # (2 - 4)^2
    4.0
    """
    return (margin - 1 / (2 * tau)).square().sum() / norm


def hinge(margin: Tensor, beta: float | Tensor, norm: float) -> Tensor:
    """A required margin and nothing beyond it.

        L = (1 / norm) * sum_i max(0, 1 - beta * Delta_i)

    margin: (P,). beta: the inverse of the margin wanted. norm: number of pairs. Sources: Zhao et
    al. 2023, "SLiC-HF", equation 1 (without a reference: give none to `preference_margin`); Liu et
    al. 2024, "Statistical Rejection Sampling Improves Preference Optimization" (with one).

    >>> float(hinge(torch.tensor([2.0, 20.0]), beta=0.25, norm=2.0))  # (0.5 + 0) / 2
    0.25
    """
    return torch.relu(1 - beta * margin).sum() / norm


def kto(
    log_ratio: Tensor,
    desirable: Tensor,
    kl: float | Tensor,
    beta: float,
    norm: float,
    desirable_coef: float = 1.0,
    undesirable_coef: float = 1.0,
) -> Tensor:
    """Kahneman-Tversky optimisation: answers that are good or bad, without pairs.

        v_i = l_D * sigma( beta * (R_i - z) )    where y_i is desirable
        v_i = l_U * sigma( beta * (z - R_i) )    where it is not
        L = (1 / norm) * sum_i (l_i - v_i)

    log_ratio: R = log pi(y|x) - log pi_ref(y|x), (S,). desirable: bool or 0/1 (S,). kl: z >= 0, an
    estimate of KL(pi || pi_ref), a number or (S,); nothing flows back through it. beta: 0.1 is
    usual. desirable_coef, undesirable_coef: l_D, l_U; the paper keeps l_D * n_D / (l_U * n_U) in
    [1, 4/3] (1 to 1.5 in later versions). norm: number of answers. Source: Ethayarajh et al. 2024,
    "KTO: Model Alignment as Prospect Theoretic Optimization", section 4. The paper estimates z from
    answers paired with *other* prompts of the batch, which makes it depend on the batch; here it is
    an argument, computed before the step.

    >>> R = torch.tensor([1.0, -1.0])
    >>> loss = kto(R, torch.tensor([True, False]), kl=0.0, beta=1.0, norm=2.0)
    >>> round(float(loss), 4)  # 1 - sigma(1)
    0.2689
    """
    z = torch.as_tensor(kl, dtype=log_ratio.dtype, device=log_ratio.device).detach()
    good = desirable.bool()
    sign = good.to(log_ratio.dtype) * 2 - 1
    scale = torch.where(
        good, log_ratio.new_tensor(desirable_coef), log_ratio.new_tensor(undesirable_coef)
    )
    # l - l * sigma(u) = l * sigma(-u), without the cancellation
    return (scale * torch.sigmoid(-sign * beta * (log_ratio - z))).sum() / norm


def step_apo(
    margin: Tensor, advantage_gap: Tensor, beta: float, alpha: float, norm: float
) -> Tensor:
    """Step-level preference whose required margin is the gap of the steps' advantages.

        L = -(1 / norm) * sum_i log sigma( beta * Delta_i - alpha * (A+_i - A-_i) )

    margin: Delta over the tokens of one step (or segment) that follows the *same* prefix, (P,):
    mask the prefix. advantage_gap: A+ - A-, (P,), equal to Q+ - Q- under one parent. beta, alpha:
    0.3 and 1 in the paper. norm: number of pairs. The gap is subtracted inside, so a wider gap
    pushes harder. alpha 0 is step-DPO. Source: Wang et al. 2024, "CPL: Critical Plan Step Learning
    Boosts LLM Generalization in Reasoning Tasks", the Step-APO loss; card [24].

    >>> gap = torch.tensor([1.0])
    >>> round(float(step_apo(torch.tensor([2.0]), gap, beta=0.5, alpha=1.0, norm=1.0)), 4)  # log 2
    0.6931
    """
    return soft_label_dpo(margin, beta, norm, offset=alpha * advantage_gap)


def margin_scaled_beta(reward_margin: Any, beta: float, w: float = 0.5, k: float = 0.5) -> Any:
    """A pair's own beta, larger where a reward model is surer, and bounded.

        beta(d) = beta_0 * ( 1 + w * (1 - exp(-k d)) )

    reward_margin: d = r+ - r-, at least 0, array or tensor; negative ones count as 0. beta: beta_0.
    w: how much is added at most. k: how fast. Returns the same kind and shape. The published script
    has w = 0.1; w = k = 0.5 is from memory of the paper. Source: Zhang et al. 2025, "MM-RLHF",
    dynamic reward scaling; card [186].

    >>> margin_scaled_beta(np.array([0.0, 2.0]), beta=0.1).round(4).tolist()
    [0.1, 0.1316]
    """
    clamped = reward_margin.clip(min=0)
    decay = torch.exp(-k * clamped) if isinstance(clamped, Tensor) else np.exp(-k * clamped)
    return beta * (1 + w * (1 - decay))


def consistency_label(rewards: Any, rewards_before: Any) -> float:
    """CREAM's soft label: how far two models agree on the order of one prompt's answers.

        c = (tau + 1) / 2,   tau = Kendall's rank correlation

    rewards, rewards_before: (n,), scores of the same answers by this round's and the last round's
    model. Returns a number in [0, 1]; 0.5 where an order does not exist (fewer than two answers, or
    all tied). Below 0.5 the preference is reversed, which is often noise: clamp it, or average over
    the data set as the paper does by default. Ties: tau-b. Source: Wang et al. 2025, "CREAM",
    card [181].

    >>> consistency_label([3, 2, 1], [9, 8, 7]), round(consistency_label([1, 2, 3], [1, 3, 2]), 4)
    (1.0, 0.6667)
    """
    from scipy.stats import kendalltau

    one, other = finite("rewards", rewards), finite("rewards", rewards_before)
    if len(one) < 2 or one.min() == one.max() or other.min() == other.max():
        return 0.5
    return float((kendalltau(one, other).statistic + 1) / 2)


def bald(probabilities: Any) -> np.ndarray:
    """How much the members of an ensemble disagree beyond what each is unsure of, in nats.

        B = H( mean_t p_t ) - mean_t H(p_t),   H(p) = -p log p - (1 - p) log(1 - p)

    probabilities: p_t that the pair is the right way round, (T, P), one row per dropout mask or
    member, in [0, 1]. Returns (P,), in [0, log 2]. Source: Houlsby et al. 2011, "Bayesian Active
    Learning for Classification and Preference Learning"; used in UPO, card [92].

    >>> bald([[0.5, 1.0], [0.5, 0.0]]).round(4).tolist()
    [0.0, 0.6931]
    """
    p = finite("probabilities", probabilities)
    entropy = _binary_entropy(p).mean(0)
    return np.maximum(_binary_entropy(p.mean(0)) - entropy, 0.0)


def uncertainty_label(disagreement: Any) -> np.ndarray:
    """UPO's soft label, in its bounded form.

        c = 1 - a,   a = B / (2 log 2)

    disagreement: B from `bald`, (P,). Returns (P,), in [0.5, 1]: sure pairs are learnt as they
    are, the most doubtful stay at the reference. The paper prints a = 1 / (P + 1), which is
    at least 0.5 and would flip the labels; card [92] explains. Source: Wang et al. 2025, "UPO".

    >>> uncertainty_label([0.0, np.log(2)]).tolist()
    [1.0, 0.5]
    """
    return 1 - finite("disagreement", disagreement) / (2 * np.log(2))


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    q = 1 - p
    return -(p * np.log(np.where(p > 0, p, 1)) + q * np.log(np.where(q > 0, q, 1)))
