"""spontaneous_correction, self_feedback and critique_in_the_loop: exact on tables, and by name."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.requests import Checked
from askesis.run import Run
from askesis.store.run_store import RunStore
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.views import RunView
from tests.engines.cast import SMALL
from tests.probes.house import LetterWorld, probability, run_plan
from tests.recipes.letters import metrics_of

RECIPES_HERE = ("spontaneous_correction", "self_feedback", "critique_in_the_loop")
GOLDEN = {  # samples and tokens that the policy learnt in the first round, and its loss
    ("spontaneous_correction", "chain_arithmetic"): [5, 556, 5.852],
    ("spontaneous_correction", "addition"): [4, 256, 5.532],
    ("spontaneous_correction", "countdown"): [5, 800, 5.903],
    ("self_feedback", "chain_arithmetic"): [16, 6820, 5.682],
    ("self_feedback", "addition"): [20, 8136, 5.554],
    ("self_feedback", "countdown"): [24, 8408, 6.065],
    ("critique_in_the_loop", "chain_arithmetic"): [16, 2842, 6.101],
    ("critique_in_the_loop", "addition"): [16, 2618, 5.74],
    ("critique_in_the_loop", "countdown"): [16, 2324, 6.239],
}

# ---------------------------------------------------------------- spontaneous_correction


class Mended(LetterWorld):
    """One letter is an answer and its only step; "y#x" is a wrong one taken back and mended."""

    truth = frozenset({"answer", "steps", "demonstration", "corrections"})

    def verify(self, task, answer):
        spans = [(i, i + 1) for i, c in enumerate(answer) if c != "#"]
        right = [float(answer[i] == self.answers[task.prompt]) for i, _ in spans]
        return Checked(
            float(bool(right) and right[-1] == 1), "", answer[-1:], tuple(right), tuple(spans)
        )

    def correction(self, task, wrong, right, *, again=False, remark=True):
        return f"#{right}"


LETTERS = "abxy#"
ONE = [("num-taught", "0"), ("tasks.num", "16"), ("explore.max-tokens", "2"), ("rounds", "1"), ("measure-every", "9"),
       ("learn.policy.learning-rate", "0.3"), ("measure.ability.num-tasks", "2"), ("measure.spontaneous.num-tasks", "0")]  # fmt: skip


def mending(path, *options, logits=None, world=None):
    """One round on letters; the table says x or y, alike, and ends."""
    if logits is None:
        logits = [[0.0] * 7 for _ in range(7)]
        logits[0] = [-9.0, -9.0, 0.0, 0.0, -9.0, -9.0, 0.0]
        for letter in (2, 3):
            logits[letter][5] = 9.0
    plan = plan_for("spontaneous_correction", [*ONE, *options])
    models = {"policy": TabularModel("policy", LETTERS, logits)}
    return run_plan(plan, {"main": world or Mended({"a": "x"})}, models, path)


def learnt(run):
    """All that is said in samples, and what of it weighs 0."""
    renderer, found = run.models["policy"].renderer, set()
    for sample in run.store.read("samples"):
        (row,) = sample.sequences
        read = row.columns["weight"] == 0
        assert renderer.decode(row.tokens[:1]) == "a" and read[0]
        found.add((renderer.decode(row.tokens[1:]), renderer.decode(row.tokens[1:][read[1:]])))
    return found


@pytest.mark.slow
def test_a_wrong_step_is_read_and_what_mends_it_is_learnt(tmp_path):
    run = mending(tmp_path / "run")
    assert learnt(run) == {("x", ""), ("y#x", "y")}
    model = run.models["policy"]
    assert probability(model, "y", "#") > 2e-4 > probability(mending(tmp_path / "none", ("share", "0")).models["policy"], "y", "#")  # fmt: skip
    run.store.close()


@pytest.mark.slow
def test_without_the_mask_mistakes_are_learnt(tmp_path):
    masked, open_ = mending(tmp_path / "masked"), mending(tmp_path / "open", ("mask", "false"))
    assert ("y#x", "") in learnt(open_)
    wrong = [probability(run.models["policy"], "a", "y") for run in (masked, open_)]
    assert wrong[0] < wrong[1]


def test_a_model_that_is_never_right_learns_nothing_and_one_that_always_is_learns_that(tmp_path):
    for letter, expected in ((3, set()), (2, {("x", "")})):
        logits = [[0.0] * 7 for _ in range(7)]
        logits[0][letter] = logits[2][5] = logits[3][5] = 30.0
        run = mending(tmp_path / str(letter), logits=logits)
        assert learnt(run) == expected
        found = metrics_of(run, 0)
        assert found["learn/policy/num_updates"] == float(bool(expected))
        assert found["select/splices"] == 0


def test_the_first_phase_is_of_demonstrations_and_the_second_of_its_own(tmp_path):
    plan = plan_for("spontaneous_correction", [("num-taught", "8")])
    assert [p.name for p in plan.phases] == ["taught", "main"]
    assert [p.parts.select["policy"].source for p in plan.phases] == ["demonstration", "own"]
    assert [p.name for p in plan_for("spontaneous_correction", [("num-taught", "0")]).phases] == [
        "main"
    ]


# ---------------------------------------------------------------- self_feedback


class Sealing(ChainArithmetic):
    """Remembers in which phase somebody asked for the truth; told by the test when it changes."""

    asked: ClassVar[list[str]] = []
    phase = ""

    def verify(self, task, answer):
        self.asked.append(self.phase)
        return super().verify(task, answer)

    def demonstrate(self, task, rng, habit="plain", *, wrong=False):
        self.asked.append(self.phase)
        return super().demonstrate(task, rng, habit, wrong=wrong)


def byte_models(plan):
    """Byte models of ten thousand parameters that know nothing."""
    options = SMALL | {"initializer_range": 0.2, "max_position_embeddings": 256}
    return {n: tiny_model(n, 0, **options) for n in plan.models}


SHORT = [("tasks.num", "4"), ("rounds", "1"), ("measure-every", "9"), ("seed", "3")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kept",
    ["feedback", *(pytest.param(k, marks=pytest.mark.slow) for k in ("agreement", "none"))],
)
def test_after_the_first_phase_nobody_asks_for_the_truth(tmp_path, kept, monkeypatch):
    plan = plan_for("self_feedback", [*SHORT, ("filter-by", kept), ("num-attempts", "2"), ("world", "chain_arithmetic")])  # fmt: skip
    plan = replace(plan, phases=tuple(replace(p, measure=()) for p in plan.phases))
    world = Sealing(difficulty=0.0)
    world.max_answer_tokens = 6
    monkeypatch.setattr(Sealing, "asked", [])
    run = Run.create(plan, tmp_path / "run", {"main": RunView(world)}, byte_models(plan))
    enter = run.enter

    def entered(phase):
        world.phase = phase.name
        return enter(phase)

    monkeypatch.setattr(run, "enter", entered)
    run.improve()
    run.close()
    assert set(world.asked) == {"meta_skill"}
    store = RunStore.open(tmp_path / "run")
    roles = {t.role for a in store.read("attempts", {"round": 1}) for t in a.turns}
    assert roles == {"policy", "critic"}
    first = next(iter(store.read("samples", {"round": 0})))
    assert first.model == "policy" and len(store.rounds()) == 2
    store.close()


def test_one_model_answers_and_judges_itself():
    plan = plan_for("self_feedback")
    assert set(plan.models) == {"policy"} and set(plan.roles) == {"policy", "critic"}
    assert {r.model for r in plan.roles.values()} == {"policy"}
    assert plan_for("self_feedback", [("refine", "false")]).phases[1].parts.explore.num_turns == 1


# ---------------------------------------------------------------- critique_in_the_loop


WORDS = "abxystep 1iwrongh"  # letters of the answers and of all feedback


def words(name, **rows):
    """A bigram table: after this letter, that one, nearly always; "." ends."""
    logits = np.zeros((len(WORDS) + 2, len(WORDS) + 2))
    for letter, then in rows.items():
        logits[WORDS.index(letter), len(WORDS) if then == "." else WORDS.index(then)] = 12.0
    return TabularModel(name, WORDS, logits)


def critique(path, *options, critic="w"):
    """Who answers says y to everything, and x behind "wrong"; the critic says "wrong" or nothing."""
    few = [("tasks.num", "16"), ("rounds", "1"), ("num-attempts", "2"), ("measure-every", "9"),
           ("measure.ability.num-tasks", "2"), ("critic-rounds", "0"), ("learn.policy.learning-rate", "0.5")]  # fmt: skip
    plan = plan_for("critique_in_the_loop", [*few, *options])
    plan = replace(plan, phases=tuple(replace(p, measure=()) for p in plan.phases))
    actor = words("policy", a="y", b="y", x=".", y=".", g="x")
    says = words("critic", y=critic, w="r", r="o", o="n", n="g", g=".")
    return run_plan(plan, {"main": Mended()}, {"policy": actor, "critic": says}, path)


@pytest.mark.slow
def test_a_critic_brings_out_what_plain_attempts_never_find(tmp_path):
    alone = critique(tmp_path / "alone", ("num-refinements", "0"))
    helped = critique(tmp_path / "helped")
    gained = [probability(run.models["policy"], "a", "x") for run in (alone, helped)]
    assert gained[0] < 2e-5 and gained[1] > 1.3 * gained[0]
    found = metrics_of(helped, 0)
    assert found["select/refine_success"] == 1.0 and found["select/shortcut_fraction"] == 0.0
    renderer = helped.models["policy"].renderer
    said = {renderer.decode(s.sequences[0].tokens) for s in helped.store.read("samples")}
    assert said == {"ax", "by"}  # nothing of what the critic said
    for run in (alone, helped):
        run.store.close()


@pytest.mark.slow
def test_a_critic_without_words_helps_nobody(tmp_path):
    run = critique(tmp_path / "run", critic=".")
    renderer = run.models["policy"].renderer
    assert {renderer.decode(s.sequences[0].tokens) for s in run.store.read("samples")} == {"by"}
    run.store.close()


@pytest.mark.slow
def test_the_actor_begins_every_round_from_where_it_was_taught(tmp_path):
    rounds = ("phases.main.until.rounds", "2"), ("critic-rounds", "1")
    run = critique(tmp_path / "run", *rounds)
    of_policy = [s["parents"] for s in run.store.snapshots() if s["model"] == "policy"]
    assert of_policy == [[], ["policy@0"], ["policy@1"], ["policy@1"]]
    renderer = run.models["critic"].renderer
    lessons = [s for s in run.store.read("samples", {"round": 0}) if s.model == "critic"]
    said = {renderer.decode(s.sequences[0].tokens) for s in lessons}
    assert said == {"aystep 1 is wrong", "byright"}  # x behind it was right, so it helped
    run.store.close()


@pytest.mark.slow
def test_what_earlier_rounds_found_is_learnt_again_from_where_the_actor_was_taught(tmp_path):
    run = critique(tmp_path / "run", ("rounds", "3"), ("critic-rounds", "0"))
    selected = [
        sum(len(s.sequences[0].tokens) for s in run.store.read("samples", {"round": i}))
        for i in range(3)
    ]
    learnt = [metrics_of(run, i)["learn/policy/tokens"] for i in range(3)]
    assert learnt == [2 * sum(selected[: i + 1]) for i in range(3)]  # twice, in two passes
    of_policy = [s["parents"] for s in run.store.snapshots() if s["model"] == "policy"]
    assert of_policy == [[], ["policy@0"], ["policy@0"], ["policy@0"]]
    run.store.close()


def test_without_refinements_the_critic_is_never_asked():
    plan = plan_for("critique_in_the_loop", [("num-refinements", "0"), ("critic-rounds", "0")])
    (main,) = plan.phases
    assert main.parts.explore.num_turns == 1 and main.parts.learn["policy"].start == "base"
    assert not plan.models["critic"].trainable


# ---------------------------------------------------------------- all three


@pytest.mark.parametrize("recipe", RECIPES_HERE)
def test_a_world_without_step_truth_is_refused_before_the_first_round(recipe):
    with pytest.raises(WorldError, match=r"step"):
        open_worlds(plan_for(recipe, [("world", "preferences")]))


def test_a_maze_cannot_take_a_move_back_in_words():
    with pytest.raises(WorldError, match=r"taken back.*chain_arithmetic"):
        open_worlds(plan_for("spontaneous_correction", [("world", "maze")]))


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES_HERE)
@pytest.mark.parametrize(
    "world", ["chain_arithmetic?difficulty=0", "addition?difficulty=0", "countdown"]
)
def test_a_recipe_runs_a_round_a_phase_of_a_byte_model_to_its_golden_metrics(
    tmp_path, recipe, world
):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    plan = plan_for(recipe, [*SHORT, ("num-attempts", "2"), ("world", world)])
    plan = replace(plan, phases=tuple(replace(p, measure=p.measure[-1:]) for p in plan.phases))
    worlds = open_worlds(plan)
    run = run_plan(plan, worlds, byte_models(plan), tmp_path / "run")
    found = {i: metrics_of(run, i) for i in range(len(plan.phases))}
    assert len(run.store.rounds()) == len(plan.phases)
    for metrics in found.values():
        assert all(v == v and abs(v) < 1e9 for v in metrics.values())
        assert not [k for k, v in metrics.items() if k.endswith("num_refused") and v]
    seen = [found[0][f"learn/policy/{k}"] for k in ("num_samples", "tokens", "loss")]
    assert seen == pytest.approx(GOLDEN[recipe, world.partition("?")[0]], abs=2e-3)
    run.store.close()
