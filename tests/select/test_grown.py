"""A set that grows over rounds: what stays, what does not, and that it survives being written."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.demonstrate import Demonstrate
from askesis.records import About, Group, Start, StopReason, Verdict, VerdictKind
from askesis.select.grown import GrownSet
from askesis.store.codec import dumps, loads
from tests.explore.host import Host, Sums, attempt, says, view

ONE, TWO = Sums().make(3, 4), Sums().make(1, 1)


def exam(task, *texts: str, stop=StopReason.ENDED, index: int = 0) -> Group:
    made = [attempt(task, t, index + i, stop=stop) for i, t in enumerate(texts)]
    return Group(task.id, tuple(made))


def shown(task) -> Group:
    host = Host(says(lambda text, u: ""))
    return Group(task.id, tuple(host.explore(Demonstrate(habit="steps"), Start(task))))


def judged(groups, lie=None) -> Verdicts:
    return Verdicts(
        Verdict("v", About(a.id), VerdictKind.OUTCOME,
                Sums().verify(a.task, a.text).score if lie is None else lie)
        for g in groups for a in g.attempts
    )  # fmt: skip


def after(part: GrownSet, *rounds: list[Group], lie=None):
    """The texts of the set after rounds, written down and read again in between; what was noted."""
    host, state, texts, noted = Host(says(lambda text, u: "")), part.init(None), [], {}
    for index, groups in enumerate(rounds):
        ctx = host.context("select", slot="select.policy", state=state, round=index)
        samples = part.select(ctx, groups, judged(groups, lie))
        seen = view(groups, list(judged(groups, lie)))
        ctx2 = host.context("observe", slot="select.policy", state=state, round=index)
        state = loads(dumps(part.observe(ctx2, state, seen)))
        assert state["sources"] == [s.sources[0] for s in samples]  # learnt and kept are the same
        texts, noted = [learnt(s) for s in samples], ctx.metrics
    return texts, noted


def learnt(sample) -> str:
    (row,) = sample.sequences
    said = row.tokens[row.columns["weight"] > 0].tolist()
    assert row.columns["weight"].tolist() == sorted(row.columns["weight"].tolist())
    return "".join(chr(t) for t in said if t < 0x110000)


def test_given_and_own_answers_of_all_rounds_are_learnt_every_round():
    first, second = [shown(ONE)], [exam(TWO, "1+1=2", "3", "4")]
    texts, noted = after(GrownSet(), first, second, [exam(ONE, "9")])
    assert texts == ["3+4=7", "1+1=2"]
    assert noted["select/samples"] == noted["select/pool/tasks"] == 2
    assert noted["select/pool/new"] == noted["select/pool/right"] == 0
    assert after(GrownSet(), first, second)[1]["select/pool/new"] == 1


def test_hard_tasks_keep_more_and_tasks_that_are_always_solved_keep_none():
    ways = ["7", "=7", "a=7", "b=7"]
    part = GrownSet(max_per_task=4)
    assert len(after(part, [exam(ONE, *ways)])[0]) == 0
    assert len(after(part, [exam(ONE, *ways, *"0123")])[0]) == 2
    assert len(after(part, [exam(ONE, *ways, *"0123456", *"888888888")])[0]) == 4
    assert len(after(GrownSet(by_hardness=False, max_per_task=4), [exam(ONE, *ways)])[0]) == 4


def test_a_task_that_became_easy_gives_up_what_it_had_but_for_what_was_given():
    hard = [shown(ONE)], [exam(ONE, "=7", "a=7", *"012345")]
    part = GrownSet(max_per_task=4)
    assert len(after(part, *hard)[0]) == 3
    texts, _ = after(part, *hard, [exam(ONE, "=7", "=7", index=20)])
    assert texts == ["3+4=7"]


def test_equal_answers_count_once_and_what_was_cut_off_does_not():
    part = GrownSet(by_hardness=False)
    assert after(part, [exam(ONE, "=7", "=7")], [exam(ONE, "=7", index=9)])[0] == ["=7"]
    assert after(part, [exam(ONE, "=7", stop=StopReason.LENGTH)])[0] == []


def test_a_model_that_never_succeeds_leaves_the_given_ones_and_a_judge_that_errs_lets_wrong_ones_in():
    groups = [shown(ONE), exam(TWO, "8", "9")]
    assert after(GrownSet(), groups)[0] == ["3+4=7"]
    assert after(GrownSet(), groups, lie=0.0)[0] == ["3+4=7"]
    assert after(GrownSet(by_hardness=False), groups, lie=1.0)[0] == ["3+4=7", "8", "9"]


def test_the_choice_of_a_round_does_not_depend_on_who_asks():
    """select and observe come to the same set where there is a choice (see `after`)."""
    ways = [f"{c}=7" for c in "abcdefghij"]
    part = GrownSet(by_hardness=False, max_per_task=3)
    chosen = {tuple(after(part, [exam(ONE, *ways)], [exam(TWO, "xyz"[i])])[0]) for i in range(3)}
    assert len(chosen) == 1 and len(next(iter(chosen))) == 3


def test_limits_that_cannot_be_are_refused():
    for wrong in ({"max_per_task": 0}, {"threshold": np.nan}):
        with pytest.raises(ConfigError):
            GrownSet(**wrong)
