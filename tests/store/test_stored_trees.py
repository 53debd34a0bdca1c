"""Trees of a run are stored: shape, numbers and words, and the attempts their ends are."""

from __future__ import annotations

import pytest

from askesis.explore.search import Search
from askesis.plan import Parts, Phase, Plan, Until
from askesis.records import Start
from askesis.search.draw import as_text
from askesis.search.expand import Draws
from askesis.search.steps import Steps
from askesis.store.run_store import RunStore
from tests.explore.host import Host, says
from tests.search.solved import Digits, counts


def made(seed: int = 0):
    world = Digits()
    host = Host(says(counts), world=world, seed=seed)
    search = Search(edge=Steps(), expand=Draws(num=3), num_simulations=16)
    return host.explore(search, Start(world.make(), tag="again", copy=2))


def test_a_tree_comes_back_with_its_words_and_without_its_tokens(tmp_path):
    groups = [made(seed) for seed in range(3)]
    store = RunStore.create(tmp_path / "run", config={}, manifest={})
    store.append("trees", [g.tree for g in groups[:1]], round=0, phase="main")
    store.append("trees", [g.tree for g in groups[1:]], round=0, phase="main")
    store.append("attempts", [a for g in groups for a in g.attempts], round=0, phase="main")
    store.commit_round(0, "main", metrics={})
    store.close_segment(0, states={}, save_models=lambda p: None, snapshots={}, counters={})
    found = list(store.read("trees"))
    for group, tree in zip(groups, found, strict=True):
        assert as_text(tree) == as_text(group.tree)
        assert (tree.id, tree.ended, tree.spent) == (
            group.tree.id, group.tree.ended, group.tree.spent,
        )  # fmt: skip
        assert tree.start.key == group.tree.start.key and tree.start.task.prompt == "count:"
        for ours, theirs in zip(tree.nodes, group.tree.nodes, strict=True):
            assert (ours.parent, ours.visits, ours.value, ours.prior, ours.terminal) == (
                theirs.parent, theirs.visits, theirs.value, theirs.prior, theirs.terminal,
            )  # fmt: skip
            assert dict(ours.labels) == dict(theirs.labels)
            assert not any(len(t.tokens) for t in ours.edge)
        names = [tree.attempt_id(n.index) for n in tree.nodes]
        assert [n for n in names if n] and {n for n in names if n} == {a.id for a in group.attempts}
    sql = "select sum(len(nodes)) as n, sum(num_nodes) as m from trees where ended <> ''"
    row = store.query(sql).to_pylist()[0]
    assert row["n"] == row["m"] == sum(len(g.tree.nodes) for g in groups)
    store.close()


@pytest.mark.parametrize("thing", ["a tree", None])
def test_only_trees_go_there(tmp_path, thing):
    store = RunStore.create(tmp_path / "run", config={}, manifest={})
    with pytest.raises(TypeError, match="takes Tree records"):
        store.append("trees", [thing], round=0, phase="main")
    store.close()


def test_a_round_that_searches_stores_its_trees(tmp_path):
    from askesis.judge.verifier import Verifier
    from askesis.learn.learner import Learn
    from askesis.models.tabular import TabularModel
    from askesis.select.tree_leaves import TreeLeaves
    from tests.probes.house import Draw, LetterWorld, run_plan

    parts = Parts(
        tasks=Draw(num=4),
        explore=Search(edge=Steps(step_tokens=1), num_simulations=4, max_depth=2),
        judge=Verifier(),
        select={"policy": TreeLeaves()},
        learn={"policy": Learn(learning_rate=0.1)},
    )
    plan = Plan(recipe="searches", phases=(Phase(parts=parts, until=Until(rounds=2)),))
    models = {"policy": TabularModel("policy", "abxy")}
    run = run_plan(plan, {"main": LetterWorld()}, models, tmp_path / "run")
    trees = list(run.store.read("trees"))
    assert len(trees) == 8
    known = {a.id for a in run.store.read("attempts")}
    assert {t.attempt_id(n.index) for t in trees for n in t.nodes} - {""} == known
