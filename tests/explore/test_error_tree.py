"""The tree of halved roll-outs as a record: what was said, what it is worth, what is learnt of it."""

from __future__ import annotations

import numpy as np

from askesis.context import Verdicts
from askesis.explore.error_tree import ErrorTree
from askesis.judge.verifier import Verifier
from askesis.judge.wrong import Misled
from askesis.records import Start
from askesis.search.first_error import Omega
from askesis.select.tree_values import TreeValues
from tests.explore.host import Host, says
from tests.search.test_first_errors import NUM, WORLD, slips


def grown(misled: bool = False, **options):
    host, part = Host(says(slips), world=WORLD), ErrorTree(search=Omega(**options))
    explore = Misled(inner=part, false_pass=1.0) if misled else part
    return host, host.explore(explore, Start(WORLD.make()))


def test_every_completion_is_an_attempt_and_a_way_down_says_what_it_says():
    _, group = grown(num_rollouts=4, num_searches=5)
    tree, ends = group.tree, [n for n in group.tree.nodes if n.terminal]
    assert [tree.attempt_id(n.index) for n in ends] == [a.id for a in group.attempts]
    for node, attempt in zip(ends, group.attempts, strict=True):
        (turn,), pieces = attempt.turns, tree.turns(node.index)
        assert "".join(p.text for p in pieces) == turn.text and len(turn.text) == 2 * NUM
        read = [*turn.context]
        for piece in pieces:
            assert list(piece.context) == read
            read += [*piece.tokens]
        assert read == [*turn.context, *turn.tokens]
    assert tree.spent["tokens"] == sum(len(n.edge[-1].tokens) for n in ends)
    assert tree.spent["judged"] == len(ends) and tree.ended == "simulations used up"
    assert sum(n.labels.get("popped", 0) for n in tree.nodes) == tree.spent["simulations"] == 5


def test_a_head_learns_each_prefix_once_and_two_ends_of_it_at_most():
    host, group = grown(num_rollouts=4, num_searches=5)
    verdicts = Verdicts(host.judge(Verifier(), group))
    ctx = host.context("select", slot="select.policy")
    samples = TreeValues(scheme="backed").select(ctx, [group], verdicts)
    labels = [
        (row.tokens[: i + 1].tobytes(), float(row.columns["label"][i]))
        for (row,) in (s.sequences for s in samples)
        for i in np.flatnonzero(row.columns["weight"])
    ]
    known = [n for n in group.tree.nodes if n.visits]
    assert sorted(v for _, v in labels) == sorted(n.value for n in known)
    ends = {np.array([*a.turns[0].context, *a.turns[0].tokens], np.int32).tobytes()
            for a in group.attempts}  # fmt: skip
    inside = [read for read, _ in labels if read not in ends]
    assert len(inside) == len(set(inside)) == sum(not n.terminal for n in known) > 4


def test_where_every_wrong_answer_passes_nothing_is_searched():
    _, group = grown(misled=True, num_rollouts=4)
    assert len(group.attempts) == 4 and group.tree.nodes[0].value == 1.0
    assert group.tree.ended == "everything ended"
