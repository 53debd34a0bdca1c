"""Labels of steps from branches, lessons for refiners and weights by place, by hand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.judge.steps.branches import BranchLabels
from askesis.judge.verifier import Verifier
from askesis.models.tabular import TabularModel
from askesis.records import About, Attempt, Group, Start, StopReason, Turn, Verdict, VerdictKind
from askesis.search.branches import branch_start
from askesis.select.drafts import Drafts
from askesis.select.labelled import Labelled
from askesis.select.refine_lessons import RefineLessons
from askesis.select.step_labels import StepLabels
from askesis.steps import StepScores, step_scores, step_verdict
from tests.explore.host import Host
from tests.judge.test_step_judges import ALPHABET, TASK, WORLD, tables

A = "axy,=0123456789wrongstepi \n"
START = Start(TASK)


@dataclass(frozen=True)
class Says:
    """A judge that finds right what it was told."""

    right: frozenset[str] = field(default=frozenset())

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        return [
            Verdict("says-v1", About(a.id), VerdictKind.OUTCOME, float(a.id in self.right))
            for a in group.attempts
        ]


def said(name: str, text: str, start: Start = START, *parents: str) -> Attempt:
    tokens = np.array([*(A.index(c) for c in text), len(A)], np.int32)
    turn = Turn("policy", text, "policy@0", np.array([0], np.int32), tokens)
    return Attempt(name, start, (turn,), StopReason.ENDED, "policy@0", parents=parents)


def branch(name: str, kept: int, text: str) -> Attempt:
    return said(name, text, branch_start(START, 0, kept), "d")


DRAFT = said("d", "1=2,2=4,4=9")
HOST = Host({n: TabularModel(n, A) for n in ("policy", "refiner")}, world=WORLD)


def labels(attempts: tuple[Attempt, ...], *right: str, **options: Any) -> list[float] | None:
    judge = BranchLabels(inner=Says(frozenset(right)), **options)
    verdicts = Verdicts(HOST.judge(judge, Group("g", attempts)))
    scores = step_scores(verdicts, attempts[0], "branches")
    return None if scores is None else scores.values.tolist()


B1, B2, LUCKY = (
    branch("b1", 1, "1=2,2=5"),
    branch("b2", 2, "1=2,2=4,4=8"),
    branch("lucky", 2, "1=2,2=4,2=8"),
)


def test_a_step_is_good_as_long_as_a_branch_from_it_on_is_right():
    everything = (DRAFT, B1, B2)
    assert labels(everything) == [0.0, 0.0, 0.0]
    assert labels(everything, "b1") == [1.0, 0.0, 0.0]
    assert labels(everything, "b2") == [1.0, 1.0, 0.0]  # a good step makes those before it good
    assert labels(everything, "d") == [1.0, 1.0, 1.0]
    assert labels((DRAFT,)) is None  # nobody went back into it
    assert labels((said("d", "4=9"),)) == [0.0]  # its only step, and nothing to go back to


def test_a_branch_that_does_not_use_the_step_is_luck():
    assert labels((DRAFT, LUCKY), "lucky") == [0.0, 0.0, 0.0]
    assert labels((DRAFT, LUCKY), "lucky", used=False) == [1.0, 1.0, 0.0]


def lessons(attempts: tuple[Attempt, ...], *right: str, **options: Any) -> list[tuple[str, str]]:
    """What the refiner reads and what it learns to say."""
    verdicts = HOST.judge(BranchLabels(inner=Says(frozenset(right))), Group("g", attempts))
    ctx = HOST.context("select", slot="select.refiner")
    found = RefineLessons(**options).select(ctx, [Group("g", attempts)], Verdicts(verdicts))
    decode, made = HOST.models["refiner"].renderer.decode, []
    for sample in found:
        (row,) = sample.sequences
        own = row.columns["weight"] > 0
        assert sample.model == "refiner" and own[-1] and not own[0]
        made.append((decode(row.tokens[~own]), decode(row.tokens[own])))
    return made


OTHER = said("o", "1=2,2=4,4=8")


def test_a_refiner_reads_the_draft_and_learns_another_or_the_good_steps_gone_on():
    read = "a1=2,2=4,4=9\n"
    everything = (DRAFT, OTHER, B1, B2)
    assert lessons(everything, "o", "b2") == [
        (read + "wrong", OTHER.text),
        (read + "step 3 is wrong", B2.text),
    ]
    assert lessons(everything, "o", "b1", kinds=("local",)) == [(read + "step 2 is wrong", B1.text)]
    # the first step is wrong: the good beginning is none, so any right draft will do
    assert lessons(everything, "o", kinds=("local",)) == [(read + "step 1 is wrong", OTHER.text)]
    assert lessons(everything, "d", "o") == []  # nothing to refine
    assert lessons((DRAFT, B2)) == []  # nothing right to say


def test_lessons_of_a_task_can_be_limited_and_need_a_judge_of_steps():
    two = (DRAFT, said("e", "1=3"), OTHER)
    assert len(lessons(two, "o", kinds=("global",))) == 1
    assert len(lessons(two, "o", kinds=("global",), max_per_task=2)) == 2
    verdicts = Verdicts(HOST.judge(Says(frozenset({"o"})), Group("g", two)))
    ctx = HOST.context("select", slot="select.refiner")
    with pytest.raises(ConfigError, match="nobody says which step of a draft is wrong"):
        RefineLessons().select(ctx, [Group("g", two)], verdicts)
    for name, value in (("kinds", ()), ("kinds", ("all",)), ("max_per_task", 0)):
        with pytest.raises(ConfigError, match=rf"RefineLessons\.{name} is out of range"):
            RefineLessons(**{name: value})


def test_drafts_alone_are_shown_to_who_learns_outcomes():
    group = Group("g", (DRAFT, OTHER, B1, B2))
    verdicts = Verdicts(HOST.judge(Says(frozenset({"o", "b1", "b2"})), group))
    ctx = HOST.context("select", slot="select.policy")
    samples = Drafts().select(ctx, [group], verdicts)
    assert [s.sources for s in samples] == [("d",), ("o",)]
    assert Drafts().makes == Labelled().makes and Drafts().atom == "sequence"
    with pytest.raises(ConfigError, match=r"Drafts\.keep is out of range; expected a selector"):
        Drafts(keep=Verifier())


def test_labels_weigh_alike_at_every_place_or_not_at_all():
    texts = {"x,x,x": (1, 1, 1), "x,y,x": (1, 0, 0), "y,x": (0, 0), "x,y": (1, 0)}
    attempts, found = [], []
    for i, (text, values) in enumerate(texts.items()):
        tokens = np.array([*(ALPHABET.index(c) for c in text), 4], np.int32)
        turn = Turn("policy", text, "policy@0", np.array([0], np.int32), tokens)
        attempts.append(Attempt(f"t{i}", START, (turn,), StopReason.ENDED))
        spans = [(0, 2 * k, 2 * k + 2) for k in range(len(values))]
        numbers = StepScores(np.array(values, float), VerdictKind.CORRECTNESS, tuple(spans))
        found.append(step_verdict("by-hand-v1", attempts[-1], numbers))
    ctx = tables().context("select", slot="select.policy")
    part = StepLabels(balance=True, by_place=True)
    samples = part.select(ctx, [Group("g", tuple(attempts))], Verdicts(found))
    weights = [s.sequences[0].columns["weight"] for s in samples]
    said_ = [[round(float(x), 4) for x in w[w > 0]] for w in weights]
    # first steps 3 good, 1 not; second ones 1 and 3; third ones 1 and 1
    assert said_ == [[0.6667, 2.0, 1.0], [0.6667, 0.6667, 1.0], [2.0, 0.6667], [0.6667, 0.6667]]
    alone = [replace(v) for v in found[:1]]
    assert part.select(ctx, [Group("g", tuple(attempts[:1]))], Verdicts(alone)) == []
