"""Games of preferences: who wins how often, and the policy that no other beats.

Preferences are a matrix P with P[i, j] = P(i > j) in [0, 1] and P[i, j] + P[j, i] = 1; they may be
cyclic, where no score explains them. numpy, float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.formulas.finite import finite


def win_rates(preferences: Any) -> np.ndarray:
    """SPO: an attempt's reward is how often it wins against the others of its group.

        r_i = 1 / (G - 1) * sum_{j != i} P(i > j)

    preferences: P, (G, G); the diagonal is not read. Returns (G,), in [0, 1]; their mean is 1/2 if
    P[i, j] + P[j, i] = 1. Raises ConfigError for a group of one. Their spread carries information:
    do not divide by it. Source: Swamy et al. 2024, "A Minimaximalist Approach to Reinforcement
    Learning from Human Feedback", algorithm 1; card [213].

    >>> win_rates([[0.5, 1.0, 1.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]]).tolist()
    [1.0, 0.5, 0.0]
    """
    found = _square(preferences)
    if len(found) == 1:
        raise ConfigError(
            "a win rate in the group needs at least two attempts a task",
            found="a group of one",
            hint="raise explore.num_attempts, or skip such groups",
        )
    if not len(found):
        return np.zeros(0)
    return (found.sum(1) - np.diag(found)) / (len(found) - 1)


def win_rates_against(preferences: Any) -> np.ndarray:
    """SPO with a queue: how often each attempt wins against earlier ones.

        r_i = 1 / |Q| * sum_{q in Q} P(i > q)

    preferences: (n, |Q|), attempts by rows, opponents by columns. Returns (n,); 1/2 where the queue
    is empty. A stale queue flatters: after an improvement everybody wins. Source and card as
    `win_rates`.

    >>> win_rates_against([[1.0, 0.5]]).tolist(), win_rates_against(np.zeros((1, 0))).tolist()
    ([0.75], [0.5])
    """
    found = finite("preferences", preferences)
    if not found.shape[1]:
        return np.full(len(found), 0.5)
    return found.mean(1)


def nash_reward(preference: Any, logp: Any, logp_reference: Any, tau: float) -> np.ndarray:
    """Nash-MD's reward of an answer, to be used as advantage in REINFORCE.

        A = P(y > y') - 1/2 - tau * ( log pi(y) - log mu(y) )

    preference: P(y > y'), (n,), with y' from the opponent: the geometric mixture (Nash-MD) or the
    moving average (Nash-MD with EMA) of the policy, *not* the policy itself. logp, logp_reference:
    of the whole answer y under the policy and the reference mu, (n,). tau: 0.008 in the paper.
    1/2 is the control variate. Source: Munos et al. 2023, "Nash Learning from Human Feedback",
    the policy gradient of Nash-MD; card [196].

    >>> nash_reward([1.0], [-1.0], [-3.0], tau=0.1).round(4).tolist()
    [0.3]
    """
    gap = finite("logp", logp) - finite("logp_reference", logp_reference)
    return finite("preference", preference) - 0.5 - tau * gap


def geometric_mixture(logp: Any, logp_reference: Any, beta: float) -> np.ndarray:
    """The distribution between two others, on the log scale.

        log m_v = (1 - beta) * log p_v + beta * log q_v - c,   c so that sum_v m_v = 1

    logp, logp_reference: log p, log q, (..., V); need not be normalised. beta: in [0, 1], 0 is p.
    Returns normalised log-probabilities (..., V). Taken token by token on logits it is only near
    the mixture of whole answers, because c differs from prefix to prefix. A token that either
    forbids is forbidden, for 0 < beta < 1. Source: Munos et al. 2023; card [196].

    >>> p, q = np.log([0.5, 0.5]), np.log([0.2, 0.8])
    >>> np.exp(geometric_mixture(p, q, 0.5)).round(4).tolist()  # sqrt(0.1) : sqrt(0.4)
    [0.3333, 0.6667]
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is in [0, 1], not {beta}")
    p, q = np.asarray(logp, np.float64), np.asarray(logp_reference, np.float64)
    parts = [share * x for share, x in ((1 - beta, p), (beta, q)) if share > 0]
    mixed = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    top = mixed.max(-1, keepdims=True)
    return mixed - top - np.log(np.exp(mixed - top).sum(-1, keepdims=True))


def nash_mirror_step(
    policy: Any, reference: Any, preferences: Any, eta: float, tau: float
) -> np.ndarray:
    """One exact step of Nash mirror descent on a finite set of answers.

        pi^mu_t  ~ pi_t^(1 - eta tau) * mu^(eta tau)
        pi_{t+1} ~ pi^mu_t * exp( eta * P(. > pi^mu_t) ),     P(y > pi) = sum_j P(y > j) pi_j

    policy, reference: pi_t and mu, (Y,), positive, sum 1. preferences: (Y, Y). eta: step, with
    eta * tau at most 1; 2 / (tau (t + 2)) gives KL(pi*, pi_T) <= 8 / (tau^2 (T + 1)) for the last
    iterate. tau: weight of the KL to mu. Source: Munos et al. 2023 (the bound is their
    theorem 1); card [196].

    >>> rock = np.array([[0.5, 0, 1], [1, 0.5, 0], [0, 1, 0.5]])
    >>> third = np.full(3, 1 / 3)
    >>> nash_mirror_step(third, third, rock, eta=1.0, tau=0.1).round(4).tolist()
    [0.3333, 0.3333, 0.3333]
    """
    with np.errstate(divide="ignore"):
        now, anchor = np.log(finite("policy", policy)), np.log(finite("reference", reference))
    mixed = geometric_mixture(now, anchor, min(1.0, eta * tau))
    score = mixed + eta * (_square(preferences) @ np.exp(mixed))
    score = np.exp(score - score.max())
    return score / score.sum()


def exploitability(policy: Any, preferences: Any) -> float:
    """How far above one half the best answer to a policy wins: 0 at the minimax winner.

        max_y sum_j P(y > j) pi_j - 1/2

    policy: pi, (Y,). preferences: (Y, Y), with 1/2 on the diagonal. Source: card [196].

    >>> rock = [[0.5, 0, 1], [1, 0.5, 0], [0, 1, 0.5]]
    >>> exploitability([1, 0, 0], rock), round(exploitability([1 / 3] * 3, rock), 9)
    (0.5, 0.0)
    """
    return float((_square(preferences) @ finite("policy", policy)).max() - 0.5)


def minimax_winner(preferences: Any) -> np.ndarray:
    """The policy that no other beats, exactly, by a linear program (von Neumann winner).

        max_{pi, v} v    with   sum_i pi_i P(i > j) >= v for all j,   sum pi = 1,   pi >= 0

    preferences: (Y, Y), with P[i, j] + P[j, i] = 1 (v is then 1/2). Returns pi, (Y,); one of them
    where there are several. Source: Kreweras 1965; Swamy et al. 2024; card [213].

    >>> minimax_winner([[0.5, 0, 1], [1, 0.5, 0], [0, 1, 0.5]]).round(4).tolist()
    [0.3333, 0.3333, 0.3333]
    """
    from scipy.optimize import linprog

    found = _square(preferences)
    num = len(found)
    solved = linprog(
        c=np.append(np.zeros(num), -1.0),
        A_ub=np.column_stack([-found.T, np.ones(num)]),
        b_ub=np.zeros(num),
        A_eq=np.append(np.ones(num), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * num + [(None, None)],
    )
    assert solved.success, solved.message  # a matrix game always has a value
    policy = np.clip(solved.x[:num], 0, None)
    return policy / policy.sum()


def best_and_worst(
    scores: Any, lengths: Any = None, length_coef: float = 0.0
) -> tuple[int, int] | None:
    """Online DPO: the pair of a group that is learnt from.

        s_i = r_i - lambda * n_i;   chosen = argmax s,  rejected = argmin s

    scores: r, (G,). lengths: n, tokens, needed with length_coef: lambda, at least 0. Returns
    indices (chosen, rejected), or None where all are tied or there are fewer than two. Among equals
    the first counts. Source: Dong et al. 2024, "RLHF Workflow"; card [253].

    >>> best_and_worst([0.1, 0.9, 0.5]), best_and_worst([1.0, 1.0])
    ((1, 0), None)
    >>> best_and_worst([1.0, 0.9], lengths=[100, 10], length_coef=0.01)
    (1, 0)
    """
    found = finite("scores", scores)
    if length_coef:
        if lengths is None:
            raise ValueError("length_coef needs lengths")
        found = found - length_coef * finite("lengths", lengths)
    if len(found) < 2 or found.max() == found.min():
        return None
    return int(found.argmax()), int(found.argmin())


def moving_average(average: Any, new: Any, decay: float) -> Any:
    """Exponential moving average: T1's anchor, and the opponent of Nash-MD's EMA form.

        a <- decay * a + (1 - decay) * x

    average, new: arrays or tensors of one shape. decay: in [0, 1]; the average remembers about
    1 / (1 - decay) steps. A slow anchor removes the absolute leash, so watch the distance to the
    first model too. Sources: Hou et al. 2025, "T1", card [240]; Munos et al. 2023, card [196].

    >>> moving_average(np.array([1.0]), np.array([3.0]), decay=0.75).tolist()
    [1.5]
    """
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is in [0, 1], not {decay}")
    return decay * average + (1 - decay) * new


def _square(preferences: Any) -> np.ndarray:
    found = finite("preferences", preferences)
    if found.ndim != 2 or found.shape[0] != found.shape[1]:
        raise ValueError(f"preferences are a square matrix, got shape {found.shape}")
    return found
