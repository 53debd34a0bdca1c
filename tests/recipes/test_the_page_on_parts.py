"""docs/add-a-part.md: the part on the page works in a run."""

from __future__ import annotations

import re
from pathlib import Path

from askesis.config import find
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from tests.probes.house import Draw, LetterWorld, probability, run_plan

PAGE = Path(__file__).parents[2] / "docs" / "add-a-part.md"


def test_the_part_on_the_page_selects_what_it_says(tmp_path):
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)[0]
    (tmp_path / "mine.py").write_text(code)
    shortest = find(f"{tmp_path / 'mine.py'}:Shortest")
    parts = Parts(
        tasks=Draw(num=16), explore=SampleAttempts(num_attempts=8, max_tokens=1),
        judge=Verifier(), select={"policy": shortest()},
        learn={"policy": Learn(learning_rate=0.3)},
    )  # fmt: skip
    plan = Plan(recipe="page", phases=(Phase(parts=parts, until=Until(rounds=8)),))
    models = {"policy": TabularModel("policy", "abxy")}
    run = run_plan(plan, {"main": LetterWorld()}, models, tmp_path / "run")
    assert probability(models["policy"], "a", "x") > 0.5
    assert {len(s.sources) for s in run.store.read("samples")} == {1}
