"""Plans of experiments are read strictly, verdicts follow the rule, and pages are what was found."""

import json
import tomllib
from pathlib import Path

import pytest

from askesis.lab.arm import Arm, ArmResult, Look, Point
from benchmarks.evidence import Runs, compare
from benchmarks.evidence_page import page
from benchmarks.evidence_plan import RESULTS, Comparison, read_plan
from benchmarks.readme import PAGES, VERDICTS, evidence_paragraph, verdicts, with_evidence

NAMES = sorted(
    p.name.removesuffix(".plan.toml")
    for p in RESULTS.glob("*.plan.toml")
    if "claim" in p.read_text()
)
PLANS = [
    n for n in NAMES if "comparisons" in tomllib.loads((RESULTS / f"{n}.plan.toml").read_text())
]
DONE = [n for n in PLANS if (RESULTS / f"{n}.json").exists()]


def results(ends: list[float], start: float = 0.25) -> dict[int, ArmResult]:
    def point(share: float) -> Point:
        right = round(40 * share)
        scores = tuple((1.0,) if t < right else (0.0,) for t in range(40))
        return Point("policy@0", 0, {}, scores, 5.0, 0.0)

    arm = Arm("a", "rft", (), 0, {"tokens": 1.0}, Look())
    return {
        s: ArmResult(arm, "budget", {}, (point(start), point(e)), ()) for s, e in enumerate(ends)
    }


def verdict(ends: list[float], effect: float = 0.05) -> str:
    runs = Runs({}, {}, {"new": results(ends)})
    return str(compare(Comparison("it learns", "start", "new", "pass@1", effect), runs)["verdict"])


def test_a_claim_holds_fails_or_stays_open_by_its_interval():
    assert verdict([0.5, 0.525, 0.5, 0.475, 0.5]) == "holds"
    assert verdict([0.25, 0.25, 0.275, 0.25, 0.225]) == "does not hold"
    assert verdict([0.25, 0.5, 0.2, 0.4, 0.3]) == "undecided"


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_treats_its_arms_alike(name):
    plan = read_plan(name)
    assert len({len(arm.trials) for arm in plan.arms.values()}) == 1, "as many trials each"
    assert len(plan.seeds) >= 5 and plan.tasks >= 1000
    assert {c.first for c in plan.comparisons} >= {"start"}


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_names_recipes_and_options_there_are(name):
    from askesis.lab.begin import plan_for

    plan = read_plan(name)
    for arm in plan.arms.values():
        for trial in arm.trials:
            plan_for(arm.recipe, [("world", arm.world), *arm.options.items(), *trial.items()])


@pytest.mark.parametrize("name", DONE)
def test_every_page_of_results_is_generated_from_its_figures(name):
    whole = json.loads((RESULTS / f"{name}.json").read_text())
    assert (RESULTS / f"{name}.md").read_text() == page(name, whole)


@pytest.mark.parametrize("name", DONE)
def test_every_page_is_about_the_plan_beside_it(name):
    plan, whole = read_plan(name), json.loads((RESULTS / f"{name}.json").read_text())
    assert whole["claim"] == plan.claim and set(whole["arms"]) == set(plan.arms)
    assert [c["what"] for c in whole["comparisons"]] == [c.what for c in plan.comparisons]
    for arm, found in whole["arms"].items():
        assert found["chosen"] in [dict(t) for t in plan.arms[arm].trials]
        seeds = [row["seed"] for row in found["seeds"]]
        assert seeds[: len(plan.seeds)] == list(plan.seeds)


def test_a_plan_that_cannot_be_read_says_what_is_wrong(tmp_path: Path):
    with pytest.raises(SystemExit, match="is no plan"):
        read_plan("nothing", tmp_path)
    (tmp_path / "bad.plan.toml").write_text(
        'claim = "x"\nworld = "w"\nmetric = "pass@1"\nsmallest_effect = 0.1\n'
        "budget = {tokens = 1}\n[arms.a]\nrecipe = 'rft'\n"
        "[[comparisons]]\nwhat = 'x'\nfirst = 'start'\nsecond = 'b'\n"
    )
    with pytest.raises(SystemExit, match="none of its arms"):
        read_plan("bad", tmp_path)


@pytest.mark.parametrize("name", [n for n in DONE if not n.endswith("_2")])
def test_the_page_of_a_recipe_says_what_was_found(name):
    whole = json.loads((RESULTS / f"{name}.json").read_text())
    text = (PAGES / f"{name}.md").read_text()
    assert evidence_paragraph(name, whole) in text
    assert with_evidence(text, name, whole) == text


def test_the_list_of_recipes_says_what_was_found():
    assert json.loads(VERDICTS.read_text()) == verdicts()
