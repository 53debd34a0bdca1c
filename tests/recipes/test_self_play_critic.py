"""A critic against who spoils steps in secret: first updates by hand on tables, and by name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError, WorldError
from askesis.judge.wrong import Misled
from askesis.lab.begin import plan_for
from askesis.models.scripted import ScriptedModel
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.run import Run
from askesis.worlds.chain_arithmetic import ChainArithmetic, apply
from askesis.worlds.fits import must_fit
from askesis.worlds.views import RunView
from tests.engines.cast import SMALL
from tests.explore.test_sneaky_game import counts_on
from tests.recipes.letters import first_adam_step, metrics_of, on_letters
from tests.recipes.whole_runs import killed_and_whole_are_one, to_its_end
from tests.search.solved import Digits

LETTERS = "count:\n)0123459 ,wr?spilkg"
END = len(LETTERS)
QUICK = (("measure-every", "99"), ("measure.step-quality.num-tasks", "2"),
         ("measure.step-quality.num-attempts", "2"))  # fmt: skip
GAME = (*QUICK, ("lesson-rounds", "0"), ("rounds", "1"), ("tasks.num", "24"))


class Counting(Digits):
    """As many tasks as one likes, all of them "count:"."""

    def draw(self, role, rng, num, difficulty=None):
        names = [f"digits:{n}" for n in rng.integers(1_000_000, size=num)]
        return [replace(self.make(), id=name, role=role) for name in names]

    def canonical(self, task):
        return task.id


def table(says: dict[str, str]) -> list[list[float]]:
    """Logits of 4 for what follows a letter ("." is the end), 0 for all else."""
    logits = np.zeros((END + 2, END + 2))
    for letter, after in says.items():
        for c in after:
            logits[LETTERS.index(letter), END if c == "." else LETTERS.index(c)] = 4.0
    return logits.tolist()


CRITIC = table({"?": "123o", "o": "k", "k": ".", "1": ".", "2": ".", "3": "."})
SNEAKY = table({"?": "9123", "9": ".", "1": ".", "2": ".", "3": "."})


def cast(plan: Any) -> dict[str, Any]:
    """A solver that is always right, a critic that guesses, and who mostly says another digit."""
    rows = {"critic": CRITIC, "sneaky": SNEAKY}
    return {
        name: ScriptedModel(name, counts_on)
        if name == "policy"
        else TabularModel(name, LETTERS, rows[name], context_length=96)
        for name in plan.models
    }


def run_of(path: Any, *options: tuple[str, str], world: Any = None) -> Run:
    models = cast(plan_for("self_play_critic", list(options)))
    return on_letters("self_play_critic", path, *options, world=world or Counting(), models=models)


def rows_of(run: Run, model: str, index: int = 0) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Of each sample the letter before each token that weighs, the token, and its advantage."""
    found = []
    for sample in run.store.read("samples", {"round": index}):
        if sample.model == model:
            (row,) = sample.sequences
            (at,) = np.nonzero(row.columns["weight"])
            found.append((row.tokens[at - 1], row.tokens[at], sample.columns["advantage"]))
    return found


@pytest.mark.parametrize("model", ["critic", "sneaky"])
def test_the_first_update_raises_what_won_and_lowers_what_lost(tmp_path, model):
    """Golden: at a ratio of 1 the clipped sequence ratio's gradient is mean over samples of
    advantage times mean over tokens of that of the log-probability."""
    once = ((f"learn.{model}.epochs", "1"), (f"learn.{model}.num-batches", "1"))
    run = run_of(tmp_path / "run", *GAME, *once)
    logits = np.array(CRITIC if model == "critic" else SNEAKY)
    odds = np.exp(logits) * (np.arange(END + 2) <= END)
    chances = odds / odds.sum(1, keepdims=True)
    rows, gradient = rows_of(run, model), np.zeros_like(logits)
    for before, tokens, advantage in rows:
        for a, b in zip(before, tokens, strict=True):
            push = (np.eye(END + 2)[b] - chances[a]) / len(tokens)
            gradient[a] += advantage * push / len(rows)
    advantages = [round(a, 3) for _, _, a in rows]
    assert set(advantages) == {1.0, -1.0, 0.15} and len(rows) > 5
    assert advantages.count(1.0) <= advantages.count(-1.0)
    found = metrics_of(run, 0)
    length = np.linalg.norm(gradient)
    assert found[f"learn/{model}/grad_norm"] == pytest.approx(length, rel=1e-4)
    step = first_adam_step(gradient * min(1.0, 1 / length), 3e-4)
    moved = run.models[model].module.logits.detach() - torch.tensor(logits, dtype=torch.float32)
    sure = np.abs(gradient) > 1e-5
    torch.testing.assert_close(moved[sure], step[sure], atol=2e-6, rtol=1e-2)
    run.store.close()


def test_the_critic_in_the_game_is_that_of_an_earlier_round(tmp_path):
    for opponent, expected in (("previous", ["critic@0", "critic@0"]), ("now", ["critic@0", "critic@1"])):  # fmt: skip
        options = (*GAME, ("rounds", "2"), ("opponent", opponent), ("edit-share", "0"))
        run = run_of(tmp_path / opponent, *options, ("tasks.num", "12"))
        for index, snapshot in enumerate(expected):
            turns = [t for a in run.store.read("attempts", {"round": index}) for t in a.turns]
            assert {t.speaker for t in turns if t.role == "opponent"} == {snapshot}
            assert {t.speaker for t in turns if t.role == "sneaky"} == {f"sneaky@{index}"}
        run.store.close()


