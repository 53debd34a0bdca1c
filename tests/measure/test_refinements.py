"""Whether refining is better than as many drafts, counted by hand."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError
from askesis.explore.refine import Refine
from askesis.explore.sample import SampleAttempts
from askesis.judge.reward_model import RewardModel
from askesis.measure.refinements import Refined, Refinements, refinement_figures
from tests.explore.drafting import drafting


def one(draft: int, whole: int, local: int, chosen: str, value: float, located=None) -> Refined:
    right = {"draft": bool(draft), "global": bool(whole), "local": bool(local)}
    return Refined(right, chosen, located, value)


def test_the_figures_of_two_tasks_by_hand():
    groups = [
        [one(0, 1, 0, "global", 0.2, True), one(1, 0, 1, "draft", -0.5)],
        [one(0, 0, 1, "global", 0.9, False), one(0, 0, 0, "local", 0.1, True)],
    ]
    found = {k: v for k, v in refinement_figures(groups).items() if "/" not in k}
    assert found == pytest.approx(
        {
            "draft_accuracy": 1 / 4,
            "refined_accuracy": 2 / 4,  # a global one and an accepted draft
            "best_draft_accuracy": 0.0,  # the best of each two is wrong
            "gain": 0.5,
            "mended_global": 1 / 2,
            "mended_local": 1 / 4,
            "mended_either": 3 / 4,
            "spoilt_global": 1.0,
            "spoilt_local": 0.0,
            "located": 3 / 4,
            "doubted": 3 / 4,
        }
    )
    assert refinement_figures([]) == {}


def measured(outcome: dict[str, float], **options) -> dict[str, float]:
    part = Refinements(explore=Refine(), judge=RewardModel(role="outcome"), num_tasks=20)
    host, _ = drafting(outcome=outcome, **options)
    found = part.measure(host.context("measure"), None)
    return {
        k.removeprefix("refine/"): v for k, v in found.items() if not k.endswith(("/low", "/high"))
    }


def test_accepted_drafts_stand():
    found = measured({"z": 1.0}, second=-1.0)
    assert found["refined_accuracy"] == found["draft_accuracy"] and found["doubted"] == 0
    assert 0.3 < found["draft_accuracy"] < 0.7 and found["located"] == 1.0
    assert found["mended_global"] == found["mended_either"] == 1.0
    assert found["spoilt_global"] == found["spoilt_local"] == 0.0
    assert measured({"z": 1.0}, first=-1.0)["located"] == 0.0
    assert measured({"z": 1.0}, refined="y")["spoilt_local"] == 1.0


def test_of_doubted_drafts_the_best_of_three_stands_as_an_answer_to_the_task():
    found = measured({"z": -1.0, "y": 1.0}, refined="x;y")
    assert found["doubted"] == 1.0 and found["refined_accuracy"] == 0.0
    assert found["gain"] < 0
    found = measured({"z": -1.0, "y": -2.0}, refined="x;y")
    assert found["doubted"] == 0.0 and found["refined_accuracy"] == found["draft_accuracy"]


def test_options_that_do_not_fit_are_refused():
    refine, judge = Refine(), RewardModel()
    for options, name in (
        ({"explore": SampleAttempts(), "judge": judge}, "explore"),
        ({"explore": refine, "judge": None}, "judge"),
        ({"explore": refine, "judge": judge, "num_tasks": 1}, "num_tasks"),
        ({"explore": refine, "judge": judge, "num_drafts": 0}, "num_drafts"),
        ({"explore": refine, "judge": judge, "threshold": 0.0}, "threshold"),
    ):
        with pytest.raises(ConfigError, match=rf"Refinements\.{name} is out of range"):
            Refinements(**options)
