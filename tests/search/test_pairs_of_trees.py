"""Pairs for preferences: steps apart from ends, ways of one depth, whole answers; lines of plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.search.harvest import (
    Valued,
    answer_pairs,
    ends_apart,
    level_pairs,
    sibling_pairs,
    values,
)
from askesis.search.misread import Misread
from askesis.search.steps import Plans, Steps
from askesis.select.tree_pairs import TreePairs
from askesis.trees import Tree
from askesis.worlds.open import open_world
from tests.search.test_harvest import ENDS, HAND, by_hand, read, searched, select


def ended(tree: Tree, *ends: int) -> Tree:
    """The tree with these nodes as ends."""
    return replace(tree, nodes=tuple(replace(n, terminal=n.index in ends) for n in tree.nodes))


def test_steps_that_end_an_answer_are_paired_best_with_worst_and_count_less():
    """By hand: at the root 1 and 2 go on, 3 to 6 end; 1 with 2, and of the ends 3 with 5."""
    numbers = {1: 0.5, 2: -0.5, 3: 1.0, 4: 1.0, 5: -1.0, 6: -0.2}
    tree = ended(by_hand([0, 0, 0, 0, 0, 0], numbers), 3, 4, 5, 6)
    pairs = sibling_pairs(tree, values(tree, {}, "backed"), zero=0.0)
    assert len(pairs) == 9
    found = [(p.better, p.worse, round(p.gap, 6)) for p in ends_apart(tree, pairs, 0.3)]
    assert found == [(1, 2, 1.0), (3, 5, 0.6)]
    assert ends_apart(tree, [p for p in pairs if p.better == 1], 0.3) == [pairs[0]]


def test_ways_of_one_depth_are_paired_where_their_last_steps_have_different_parents():
    """By hand, on the tree 0 - (1 - (3, 4), 2 - (5, 6)): at depth two across, at depth one none."""
    known = [Valued(i, v) for i, v in {1: 1.0, 2: 0.0, 3: 0.9, 4: 0.0, 5: 0.5, 6: 0.05}.items()]
    tree = by_hand([0, 0, 1, 1, 2, 2])
    found = [(p.better, p.worse, round(p.gap, 6), p.shared) for p in level_pairs(tree, known)]
    assert found == [(3, 5, 0.4, 0), (3, 6, 0.85, 0), (5, 4, 0.5, 0), (6, 4, 0.05, 0)]
    assert [(p.better, p.worse) for p in level_pairs(tree, known, gap=0.8)] == [(3, 6)]
    deeper = by_hand([0, 1, 1, 2, 3])
    below = [Valued(4, 1.0), Valued(5, 0.0)]
    assert [tuple(p) for p in level_pairs(deeper, below)] == [(4, 5, 1.0, 1)]


def test_whole_answers_are_paired_wherever_they_part():
    assert [tuple(p) for p in answer_pairs(HAND, ENDS)] == [(3, 4, 1.0, 0), (3, 5, 1.0, 0)]
    assert answer_pairs(HAND, ENDS, gap=1.0) == []


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_laws_of_pairs_on_any_tree(data):
    parents = [data.draw(st.integers(0, i)) for i in range(data.draw(st.integers(1, 10)))]
    numbers = {i: data.draw(st.sampled_from([-1.0, -0.2, 0.3, 1.0])) for i in range(1, 11)}
    tree = by_hand(parents, numbers)
    tree = ended(tree, *(n.index for n in tree.nodes if not list(tree.children(n.index))))
    known = values(tree, {}, "backed")
    pairs = sibling_pairs(tree, known, zero=0.0)
    kept = ends_apart(tree, pairs, 0.5)
    ways = {(p.better, p.worse) for p in pairs}
    for pair in kept:
        kinds = {tree.nodes[i].terminal for i in (pair.better, pair.worse)}
        assert len(kinds) == 1 and (pair.better, pair.worse) in ways and pair.gap > 0
    for node in tree.nodes:
        here = [p for p in kept if p.shared == node.index and tree.nodes[p.better].terminal]
        assert len(here) <= 1
    for pair in level_pairs(tree, known):
        one, other = tree.nodes[pair.better], tree.nodes[pair.worse]
        assert one.depth == other.depth and one.parent != other.parent and one.value > other.value


def test_whole_ways_and_answers_are_learnt_from_the_root_on():
    host, group, verdicts = searched()
    _, samples = select(TreePairs(kind="answers"), host, group, verdicts)
    assert samples
    for sample in samples:
        better, worse = sample.sequences
        assert read(better, False) == read(worse, False) == "count:"
        assert read(better, True) == "1,2,3," != read(worse, True)
    _, samples = select(TreePairs(kind="levels", scheme="soft"), host, group, verdicts)
    seen = {tuple(read(row, True) for row in s.sequences) for s in samples}
    assert ("1,2,", "2,3,") in seen and all(b[:2] != w[:2] for b, w in seen if b.count(",") == 2)
    assert {read(s.sequences[0], False) for s in samples} == {"count:"}


def test_a_line_of_a_plan_ends_where_the_world_says_that_remarks_do():
    countdown, chains = (open_world(w) for w in ("countdown", "chain_arithmetic"))
    assert Plans()._end(countdown) == ";" and Steps()._end(countdown) == ","
    assert Plans()._end(chains) == Steps()._end(chains) == "\n"


@pytest.mark.parametrize("coef", [0.0, -1.0, float("inf")])
def test_a_gap_of_ends_that_counts_nothing_is_refused(coef):
    with pytest.raises(ConfigError, match=r"TreePairs\.end_coef is out of range"):
        TreePairs(end_coef=coef)


def test_a_misread_answer_is_seen_the_same_way_every_time_and_at_the_rates_that_were_asked():
    seen: dict[str, set[float]] = {}
    for rates in ({"false_pass": 0.0}, {"false_pass": 1.0, "false_fail": 1.0}, {"false_pass": 0.5}):
        _, group, _ = searched(end=Misread(wrong=-1.0, **rates))
        true = {a.text: float(a.text == "1,2,3,") for a in group.attempts}
        own = {a.text: [] for a in group.attempts}
        for node in group.tree.nodes:
            if "attempt" in node.labels:
                attempt = group.attempts[int(node.labels["attempt"])]
                own[attempt.text].append(node.labels["own"])
        if rates["false_pass"] == 0.5:
            assert {len(set(numbers)) for numbers in own.values()} == {1}
            seen["half"] = {numbers[0] for t, numbers in own.items() if not true[t]}
        else:
            turned = rates["false_pass"] == 1.0
            assert {t: n[0] > 0 for t, n in own.items()} == {
                t: bool(v) ^ turned for t, v in true.items()
            }
    assert seen["half"] == {-1.0, 1.0}
    with pytest.raises(ConfigError, match=r"Misread\.false_pass is out of range"):
        Misread(false_pass=1.5)
