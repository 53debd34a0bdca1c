"""Learning another model's distributions: forward, reverse, and what is between.

Over the vocabulary at each token; whose tokens they are (a data set's, the teacher's, the
student's own) is the explorer's choice and makes it off-policy or on-policy.
"""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np
import torch
from torch import Tensor

from askesis.formulas.divergences import expected_gap
from askesis.formulas.finite import finite


def distillation(
    student: Tensor, teacher: Tensor, beta: float = 0.0, temperature: float = 1.0
) -> Tensor:
    """Divergence of two next-token distributions at each token.

        p = softmax(teacher / T),  q = softmax(student / T),  m = beta p + (1 - beta) q
        beta = 0:      KL(p || q)                                       forward
        beta = 1:      KL(q || p)                                       reverse
        0 < beta < 1:  beta KL(p || m) + (1 - beta) KL(q || m)          generalised Jensen-Shannon

    student, teacher: logits (..., V); nothing flows into the teacher. beta: in [0, 1]. temperature:
    T, above 0; not multiplied by T^2, which is usual in vision. Returns (...), at least 0, for
    `means.weighted_mean`. The ends are conventions, not limits: divided by beta the middle tends to
    the forward one, and divided by 1 - beta to the reverse one, while itself it tends to 0, so
    learning rates do not carry over from 0 to 0.01. Sources: Hinton et al. 2015 (forward); Gu et
    al. 2024, "MiniLLM" (reverse); Agarwal et al. 2024, "On-Policy Distillation of Language Models"
    (GKD).

    >>> p, q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log()
    >>> [round(float(distillation(q, p, beta)), 4) for beta in (0.0, 1.0, 0.5)]
    [0.1438, 0.1308, 0.0338]
    """
    if not 0 <= beta <= 1 or not temperature > 0:
        raise ValueError(f"need 0 <= beta <= 1 and temperature > 0, got {beta} and {temperature}")
    logp = torch.log_softmax(teacher.detach() / temperature, -1)
    logq = torch.log_softmax(student / temperature, -1)
    if beta == 0:
        return expected_gap(logp, logq)
    if beta == 1:
        return expected_gap(logq, logp)
    nobody = (logp == -torch.inf) & (logq == -torch.inf)  # counts nothing, and has no derivative
    one, other = logp.masked_fill(nobody, 0.0), logq.masked_fill(nobody, 0.0)
    mixed = torch.logaddexp(one + log(beta), other + log(1 - beta))
    return beta * expected_gap(logp, mixed) + (1 - beta) * expected_gap(logq, mixed)


def distillation_rewards(logp_teacher: Any, logp: Any) -> np.ndarray:
    """Reverse distillation from sampled tokens alone: a reward per token, for a policy gradient.

        r_t = log p_teacher(y_t) - log q(y_t),   y_t ~ q

    logp_teacher, logp: any shape; log q of the student that sampled. Returns that shape; its
    expectation is -KL(q || p). Used as advantage of its own token only (a discount of 0) it is the
    gradient of the per-token reverse divergence. Sources: MiniLLM; Lu 2025, "On-Policy
    Distillation" (note).

    >>> distillation_rewards([-1.0], [-3.0]).tolist()
    [2.0]
    """
    return finite("logp_teacher", logp_teacher) - finite("logp", logp)
