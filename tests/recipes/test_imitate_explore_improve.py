"""imitate_explore_improve: exact on tables, and by name on a byte model and two worlds."""

from __future__ import annotations

import pytest

from askesis.errors import WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.records import Purpose
from askesis.run import Run
from tests.engines.cast import SMALL
from tests.probes.house import LetterWorld, probability, run_plan
from tests.recipes.letters import metrics_of


class OneShown(LetterWorld):
    """Demonstrations say "wrong" to b, so that only own attempts can teach it."""

    truth = frozenset({"answer", "demonstration"})

    def demonstrate(self, task, rng, habit="plain"):
        return "x"


def letters(path, *options: tuple[str, str], world=None, model=None) -> Run:
    few = [("num-seeds", "8"), ("phases.main.parts.tasks.num", "4"), ("phases.main.until.rounds", "3"),
           ("phases.main.parts.tasks.pool-size", "2"), ("max-tokens", "2"), ("measure-every", "9"),
           ("difficulty", "none"), ("learn.policy.learning-rate", "0.1")]  # fmt: skip
    plan = plan_for("imitate_explore_improve", [*few, *options])
    models = {"policy": model or TabularModel("policy", "abxy")}
    return run_plan(plan, {"main": world or LetterWorld()}, models, path)


@pytest.mark.slow
def test_demonstrations_and_what_was_found_make_one_set_from_which_base_is_trained_anew(tmp_path):
    run = letters(tmp_path / "run", world=OneShown())
    parents = [s["parents"] for s in run.store.snapshots() if s["round"] > 0]
    assert parents == [["policy@0"]] * 4
    attempts = {a.id: a for a in run.store.read("attempts")}
    last = [attempts[s.sources[0]] for s in run.store.read("samples", {"round": 3})]
    assert {a.purpose for a in last} == {Purpose.DEMONSTRATION, Purpose.TRAIN}
    firsts = {s.sources[0] for s in run.store.read("samples", {"round": 0})}
    assert firsts <= {a.id for a in last} and len(firsts) == 2  # equal texts of a task count once
    # exploring taught what no demonstration showed
    assert {(a.task.prompt, a.text) for a in last if a.purpose is Purpose.TRAIN} == {("b", "y")}
    assert metrics_of(run, 1)["select/pool/new"] > 0
    assert probability(run.models["policy"], "a", "x") > 0.25


@pytest.mark.slow
def test_the_other_way_sets_right_against_wrong_and_goes_on_from_the_imitating_model(tmp_path):
    run = letters(tmp_path / "run", ("improve", "dpo"), ("phases.main.until.rounds", "2"))
    parents = [s["parents"] for s in run.store.snapshots() if s["round"] > 0]
    assert parents == [["policy@0"], ["policy@1"], ["policy@2"]]
    pairs = list(run.store.read("samples", {"round": 1}))
    decode = run.models["policy"].renderer.decode
    assert pairs and {decode(p.sequences[0].tokens) for p in pairs} <= {"ax", "by"}
    assert not {decode(p.sequences[1].tokens) for p in pairs} & {"ax", "by"}


@pytest.mark.slow
def test_a_model_that_never_succeeds_learns_the_demonstrations_alone_again_and_again(tmp_path):
    one = ("phases.main.until.rounds", "1"), ("phases.main.parts.tasks.pool-size", "1")
    run = letters(tmp_path / "run", *one, world=LetterWorld({"a": "x" * 4}))
    noted = metrics_of(run, 1)
    assert noted["select/pool/new"] == noted["select/pool/right"] == 0
    assert noted["select/samples"] == 1 and noted["learn/policy/num_updates"] > 0


def test_a_habit_that_the_world_does_not_have_is_refused_in_one_line(tmp_path):
    plan = plan_for("imitate_explore_improve", [("world", "addition"), ("habit", "search")])
    model = TabularModel("policy", "0123456789+=\n")
    run = Run.create(plan, tmp_path / "run", open_worlds(plan), {"policy": model})
    with pytest.raises(WorldError, match="has no habit 'search'"):
        run.improve()
    run.close()


# This test on the machine of the first version (x86-64, torch 2.13.0, one thread).
GOLDEN = {"countdown": 7.82238, "chain_arithmetic": 7.63323}


@pytest.mark.slow
@pytest.mark.parametrize("improve", ["sft", "dpo"])
@pytest.mark.parametrize("world", ["countdown", "chain_arithmetic"])
def test_it_runs_by_name_on_a_byte_model(tmp_path, world, improve):
    options = [("world", world), ("improve", improve), ("num-seeds", "12"), ("max-tokens", "8"),
               ("phases.main.parts.tasks.num", "3"), ("phases.main.parts.tasks.pool-size", "6"),
               ("phases.main.until.rounds", "2"), ("measure-every", "9"),
               ("learn.policy.batch-tokens", "4096")]  # fmt: skip
    plan = plan_for("imitate_explore_improve", options)
    model = tiny_model("policy", 0, **SMALL | {"max_position_embeddings": 512})
    run = run_plan(plan, open_worlds(plan), {"policy": model}, tmp_path / "run")
    first, last = metrics_of(run, 0), metrics_of(run, 2)
    assert first["select/samples"] == 12
    assert last["select/samples"] == (12 if improve == "sft" else 0)
    if improve == "sft":
        assert last["learn/policy/loss"] == pytest.approx(GOLDEN[world], rel=1e-3)
    attempts = list(run.store.read("attempts", {"round": 2}))
    assert len(attempts) == 3 * 16
    assert all(a.task.difficulty == 0.75 for a in attempts)
