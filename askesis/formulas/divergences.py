"""How far two policies are apart: estimates from samples, exact sums over the vocabulary, entropy.

The three usual estimators have the right *value* on samples of the policy. As a *loss* to
differentiate they are three different methods, because the samples depend on the parameters too:

    estimator   value at y ~ pi     expected gradient if used as a loss, on-policy
    k1          KL(pi || ref)       0: pure noise
    k2          close to it         grad KL(pi || ref): the one that is usually meant
    k3          KL(pi || ref)       grad KL(ref || pi): the forward one

k1 is right in the *reward*, where it is not differentiated. This table is checked by exact sums in
`tests/formulas/test_divergence_family.py`.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Estimator = Literal["k1", "k2", "k3"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)


def kl_estimate(logp: Tensor, logp_reference: Tensor, estimator: str = "k3") -> Tensor:
    """KL(pi || ref) per token, from a token sampled from pi.

        l = log pi(y_t) - log ref(y_t)
        k1 = l      k2 = l^2 / 2      k3 = exp(-l) - 1 + l

    logp, logp_reference: any shape, the same; logp under pi. Returns that shape. k1 is unbiased and
    can be negative; k2 is biased, small where the two are close; k3 is unbiased, never negative,
    and grows exponentially where the reference is much surer than pi. Sources: Schulman 2020,
    "Approximating KL Divergence" (note); k3 in the loss is GRPO's (Shao et al. 2024,
    "DeepSeekMath", equation 4); k1 in the reward is PPO's for language models (Ziegler et al.
    2019).

    >>> logp, ref = torch.tensor(0.5).log(), torch.tensor(0.25).log()
    >>> [round(float(kl_estimate(logp, ref, k)), 4) for k in ("k1", "k2", "k3")]
    [0.6931, 0.2402, 0.1931]
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator is one of {', '.join(ESTIMATORS)}, not {estimator!r}")
    gap = logp - logp_reference
    if estimator == "k1":
        return gap
    if estimator == "k2":
        return gap.square() / 2
    return torch.expm1(-gap) + gap


def forward_kl_estimate(logp: Tensor, logp_reference: Tensor) -> Tensor:
    """KL(ref || pi) per token, from a token sampled from pi; never negative, for watching only.

        u = ref(y_t) / pi(y_t),   f = u log u - (u - 1)

    Arguments as in `kl_estimate`. E_pi[u - 1] = 0 is the control variate that makes it positive.
    As a loss take k3 or `forward_kl`. Source: the f-divergence form of Schulman's note.

    >>> logp, ref = torch.tensor(0.5).log(), torch.tensor(0.25).log()
    >>> round(float(forward_kl_estimate(logp, ref)), 4)  # 0.5 log 0.5 + 0.5
    0.1534
    """
    log_u = logp_reference - logp
    return torch.exp(log_u) * log_u - torch.expm1(log_u)


def kl_rewards(
    logp: Tensor, logp_reference: Tensor, weight: Tensor, kl_coef: float, outcome: Tensor
) -> Tensor:
    """Per-token rewards: a KL penalty everywhere, the outcome at the last token.

        r_t = -beta * ( log pi(y_t) - log ref(y_t) ) + 1[t is the last] * R

    logp, logp_reference: (S, T). weight: (S, T), 0 where a token is not the policy's. kl_coef:
    beta, 0.01 to 0.02 in card [176]. outcome: R, (S,). Returns (S, T), 0 where the weight is 0. It
    is a reward: nothing flows back. Rows without a weighted token stay 0. Source: Ziegler et al.
    2019; Zheng et al. 2023, "Secrets of RLHF in Large Language Models Part I", card [176].

    >>> logp, ref = torch.tensor([[-9.0, -1.0, -1.0]]), torch.tensor([[-7.0, -2.0, -1.0]])
    >>> mask, outcome = torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([1.0])
    >>> kl_rewards(logp, ref, mask, kl_coef=0.5, outcome=outcome).tolist()
    [[0.0, -0.5, 1.0]]
    """
    real = weight != 0
    zero = torch.zeros((), dtype=logp.dtype, device=logp.device)
    rewards = torch.where(real, -kl_coef * (logp - logp_reference).detach(), zero)
    place = torch.arange(real.shape[-1], device=logp.device)
    last = torch.where(real, place, -1).amax(-1, keepdim=True)
    return rewards + torch.where(real & (place == last), outcome[:, None].to(logp.dtype), zero)


def centred_kl(kl: Tensor, norm: float | None = None) -> Tensor:
    """T1's penalty: only what is above or below the batch's mean divergence counts.

        d_i = KL_i - (1 / n) * sum_j KL_j

    kl: KL_i, one per answer, (n,). norm: n (None: as many as there are here). It is subtracted
    times beta from the reward: being far from the reference is free, being farther than the others
    costs. Source: Hou et al. 2025, "T1: Advancing Language Model Reasoning through Reinforcement
    Learning and Inference Scaling"; card [240] (formula from its summary).

    >>> centred_kl(torch.tensor([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """
    return kl - kl.sum() / (kl.numel() if norm is None else norm) if kl.numel() else kl


def entropy(logits: Tensor) -> Tensor:
    """Entropy of a next-token distribution, in nats.

        H = -sum_v p_v log p_v,   p = softmax(logits)

    logits: (..., V); minus infinity forbids a token. Returns (...), in [0, log V].

    >>> entropy(torch.tensor([[0.0, 0.0, -torch.inf]])).exp().tolist()
    [2.0]
    """
    logp = torch.log_softmax(logits, -1)
    return -_expectation(logp, logp)


def kl(logits: Tensor, other: Tensor) -> Tensor:
    """KL(p || q) of two next-token distributions, exactly, in nats.

        D = sum_v p_v ( log p_v - log q_v ),   p = softmax(logits), q = softmax(other)

    logits, other: (..., V). Returns (...), at least 0; infinite where p has what q forbids.
    `kl(policy, reference)` is the reverse, mode-seeking one that policies are leashed with;
    `kl(reference, policy)` the forward, mass-covering one of distillation and SuperHF (card [197]).

    >>> p, q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    >>> round(float(kl(p, q)), 4), round(float(kl(q, p)), 4)
    (0.1438, 0.1308)
    """
    return expected_gap(torch.log_softmax(logits, -1), torch.log_softmax(other, -1))


def expected_gap(logp: Tensor, logq: Tensor) -> Tensor:
    """sum_v p_v (log p_v - log q_v) of normalised log-probabilities (..., V), with 0 log 0 = 0.

    >>> float(expected_gap(torch.tensor([0.0, -torch.inf]), torch.tensor([0.0, -torch.inf])))
    0.0
    """
    known = logp > -torch.inf
    zero = torch.zeros((), dtype=logp.dtype, device=logp.device)
    return _expectation(logp, torch.where(known, logp, zero) - torch.where(known, logq, zero))


def _expectation(logp: Tensor, x: Tensor) -> Tensor:
    """sum_v p_v x_v where a token of probability 0 counts nothing, forwards and backwards."""
    known = logp > -torch.inf
    zero = torch.zeros((), dtype=logp.dtype, device=logp.device)
    return (torch.where(known, logp, -torch.inf).exp() * torch.where(known, x, zero)).sum(-1)
