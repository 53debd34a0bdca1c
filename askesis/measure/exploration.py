"""Exploration and exploitation in the round's own attempts, as B-STaR watches them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isnan
from typing import Any, Literal, get_args

from askesis.errors import must_fit
from askesis.formulas.best_of_k import reward_at_k_s
from askesis.formulas.exploration import balance_score, distinct_correct_fraction, pass_at_k_s
from askesis.formulas.intervals import clustered_mean, wilson
from askesis.formulas.ratios import ratio_of_sums
from askesis.measure.attempts import answer_of, surprise, train_attempts
from askesis.measure.figures import put
from askesis.measure.seen import look_up, nothing_seen, remember
from askesis.protocols import Metrics
from askesis.records import Attempt

By = Literal["text", "answer"]
LAZY = {"lazy": True}


@dataclass(frozen=True, slots=True)
class _Judged:
    """One attempt whose correctness is known: right, what it said, how it was rated."""

    right: bool
    answer: str
    rating: float


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """Whether the model still finds different right answers (exploration), and whether what is
    selected is right (exploitation). Costs no tokens: it reads the round's train attempts.

    threshold: a value of at least this is right, in (0, 1].
    judge: whose value says so (id, with or without version); "" takes the last judge that knew.
        Where that is no verifier, "right" is its opinion.
    rater: whose value ranks attempts for Reward@K-S; "" takes `judge`'s, where the figure is
        trivial unless values are graded.
    k: attempts of Pass@K-S and Reward@K-S; groups with fewer are left out; 0 takes the largest
        group's size. distinct: the values of S; those above k are left out.
    keep: attempts rated at least this count as selected in the balance score (none: those that
        are right). target: n* of the balance score, at least 1.
    by: what makes two right answers different: their "text", or the "answer" the world reads.
    memory: tasks, and right answers, that are remembered, at least 1; those seen longest ago are
        forgotten first.

    State: which tasks were tried, which of them were ever solved, and which right answers were
    ever found, over all rounds, also those that are not measured. Where tasks are fresh each
    round, the figures about earlier rounds say nothing. Attempts that read a hint are in no
    figure. Source: Zeng et al. 2024, card [1]; docs/metrics.md explains every key.
    """

    threshold: float = 1.0
    judge: str = ""
    rater: str = ""
    k: int = 0
    distinct: tuple[int, ...] = (2, 4)
    keep: float | None = None
    target: int = 8
    by: By = "text"
    memory: int = field(default=50_000, metadata=LAZY)

    def __post_init__(self) -> None:
        limits = {
            "threshold": (0 < self.threshold <= 1, "in (0, 1]"),
            "k": (self.k >= 0, "at least 0"),
            "distinct": (all(s >= 1 for s in self.distinct), "each at least 1"),
            "target": (self.target >= 1, "at least 1"),
            "by": (self.by in get_args(By), " or ".join(get_args(By))),
            "memory": (self.memory >= 1, "at least 1"),
        }
        must_fit(self, limits)

    def init(self, ctx: Any) -> dict[str, Any]:
        """Nothing tried and nothing found yet."""
        return {"tasks": nothing_seen(), "solutions": nothing_seen()}

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """See docs/metrics.md for every key. Nothing where nobody judged anything."""
        groups = self._judged(ctx, view)
        state = ctx.state or self.init(ctx)
        found: Metrics = {}
        self._subsets(found, [g for _, g in groups])
        self._balance(found, [g for _, g in groups])
        self._entropy(found, view)
        self._new(found, groups, state)
        return found

    def observe(self, ctx: Any, state: Mapping[str, Any] | None, view: Any) -> dict[str, Any]:
        """Remembers which tasks of this round were solved, and by what."""
        state = state or self.init(ctx)
        groups = self._judged(ctx, view)
        tasks = _by_task(groups)
        solutions = dict.fromkeys(map(_name, _solutions(groups)), True)
        return {
            "tasks": remember(state["tasks"], tasks, view.index, self.memory),
            "solutions": remember(state["solutions"], solutions, view.index, self.memory),
        }

    def _judged(self, ctx: Any, view: Any) -> list[tuple[str, list[_Judged]]]:
        """Task id and judged attempts of every plain train group somebody judged."""
        threshold, judge, rater, by = self.threshold, self.judge, self.rater, self.by
        groups = []
        for attempts in train_attempts(view.all_groups)[0]:
            inside = []
            for attempt in attempts:
                value = view.verdicts.value(attempt, judge=judge)
                if value is not None:
                    rating = view.verdicts.value(attempt, -inf, judge=rater) if rater else value
                    answer = answer_of(ctx, attempt, by)
                    inside.append(_Judged(value >= threshold, answer, rating))
            if inside:
                groups.append((attempts[0].task.id, inside))
        return groups

    def _subsets(self, found: Metrics, groups: list[list[_Judged]]) -> None:
        """Pass@K-S and Reward@K-S."""
        k = self.k or max(map(len, groups), default=0)
        whole = [g for g in groups if len(g) >= k]
        for s in sorted(set(self.distinct)):
            if k and s <= k:
                several = [
                    pass_at_k_s([a.answer for a in g], [a.right for a in g], k, s) for g in whole
                ]
                top = [
                    reward_at_k_s([a.rating for a in g], [a.right for a in g], k, s) for g in whole
                ]
                put(found, f"distinct_pass@{k}/{s}", clustered_mean([[x] for x in several]))
                put(found, f"reward@{k}/{s}", clustered_mean([[x] for x in top]))

    def _balance(self, found: Metrics, groups: list[list[_Judged]]) -> None:
        keep, target = self.keep, self.target
        scores, fractions = [], []
        for group in groups:
            kept = [a for a in group if (a.right if keep is None else a.rating >= keep)]
            num_distinct = len({a.answer for a in kept if a.right})
            scores.append([balance_score(len(kept), num_distinct, target)])
            fraction = distinct_correct_fraction(
                [a.answer for a in group], [a.right for a in group]
            )
            fractions.append([] if isnan(fraction) else [fraction])
        put(found, "balance", clustered_mean(scores))
        put(found, "distinct_correct_fraction", clustered_mean(fractions))

    @staticmethod
    def _entropy(found: Metrics, view: Any) -> None:
        """Tokens are pooled: a mean of means would give the tokens of long answers less say."""
        plain: list[list[Attempt]] = train_attempts(view.all_groups)[0]
        sums = [[surprise(a) for a in attempts] for attempts in plain]
        nats = [sum(n for n, _ in group) for group in sums]
        tokens = [sum(t for _, t in group) for group in sums]
        put(found, "token_entropy", ratio_of_sums(nats, tokens, low=0.0, high=inf))

    @staticmethod
    def _new(found: Metrics, groups: list[tuple[str, list[_Judged]]], state: Any) -> None:
        """What this round found that no earlier one had."""
        if not groups:
            return
        solved = _by_task(groups)
        names, tasks = _solutions(groups), list(solved)
        known, _ = look_up(state["solutions"], [_name(pair) for pair in names])
        new: dict[str, list[bool]] = {task: [] for task in tasks}
        for (task, _), was_known in zip(names, known, strict=True):
            new[task].append(not was_known)
        shares = [new[task] for task in tasks]
        put(
            found,
            "new_solution_fraction",
            ratio_of_sums([sum(s) for s in shares], [len(s) for s in shares]),
        )
        tried, were_solved = look_up(state["tasks"], tasks)
        open_before = [t for t, a, b in zip(tasks, tried, were_solved, strict=True) if a and not b]
        first = sum(solved[t] for t in open_before)
        known_tasks = state["tasks"]
        num_tried = len(known_tasks["key"]) + int((~tried).sum())
        num_open = int((~known_tasks["flag"]).sum()) - first
        num_open += sum(not solved[t] for t, a in zip(tasks, tried, strict=True) if not a)
        put(found, "first_solved_fraction", wilson(first, len(open_before)))
        found["never_solved_fraction"] = num_open / num_tried
        found["tasks_tried"] = float(num_tried)


def _by_task(groups: list[tuple[str, list[_Judged]]]) -> dict[str, bool]:
    """Whether each task was solved in this round, in the order of the groups."""
    solved: dict[str, bool] = {}
    for task, attempts in groups:
        solved[task] = solved.get(task, False) or any(a.right for a in attempts)
    return solved


def _solutions(groups: list[tuple[str, list[_Judged]]]) -> list[tuple[str, str]]:
    """Every different right answer of every task, as (task, answer)."""
    pairs = ((task, a.answer) for task, attempts in groups for a in attempts if a.right)
    return list(dict.fromkeys(pairs))


def _name(solution: tuple[str, str]) -> str:
    return "\x1f".join(solution)
