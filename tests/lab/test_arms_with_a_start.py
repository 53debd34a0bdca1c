"""Arms that begin with the end of another one, which is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from askesis.config import from_tree
from askesis.errors import RunError
from askesis.lab.arm import Arm, Look, finish
from askesis.lab.snapshots import kept
from askesis.store.run_store import RunStore

WORLD = ("world", "addition?difficulty=0.2")
START = Arm(
    "start asked",
    "score",
    (WORLD, ("second-answer", "4"), ("stage-one", "0"), ("phases.stage_two.until.rounds", "0"),
     ("phases.second_answer.learn.policy.epochs", "1")),
    0,
    {},
    Look(snapshots="none"),
)  # fmt: skip
OPTIONS = (WORLD, ("tasks.num", "4"), ("measure-every", "99"))


def weights(place: Path) -> bytes:
    return (place / "model.safetensors").read_bytes()


def arm(seed: int) -> Arm:
    look = Look("claim", 6, 2, kind="turns")
    return Arm("a", "sft", OPTIONS, seed, {"trained_tokens": 300.0}, look, start=START.key)


def test_without_the_start_an_arm_says_so(tmp_path):
    with pytest.raises(RunError, match="no finished arm"):
        finish(arm(0), tmp_path / arm(0).key, lambda line: None)


@pytest.mark.slow
def test_arms_begin_with_the_weights_that_their_start_ended_with(tmp_path, quick_warm_start):
    begun = finish(START, tmp_path / START.key, lambda line: None)
    assert begun.points == () and begun.reason == "the plan is done"
    ends = []
    for seed in (0, 1):
        found = finish(arm(seed), tmp_path / arm(seed).key, lambda line: None)
        assert found.reason.startswith("budget") and found.spent["trained_tokens"] >= 300
        first, last = found.points
        assert len(first.figures["turn2"]) == len(last.scores) == 6
        ends.append((first.scores, first.figures))
        same = []
        for key, which in ((START.key, -1), (arm(seed).key, 0)):
            with RunStore.open(tmp_path / key / "run") as store:
                same.append(weights(kept(store)[which]["path"]))
        assert same[0] == same[1]
    assert ends[0] == ends[1]  # both seeds begin with the same
    assert len(list((tmp_path / "scores").iterdir())) == 3  # and it was looked at once


@pytest.mark.slow
def test_a_critic_that_learnt_in_the_start_is_the_critic_of_the_arms(tmp_path, quick_warm_start):
    few = (WORLD, ("tasks.num", "4"), ("measure-every", "99"))
    nothing = Look(snapshots="none")
    taught = (*few, ("critic-rounds", "1"), ("min-success", "0"), ("phases.main.until.rounds", "0"))
    start = Arm("start taught", "critique_in_the_loop", taught, 0, {}, nothing)
    finish(start, tmp_path / start.key, lambda line: None)
    options = (*few, ("critic-rounds", "0"), ("rounds", "1"))
    loop = Arm("a", "critique_in_the_loop", options, 0, {}, nothing, start=start.key)
    finish(loop, tmp_path / loop.key, lambda line: None)
    for model in ("policy", "critic"):
        with RunStore.open(tmp_path / start.key / "run") as store:
            first, last = (kept(store, model)[i]["path"] for i in (0, -1))
        learnt = weights(first) != weights(last)  # pytest would show both
        assert learnt
        with RunStore.open(tmp_path / loop.key / "run") as store:
            assert Path(from_tree(store.config).models[model].source) == last.resolve()
    plain = Arm("b", "rft", few, 0, {"tokens": 1.0}, nothing, start=start.key)
    finish(plain, tmp_path / plain.key, lambda line: None)  # has no critic, and needs none
