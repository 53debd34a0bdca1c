"""Keep the new weights, or go back to the best ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from askesis.errors import ConfigError
from askesis.formulas.sequential import detectable_decline
from askesis.models.tabular import TabularModel
from askesis.records import Purpose, TaskRole
from askesis.retain.keep_or_revert import KeepOrRevert, looks
from askesis.retain.moving_average import MovingAverage
from tests.explore.host import Host, Sums, view

ALPHABET = "0123456789+"


class LastDigit(Sums):
    """Right is the last digit of the prompt again: something a bigram can know."""

    max_answer_tokens = 2

    def verify(self, task: Any, answer: str) -> Any:
        from askesis.requests import Checked

        assert task.role is TaskRole.DECIDE
        return Checked(float(answer == task.prompt[-1]))


def knowing(skill: float) -> torch.Tensor:
    """A table that repeats a digit once, then ends, the better the higher `skill` is."""
    table = torch.zeros(13, 13)
    for digit in range(10):
        table[digit, digit] = skill
        table[digit, 11] = skill  # the end
    return table


class Here:
    """A host at some skill, whose skill can be changed as learning would."""

    def __init__(self, skill: float, part: KeepOrRevert) -> None:
        self.part, self.model = part, TabularModel("policy", ALPHABET, knowing(skill))
        self.host = Host({"policy": self.model}, world=LastDigit())
        part.on_phase_start(self.context(0))

    def context(self, round: int) -> Any:
        return self.host.context(
            "retain", round, slot="retain.keep_or_revert", purpose=Purpose.PROBE
        )

    def learn(self, skill: float, round: int) -> dict[str, float]:
        self.model.load({"logits": knowing(skill)})
        self.host.shelf.learnt(self.model, round)
        ctx = self.context(round)
        found = self.part.settle(ctx, view([], index=round), None)
        self.events = ctx.events
        return found

    @property
    def skill(self) -> float:
        return self.model.module.logits[3, 3].item()


PART = KeepOrRevert(every=1, num_tasks=64)


def test_worse_weights_are_taken_back():
    here = Here(2.0, PART)
    found = here.learn(0.0, 0)
    assert found["keep/decision"] == -1
    assert found["keep/difference/high"] < 0
    assert here.skill == 2.0
    assert here.host.shelf.current("policy") == "policy@0"


def test_better_weights_become_the_mark():
    here = Here(0.0, PART)
    assert here.learn(2.0, 0)["keep/decision"] == 1
    assert here.host.shelf.find("policy", "best") == "policy@1"
    assert here.learn(0.0, 1)["keep/decision"] == -1
    assert here.skill == 2.0


def test_undecided_weights_are_kept_but_the_mark_stays():
    here = Here(2.0, PART)
    found = here.learn(2.02, 0)
    assert found["keep/decision"] == 0
    assert here.skill == pytest.approx(2.02)
    assert here.host.shelf.find("policy", "best") == "policy@0"
    assert found["keep/difference"] == 0
    assert found["keep/detectable"] == 3 / 64  # no task differed: not the same as no difference


def test_a_slow_decline_meets_the_old_mark():
    here = Here(2.0, KeepOrRevert(every=1, num_tasks=32, num_attempts=2))
    decisions = []
    for i in range(20):
        decisions.append(here.learn(here.skill - 0.1, i)["keep/decision"])
        if -1 in decisions:
            break
    assert decisions[0] == 0  # one small step alone is not seen
    assert decisions[-1] == -1
    assert here.skill == 2.0


def test_the_optimiser_goes_back_with_the_weights():
    here = Here(2.0, PART)
    here.model.load_optimizer({"state": {}, "param_groups": ["the old one"]})
    here.host.shelf.pin("policy", "best", optimizer=True)
    here.model.load_optimizer({"state": {}, "param_groups": ["a later one"]})
    here.learn(0.0, 0)
    assert here.model.optimizer_state["param_groups"] == ["the old one"]


def test_a_large_decline_is_seen_at_an_early_look_and_costs_a_part():
    whole, early = Here(2.0, PART), Here(5.0, KeepOrRevert(every=1, num_tasks=128, num_looks=4))
    assert (
        looks(64, 4) == [16, 32, 48, 64] and looks(20, 4) == [20] and looks(50, 3) == [17, 34, 50]
    )
    found = early.learn(0.0, 0)
    assert found["keep/decision"] == -1
    assert found["keep/num_tasks"] < 128
    assert whole.learn(2.0, 0)["keep/num_tasks"] == 64  # nothing to decide: all of them
    once = Here(5.0, KeepOrRevert(every=1, num_tasks=128, num_looks=1))
    assert once.learn(0.0, 0)["keep/num_tasks"] == 128


def test_every_decision_is_an_event_that_says_what_it_could_have_seen():
    here = Here(2.0, PART)
    found = here.learn(0.0, 0)
    ((kind, data),) = here.events
    assert kind == "keep_or_revert"
    assert (data["decision"], data["reverted"]) == ("worse", True)
    assert data["snapshots"] == {"policy": "policy@1"}
    assert data["compared_with"] == data["marked"] == {"policy": "policy@0"}
    assert data["difference"] == found["keep/difference"]
    # four times in five, from its own spread and from planning at an accuracy of one half
    assert 0.03 < data["detectable"] < data["planned"] == pytest.approx(0.125, abs=0.001)
    here.learn(2.02, 1)
    assert here.events[0][1]["decision"] == "undecided"


def test_an_average_goes_back_with_the_weights_it_follows():
    here = Here(2.0, PART)
    average = MovingAverage(decay=0.5)
    average.on_phase_start(here.context(0))
    here.model.load({"logits": knowing(6.0)})
    average.on_step_end(here.context(0), here.model)  # (2 + 6) / 2
    assert here.learn(6.0, 0)["keep/decision"] == 1
    average.on_step_end(here.context(1), here.model)
    assert weight(here, "average") == 5.0
    assert here.learn(0.0, 1)["keep/decision"] == -1
    assert (here.skill, weight(here, "average")) == (6.0, 4.0)
    average.on_step_end(here.context(2), here.model)  # and follows from there
    assert weight(here, "average") == 5.0


def test_an_average_that_began_after_the_mark_begins_anew():
    here = Here(2.0, PART)
    average = MovingAverage(decay=0.5)
    average.on_phase_start(here.context(0))  # after the mark was set
    here.model.load({"logits": knowing(0.0)})
    average.on_step_end(here.context(0), here.model)
    assert here.learn(0.0, 0)["keep/decision"] == -1
    assert weight(here, "average") == 2.0


def weight(here: Here, tag: str) -> float:
    return float(here.host.shelf.weights("policy", tag)["logits"][3, 3])


def test_a_decision_is_made_only_when_due_and_when_something_was_learnt():
    here = Here(2.0, KeepOrRevert(every=3, num_tasks=64))
    assert here.learn(0.0, 0) == here.learn(0.0, 1) == {}
    assert here.host.meter.counts["generated/probe"] == 0
    assert here.learn(0.0, 2)["keep/decision"] == -1
    assert here.part.settle(here.context(5), view([], index=5), None) == {}  # nothing new


def test_both_answer_the_same_fresh_tasks_and_the_cost_is_a_probe(monkeypatch):
    here = Here(2.0, PART)
    drawn = []
    draw = LastDigit.draw
    monkeypatch.setattr(LastDigit, "draw", lambda *a: drawn.append(draw(*a)) or drawn[-1])
    one, two = here.learn(2.0, 0), here.learn(2.0, 1)
    assert one["keep/difference"] == two["keep/difference"] == 0  # same weights, same noise
    assert len(drawn) == 2  # once a decision
    assert [t.id for t in drawn[0]] != [t.id for t in drawn[1]]
    assert here.host.meter.counts["generated/probe"] > 4 * 64 * 2
    assert here.host.meter.counts["generated/measure"] == 0


def test_a_new_phase_starts_with_a_new_mark():
    here = Here(2.0, KeepOrRevert(every=9))
    here.learn(0.0, 0)
    here.part.on_phase_start(here.context(1))
    assert here.host.shelf.find("policy", "best") == "policy@1"


@pytest.mark.parametrize(
    "wrong",
    [{"every": 0}, {"num_tasks": 2}, {"confidence": 1.0}, {"num_attempts": 0}, {"num_looks": 0}],
    ids=str,
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="KeepOrRevert"):
        KeepOrRevert(**wrong)


def test_the_page_says_what_a_decision_can_see():
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 5
    for tasks, *seen in rows:
        found = [detectable_decline(int(tasks), m, num_looks=4) for m in (1, 4, 16)]
        assert [f"{x:.3f}" for x in found] == seen
