"""The settings that method pages name exist, and the values they give are the defaults."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from askesis.lab.begin import plan_for
from askesis.plan import Parts
from askesis.registry import RECIPES

ROOT = Path(__file__).parents[2]
SETTING = re.compile(
    r"`((?:tasks|explore|judge|select|learn)\.[a-z_.*]+)`(?: (-?[\d.]+|base|reset)\b)?"
)


def value_at(plan: Any, path: str) -> Any:
    found: Any = plan.phases[0].parts
    for step in path.split("."):
        found = found[step] if isinstance(found, Parts | dict) else getattr(found, step)
    return found


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_pages_settings_exist_and_its_values_are_the_defaults(name):
    page = (ROOT / RECIPES[name].page).read_text()
    plan = plan_for(name)
    settings = SETTING.findall(page)
    assert len(settings) >= 3
    for path, said in settings:
        path = path.removesuffix(".*")
        value = value_at(plan, path)
        if said and not is_dataclass(value):
            assert str(value) == said or float(value) == float(said.rstrip(".")), path


def test_every_metric_prefix_on_a_page_is_explained_on_the_page_of_metrics():
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    for row in RECIPES.values():
        page = (ROOT / row.page).read_text()
        assert "metrics.md" in page
        for key in re.findall(r"`measure/([a-z_@0-9]+)`", page):
            assert key in metrics, key


def test_every_part_in_the_registry_can_be_made_and_documents_each_field():
    from askesis.registry import PARTS

    for name, row in PARTS.items():
        part = row.load()
        doc = part.__doc__ or ""
        for field in fields(part):
            assert f"{field.name}" in doc, f"{name}: {field.name} is not in its docstring"
