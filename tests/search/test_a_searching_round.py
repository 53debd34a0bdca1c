"""Search, harvest and learn together: a value head learns from a tree what the next search reads."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from askesis.context import Verdicts
from askesis.explore.search import Search
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.learn.objectives.reward_models import LabelledReward
from askesis.measure.searches import Searches
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from askesis.search.evaluate import ValueHead, Verified
from askesis.search.expand import Draws
from askesis.search.frontier import BreadthFirst
from askesis.search.harvest import values
from askesis.search.steps import Steps
from askesis.select.tree_values import TreeValues
from askesis.trees import Tree
from tests.probes.house import Draw, LetterWorld, run_plan


@pytest.mark.slow
def test_a_head_taught_by_trees_says_what_the_trees_found(tmp_path):
    """Letters x and y after a or b; which is right is LetterWorld's to say. With equal odds at first
    and a table for a head, each letter's value is the share of trees in which it was right."""
    search = Search(
        edge=Steps(step_tokens=1, max_tokens=1), select=BreadthFirst(), expand=Draws(num=24),
        evaluate=ValueHead(squash="sigmoid"), end=Verified(cut_is_wrong=False), visit="all",
        num_simulations=1,
    )  # fmt: skip
    learn = Learn(
        objectives=(LabelledReward(where="weight"),), learning_rate=0.3, epochs=8, batch_tokens=4096
    )
    parts = Parts(
        tasks=Draw(num=8), explore=search, judge=Verifier(),
        select={"policy": TreeValues(scheme="soft")}, learn={"policy": learn},
    )  # fmt: skip
    phase = Phase(parts=parts, measure=(Searches(),), until=Until(rounds=6))
    models = {"policy": TabularModel("policy", "abxy")}
    run = run_plan(Plan(recipe="x", phases=(phase,)), {"main": LetterWorld()}, models, tmp_path)
    trees: list[Tree] = list(run.store.read("trees"))
    verdicts = Verdicts(run.store.read("verdicts"))
    attempts = {a.id: a for a in run.store.read("attempts")}
    seen: dict[str, list[float]] = {}
    for tree in trees:
        ends = {
            n.index: verdicts.value(tree.attempt_id(n.index)) for n in tree.nodes
            if tree.attempt_id(n.index)
        }  # fmt: skip
        for node, value in values(tree, ends, "soft"):
            last = tree.nodes[node].edge[0].text if node else tree.start.task.prompt
            seen.setdefault(last[-1:], []).append(value)
    assert attempts and {"a", "b", "x", "y"} & set(seen)
    head = torch.sigmoid(models["policy"].module.value.detach()).numpy()
    ids: Mapping[str, int] = models["policy"].renderer.ids
    assert head[ids["a"]] < 0.35  # from 0.5: few letters answer it rightly
    for letter, found in seen.items():
        if letter in ids and len(found) >= 8:
            assert head[ids[letter]] == pytest.approx(np.mean(found), abs=0.15), letter
