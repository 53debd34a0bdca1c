"""What is kept and what is carried over when tasks are learnt one after another. numpy, float64.

The log of a life alternates: evaluate all tasks, learn one, evaluate all, learn the next. Its
evaluations are a matrix E of J + 1 rows (before anything, after block 1, ..., after block J) and
one column per task; `learnt` names the column learnt in each of the J blocks, -1 for none of them.
What cannot be known is NaN and stays NaN: it is left out of means, never counted as 0.

Definitions as in New et al. 2022, "Lifelong Learning Metrics", and Baker et al. 2023, "A
Domain-Agnostic Approach for Characterization of Lifelong Learning Systems", card [63]; where the
two differ from the authors' program the docstring says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any, Literal

import numpy as np

Direction = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """What learning `source` in a block did to `target`, another task."""

    block: int
    source: int
    target: int
    value: float


def transfers(
    matrix: Any, learnt: Sequence[int], direction: Direction, method: str = "contrast"
) -> list[Transfer]:
    """Transfer from every block's task to every other task.

        contrast:  (p_2 - p_1) / (p_1 + p_2)        ratio:  p_2 / p_1

    p_1, p_2: the target's evaluations just before and just after the block. forward: blocks before
    the target's first own block (all blocks, where it has none); backward: blocks after it. A
    contrast is in [-1, 1] for performances of at least 0; both are NaN where the divisor is 0. The
    authors' program keeps one value per evaluation, this one all.

    >>> transfers([[1, 1], [3, 3], [3, 6]], [0, 1], "forward")
    [Transfer(block=0, source=0, target=1, value=0.5)]
    """
    e = _matrix(matrix, learnt)
    found = []
    for block, source in enumerate(learnt):
        for target in range(e.shape[1]):
            if source < 0 or target == source:
                continue
            first = next((j for j, t in enumerate(learnt) if t == target), len(learnt))
            if (block < first) == (direction == "forward"):
                value = contrast(e[block, target], e[block + 1, target], method)
                found.append(Transfer(block, source, target, value))
    return found


def contrast(before: float, after: float, method: str = "contrast") -> float:
    """(after - before) / (after + before), or after / before; NaN where the divisor is 0.

    >>> contrast(1.0, 3.0), contrast(1.0, 3.0, method="ratio")
    (0.5, 3.0)
    """
    if method not in ("contrast", "ratio"):
        raise ValueError(f"method is contrast or ratio, not {method!r}")
    below = before + after if method == "contrast" else before
    above = after - before if method == "contrast" else after
    return float(above / below) if below else nan


def maintenance(
    matrix: Any, learnt: Sequence[int], terminal: Sequence[float] | None = None
) -> np.ndarray:
    """Performance maintenance of every task: what became of it while others were learnt.

        PM_i = mean over later evaluations of ( E[j, i] - reference )

    terminal: None takes the first evaluation after the task's most recent learning block as
    reference ("MRLEP", the default of the authors); otherwise the terminal performance of each
    block ("MRTLP"), (J,). Later evaluations are those that do not directly follow a block of the
    task. Returns (tasks,): 0 is perfect memory, below 0 forgetting, above 0 gain from other tasks;
    NaN for tasks that were never learnt or never evaluated later. A system that never learnt
    anything maintains it well: read it beside `relative_performance`.

    >>> maintenance([[0, 0], [1.0, 0], [0.5, 0.75], [0.75, 0.75]], [0, 1, -1]).tolist()
    [-0.375, 0.0]
    """
    e = _matrix(matrix, learnt)
    found = np.full(e.shape[1], nan)
    for task in range(e.shape[1]):
        gaps = []
        last = -1  # the task's most recent block
        for block, source in enumerate(learnt):
            if source == task:
                last = block
            elif last >= 0:
                reference = e[last + 1, task] if terminal is None else terminal[last]
                gaps.append(e[block + 1, task] - reference)
        known = [g for g in gaps if not np.isnan(g)]
        found[task] = np.mean(known) if known else nan
    return found


def forgetting(matrix: Any) -> np.ndarray:
    """How far each task ends below the best it ever was.

        F_i = max_{j < J} E[j, i] - E[J, i]

    Returns (tasks,); below 0 where the end is the best. NaN with a single evaluation. Not of card
    [63]; the maximum of noisy figures is too high, so with few attempts this overstates, and
    `maintenance` does not. Source: Chaudhry et al. 2018, "Riemannian Walk for Incremental
    Learning", equation 3.

    >>> forgetting([[0.0, 0.0], [0.75, 0.0], [0.5, 1.0]]).tolist()
    [0.25, -1.0]
    """
    e = np.asarray(matrix, np.float64)
    if e.ndim != 2 or len(e) < 2:
        return np.full(e.shape[1] if e.ndim == 2 else 0, nan)
    known = ~np.isnan(e[:-1])
    best = np.where(known.any(0), np.where(known, e[:-1], -np.inf).max(0), nan)
    return best - e[-1]


def terminal_performance(curve: Sequence[float], evaluation: bool = False) -> float:
    """The last tenth of a learning block's curve on average, or the whole of an evaluation's.

    curve: one performance per experience, (n,); NaN are left out, and with none left it is NaN.

    >>> terminal_performance([0.0] * 8 + [1.0, 3.0]), terminal_performance([1.0, 3.0], True)
    (3.0, 2.0)
    """
    x = _curve(curve)
    if not len(x):
        return nan
    return float(x[0 if evaluation else int(0.9 * len(x)) :].mean())


def smoothed(curve: Sequence[float]) -> np.ndarray:
    """A moving average over a fifth of the curve, at most 100 experiences, of the same length.

    The ends are reflected. With fewer than 15 experiences there is nothing to smooth over.

    >>> smoothed([0.0, 3.0] * 8).round(2).tolist()[:4]
    [1.0, 2.0, 1.0, 2.0]
    """
    x = _curve(curve)
    window = min(int(0.2 * len(x)), 100)
    if window < 3:
        return x
    wide = np.concatenate([x[window - 1 : 0 : -1], x, x[-2 : -window - 1 : -1]])
    mean = np.convolve(np.full(window, 1 / window), wide, mode="valid")
    return mean[window // 2 - 1 : -((window + 1) // 2)]


def normalised(values: Any, low: float, high: float) -> np.ndarray:
    """Performances of one task on the scale from 1 to 101, so that ratios are defined.

        1 + 100 (x - low) / (high - low)

    low, high: the range over the system's *and* the single-task experts' data of this task. Where
    they are equal there is no scale, and all is NaN.

    >>> normalised([0.0, 0.5, 1.0], 0.0, 1.0).tolist()
    [1.0, 51.0, 101.0]
    """
    x = np.asarray(values, np.float64)
    return 1 + 100 * (x - low) / (high - low) if high > low else np.full_like(x, nan)


def relative_performance(system: Sequence[float], expert: Sequence[float]) -> float:
    """How a task was learnt within a life, relative to one who learnt nothing else.

        RP = sum_{t < n} system_t / sum_{t < n} expert_t,   n = the shorter length

    system: the performances in the task's learning blocks, joined. expert: those of a single-task
    expert from scratch. Above 1 the life helped; NaN where the expert's sum is 0.

    >>> relative_performance([2.0, 4.0, 9.0], [3.0, 3.0])
    1.0
    """
    a, b = _curve(system), _curve(expert)
    n = min(len(a), len(b))
    total = float(b[:n].sum())
    return float(a[:n].sum()) / total if n and total else nan


def sample_efficiency(system: Sequence[float], expert: Sequence[float]) -> float:
    """How soon and how high a task saturates, relative to a single-task expert.

        SE = ( sat / sat_expert ) * ( n_expert / n ),   sat = max of the smoothed curve, n its place

    Undefined (NaN) where either saturates at once (n = 0, as constant curves do) or the expert's
    height is 0. The authors' program puts 0 where the system's curve falls or stays below a fifth
    of the expert's; here that is left to the reader.

    >>> sample_efficiency([0.0, 1.0, 2.0], [0.0, 0.0, 1.0])
    2.0
    """
    a, b = smoothed(system), smoothed(expert)
    if not len(a) or not len(b):
        return nan
    n, m = int(a.argmax()), int(b.argmax())
    return float(a[n] / b[m] * m / n) if n and m and b[m] else nan


def recovery_time(curve: Sequence[float], before: float) -> int:
    """Experiences of a re-visit until the task is as good as at the end of the visit before.

    curve: performances in the re-visit, (n,). before: the previous terminal performance. Returns
    the first place (from 0) where the curve is at least `before`, n + 1 if it never is.

    >>> recovery_time([0.2, 0.6, 0.9], 0.5), recovery_time([0.2], 0.5)
    (1, 2)
    """
    x = _curve(curve)
    found = np.nonzero(x >= before)[0]
    return int(found[0]) if len(found) else len(x) + 1


def performance_recovery(times: Sequence[float]) -> float:
    """Whether recovering becomes faster from visit to visit.

        PR = - median over pairs of ( (y_j - y_i) / (j - i) )

    times: successive recovery times of a task; with fewer than two it is NaN. Above 0: faster. The
    slope is Theil and Sen's.

    >>> performance_recovery([9, 6, 3])
    3.0
    """
    y = np.asarray(times, np.float64)
    if len(y) < 2:
        return nan
    i, j = np.triu_indices(len(y), 1)
    return -float(np.median((y[j] - y[i]) / (j - i)))


def lifetime(values: Sequence[float], method: str = "mean") -> float:
    """One figure for a life: the mean or median over tasks or pairs of what is known.

    >>> lifetime([1.0, nan, 4.0, 10.0]), lifetime([1.0, nan, 4.0, 10.0], "median")
    (5.0, 4.0)
    """
    if method not in ("mean", "median"):
        raise ValueError(f"method is mean or median, not {method!r}")
    known = _curve(values)
    if not len(known):
        return nan
    return float(known.mean() if method == "mean" else np.median(known))


def _curve(values: Sequence[float]) -> np.ndarray:
    x = np.asarray(values, np.float64)
    return x[~np.isnan(x)]


def _matrix(matrix: Any, learnt: Sequence[int]) -> np.ndarray:
    e = np.asarray(matrix, np.float64)
    if e.ndim != 2 or len(e) != len(learnt) + 1:
        raise ValueError(
            f"{len(learnt)} blocks need a matrix of {len(learnt) + 1} rows, got shape {e.shape}"
        )
    if any(not -1 <= t < e.shape[1] for t in learnt):
        raise ValueError(f"blocks learn a column from 0 to {e.shape[1] - 1}, or -1: {learnt}")
    return e
