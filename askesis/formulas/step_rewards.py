"""From a vector of step scores to what is learnt: transforms, aggregators, baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from askesis.formulas.finite import finite

Aggregator = Literal["min", "product", "last", "mean", "sum"]


def progress(values: Any, before: float) -> np.ndarray:
    """What each step changed in the value: its advantage under whoever the values are of.

        A_k = V_k - V_{k-1},    V_0 = before

    values: V, (K,), after each step. Returns (K,), whose sum is V_K - V_0, so that steps which
    change nothing earn nothing. Source: Setlur et al. 2024, "Rewarding Progress", section 3; card
    [129]. Under the learning policy's own values it adds nothing to the outcome's gradient.

    >>> progress([0.5, 0.5, 1.0], before=0.25).tolist()
    [0.25, 0.0, 0.5]
    """
    found = finite("values", values)
    return np.diff(found, prepend=float(finite("before", before)))


def best_of_value(values: Any, k: int) -> np.ndarray:
    """The value under a prover that takes the best of k tries, from the value of one.

        Q_BoK = 1 - (1 - Q)^k

    values: Q, any shape, in [0, 1]. k: at least 1; 4 in the paper, 1 changes nothing. Source: card
    [129]. Tries are independent and a verifier knows which is best.

    >>> best_of_value([0.0, 0.5, 1.0], k=2).tolist()
    [0.0, 0.75, 1.0]
    """
    found = _shares(values)
    if k < 1:
        raise ValueError(f"k is at least 1, not {k}")
    return 1 - (1 - found) ** k


def clipped(scores: Any, eta: float = 0.0) -> np.ndarray:
    """Clip: no step earns anything, those that look bad cost.

        r_k = min( s_k - eta, 0 )

    scores: s, (K,). eta: from where on a step costs nothing; the paper does not print its value.
    Source: Gao et al. 2024, "On Designing Effective RL Reward at Training Time for LLM Reasoning";
    card [128].

    >>> clipped([0.9, 0.2], eta=0.5).tolist()
    [0.0, -0.3]
    """
    return np.minimum(finite("scores", scores) - eta, 0.0)


def delta(scores: Any) -> np.ndarray:
    """Delta: differences whose sum from a step on is that step's own score.

        r_k = s_k - s_{k+1}  for k < K - 1,    r_{K-1} = s_{K-1},    r_K = 0

    scores: s, (K,), of the prefix after each step. Returns (K,). With gamma 1 the return from step
    k on telescopes to s_k (0 for the last step, which the outcome judges): repeating steps earns
    nothing. Right only as such a sum: by itself r_k pays for a low score of the next step. Source:
    card [128].

    >>> delta([0.9, 0.4, 0.7]).tolist()
    [0.5, 0.4, 0.0]
    """
    found = finite("scores", scores)
    kept = np.append(found[:-1], 0.0)[: len(found)]
    return kept - np.append(kept[1:], 0.0)[: len(found)]


def look_ahead(values: Any, rate: float = 0.5, stall: float = 0.05) -> np.ndarray:
    """Early scores corrected by later ones, as long as those go up.

        u = first t >= k with V_{t+1} - V_t < stall  (the last one, where there is none)
        for t = u - 1 ... k:   logit V_t  <-  logit V_t + rate * ( logit V_{t+1} - logit V_t )

    values: V, (K,), in [0, 1]. Returns (K,): for each k what stands at t = k after the sweep that
    begins there. rate: in [0, 1]; 0 changes nothing. Source: Sun et al. 2025, "ReARTeR", card
    [152], there over continuations that are drawn for it; here over the attempt's own.

    >>> look_ahead([0.5, 0.8, 0.8, 0.2]).round(3).tolist()  # 0.5 is pulled half of the way to 0.8
    [0.667, 0.8, 0.8, 0.2]
    """
    found = _shares(values)
    safe = np.clip(found, 1e-6, 1 - 1e-6)
    logits = np.log(safe) - np.log1p(-safe)
    result = found.copy()
    for k in range(len(found)):
        u = k
        while u + 1 < len(found) and found[u + 1] - found[u] >= stall:
            u += 1
        ahead = logits[u]
        for t in range(u - 1, k - 1, -1):
            ahead = logits[t] + rate * (ahead - logits[t])
        if u > k:
            result[k] = 1 / (1 + np.exp(-ahead))
    return result


def largest_return_normalised(rewards: Sequence[Any]) -> list[np.ndarray]:
    """Step rewards of a whole batch in units of the largest return anywhere in it.

        r~_ik = r_ik / max_{j, l} | sum_{m >= l} r_jm |

    rewards: one array (K_i,) per attempt. Returns the same shapes; unchanged where all are 0.
    Source: the reference code of PRIME, card [146].

    >>> [r.tolist() for r in largest_return_normalised([[1.0, 3.0], [-2.0]])]
    [[0.25, 0.75], [-0.5]]
    """
    found = [finite("rewards", r) for r in rewards]
    largest = max((np.abs(np.cumsum(r[::-1])).max() for r in found if len(r)), default=0.0)
    return [r / largest if largest else r for r in found]


def step_leave_one_out(rewards: Sequence[Any]) -> list[np.ndarray]:
    """Step rewards of a group less what a step of the others is worth on average.

        r~_ik = r_ik - 1 / (G - 1) * sum_{j != i} mean_l r_jl

    rewards: one array (K_i,) per attempt, G at least 2; an attempt without steps counts as 0 in the
    baseline of the others. Returns the same shapes. Source: Cui et al. 2025, "Process Reinforcement
    through Implicit Rewards" (PRIME), equation of the advantage; card [146]. The authors' code
    leaves r_ik itself out of the sum of means instead of its attempt's mean.

    >>> [r.tolist() for r in step_leave_one_out([[1.0, 3.0], [0.5]])]
    [[0.5, 2.5], [-1.5]]
    """
    found = [finite("rewards", r) for r in rewards]
    if len(found) < 2:
        raise ValueError("leaving one out needs at least two attempts")
    means = np.array([r.mean() if len(r) else 0.0 for r in found])
    others = (means.sum() - means) / (len(found) - 1)
    return [r - b for r, b in zip(found, others, strict=True)]


def aggregate(scores: Any, by: Aggregator = "min") -> float:
    """One number for an attempt from those of its steps.

        min: min_k s_k,  product: prod_k s_k,  last: s_K,  mean: 1/K sum_k s_k,  sum: sum_k s_k

    scores: s, (K,), K at least 1. Sources: min and product Lightman et al. 2023, last Wang et al.
    2024. Labels of single steps go with min and product, values with last (card [171]); min depends
    on how steps are cut, product and sum on how many there are.

    >>> [aggregate([0.5, 1.0, 0.8], by) for by in ("min", "product", "last")]
    [0.5, 0.4, 0.8]
    """
    found = finite("scores", scores)
    if by not in get_args(Aggregator):
        raise ValueError(f"there is no aggregator {by!r}")
    if not len(found):
        raise ValueError("no steps to aggregate")
    if by == "last":
        return float(found[-1])
    if by == "min":
        return float(found.min())
    if by == "product":
        return float(found.prod())
    return float(found.mean() if by == "mean" else found.sum())


def weighted_vote(answers: Sequence[str], weights: Any) -> tuple[str, float]:
    """The answer with the most weight behind it, and its share of all weight.

        winner = argmax_a sum_{i: a_i = a} w_i

    answers: canonical; "" abstains, its weight counts in the whole. weights: (n,), at least 0. Of
    equal ones the first in order of appearance wins; without any weight ("", 0.0). Source: Li et
    al. 2023, "Making Language Models Better Reasoners with Step-Aware Verifier"; cards [133] and
    [135].

    >>> weighted_vote(["7", "3", "7"], [0.25, 0.5, 0.5])
    ('7', 0.6)
    """
    found = finite("weights", weights)
    if len(found) != len(answers):
        raise ValueError(f"{len(found)} weights for {len(answers)} answers")
    if len(found) and found.min() < 0:
        raise ValueError(f"weights are at least 0, not {found.min()}")
    totals: dict[str, float] = {}
    for answer, weight in zip(answers, found, strict=True):
        if answer:
            totals[answer] = totals.get(answer, 0.0) + float(weight)
    best = max(totals, key=lambda a: totals[a], default="")
    if not best or not totals[best]:
        return "", 0.0
    return best, totals[best] / float(found.sum())


def consensus(first: Any, second: Any, threshold: float = 0.5) -> np.ndarray | None:
    """Labels of steps on which two annotators agree: right up to the first error, that one wrong.

        e = min { t : c_t < threshold },   kept where e_1 = e_2,   y = (1, ..., 1, 0 at e)

    first, second: correctness by each, (K,). Returns (e + 1,), or (K,) where neither finds an
    error; None where they disagree. What follows the first error is left out, for a step has no
    truth after one. Source: Zhang et al. 2025, "The Lessons of Developing Process Reward Models",
    card [171], which keeps about 40 % of the data. The two must not share a model.

    >>> consensus([1, 0.2, 0.9], [0.8, 0.1, 0.0]).tolist()
    [1.0, 0.0]
    >>> consensus([1, 0.2, 0.9], [1, 1, 0]) is None
    True
    """
    one, other = finite("scores", first), finite("scores", second)
    if one.shape != other.shape:
        raise ValueError(f"{len(one)} steps and {len(other)}")
    errors = [np.flatnonzero(c < threshold) for c in (one, other)]
    places = [int(e[0]) if len(e) else -1 for e in errors]
    if places[0] != places[1]:
        return None
    if places[0] < 0:
        return np.ones(len(one))
    return np.append(np.ones(places[0]), 0.0)


def _shares(values: Any) -> np.ndarray:
    found = finite("values", values)
    if found.size and not 0 <= found.min() <= found.max() <= 1:
        raise ValueError(f"values are in [0, 1], not {found.min():g} to {found.max():g}")
    return found
