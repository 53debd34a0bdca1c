"""Trees of repairs: who is opened, what a refiner reads, and what the finished tree teaches."""

from __future__ import annotations

from typing import Any

import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.search import Search
from askesis.judge.verifier import Verifier
from askesis.models.scripted import ScriptedModel
from askesis.records import Group, Start
from askesis.search.evaluate import Verified
from askesis.search.repairs import DraftsAndRepairs, RepairBeam, Repairs
from askesis.select.repair_trees import DraftPairs, RepairsThatWon
from tests.explore.drafting import RIGHT, WRONG, Letters
from tests.explore.host import Host

TASK = Letters().make()


def grown(
    policy: Any, refiner: Any, feedback: str = "step", **options: Any
) -> tuple[Group, list[str], Host]:
    """The tree of one task, and what the refiner read."""
    heard: list[str] = []

    def hearing(text: str, u: float) -> str:
        heard.append(text)
        return refiner(text, u)

    models = {n: ScriptedModel(n, f) for n, f in (("policy", policy), ("refiner", hearing))}
    search = Search(
        edge=Repairs(feedback=feedback),
        select=RepairBeam(**options),
        expand=DraftsAndRepairs(),
        evaluate=Verified(),
        visit="all",
        num_simulations=8,
    )
    host = Host(models, world=Letters())
    return host.explore(search, Start(TASK)), heard, host


def wrong(text: str, u: float) -> str:
    return f"u,{u:.12f}"


def sizes(group: Group) -> list[int]:
    """Places at each depth below the root."""
    depths = [n.depth for n in group.tree.nodes]
    return [depths.count(d) for d in range(1, max(depths) + 1)]


def test_one_failed_draft_is_repaired_level_by_level_and_two_of_each_level_go_on():
    group, heard, _ = grown(wrong, wrong)
    assert sizes(group) == [5, 3, 6, 6] and len(group.attempts) == 20 == len(heard) + 5
    tree = group.tree
    parents = [{n.parent for n in tree.nodes if n.depth == d} for d in (2, 3, 4)]
    assert [len(p) for p in parents] == [1, 2, 2]
    assert tree.ended == "nothing left to open"
    for node in tree.nodes:
        if node.depth > 1:
            told, turn = node.edge
            above = tree.nodes[node.parent].edge[-1].text
            assert (told.role, told.text) == ("critic", "step 1 is wrong")
            assert f"a\n{above}\nstep 1 is wrong" in heard  # the answer above, and none before it
            assert turn.role == "policy" and turn.context.tolist() == [ord("a")]
    assert all(a.start == Start(TASK) and len(a.turns) == 1 for a in group.attempts)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"max_repairs": 0}, [5]), ({"max_repairs": 1}, [5, 3]), ({"width": 1}, [5, 3, 3, 3])],
)
def test_how_far_and_how_wide_is_an_option(options, expected):
    assert sizes(grown(wrong, wrong, **options)[0]) == expected


def test_it_stops_at_the_first_level_that_comes_right_and_where_nothing_failed():
    def second(text: str, u: float) -> str:
        return RIGHT if "step 2" in text and u < 0.5 else f"x;u,{u:.9f}"

    group, _, _ = grown(wrong, second)
    right = {n.depth for n in group.tree.nodes[1:] if n.edge[-1].text == RIGHT}
    assert sizes(group)[:2] == [5, 3] and right == {len(sizes(group))} <= {3, 4}
    group, heard, _ = grown(lambda text, u: RIGHT, wrong)
    assert sizes(group) == [1] and not heard


def samples(group: Group, host: Host) -> tuple[list[Any], list[Any], dict[str, float]]:
    said = Verdicts(host.judge(Verifier(), group))
    ctx = host.context("select", slot="select.policy")
    pairs = DraftPairs().select(ctx, [group], said)
    other = host.context("select", slot="select.refiner")
    return pairs, RepairsThatWon().select(other, [group], said), dict(ctx.metrics)


def read(row: Any) -> tuple[str, str]:
    own = row.columns["weight"] > 0
    decode = lambda tokens: "".join(chr(t) for t in tokens if t < 0x110000)
    return decode(row.tokens[~own]), decode(row.tokens[own])


def test_the_draft_itself_is_rejected_and_the_last_repair_is_the_refiners_lesson():
    def second(text: str, u: float) -> str:
        return RIGHT if "step 2" in text else f"x;u,{u:.9f}"

    group, _, host = grown(wrong, second)
    (pair,), (lesson,), noted = samples(group, host)
    chosen, rejected = (read(row) for row in pair.sequences)
    assert chosen == ("a", RIGHT) and rejected[0] == "a" and rejected[1].startswith("u,")
    assert pair.columns == {"margin": 1.0, "outcome": 1.0}
    by_id = {a.id: a.text for a in group.attempts}
    assert [by_id[s] for s in pair.sources] == [RIGHT, rejected[1]]
    shown, learnt = read(lesson.sequences[0])
    assert learnt == RIGHT and shown.startswith("a\nx;u,") and shown.endswith("step 2 is wrong")
    assert noted["select/repaired_trees"] == noted["select/pairs"] == 1.0


def test_a_tree_without_a_right_repair_or_a_failed_draft_teaches_nothing():
    for policy in (wrong, lambda text, u: RIGHT):
        group, _, host = grown(policy, wrong)
        assert samples(group, host)[:2] == ([], [])


def test_feedback_may_be_the_outcome_alone():
    _, heard, _ = grown(lambda text, u: WRONG, wrong, feedback="outcome")
    assert heard[0] == f"a\n{WRONG}\nwrong"


@pytest.mark.parametrize(
    ("part", "options"),
    [
        (Repairs, {"refiner": ""}),
        (Repairs, {"feedback": "why"}),
        (Repairs, {"max_tokens": 0}),
        (RepairBeam, {"width": 0}),
        (RepairBeam, {"until": 1.0}),
        (RepairBeam, {"max_repairs": -1}),
        (DraftsAndRepairs, {"first": 0}),
        (DraftPairs, {"threshold": 1.0}),
        (RepairsThatWon, {"threshold": -0.1}),
    ],
)
def test_options_that_do_not_fit_are_refused(part, options):
    (name,) = options
    with pytest.raises(ConfigError, match=rf"{part.__name__}\.{name} is out of range"):
        part(**options)
