"""agent_r, re_rest and four_habits: exact on tables, and by name on a byte model and two worlds."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.records import Purpose
from askesis.run import Run
from askesis.store.run_store import RunStore
from askesis.worlds.open import open_world
from tests.engines.cast import SMALL
from tests.probes.house import LetterWorld, probability, run_plan
from tests.recipes.letters import metrics_of, on_letters

# ---------------------------------------------------------------- re_rest

LETTERS = "abxywrong\n"  # what a reflector reads: the failed letter, a line end, "wrong"


def table(name: str, **rows: dict[str, float]) -> TabularModel:
    """A bigram table: after this letter, so much logit for those; 0 for the rest."""
    logits = np.zeros((len(LETTERS) + 2, len(LETTERS) + 2))
    for letter, chosen in rows.items():
        for then, logit in chosen.items():
            place = len(LETTERS) if then == "end" else LETTERS.index(then)
            logits[LETTERS.index(letter), place] = logit
    return TabularModel(name, LETTERS, logits)


def blind_agent() -> TabularModel:
    """It answers b with y and a with w: never with x."""
    ends = {letter: {"end": 12.0} for letter in "wxy"}
    return table("policy", a={"w": 12.0, "x": -9.0}, b={"y": 12.0}, **ends)


def helpful() -> TabularModel:
    """After the last letter of "wrong" it says x, and stops."""
    return table("reflector", g={"x": 12.0}, x={"end": 12.0})


def re_rest(path, *options: tuple[str, str], reflector: TabularModel | None = None) -> Run:
    few = [
        ("explore.max-tokens", "2"),
        ("rounds", "2"),
        ("measure-every", "9"),
        ("reflector-rounds", "0"),
        ("learn.policy.learning-rate", "0.5"),
    ]
    models = {"policy": blind_agent(), "reflector": reflector or helpful()}
    return on_letters("re_rest", path, *few, *options, world=LetterWorld(), models=models)


@pytest.mark.slow
def test_repairs_teach_what_the_agent_never_says_itself(tmp_path):
    before = probability(blind_agent(), "a", "x")
    assert before < 1e-6
    plain = re_rest(tmp_path / "plain", ("num-attempts", "8"), ("num-repairs", "0"))
    assert probability(plain.models["policy"], "a", "x") < 2 * before  # nothing right to learn
    repaired = re_rest(tmp_path / "repaired")
    gained = probability(repaired.models["policy"], "a", "x")
    assert gained > 1.5 * before
    found = metrics_of(repaired, 0)
    assert found["select/repair_success"] == 1.0  # only a's attempts fail, and x is right for a
    assert 0 < found["select/repaired_fraction"] < 1


@pytest.mark.slow
def test_nothing_of_what_the_reflector_read_is_learnt_by_the_agent(tmp_path):
    run = re_rest(tmp_path / "run")
    renderer = run.models["policy"].renderer
    samples = list(run.store.read("samples"))
    agents = [s for s in samples if s.model == "policy"]
    reflectors = [s for s in samples if s.model == "reflector"]
    assert agents and reflectors
    noted = [metrics_of(run, i) for i in range(run.store.last_round + 1)]
    for key, some in (("select/samples", agents), ("select/reflector/samples", reflectors)):
        assert sum(found.get(key, 0) for found in noted) == len(some)
    for sample in agents:
        assert renderer.decode(sample.sequences[0].tokens) in ("ax", "by")
    for sample in reflectors:
        text = renderer.decode(sample.sequences[0].tokens)
        assert text.startswith("a") and "\nwrong" in text and text.endswith("x")
        assert len(sample.sources) == 2


@pytest.mark.slow
def test_the_reflector_learns_alone_first(tmp_path):
    few = ("phases.reflector.until.rounds", "1"), ("phases.main.until.rounds", "1")
    run = re_rest(tmp_path / "run", ("reflector-rounds", "1"), *few)
    models = [{s.model for s in run.store.read("samples", {"round": i})} for i in range(2)]
    assert models == [{"reflector"}, {"reflector", "policy"}]
    for options in ([("train-reflector", "false")], [("num-repairs", "0")]):
        assert [p.name for p in plan_for("re_rest", options).phases] == ["main"]


@pytest.mark.slow
def test_a_reflector_that_shall_not_learn_stays_as_it_was(tmp_path):
    run = re_rest(tmp_path / "run", ("train-reflector", "false"))
    assert not [s for s in run.store.read("samples") if s.model == "reflector"]
    learnt, first = run.models["reflector"].weights(), helpful().weights()
    assert all((learnt[k] == first[k]).all() for k in first)


def test_a_model_that_never_succeeds_learns_nothing_and_says_so(tmp_path):
    useless = table("reflector", g={"y": 12.0}, y={"end": 12.0})
    never = table("policy", a={"y": 12.0}, b={"x": 12.0}, x={"end": 12.0}, y={"end": 12.0})
    plan = plan_for(
        "re_rest",
        [
            ("tasks.num", "8"),
            ("rounds", "1"),
            ("reflector-rounds", "0"),
            ("explore.max-tokens", "2"),
        ],
    )
    run = run_plan(plan, {"main": LetterWorld({"a": "x"})}, {"policy": never, "reflector": useless}, tmp_path / "run")  # fmt: skip
    found = metrics_of(run, 0)
    assert found["select/samples"] == 0 and found["learn/policy/num_updates"] == 0


# ---------------------------------------------------------------- four_habits


class Wordy(LetterWorld):
    """Demonstrations may be wrong: the other letter."""

    def demonstrate(self, task, rng, habit="plain", *, wrong=False):
        right = self.answers[task.prompt]
        return {"x": "y", "y": "x"}[right] if wrong else right


def habits(path, *options: tuple[str, str]) -> Run:
    few = [("habit", "plain"), ("num-demonstrations", "32"), ("max-tokens", "2"), ("measure-every", "9"),
           ("phases.main.until.rounds", "3"), ("phases.prime.parts.learn.policy.learning-rate", "0.05"),
           ("phases.main.parts.learn.policy.learning-rate", "0.05")]  # fmt: skip
    plan = plan_for("four_habits", [*few, *options])
    return run_plan(plan, {"main": Wordy()}, {"policy": TabularModel("policy", "abxy")}, path)


@pytest.mark.slow
def test_priming_shows_the_habit_right_or_wrong_and_rl_goes_on_from_there(tmp_path):
    right, wrong = habits(tmp_path / "right"), habits(tmp_path / "wrong", ("wrong", "true"))
    for run, said in ((right, {"ax", "by"}), (wrong, {"ay", "bx"})):
        primed = list(run.store.read("samples", {"round": 0}))
        texts = {run.models["policy"].renderer.decode(s.sequences[0].tokens) for s in primed}
        assert texts == said and len(primed) == 2  # equal texts of a task count once
        attempts = list(run.store.read("attempts", {"round": 0}))
        assert {a.purpose for a in attempts} == {Purpose.DEMONSTRATION}
        assert len(run.store.rounds()) == 4
    assert probability(right.models["policy"], "a", "x") > probability(
        wrong.models["policy"], "a", "x"
    )


def test_without_a_habit_there_is_no_priming():
    assert [p.name for p in plan_for("four_habits", [("habit", "none")]).phases] == ["main"]
    assert [p.name for p in plan_for("four_habits").phases] == ["prime", "main"]
    assert plan_for("four_habits").phases[1].parts.learn["policy"].reference == "phase_start"


# ---------------------------------------------------------------- agent_r

MAZES = "SG.#\n,0123456789 UDLR"


def agent_r(path, *options: tuple[str, str]) -> Run:
    """A bigram walker that sees the last open direction only, in mazes of 3 x 3."""
    few = [("world", "maze?difficulty=0"), ("imitate-rounds", "1"), ("phases.imitate.parts.tasks.num", "16"),
           ("phases.main.parts.tasks.num", "16"), ("phases.main.until.rounds", "2"), ("phases.main.parts.explore.max-tokens", "1"), ("measure-every", "9"),
           ("phases.imitate.parts.learn.policy.learning-rate", "0.05")]  # fmt: skip
    plan = plan_for("agent_r", [*few, *options])
    model = TabularModel("policy", MAZES, context_length=512)
    return run_plan(plan, open_worlds(plan), {"policy": model}, path)


@pytest.mark.slow
def test_agent_r_learns_ways_back_from_its_own_trees(tmp_path):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    run = agent_r(tmp_path / "run", ("phases.main.parts.select.policy.max-per-task", "4"))
    found = metrics_of(run, 1)
    assert found["select/splice_pairs"] == GOLDEN["splice_pairs"]
    assert found["select/splices"] == GOLDEN["splices"]
    assert found["select/reward"] == pytest.approx(GOLDEN["reward"], abs=1e-6)
    attempts = {a.id: a for a in run.store.read("attempts", {"round": 1})}
    spliced = [s for s in run.store.read("samples", {"round": 1}) if len(s.sources) == 2]
    assert spliced
    for sample in spliced:
        bad, good = (attempts[i] for i in sample.sources)
        assert bad.rewards["policy"] == 0.0 and good.rewards["policy"] == 1.0
        assert bad.task.id == good.task.id


GOLDEN = {"splice_pairs": 47, "splices": 7, "reward": 0.0546875}


@pytest.mark.slow
def test_the_control_learns_good_walks_alone(tmp_path):
    run = agent_r(tmp_path / "run", ("locate", "none"))
    samples = list(run.store.read("samples", {"round": 1}))
    assert samples and all(len(s.sources) == 1 for s in samples)


def test_a_world_without_turns_is_refused_before_the_first_round(tmp_path):
    plan = plan_for("agent_r", [("world", "addition")])
    with pytest.raises(WorldError, match=r"needs turns, .* --world countdown or --world maze"):
        open_worlds(plan)
    model = TabularModel("policy", "0123456789+=\n")
    run = Run.create(plan, tmp_path / "run", {"main": open_world("addition")}, {"policy": model})
    with pytest.raises(WorldError, match="has turns"):
        run.improve()
    run.close()


# ---------------------------------------------------------------- by name, on two worlds each


@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe", "world", "options"),
    [
        ("agent_r", "maze?difficulty=0", [("num-simulations", "3"), ("phases.main.parts.explore.max-steps", "6")]),
        ("agent_r", "countdown", [("num-simulations", "3"), ("phases.main.parts.explore.max-steps", "6")]),
        ("re_rest", "addition", [("explore.max-tokens", "8")]),
        ("re_rest", "countdown", [("explore.max-tokens", "8")]),
        ("four_habits", "countdown", [("habit", "search+verify"), ("max-tokens", "8")]),
        ("four_habits", "chain_arithmetic", [("wrong", "true"), ("max-tokens", "8")]),
    ],
)  # fmt: skip
def test_a_recipe_runs_two_rounds_a_phase_of_a_byte_model(tmp_path, recipe, world, options):
    given = [
        ("world", world),
        ("rounds", "2"),
        ("tasks.num", "4"),
        ("measure-every", "9"),
        *options,
    ]
    plan = plan_for(recipe, given)
    models = {
        n: tiny_model(n, 0, **SMALL | {"initializer_range": 0.2, "max_position_embeddings": 256})
        for n in plan.models
    }
    run = Run.create(plan, tmp_path / "run", open_worlds(plan), models)
    run.improve()
    run.close()
    store = RunStore.open(tmp_path / "run")
    assert len(store.rounds()) == 2 * len(plan.phases)
    metrics = store.metrics()
    assert all(m["value"] == m["value"] and abs(m["value"]) < 1e9 for m in metrics)
    assert not [m for m in metrics if m["key"].endswith("num_refused") and m["value"]]
    store.close()
