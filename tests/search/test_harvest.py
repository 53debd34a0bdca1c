"""What finished trees teach, on trees written by hand and on one that was searched."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.search import Search
from askesis.records import About, Attempt, Group, Start, StopReason, Task, Verdict, VerdictKind
from askesis.search.evaluate import Nothing, Verified
from askesis.search.expand import Draws
from askesis.search.frontier import BreadthFirst
from askesis.search.harvest import (
    balanced,
    first_errors,
    leaf_pairs,
    outcomes_of,
    repair_pairs,
    right_leaves,
    sibling_pairs,
    text_of,
    values,
)
from askesis.search.revisions import Revisions
from askesis.select.tree_leaves import TreeLeaves
from askesis.select.tree_pairs import TreePairs
from askesis.select.tree_values import TreeValues
from askesis.trees import Node, Tree
from tests.explore.host import Host, Sums, says
from tests.search.solved import Digits, counts

START = Start(Task("t", "digits-v1", "count:"))


def by_hand(parents: list[int], numbers: Mapping[int, float] = {}, **labels) -> Tree:
    """A tree from each node's parent; `numbers` are backed-up values, visits are 1."""
    nodes = [Node(0, -1, visits=1, value=numbers.get(0, 0.0))]
    for i, parent in enumerate(parents, 1):
        own = {k: v[i] for k, v in labels.items() if i in v}
        depth = nodes[parent].depth + 1
        nodes.append(Node(i, parent, (), depth, 1, numbers.get(i, 0.0), labels=own))
    return Tree("tree", START, tuple(nodes))


#   0 - 1 - 2 - 3 right      4, below 1, and 5, below the root, are wrong ends; 6 has no end at all
HAND = by_hand([0, 1, 2, 1, 0, 0])
ENDS = {3: 1.0, 4: 0.0, 5: 0.0}


def test_the_distance_to_a_right_end_is_shared_out_evenly():
    """By hand from card [0]: v_1 = 1/3, v_2 = 1/3 + (2/3)/2, v_3 = 1; off the way at 4, one step
    behind 1 where 3 were left counting itself: 1/3 - (2/3)/3; at 5 nothing lies below 0."""
    found = dict(values(HAND, ENDS, "shared"))
    assert found == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1.0, 4: 1 / 9, 5: 0.0})
    assert values(HAND, {4: 0.0, 5: 0.0}, "shared") == []


def test_values_by_what_ends_below():
    assert dict(values(HAND, ENDS, "soft")) == {0: 1 / 3, 1: 0.5, 2: 1.0, 3: 1.0, 4: 0.0, 5: 0.0}
    assert dict(values(HAND, ENDS, "hard")) == {0: 1, 1: 1, 2: 1, 3: 1, 4: 0, 5: 0}
    assert dict(values(HAND, ENDS, "first_error")) == {1: 1, 2: 1, 3: 1, 4: 0, 5: 0}
    deeper = by_hand([0, 1, 2, 1, 4])  # 5 lies behind the first error 4
    assert dict(values(deeper, {3: 1.0, 5: 0.0}, "first_error")) == {1: 1, 2: 1, 3: 1, 4: 0}
    assert [v.node for v in values(by_hand([0, 0], {2: 0.5}), {}, "backed")] == [0, 1, 2]


def test_first_errors_are_where_the_last_chance_was_lost():
    deeper = by_hand([0, 1, 2, 1, 4, 0])
    assert first_errors(deeper, {3: 1.0, 5: 0.0, 6: 0.0}) == {5: (4, 2), 6: (6, 1)}
    assert first_errors(deeper, {5: 0.0, 6: 0.0}) == {}  # no right attempt: nobody knows


def test_siblings_are_paired_by_their_gap_and_their_side_of_zero():
    tree = by_hand([0, 0, 0, 1, 1], {1: 0.6, 2: -0.4, 3: 0.2, 4: 0.1, 5: 0.1})
    known = values(tree, {}, "backed")
    found = [(p.better, p.worse, round(p.gap, 6), p.shared) for p in sibling_pairs(tree, known)]
    assert found == [(1, 2, 1.0, 0), (1, 3, 0.4, 0), (3, 2, 0.6, 0)]
    assert [(p.better, p.worse) for p in sibling_pairs(tree, known, gap=0.5)] == [(1, 2), (3, 2)]
    assert [(p.better, p.worse) for p in sibling_pairs(tree, known, 0.7, zero=0.0)] == [(1, 2)]


