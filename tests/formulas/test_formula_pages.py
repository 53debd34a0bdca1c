"""What every formula must have: an example that runs, and a source or a reason."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

import askesis.formulas
from askesis.learn.batch import collate, step_norm
from tests.learn.test_objectives import CASES, Table, double, drawn_samples, step

PAGE = Path(__file__).parents[2] / "docs" / "formulas.md"
FOLDER = Path(askesis.formulas.__file__).parent
MODULES = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_are_right(name):
    found = doctest.testmod(importlib.import_module(f"askesis.formulas.{name}"))
    assert found.attempted >= 1
    assert found.failed == 0


def test_every_new_formula_shows_an_example():
    older = {"intervals", "pass_at_k", "schedules"}  # one example a module there
    missing = []
    for name in MODULES:
        module = importlib.import_module(f"askesis.formulas.{name}")
        for key, function in vars(module).items():
            is_ours = getattr(function, "__module__", "") == module.__name__
            if not (is_ours and inspect.isfunction(function)) or key.startswith("_"):
                continue
            text = function.__doc__ or ""
            if name not in older and ">>>" not in text and key != "masked":
                missing.append(f"{name}.{key}")
    assert not missing


def test_the_page_lists_every_module():
    page = PAGE.read_text()
    assert [name for name in MODULES if f"| `{name}` |" not in page] == []


def test_every_metric_of_an_objective_is_on_the_page_and_every_one_there_is_made():
    table = PAGE.read_text().partition("## Metrics")[2].partition("## Add")[0]
    listed = set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE))
    made = {name for case in CASES.values() for name in step(case, [drawn_samples(case)])[1]}
    assert made == listed


def page_file(tmp_path: Path) -> Path:
    """my_objective.py as the page says to save it."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "my_objective.py").write_text(block)
    return tmp_path / "my_objective.py"


def test_the_objective_on_the_page_works_from_its_formula_to_a_run_of_it(tmp_path):
    from askesis.config import find
    from askesis.lab.begin import plan_for
    from askesis.models.tabular import TabularModel
    from askesis.run import Run
    from tests.recipes.matrix_game import ANSWERS, MatrixGame

    file = page_file(tmp_path)
    formula, kind = (find(f"{file}:{name}") for name in ("target_margin", "TargetMargin"))
    example = doctest.DocTestFinder().find(
        formula, globs={"torch": torch, formula.__name__: formula}
    )
    assert [doctest.DocTestRunner().run(test).failed for test in example] == [0]
    objective = kind(scale=2.0)
    samples = drawn_samples(objective)
    batch = double(collate(samples))
    loss, metrics = objective(Table().outputs(batch, objective.uses), batch, step_norm(samples))
    assert loss > 0 and metrics["margin"].isfinite()

    options = [("scale", "2"), ("tasks.num", "16"), ("rounds", "6")]
    options.append(("learn.policy.learning-rate", "0.1"))
    plan = plan_for(f"{file}:target_margins", options)
    assert plan.phases[0].parts.learn["policy"].objectives == (objective,)
    model = TabularModel("policy", "a" + ANSWERS)
    run = Run.create(plan, tmp_path / "run", {"main": MatrixGame()}, {"policy": model})
    run.improve()
    losses = [m["value"] for m in run.store.metrics() if m["key"] == "learn/policy/loss"]
    margins = [m["value"] for m in run.store.metrics() if m["key"] == "learn/policy/margin"]
    run.close()
    assert len(losses) == 6 and margins[0] == pytest.approx(0, abs=1e-6) and margins[-1] > 0.3


@pytest.mark.slow
def test_the_commands_on_the_page_do_what_they_say(tmp_path, monkeypatch, quick_warm_start, capsys):
    from askesis.cli.main import main

    page_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    (commands,) = re.findall(r"```\n(askesis run my_objective.*?)```", PAGE.read_text(), re.DOTALL)
    for line in commands.strip().splitlines():
        assert main(line.split()[1:]) == 0, capsys.readouterr()
    shown = capsys.readouterr().out
    assert "learn/policy/margin" in shown and "2 of 2 rounds" in shown


def test_every_objective_that_is_registered_is_shown_and_can_be_made():
    from askesis.registry import PARTS

    rows = {name: row for name, row in PARTS.items() if ".learn.objectives." in row.target}
    assert {type(o) for o in CASES.values()} == {row.load() for row in rows.values()}
    for row in rows.values():
        kind = row.load()
        assert {"needs", "uses", "atom", "coef"} <= set(dir(kind()))
        assert kind.__doc__ and "coef:" in kind.__doc__
