"""Drafts gone back into, and drafts refined: who is asked what, and what it reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.explore.branches import Branches
from askesis.explore.refine import Refine
from askesis.records import Start, Turn
from askesis.search.branches import drafts_of, kept_steps, repair_kind
from askesis.steps import steps_of
from tests.explore.drafting import WRONG, Letters, drafting
from tests.judge.test_step_judges import ALPHABET, TASK, WORLD, tables

START = Start(TASK)


def test_a_branch_begins_as_its_draft_does_and_only_wrong_drafts_have_any():
    host = tables()
    found = host.explore(Branches(num_attempts=24, num_branches=2, max_branched=None), START)
    drafts = drafts_of(found)
    assert len(drafts) == 24 and len({a.id for a in found}) == len(found)
    seen, num = set(), 0
    for draft, branches in drafts:
        wrong = WORLD.verify(TASK, draft.text).score < 1
        spans = steps_of(draft, lambda t: "".join((ALPHABET + "?")[i] for i in t if i < 4))
        first = wrong and draft.text and draft.text not in seen
        seen.add(draft.text)
        assert len(branches) == (2 * (len(spans) - 1) if first and len(spans) > 1 else 0)
        for branch in branches:
            end = spans[kept_steps(branch) - 1][2]
            (own,), (turn,) = draft.turns, branch.turns
            assert np.array_equal(turn.tokens[:end], own.tokens[:end])
            assert np.array_equal(turn.context, own.context) and branch.parents == (draft.id,)
            assert len(turn.tokens) <= 9 and branch.text.startswith(
                draft.text[:end]
            )  # 8 and an end
            num += 1
    assert num > 10


def test_branches_of_a_task_can_be_limited():
    found = tables().explore(Branches(num_attempts=24, max_branched=1), START)
    assert sum(bool(b) for _, b in drafts_of(found)) == 1


LETTERS = Start(Letters().make())


def test_a_doubted_draft_is_refined_as_a_whole_and_from_its_first_wrong_step():
    where, heard = drafting(right=0.0, outcome={"z": -1.0}, second=-3.0, last=-4.0)
    draft, whole, local = where.explore(Refine(num_attempts=1), LETTERS)
    assert (draft.start, draft.text) == (LETTERS, WRONG)
    assert heard == [f"a\n{WRONG}\nwrong", f"a\n{WRONG}\nstep 2 is wrong"]
    assert [repair_kind(a) for a in (draft, whole, local)] == ["", "global", "local"]
    assert whole.parents == local.parents == (draft.id,)
    assert len({draft.id, whole.id, local.id}) == 3


def test_where_every_step_looks_right_the_least_sure_one_is_named():
    where, heard = drafting(right=0.0, outcome={"z": -1.0}, first=2.0)
    where.explore(Refine(num_attempts=1, how="local"), LETTERS)
    assert heard == [f"a\n{WRONG}\nstep 1 is wrong"]


@pytest.mark.parametrize(
    ("options", "outcome", "num"),
    [
        ({}, 1.0, 0),
        ({"accept": 0.8}, 1.0, 2),
        ({"accept": None}, 9.0, 2),
        ({"how": "global"}, -1.0, 1),
        ({"how": "local", "where": "random"}, -1.0, 1),
        ({"how": "none"}, -1.0, 0),
    ],
)
def test_who_is_refined_and_how_often(options, outcome, num):
    where, heard = drafting(outcome={"z": outcome})
    found = where.explore(Refine(num_attempts=3, **options), LETTERS)
    assert len(heard) == 3 * num == len(found) - 3


def test_a_head_that_says_no_number_leaves_drafts_alone():
    where, heard = drafting(outcome={"z": float("nan")})
    assert len(where.explore(Refine(num_attempts=2), LETTERS)) == 2 and not heard


def test_starts_from_the_middle_are_refused():
    middle = replace(START, prefix=(Turn("policy", "x"),))
    for part in (Refine(), Branches()):
        with pytest.raises(ConfigError, match="from the task; found a start from the middle"):
            tables().explore(part, middle)


@pytest.mark.parametrize(
    ("part", "options"),
    [
        (Branches, {"num_branches": 0}),
        (Branches, {"max_branched": 0}),
        (Branches, {"separators": ""}),
        (Branches, {"threshold": 0.0}),
        (Refine, {"how": "neither"}),
        (Refine, {"where": "end"}),
        (Refine, {"accept": 0.0}),
        (Refine, {"threshold": 2.0}),
        (Refine, {"refiner": "policy"}),
        (Refine, {"num_attempts": 0}),
    ],
)
def test_options_that_do_not_fit_are_refused(part, options):
    (name,) = options
    with pytest.raises(ConfigError, match=rf"{part.__name__}\.{name} is out of range"):
        part(**options)