def test_leaves_are_paired_where_they_share_a_beginning():
    assert [tuple(p) for p in leaf_pairs(HAND, ENDS)] == [(3, 4, 1.0, 1)]
    assert leaf_pairs(HAND, ENDS, gap=1.0) == []


def test_a_draft_is_paired_with_its_nearest_repair():
    chain = by_hand([0, 1, 2, 0])
    outcomes = {1: 0.0, 2: 0.5, 3: 1.0, 4: 0.0}
    assert [(p.better, p.worse) for p in repair_pairs(chain, outcomes)] == [(2, 1), (3, 2)]
    assert [(p.better, p.worse) for p in repair_pairs(chain, outcomes, gap=0.6)] == [(3, 1)]


def test_a_gate_keeps_out_right_answers_with_weak_steps():
    tree = by_hand([0, 1, 0, 3], own={1: 0.9, 2: 1.0, 3: 0.1, 4: 1.0})
    assert right_leaves(tree, {2: 1.0, 4: 1.0}) == [2, 4]  # best way first
    assert right_leaves(tree, {2: 1.0, 4: 1.0}, gate=0.2) == [2]
    assert right_leaves(tree, {2: 0.5, 4: 0.0}) == []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_laws_of_values_on_any_tree(data):
    parents = [data.draw(st.integers(0, i)) for i in range(data.draw(st.integers(1, 12)))]
    tree = by_hand(parents)
    leaves = [n.index for n in tree.nodes if not list(tree.children(n.index))]
    outcomes = {i: data.draw(st.sampled_from([0.0, 1.0])) for i in leaves}
    shared, soft = (dict(values(tree, outcomes, s)) for s in ("shared", "soft"))
    assert all(0 <= v <= 1 for v in (*shared.values(), *soft.values()))
    assert all(shared[i] == pytest.approx(1) for i, o in outcomes.items() if o and shared)
    assert bool(shared) == any(outcomes.values())
    hard = dict(values(tree, outcomes, "hard"))
    assert hard == {i: float(v > 0) for i, v in soft.items()}
    for leaf, (node, depth) in first_errors(tree, outcomes).items():
        assert soft[node] == 0 < soft[tree.nodes[node].parent] and not outcomes[leaf]
        assert tree.nodes[node].depth == depth
    rows = values(tree, outcomes, "hard")
    even = balanced(tree, rows, np.random.default_rng(0))
    for depth in {n.depth for n in tree.nodes}:
        worth = [v.value for v in even if tree.nodes[v.node].depth == depth]
        assert sum(v >= 0.5 for v in worth) == sum(v < 0.5 for v in worth)
    assert [v for v in rows if v in even] == even


# ---------------------------------------------------------------- selectors


def searched(script=counts, world=None, **options) -> tuple[Host, Group, Verdicts]:
    world = world or Digits()
    host = Host(says(script), world=world)
    options.setdefault("evaluate", Nothing())
    search = Search(select=BreadthFirst(), expand=Draws(num=8), visit="all", **options)
    task = world.make(*([3, 4] if isinstance(world, Sums) else []))
    group = host.explore(search, Start(task))
    said = [
        Verdict("true", About(a.id), VerdictKind.OUTCOME, world.verify(task, a.text).score)
        for a in group.attempts
    ]
    return host, group, Verdicts(said)


def select(part, host: Host, group: Group, verdicts: Verdicts):
    ctx = host.context("select", slot="select.policy")
    return ctx, part.select(ctx, [group], verdicts)


def read(row, learnt: bool) -> str:
    weight = row.columns["weight"]
    return "".join(
        chr(t)
        for t, w in zip(row.tokens, weight, strict=True)
        if t < 0x110000 and (w > 0) == learnt
    )