def test_lessons_come_first_and_arms_without_games_have_no_sneaky_one():
    plan = plan_for("self_play_critic")
    assert [p.name for p in plan.phases] == ["lessons", "main"]
    assert [p.parts.explore.edit_share for p in plan.phases] == [1.0, 0.25]
    assert (
        set(plan.models) == {"policy", "critic", "sneaky"} and not plan.models["policy"].trainable
    )
    for errors in ("edits", "natural"):
        plan = plan_for("self_play_critic", [("errors", errors)])
        assert set(plan.models) == {"policy", "critic"} and "sneaky" not in plan.roles
    plan = plan_for("self_play_critic", [("gate", "false"), ("lesson-rounds", "0")])
    assert [p.parts.explore.gate for p in plan.phases] == [False]
    plan = plan_for("self_play_critic", [("false-pass", "0.1")])
    assert all(isinstance(p.parts.explore, Misled) for p in plan.phases)


def test_worlds_without_answers_and_unknown_errors_are_refused(tmp_path):
    class Silent(Counting):
        truth = frozenset({"preference"})

    with pytest.raises(WorldError, match=r"self_play_critic.* needs a verifier"):
        must_fit("self_play_critic", Silent())
    with pytest.raises(WorldError, match="SneakyGame asks whether answers are right"):
        run_of(tmp_path / "run", *GAME, world=Silent())
    with pytest.raises(ConfigError, match="errors"):
        plan_for("self_play_critic", [("errors", "invented")])
    with pytest.raises(ConfigError, match="edit_share is out of range"):
        plan_for("self_play_critic", [("edit-share", "2")])


# ---------------------------------------------------------------- by name, and killed


def solves(text: str, u: float) -> str:
    """Works off a chain from wherever it is; three times in ten the last line is off by one."""
    begun = re.match(r"(\d+) ([-+*]\d+) ", text)
    assert begun
    at = text.find(f"{begun[1]}{begun[2]}=")
    prompt, said = (text, "") if at < 0 else (text[:at], text[at:])
    first, *operations = prompt.split(" ")
    lines = [line for line in said.split("\n") if line]
    stated = lines[-1].rpartition("=")[2] if lines else first
    if not all(re.fullmatch(r"[-+*]\d+", o) for o in operations) or not stated.isdigit():
        return ""
    value, rest = int(stated), operations[len(lines) :]
    made = []
    for i, operation in enumerate(rest):
        result = apply(value, operation[0], int(operation[1:])) + (u < 0.3 and i == len(rest) - 1)
        made.append(f"{value}{operation}={result}")
        value = result
    return "\n" * (bool(made and said) and not said.endswith("\n")) + "\n".join(made)


KEYS = ("select/lessons", "select/sneaky/games", "select/samples", "learn/critic/num_updates")
GOLDEN = {  # of the lessons, then of the main phase; what an untaught model says is no step
    "sneaky": [16, 0, 16, 2, 6, 1, 6, 3],
    "edits": [16, 0, 16, 2, 8, 0, 8, 2],
    "natural": [16, 0, 16, 2, 0, 0, 44, 4],
}
SHORT = (*QUICK, ("lesson-rounds", "1"), ("phases.lessons.tasks.num", "16"),
         ("phases.main.until.rounds", "1"), ("phases.main.tasks.num", "16"))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("errors", ["sneaky", "edits", "natural"])
def test_it_runs_by_name_to_the_metrics_it_had(tmp_path, errors):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    plan = plan_for("self_play_critic", [("errors", errors), *SHORT])
    small = SMALL | {"initializer_range": 0.2, "max_position_embeddings": 256}
    models = {n: ScriptedModel(n, solves) if n == "policy" else tiny_model(n, 0, **small)
              for n in plan.models}  # fmt: skip
    world = RunView(ChainArithmetic(difficulty=0.2))
    run = Run.create(plan, tmp_path / "run", {"main": world}, models, segment_s=0)
    run.improve()
    rounds = [{}, {}]
    for row in run.store.metrics():
        rounds[row["round"]][row["key"]] = row["value"]
    got = [found.get(k, 0.0) for found in rounds for k in KEYS]
    assert got == pytest.approx(GOLDEN[errors], rel=1e-6)
    assert rounds[0]["learn/critic/loss/last"] < rounds[0]["learn/critic/loss/first"]
    assert not [k for found in rounds for k in found if k.endswith("num_refused") and found[k]]
    run.close()


def finish(path: Any) -> Run:
    """Begin or continue a run on tables, to its end."""
    plan = plan_for("self_play_critic", [*GAME, ("rounds", "2"), ("tasks.num", "6")])
    return to_its_end(path, plan, Counting(), cast(plan))


@pytest.mark.slow
def test_a_run_killed_while_learning_ends_as_the_whole_one(tmp_path, monkeypatch):
    killed_and_whole_are_one(tmp_path, monkeypatch, finish, lesson=3)
