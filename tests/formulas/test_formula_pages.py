"""What every formula must have: an example that runs, and a source or a reason."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

import askesis.formulas
from askesis.formulas.means import masked
from askesis.learn.batching import collate, step_norm
from askesis.learn.objectives.rows import pairs, row_sum
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


def test_the_objective_on_the_page_works():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {"torch": torch, "dataclass": dataclass, "masked": masked, "pairs": pairs,
             "row_sum": row_sum, "__name__": __name__}  # fmt: skip
    for block in blocks:
        exec(block, names)
    example = doctest.DocTestFinder().find(names["target_margin"], globs=names)
    assert [doctest.DocTestRunner().run(test).failed for test in example] == [0]
    objective = names["TargetMargin"](scale=2.0)
    samples = drawn_samples(objective)
    batch = double(collate(samples))
    loss, metrics = objective(Table().outputs(batch, objective.uses), batch, step_norm(samples))
    assert loss > 0 and metrics["margin"].isfinite()
