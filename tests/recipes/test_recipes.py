"""Every recipe runs by name, from the same start, to the metrics it had when it was written.

Golden values: made by this test on the machine of the first version (x86-64, torch 2.13.0, one
thread); counts are exact, means have the tolerance of other processors' rounding.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from askesis.config import find
from askesis.errors import TruthError
from askesis.lab.begin import begin, open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.records import Purpose, Task
from askesis.registry import RECIPES
from askesis.run import Run
from askesis.store.run_store import RunStore
from askesis.worlds.fits import fitting
from tests.probes.house import LetterWorld, probability

SMALL = [("rounds", "2"), ("tasks.num", "8")]
ALLOWANCE = {"sft": [], "star": [("explore.max-tokens", "1")], "rest_em": [("explore.max-tokens", "1")],
             "rft": [("explore.max-tokens", "1")], "self_consistency": [("explore.max-tokens", "1")]}  # fmt: skip


def on_letters(recipe: str, path: Path, *options: tuple[str, str]) -> Run:
    """A recipe on the smallest world with the bigram model: exact and instant."""
    plan = plan_for(recipe, [("tasks.num", "16"), ("select.policy.cut-off", "true"),
                             *ALLOWANCE[recipe], *options])  # fmt: skip
    run = Run.create(
        plan, path, {"main": LetterWorld()}, {"policy": TabularModel("policy", "abxy")}
    )
    run.improve()
    run.close()
    return run


@pytest.mark.parametrize("recipe", ["star", "rest_em", "rft"])
def test_a_recipe_with_answers_learns_what_is_right(tmp_path, recipe):
    run = on_letters(recipe, tmp_path / "run", ("learn.policy.learning-rate", "0.5"))
    assert probability(run.models["policy"], "a", "x") > 0.3
    assert probability(run.models["policy"], "a", "x") > 2 * probability(
        run.models["policy"], "a", "y"
    )


@pytest.mark.slow
def test_star_and_rest_em_begin_every_round_from_base_and_rft_goes_on(tmp_path):
    parents = {}
    for recipe in ("star", "rest_em", "rft"):
        on_letters(recipe, tmp_path / recipe, ("rounds", "3"))
        store = RunStore.open(tmp_path / recipe)
        parents[recipe] = [s["parents"] for s in store.snapshots() if s["round"] > 0]
        store.close()
    assert parents["star"] == parents["rest_em"] == [["policy@0"]] * 3
    assert parents["rft"] == [["policy@0"], ["policy@1"], ["policy@2"]]


def test_rest_em_keeps_at_most_ten_of_a_task_and_star_one(tmp_path):
    most = {}
    for recipe, cap in (("rest_em", 10), ("star", 1)):
        on_letters(recipe, tmp_path / recipe, ("rounds", "1"), ("select.policy.distinct", "none"))
        store = RunStore.open(tmp_path / recipe)
        tasks: dict[str, int] = {}
        for sample in store.read("samples"):
            task = sample.sources[0].split("#")[0]
            tasks[task] = tasks.get(task, 0) + 1
        store.close()
        most[recipe] = (max(tasks.values()) <= cap, cap)
    assert all(fits for fits, _ in most.values())


class SealedTask(Task):
    """A task whose answer raises when it is read."""

    __slots__ = ()

    @property
    def answer(self):
        raise AssertionError("somebody read the answer")

    @answer.setter
    def answer(self, value):
        """Set by the constructor, and forgotten."""


class SealedWorld(LetterWorld):
    """Answers that raise when read, and a verifier that raises when asked."""

    def task(self, prompt, role=None):
        plain = super().task(prompt)
        return SealedTask(plain.id, plain.family, plain.prompt, None, 0.0)

    def verify(self, task, answer):
        raise AssertionError("somebody asked the verifier")

    def demonstrate(self, task, rng, habit="plain"):
        raise AssertionError("somebody asked for a demonstration")

    def extract(self, answer):
        return answer.strip()


def sealed() -> SealedWorld:
    return SealedWorld()


def test_self_consistency_learns_the_majority_in_a_world_whose_answers_raise(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="read the answer"):
        _ = sealed().task("a").answer
    world = f"{__file__}:sealed"
    plan = plan_for(
        "self_consistency",
        [("world", world), ("tasks.num", "16"), ("explore.max-tokens", "1"),
         ("select.policy.cut-off", "true"), ("learn.policy.learning-rate", "0.3")],
    )  # fmt: skip
    worlds = open_worlds(plan)
    with pytest.raises(TruthError):
        worlds["main"].verify(sealed().task("a"), "x")
    leaning = [[0.0] * 6 for _ in range(6)]
    leaning[0][2] = leaning[1][3] = 1.5  # after a mostly x, after b mostly y
    model = TabularModel("policy", "abxy", leaning)
    before = probability(model, "a", "x")
    run = Run.create(plan, tmp_path / "run", worlds, {"policy": model})
    run.improve()
    run.close()
    assert probability(model, "a", "x") > before + 0.2


def test_star_with_a_hint_shows_the_answer_and_strips_it_before_learning(tmp_path):
    plan = plan_for("star", [("hint", "true"), ("rounds", "1"), ("tasks.num", "16"),
                             ("explore.max-tokens", "1"), ("select.policy.cut-off", "true"),
                             ("explore.hint", "{answer}")])  # fmt: skip

    class Spelled(LetterWorld):
        """The hint is the answer itself, one letter, so the bigram model reads it last."""

    copying = [[0.0] * 6 for _ in range(6)]
    model = TabularModel("policy", "abxy", copying)
    run = Run.create(plan, tmp_path / "run", {"main": Spelled()}, {"policy": model})
    run.improve()
    run.close()
    store = RunStore.open(tmp_path / "run")
    attempts = {a.id: a for a in store.read("attempts")}
    hinted = [a for a in attempts.values() if a.start.privileged is not None]
    assert hinted
    for sample in store.read("samples"):
        prompt = attempts[sample.sources[0]].task.prompt
        context = sample.sequences[0].tokens[sample.sequences[0].columns["weight"] == 0]
        assert model.renderer.decode(context) == prompt, "the hint stayed in what was learnt"
    store.close()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_runs_by_name_on_the_tiny_model(tmp_path, quick_warm_start, recipe):
    own = plan_for(recipe).worlds["main"]
    there = fitting(RECIPES[recipe].needs)
    world = "addition" if own == "countdown" and "addition" in there else own
    few = [("num-attempts", "8")] if recipe in ("t1", "superhf") else []
    plan = plan_for(recipe, [("world", world), *SMALL, *few])
    run = begin(plan, tmp_path / "run", say=lambda line: None)
    run.improve()
    run.close()
    store = RunStore.open(tmp_path / "run")
    attempts = list(store.read("attempts"))
    assert len(store.rounds()) == 2 * len(plan.phases)
    assert {a.purpose for a in attempts} <= {Purpose.TRAIN, Purpose.DEMONSTRATION, Purpose.PROBE}
    assert len({a.id for a in attempts}) == len(attempts)
    store.close()


@pytest.mark.slow
def test_the_same_command_twice_makes_the_same_attempts(tmp_path, quick_warm_start):
    digests = []
    for name in ("one", "two"):
        plan = plan_for("rft", [("world", "countdown"), *SMALL, ("explore.num-attempts", "4")])
        run = begin(plan, tmp_path / name, say=lambda line: None)
        run.improve()
        run.close()
        store = RunStore.open(tmp_path / name)
        digests.append({t: store.content_digest(t) for t in ("attempts", "verdicts", "samples")})
        store.close()
    assert digests[0] == digests[1]


def test_every_recipe_in_the_registry_has_a_page_and_fits_its_row():
    for name, row in RECIPES.items():
        page = Path(__file__).parents[2] / row.page
        assert page.is_file(), f"{name} has no page"
        plan = find(row.target)()
        assert plan.recipe == name
        assert (plan.truth == "none") == (row.truth == "none")
        source = Path(find.__code__.co_filename).parent / "recipes" / f"{name}.py"
        assert num_code_lines(source.read_text()) <= 50, f"{name} does more than wire"


def num_code_lines(source: str) -> int:
    """Lines that are neither imports, docstrings, comments nor empty."""
    left: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            left |= set(range(node.lineno, node.end_lineno + 1))
        elif isinstance(node, (ast.Module, ast.FunctionDef)) and ast.get_docstring(node):
            left |= set(range(body[0].lineno, body[0].end_lineno + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(n not in left and line.strip()[:1] not in ("", "#") for n, line in lines)
