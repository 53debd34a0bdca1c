"""What is compared: arms, worlds, a budget, seeds, and the tasks that are looked at afterwards."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError, nearest
from askesis.lab.arm import Arm, Look
from askesis.plan import Budget

BUDGETS = tuple(Budget.__dataclass_fields__)
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Entrant:
    """A recipe with options of its own, under the name it is shown by."""

    name: str
    recipe: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Contest:
    """A comparison to be made.

    budget: limits by name; every arm runs until the first is reached. seeds: at least one, all
    different. options: of all arms. num_tasks, num_attempts: claim tasks and attempts at each.
    num_snapshots: points on every curve besides the start. metric: pass@K with K at most
    num_attempts, or score. smallest_effect: a difference worth having, for the words.
    tune: options with the values every arm tries for `tune_share` of the budget (in (0, 1]) before
    the comparison, on decide tasks (`askesis.lab.compare.tuning`).
    """

    entrants: tuple[Entrant, ...]
    worlds: tuple[str, ...]
    budget: Mapping[str, float]
    seeds: tuple[int, ...]
    options: tuple[tuple[str, str], ...] = ()
    num_tasks: int = 1000
    num_attempts: int = 4
    num_snapshots: int = 6
    metric: str = "pass@1"
    smallest_effect: float = 0.02
    tune: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tune_share: float = 1.0

    def __post_init__(self) -> None:
        if not self.budget:
            raise ConfigError(
                "a comparison needs a budget, the same for all",
                hint="--budget.tokens 1e6 (or trained-tokens, flops, updates, seconds)",
            )
        for name, limit in self.budget.items():
            if name not in BUDGETS:
                raise ConfigError(f"there is no budget {name!r}", hint=nearest(name, BUDGETS))
            if not 0 < limit < float("inf"):
                raise ConfigError(f"budget.{name}", expected="above 0", found=f"{limit:g}")
        if len(self.entrants) < 2:
            raise ConfigError(
                "a comparison needs two arms at least",
                found=f"{len(self.entrants)}",
                hint="askesis compare rft grpo --world countdown --budget.tokens 1e6",
            )
        names = [e.name for e in self.entrants]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ConfigError(
                f"two arms are called {twice[0]!r}",
                hint=f"give one a name of its own: again={twice[0]}",
            )
        if not self.worlds or not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError("a comparison needs worlds, and seeds that differ")
        for path, values in self.tune:
            if not values or len(set(values)) < len(values):
                raise ConfigError(
                    f"{path} has nothing to choose from",
                    expected="values that differ, with commas between",
                    hint="--tune learn.policy.learning-rate=1e-4,2e-4,4e-4",
                )
        if not 0 < self.tune_share <= 1:
            raise ConfigError(
                "tune_share", expected="above 0, at most 1", found=f"{self.tune_share:g}"
            )
        if self.metric != "score" and not 1 <= self.k <= self.num_attempts:
            raise ConfigError(
                f"{self.metric} cannot be estimated",
                expected=f"K from 1 to the {self.num_attempts} attempts at each task",
                hint="raise --attempts",
            )

    @property
    def k(self) -> int:
        """The K of pass@K. Raises ConfigError for a metric that does not exist."""
        found = re.fullmatch(r"pass@(\d+)", self.metric)
        if not found:
            raise ConfigError(f"there is no metric {self.metric!r}", expected="pass@K or score")
        return int(found[1])

    @property
    def metrics(self) -> tuple[str, ...]:
        """What tables show: the metric first."""
        return tuple(dict.fromkeys([self.metric, "pass@1", f"pass@{self.num_attempts}"]))

    @property
    def axis(self) -> str:
        """The first budget, which curves are read at."""
        return next(iter(self.budget))

    def arms(
        self, world: str, entrant: Entrant, chosen: tuple[tuple[str, str], ...] = ()
    ) -> list[Arm]:
        """One arm a seed; `chosen` are options that tuning found."""
        look = Look("claim", self.num_tasks, self.num_attempts, "all")
        options = (("world", world), *self.options, *entrant.options, *chosen)
        return [
            Arm(
                f"{entrant.name} on {world}, seed {seed}", entrant.recipe, options, seed,
                dict(self.budget), look, self.num_snapshots,
            )
            for seed in self.seeds
        ]  # fmt: skip


def entrants(words: Sequence[str], options: Sequence[tuple[str, str]]) -> tuple[Any, Any]:
    """Arms and the options of all, from what was typed: `rft hot=rft --hot.explore.temperature 2`.

    A word is a recipe or NAME=RECIPE; an option that begins with an arm's name is that arm's.
    Raises ConfigError for a name that is none.
    """
    named = []
    for word in words:
        name, equals, recipe = word.partition("=")
        if not equals:
            name, recipe = word.rpartition(":")[2], word
        if not _LABEL.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name an arm", expected="letters, digits and _")
        named.append((name, recipe))
    names = {name for name, _ in named}
    own: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
    common = []
    for path, value in options:
        head, dot, rest = path.partition(".")
        if dot and head in names:
            own[head].append((rest, value))
        else:
            common.append((path, value))
    return tuple(Entrant(n, r, tuple(own[n])) for n, r in named), tuple(common)
