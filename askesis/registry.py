"""What there is, by name: one line each, imported only when used.

A row says where a thing lives, what it is for, which catalogued methods it realises, what truth
it uses and what it needs. Worlds have a table of their own (`askesis.worlds.table`). Outsiders
need no row: `my_file.py:my_recipe`, or the entry points "askesis.recipes" and "askesis.parts".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Any

from askesis.config import find
from askesis.errors import ConfigError, nearest


@dataclass(frozen=True, slots=True)
class Row:
    """One thing by name. `cards` are catalogue numbers; `truth` what it uses or knows."""

    target: str  # "module:name"
    purpose: str
    truth: str = ""
    needs: tuple[str, ...] = ()
    cards: tuple[int, ...] = ()
    page: str = ""

    def load(self) -> Any:
        return find(self.target)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


RECIPES: dict[str, Row] = {
    "sft": Row(
        "askesis.recipes.sft:sft",
        "supervised learning on the world's demonstrations; also the control arm",
        "demonstrations",
        ("demonstration",),
        page="docs/methods/sft.md",
    ),
    "star": Row(
        "askesis.recipes.star:star",
        "learn from own correct attempts, restarting from base each round; hints for failures",
        "answers",
        ("answer",),
        page="docs/methods/star.md",
    ),
    "rest_em": Row(
        "askesis.recipes.rest_em:rest_em",
        "expectation-maximisation: many samples, keep the right ones, ten a task at most, retrain",
        "answers",
        ("answer",),
        page="docs/methods/rest_em.md",
    ),
    "rft": Row(
        "askesis.recipes.rft:rft",
        "online rejection sampling: keep correct distinct attempts, continue from the last weights",
        "answers",
        ("answer",),
        page="docs/methods/rft.md",
    ),
    "self_consistency": Row(
        "askesis.recipes.self_consistency:self_consistency",
        "learn from the majority answer; needs no truth at all",
        "none",
        (),
        page="docs/methods/self_consistency.md",
    ),
}

PARTS: dict[str, Row] = {
    "tasks.uniform": Row(
        "askesis.tasks.uniform:Uniform", "tasks drawn alike, fresh each round or from a fixed pool"
    ),
    "tasks.difficulty_mixed": Row(
        "askesis.tasks.difficulty_mixed:DifficultyMixed", "tasks mixed over bins of difficulty"
    ),
    "explore.sample": Row(
        "askesis.explore.sample:SampleAttempts", "k attempts at each start at a temperature"
    ),
    "explore.rationalize": Row(
        "askesis.explore.rationalize:Rationalize",
        "attempts, and for failed ones a second try with the answer shown",
        "answers",
        ("answer",),
    ),
    "explore.demonstrate": Row(
        "askesis.explore.demonstrate:Demonstrate",
        "the world's own solutions as attempts",
        "demonstrations",
        ("demonstration",),
    ),
    "explore.walk": Row(
        "askesis.explore.walk:Walk", "an environment walked turn by turn", "", ("turns",)
    ),
    "judge.verifier": Row(
        "askesis.judge.verifier:Verifier", "the world's verifier", "answers", ("answer",)
    ),
    "judge.self_consistency": Row(
        "askesis.judge.self_consistency:SelfConsistency", "the majority answer of a group", "none"
    ),
    "select.threshold": Row(
        "askesis.select.threshold:Threshold", "good, distinct attempts, at most so many a task"
    ),
    "learn.learn": Row(
        "askesis.learn.learner:Learn", "objectives minimised with AdamW, one trainer for all"
    ),
    "retain.replay": Row(
        "askesis.retain.replay:Replay", "samples of earlier rounds mixed into this one's"
    ),
    "retain.keep_or_revert": Row(
        "askesis.retain.keep_or_revert:KeepOrRevert",
        "the candidate against the best kept snapshot on fresh decide tasks",
        "answers",
        ("answer",),
    ),
    "measure.ability": Row(
        "askesis.measure.ability:Ability",
        "pass@1, pass@k, majority@k and more on fresh decide tasks",
        "answers",
        ("answer",),
    ),
    "measure.groups": Row(
        "askesis.measure.groups:Groups", "what this round's own groups say about the training"
    ),
}


def look_up(kind: str, name: str) -> Any:
    """The recipe or part behind a name, imported now (worlds: `askesis.worlds.open`).

    Raises ConfigError with the nearest name where there is none.
    """
    table = {"recipe": RECIPES, "part": PARTS}[kind]
    if ":" in name and name.partition(":")[0].endswith(".py"):
        return find(name)
    if name in table:
        return table[name].load()
    others = {e.name: e for e in entry_points(group=f"askesis.{kind}s")}
    if name in others:
        return others[name].load()
    raise ConfigError(f"there is no {kind} {name!r}", hint=nearest(name, [*table, *others]))
