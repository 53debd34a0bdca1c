"""In the hardest first round, no part may leave an option unread that is not marked as lazy."""

from __future__ import annotations

from typing import Any

import pytest

from askesis.config import Watch
from askesis.context import Verdicts
from askesis.explore.against_demonstration import AgainstDemonstration
from askesis.explore.deepening import Deepening
from askesis.explore.demonstrate import Demonstrate
from askesis.explore.rationalize import Rationalize
from askesis.explore.sample import SampleAttempts
from askesis.explore.search import Search
from askesis.explore.steered import SteeredAttempts
from askesis.explore.walk import Walk
from askesis.judge.bad_patterns import BadPatterns
from askesis.judge.first_error import FirstError
from askesis.judge.own_feedback import OwnFeedback
from askesis.judge.process_reward import ProcessReward
from askesis.judge.returns import Return
from askesis.judge.search_bonus import SearchBonus
from askesis.judge.self_consistency import SelfConsistency
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups, Votes
from askesis.measure.pair_truth import PairTruth
from askesis.measure.spontaneous import Spontaneous
from askesis.measure.tail import Tail
from askesis.records import Group, Start
from askesis.retain.keep_or_revert import KeepOrRevert
from askesis.retain.replay import Replay
from askesis.select.advantages import GroupAdvantages, RunningAdvantages
from askesis.select.feedback_lessons import FeedbackLessons
from askesis.select.group_accuracy import GroupAccuracy
from askesis.select.labels import StartLabels
from askesis.select.leftover import PositiveAdvantages
from askesis.select.outcomes import Outcomes
from askesis.select.pairs import BestAndWorst
from askesis.select.refined import Refined
from askesis.select.sides import Sides
from askesis.select.steering import SteeredThreshold
from askesis.select.step_splice import StepSplice
from askesis.select.threshold import Threshold
from askesis.tasks.difficulty_mixed import DifficultyMixed
from askesis.tasks.uniform import Uniform
from tests.explore.host import Corridor, Host, Sums, attempt, says, view
from tests.learn.fakes import Learning, Net

TASK = Sums().make(3, 4)
SILENT = [Group("g", (attempt(TASK, "", 0), attempt(TASK, "x", 1)))]


def draw(part: Any, host: Host) -> None:
    part.draw(host.context("tasks", state={}))


def explore(part: Any, host: Host) -> None:
    host.explore(part, Start(TASK))


def walk(part: Any, host: Host) -> None:
    world = Corridor()
    Host(says(lambda text, u: "r"), world=world).explore(part, Start(world.make()))


def judge(part: Any, host: Host) -> None:
    host.judge(part, SILENT[0])


def select(part: Any, host: Host) -> None:
    state = part.init(None) if hasattr(part, "init") else None
    part.select(host.context("select", slot="select.policy", state=state), SILENT, Verdicts([]))


def learn(part: Any, host: Host) -> None:
    part.learn(Learning(), Net(), [], [])


def measure(part: Any, host: Host) -> None:
    part.measure(host.context("measure"), view([]))


def retain(part: Any, host: Host) -> None:
    if hasattr(part, "settle"):
        part.settle(host.context("retain"), view([]), None)
    else:
        part.observe(host.context("observe"), {}, view([]))


CASES = [
    (draw, Uniform(num=2)), (draw, DifficultyMixed(num=2)), (explore, SampleAttempts()),
    (explore, Rationalize()), (explore, Demonstrate()), (walk, Walk()), (judge, Verifier()),
    (judge, Return()), (judge, SelfConsistency()), (select, Threshold()), (learn, Learn()),
    (measure, Ability(num_tasks=2)), (measure, Groups()), (measure, Votes()),
    (retain, Replay()), (retain, KeepOrRevert()),
    (select, GroupAdvantages()), (select, RunningAdvantages()), (select, GroupAccuracy()),
    (select, Outcomes()), (select, BestAndWorst()), (judge, BadPatterns()),
    (select, StartLabels()), (select, PositiveAdvantages()),
    (explore, SteeredAttempts()), (explore, AgainstDemonstration()), (judge, ProcessReward()),
    (judge, SearchBonus()), (select, Sides()),
    (select, SteeredThreshold()), (measure, PairTruth()),
    (select, StepSplice()), (select, FeedbackLessons()), (select, Refined()),
    (judge, OwnFeedback()), (measure, Spontaneous(num_tasks=2)), (measure, Tail()),
    (explore, Search()), (explore, Deepening()), (judge, FirstError()),
]  # fmt: skip


@pytest.mark.parametrize(("call", "part"), CASES, ids=lambda x: type(x).__name__)
def test_a_round_in_which_nothing_succeeds_reads_every_option_that_is_not_lazy(call, part):
    watch = Watch([("slot", part)])
    silent = [says(lambda text, u: "", name) for name in ("policy", "critic")]
    call(part, Host(silent[0] | silent[1]))
    assert watch.stop() == []


def test_the_test_above_can_fail():
    part = SampleAttempts()
    watch = Watch([("slot", part)])
    part.num_attempts  # noqa: B018
    assert "slot.temperature" in watch.stop()
