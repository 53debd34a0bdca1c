"""id_sampling: exact on a table that mends what it is told to look at again, and by name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from askesis.errors import ConfigError, WorldError
from askesis.explore.deepening import Deepening
from askesis.lab.begin import begin, plan_for
from askesis.models.tabular import TabularModel
from askesis.requests import Checked
from askesis.store.run_store import RunStore
from tests.probes.house import LetterWorld, probability, run_plan
from tests.recipes.letters import metrics_of

LETTERS = "axy#\n"  # ids 0 to 4; 5 ends, 6 pads
FAR = 30.0


@dataclass(frozen=True)
class Lines(LetterWorld):
    """To a the answer is x. A letter is a line and a step, remarks begin with "#"."""

    truth = frozenset({"answer", "steps", "demonstration", "corrections"})
    max_answer_tokens = 12

    def verify(self, task, answer):
        return Checked(float(answer[-1:] == self.answers[task.prompt]), "", answer[-1:])

    def correction(self, task, wrong, right, *, again=False, remark=True):
        return f"\n#{right}"


def mends() -> TabularModel:
    """To a it says x and ends, or y and a new line and ends, as often; behind "#" it says x."""
    logits = torch.full((7, 7), -FAR)
    logits[0, 1] = logits[0, 2] = 0.0
    for letter, following in ((1, 5), (2, 4), (3, 1), (4, 5)):
        logits[letter, following] = 0.0
    return TabularModel("policy", LETTERS, logits)


def deepened(path, *options):
    given = [
        ("num-taught", "0"), ("tasks.num", "8"), ("rounds", "1"), ("first-tokens", "1"),
        ("learn.policy.learning-rate", "0.3"), ("measure.ability.num-tasks", "2"),
        ("measure.spontaneous.num-tasks", "0"), ("measure-every", "9"), *options,
    ]  # fmt: skip
    plan = plan_for("id_sampling", given)
    return run_plan(plan, {"main": Lines({"a": "x"})}, {"policy": mends()}, path)


def learnt(run):
    """All that is said in samples, and what of it weighs 0."""
    renderer, found = run.models["policy"].renderer, set()
    for sample in run.store.read("samples"):
        (row,) = sample.sequences
        read = row.columns["weight"] == 0
        found.add((renderer.decode(row.tokens[1:]), renderer.decode(row.tokens[1:][read[1:]])))
    return found


def test_what_a_trigger_mends_is_learnt_and_the_trigger_is_not(tmp_path):
    """By hand: x at once, or y, a new line, the trigger, x. Each task has both once, so x and y
    stay alike; and nothing teaches the model to open a remark itself."""
    run = deepened(tmp_path / "run")
    assert learnt(run) == {("x", ""), ("y\n#x", "#")}
    begun, now = mends(), run.models["policy"]
    assert torch.allclose(now.module.logits[0], begun.module.logits[0], atol=1e-5)
    assert torch.equal(now.module.logits[4], begun.module.logits[4])  # what follows a new line
    assert metrics_of(run, 0)["learn/policy/num_updates"] == 1
    assert probability(now, "#", "x") > 0.999
    assert metrics_of(run, 0)["select/samples"] == 2  # the same task eight times, each text once
    run.store.close()


def test_without_triggers_only_what_was_right_at_once_is_learnt(tmp_path):
    run = deepened(tmp_path / "run", ("first-tokens", "100"))
    assert learnt(run) == {("x", "")}
    assert probability(run.models["policy"], "a", "x") > 0.55  # y is learnt no more
    run.store.close()


def test_the_first_phase_teaches_and_its_options_reach_the_explorer():
    plan = plan_for("id_sampling", [("first-tokens", "9"), ("growth", "3"), ("end-checks", "1")])
    assert [p.name for p in plan.phases] == ["taught", "main"]
    explore = plan.phases[1].parts.explore
    assert isinstance(explore, Deepening)
    assert (explore.first_tokens, explore.growth, explore.end_checks) == (9, 3.0, 1)
    assert [p.name for p in plan_for("id_sampling", [("num-taught", "0")]).phases] == ["main"]


def test_bad_inputs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="growth"):
        plan_for("id_sampling", [("growth", "0.5")])
    with pytest.raises(ConfigError, match="trigger"):
        plan_for("id_sampling", [("trigger", "")])
    plan = plan_for("id_sampling", [("num-taught", "2"), ("rounds", "1")])
    with pytest.raises(WorldError, match="taken back"):
        run_plan(plan, {"main": LetterWorld()}, {"policy": mends()}, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("world", ["chain_arithmetic", "addition"])
def test_it_runs_by_name(world, tmp_path, quick_warm_start):
    options = {
        "world": world, "num-taught": "16", "tasks.num": "8", "num-attempts": "2",
        "phases.main.until.rounds": "1", "measure.ability.num-tasks": "4",
        "measure.spontaneous.num-tasks": "4",
    }  # fmt: skip
    begin(plan_for("id_sampling", list(options.items())), tmp_path / "run").improve()
    with RunStore.open(tmp_path / "run") as store:
        said = list(store.read("attempts", {"round": 1}))
    turns = [a.turns[0] for a in said]
    assert any(t.origin is not None and "\n#" in t.text for t in turns)
    assert all("#" in t.text for t in turns if t.origin is not None)