def test_every_prefix_of_a_tree_has_its_value_at_its_last_token_once():
    host, group, verdicts = searched()
    tree = group.tree
    ends = outcomes_of(tree, group.attempts, {a.id: verdicts.value(a) for a in group.attempts})
    known = dict(values(tree, ends, "shared"))
    ctx, samples = select(TreeValues(), host, group, verdicts)
    found: dict[str, float] = {}
    for sample in samples:
        (row,) = sample.sequences
        text = "".join(chr(t) if t < 0x110000 else "." for t in row.tokens)
        for at in np.flatnonzero(row.columns["weight"]):
            assert text[: at + 1] not in found
            found[text[: at + 1]] = float(row.columns["label"][at])
    wanted = {
        "count:" + "".join(map(text_of, tree.path(i))) + ("." if tree.nodes[i].terminal else ""): v
        for i, v in known.items()
    }
    assert found == pytest.approx(wanted) and found["count:1,2,3,."] == 1.0
    assert ctx.metrics["select/prefixes"] == len(found) > len(samples)


def test_values_between_minus_one_and_one_become_labels_where_that_is_said():
    host, group, verdicts = searched(end=Verified(wrong=-1.0))
    with pytest.raises(ConfigError, match="is no label"):
        select(TreeValues(scheme="backed"), host, group, verdicts)
    _, samples = select(TreeValues(scheme="backed", low=-1.0), host, group, verdicts)
    labels = [s.sequences[0].columns["label"] for s in samples]
    assert all((c >= 0).all() and (c <= 1).all() for c in labels)


def test_pairs_of_steps_read_all_before_them_and_learn_the_step_alone():
    host, group, verdicts = searched()
    _, samples = select(TreePairs(scheme="soft"), host, group, verdicts)
    seen = set()
    for sample in samples:
        better, worse = sample.sequences
        assert read(better, False) == read(worse, False)
        seen.add((read(better, False), read(better, True), read(worse, True)))
        assert sample.columns["margin"] == sample.columns["advantage_gap"] > 0
        assert len(sample.sources) == 2
    assert seen == {("count:", "1,", "2,"), ("count:1,", "2,", "3,"), ("count:1,2,", "3,", "4,")}
    _, few = select(TreePairs(scheme="soft", max_per_tree=1), host, group, verdicts)
    assert len(few) == 1


def test_pairs_of_leaves_are_learnt_from_where_they_part():
    host, group, verdicts = searched()
    _, samples = select(TreePairs(kind="leaves"), host, group, verdicts)
    assert samples
    for sample in samples:
        better, worse = sample.sequences
        assert read(better, False) == read(worse, False) in ("count:1,", "count:1,2,")
        assert read(better, False) + read(better, True) == "count:1,2,3,"


def test_a_failing_draft_and_its_repair_are_two_answers_to_the_task():
    script = lambda text, u: "7" if "again" in text and u < 0.5 else "6"
    host, group, verdicts = searched(
        script, Sums(), edge=Revisions(), evaluate=Verified(), max_depth=3
    )
    _, samples = select(TreePairs(kind="repairs"), host, group, verdicts)
    (sample, *_) = samples
    better, worse = sample.sequences
    assert (read(better, False), read(better, True)) == ("3+4", "7")
    assert (read(worse, False), read(worse, True)) == ("3+4", "6")


def test_right_leaves_become_samples_and_their_share_is_noted():
    host, group, verdicts = searched()
    ctx, samples = select(TreeLeaves(num=2), host, group, verdicts)
    assert [read(s.sequences[0], True) for s in samples] == ["1,2,3,"]
    assert ctx.metrics["select/solved_fraction"] == 1 and ctx.metrics["select/gated_fraction"] == 0
    ctx, samples = select(TreeLeaves(gate=0.5), host, group, verdicts)  # own values are 0 here
    assert samples == [] and ctx.metrics["select/gated_fraction"] == 1


def test_groups_without_trees_are_refused():
    attempt = Attempt("a", START, (), StopReason.ENDED)
    group = Group("g", (attempt,))
    for part in (TreeValues(), TreePairs(), TreeLeaves()):
        with pytest.raises(ConfigError, match="no tree"):
            select(part, Host(says(counts), world=Digits()), group, Verdicts())


@pytest.mark.parametrize(
    "make",
    [lambda: TreeValues(scheme="x"), lambda: TreeValues(low=1.0), lambda: TreePairs(kind="x"),
     lambda: TreePairs(gap=-1.0), lambda: TreePairs(max_per_tree=0), lambda: TreeLeaves(num=0)],
)  # fmt: skip
def test_options_of_selectors_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigError):
        make()
