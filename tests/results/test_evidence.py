"""Plans of experiments are read strictly, verdicts follow the rule, and pages are what was found."""

import json
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from askesis.lab.arm import Arm, ArmResult, Look, Point
from askesis.registry import RECIPES
from benchmarks.evidence import Runs, compare, figures
from benchmarks.evidence_page import page
from benchmarks.evidence_plan import RESULTS, Comparison, read_plan
from benchmarks.readme import (
    PAGES,
    SELF_TRAINING,
    SELF_TRAINING_PAGE,
    VERDICTS,
    evidence_paragraph,
    filled_self_training,
    verdicts,
    with_evidence,
)

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


def test_a_metric_is_a_number_a_task_where_the_look_made_it_one():
    scores = ((1.0, 0.0), (0.0, 0.0))
    point = Point("policy@1", 1, {}, scores, 7.0, 0.0, {"gain": (0.5, -0.5), "tokens": (3.0, 5.0)})
    assert figures(point, "gain").tolist() == [0.5, -0.5]
    assert figures(point, "tokens").tolist() == [3.0, 5.0]
    assert figures(point, "pass@1").tolist() == [0.5, 0.0]
    plain = Point("policy@1", 1, {}, scores, 7.0, 0.0)
    assert figures(plain, "tokens").tolist() == [7.0]


def test_a_figure_can_be_held_against_nothing():
    """Of four tasks, one is mended by half of the attempts and one is spoilt by a quarter."""
    arm = Arm("a", "score", (), 0, {"tokens": 1.0}, Look(kind="turns"))
    gains = [(0.5, -0.25, 0.0, 0.0), (0.5, -0.25, 0.0, 0.25), (0.25, 0.0, 0.0, 0.0)]
    runs = Runs({}, {}, {"new": {
        s: ArmResult(arm, "budget", {}, (Point("p@0", 0, {}, (), 1.0, 0.0, {"gain": g}),), ())
        for s, g in enumerate(gains)
    }})  # fmt: skip
    found = compare(Comparison("its gain", "nothing", "new", "gain", 0.01), runs)
    assert found["differences"] == [0.0625, 0.125, 0.0625] and found["first"] == "nothing"


def written(tmp_path: Path, **lines: str) -> str:
    """A plan of one arm, with lines of its own."""
    more = "\n".join(lines.values())
    (tmp_path / "mine.plan.toml").write_text(
        'claim = "x"\nworld = "maze"\nmetric = "gain"\nsmallest_effect = 0.1\nlook = "turns"\n'
        f"budget = {{tokens = 5}}\n{more}\n[arms.a]\nrecipe = 'score'\n"
        "[[comparisons]]\nwhat = 'x'\nfirst = 'start'\nsecond = 'a'\n"
    )
    return "mine"


def test_a_look_and_its_options_reach_every_arm(tmp_path: Path):
    plan = read_plan(written(tmp_path, options="look_options = {num_turns = 3}"), tmp_path)
    (arm,) = plan.runs(plan.arms["a"], {}, (4,))
    assert arm.look == Look("claim", 1000, 4, kind="turns", options=(("num_turns", "3"),))
    assert Arm.from_json(json.loads(json.dumps(asdict(arm)))) == arm


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("look_options = {num_turn = 3}", "no option 'num_turn'"),
        ('beside = ["turn3"]', "no metric 'turn3'"),
        ('beside = ["pass@5"]', "no metric 'pass@5'"),
        ('start = "asked"', "none of its starts"),
    ],
)
def test_what_no_look_or_start_can_give_is_told_before_the_first_run(tmp_path: Path, line, why):
    with pytest.raises(SystemExit, match=why):
        read_plan(written(tmp_path, line=line), tmp_path)


def test_arms_begin_with_the_end_of_an_arm_that_is_made_once(tmp_path: Path):
    lines = 'start = "asked"\n[starts.asked]\nrecipe = "score"\noptions = {"stage-one" = 0}'
    plan = read_plan(written(tmp_path, lines=lines), tmp_path)
    start = plan.starts["asked"]
    assert start.options == (("world", "maze"), ("stage-one", "0")) and start.budget == {}
    arms = [*plan.runs(plan.arms["a"], {}, (0, 1))]
    assert {arm.start for arm in arms} == {start.key} and len({arm.key for arm in arms}) == 2
    assert arms[0].key != replace(arms[0], start="").key


@pytest.mark.parametrize("name", PLANS)
def test_every_plan_treats_its_arms_alike(name):
    plan = read_plan(name)
    assert len({len(arm.trials) for arm in plan.arms.values()}) == 1, "as many trials each"
    assert len(plan.seeds) >= 5 and plan.tasks >= 1000
    assert {c.first for c in plan.comparisons} >= {"start"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANS)
def test_every_plan_names_recipes_and_options_there_are(name):
    from askesis.lab.begin import plan_for

    plan = read_plan(name)
    for arm in plan.arms.values():
        for trial in arm.trials:
            plan_for(arm.recipe, [("world", arm.world), *arm.options.items(), *trial.items()])
    for start in plan.starts.values():
        phases = plan_for(start.recipe, start.options).phases
        assert all(phase.until.rounds is not None for phase in phases)
        assert phases[-1].until.rounds == 0, "a start ends before its recipe's last phase"


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


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in DONE if not n.endswith("_2")])
def test_the_page_of_a_recipe_says_what_was_found(name):
    whole = json.loads((RESULTS / f"{name}.json").read_text())
    text = (PAGES / f"{name}.md").read_text()
    assert evidence_paragraph(name, whole) in text
    assert with_evidence(text, name, whole) == text


def test_the_list_of_recipes_says_what_was_found():
    assert json.loads(VERDICTS.read_text()) == verdicts()


def test_the_verdicts_on_the_page_of_self_training_are_those_that_were_found():
    text = SELF_TRAINING_PAGE.read_text()
    assert filled_self_training(text) == text
    assert "<!-- verdicts:begin -->" in text and set(SELF_TRAINING) <= set(RECIPES)
