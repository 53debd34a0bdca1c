"""tailored_learning: exact on tables, and by name on a byte model and two worlds."""

from __future__ import annotations

import pytest

from askesis.errors import WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.requests import Checked
from askesis.run import Run
from tests.engines.cast import SMALL
from tests.probes.house import LetterWorld, probability, run_plan
from tests.recipes.letters import metrics_of


class Letters(LetterWorld):
    """Letters, each of which is a step, and a teacher who knows them."""

    truth = frozenset({"answer", "steps", "demonstration"})

    def verify(self, task, answer):
        right = [float(c == self.answers[task.prompt]) for c in answer]
        spans = tuple((i, i + 1) for i in range(len(answer)))
        return Checked(super().verify(task, answer).score, steps=tuple(right), spans=spans)

    def finish(self, task, begun, rng):
        return self.answers[task.prompt] if begun in ("", self.answers[task.prompt]) else None


def sure(**answers: str) -> TabularModel:
    """A table that gives one answer to each prompt letter, and stops."""
    logits = [[0.0] * 6 for _ in range(6)]
    for prompt, answer in answers.items():
        logits["abxy".index(prompt)]["abxy".index(answer)] = 9.0
        logits["abxy".index(answer)][4] = 9.0
    return TabularModel("policy", "abxy", logits)


def school(path, model: TabularModel, *options: tuple[str, str]) -> Run:
    few = [("tasks.num", "8"), ("rounds", "3"), ("measure-every", "1"), ("explore.max-tokens", "2"),
           ("measure.ability.num-tasks", "2"), ("reflect", "false"),
           ("learn.policy.learning-rate", "0.5")]  # fmt: skip
    plan = plan_for("tailored_learning", [*few, *options])
    return run_plan(plan, {"main": Letters()}, {"policy": model}, path)


@pytest.mark.slow
def test_lessons_go_to_what_the_student_gets_wrong(tmp_path):
    model = sure(a="x", b="x")
    before = probability(model, "b", "y")
    run = school(tmp_path / "run", model)
    attempts = {a.id: a for a in run.store.read("attempts")}
    taught = [attempts[s.sources[0]] for s in run.store.read("samples")]
    assert {a.task.prompt for a in taught} == {"b"} and {a.author for a in taught} == {"teacher"}
    assert {a.start.privileged for a in taught} == {"x"}
    assert probability(model, "b", "y") > 2 * before
    # what the student did is what is measured; lessons are all right, and gone through four times
    noted = metrics_of(run, 0)
    assert noted["learn/policy/num_updates"] == 4
    assert noted["measure/train_accuracy"] == pytest.approx(
        1 - noted["tasks/failed_fraction"], abs=0.05
    )
    control = school(tmp_path / "any", sure(a="x", b="x"), ("lesson", "any"), ("rounds", "1"))
    prompts = {a.task.prompt for a in control.store.read("attempts") if a.author == "teacher"}
    assert prompts == {"a", "b"}


def test_a_student_who_is_always_right_learns_nothing_and_says_so(tmp_path):
    run = school(
        tmp_path / "run", sure(a="x", b="y"), ("rounds", "1"), ("explore.temperature", "0.3")
    )
    noted = metrics_of(run, 0)
    assert noted["tasks/lessons"] == 0 and noted["learn/policy/num_updates"] == 0


@pytest.mark.slow
def test_a_student_who_never_succeeds_learns_lessons_and_has_nothing_to_compare(tmp_path):
    never = sure(a="y", b="x")
    run = school(tmp_path / "run", never, ("rounds", "1"), ("explore.temperature", "0.3"))
    noted = metrics_of(run, 0)
    assert noted["tasks/lessons"] == 8 and noted["select/reflected_fraction"] == 0
    assert noted["learn/policy/num_updates"] > 0


def test_a_world_without_step_truth_or_solver_is_refused_before_the_first_round(tmp_path):
    with pytest.raises(
        WorldError, match=r"needs step truth, .* --world countdown or --world chain"
    ):
        open_worlds(plan_for("tailored_learning", [("world", "preferences")]))
    plan = plan_for("tailored_learning", [("lesson", "failed")])

    class Tasted(LetterWorld):
        truth = frozenset({"preference"})

    run = Run.create(plan, tmp_path / "run", {"main": Tasted()}, {"policy": sure()})
    with pytest.raises(WorldError, match="solutions or reference answers"):
        run.improve()
    run.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "lesson", "loss", "tokens"),
    [
        ("countdown", "tailored", 7.91815, 198),
        ("chain_arithmetic", "tailored", 8.29383, 439),
        ("maze?difficulty=0", "failed", 7.17197, 99),
    ],
)
def test_it_runs_by_name_on_a_byte_model(tmp_path, world, lesson, loss, tokens):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    options = [("world", world), ("lesson", lesson), ("tasks.num", "6"), ("rounds", "2"),
               ("explore.max-tokens", "12"), ("measure-every", "9"), ("learn.policy.epochs", "1")]  # fmt: skip
    plan = plan_for("tailored_learning", options)
    model = tiny_model("policy", 0, **SMALL | {"max_position_embeddings": 256})
    run = run_plan(plan, open_worlds(plan), {"policy": model}, tmp_path / "run")
    noted = metrics_of(run, 1)
    assert noted["tasks/lessons"] == noted["select/samples"] == 6
    assert noted["learn/policy/num_updates"] == 1 and noted["select/tokens"] == tokens
    assert noted["learn/policy/loss"] == pytest.approx(loss, rel=1e-3)
    assert noted["learn/policy/triplet/compared_fraction"] == 0
