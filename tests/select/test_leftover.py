"""What critics learn from, and what is left when the expected is taken away."""

from __future__ import annotations

import math

import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.judge.advantage import Advantage
from askesis.models.tabular import TabularModel
from askesis.records import About, Group, Verdict, VerdictKind
from askesis.select.labels import StartLabels
from askesis.select.leftover import PositiveAdvantages
from tests.explore.host import Host, Sums, attempt, says

CRITIC = TabularModel("critic", "0123456789+")
CRITIC.module.value.data[4] = 1.0
HOST = Host({**says(lambda text, u: "7"), "critic": CRITIC})
TASK = Sums().make(3, 4)  # the prompt's last letter is 4


def group(values: list[float | None]) -> tuple[Group, Verdicts]:
    made = tuple(attempt(TASK, str(i), i) for i in range(len(values)))
    said = [
        Verdict("j", About(a.id), VerdictKind.OUTCOME, v) for a, v in zip(made, values, strict=True)
    ]
    return Group("g", made), Verdicts(said)


def select(part, made):
    ctx = HOST.context("select", slot="select.policy")
    return part.select(ctx, [made[0]], made[1]), ctx.metrics


def test_a_critic_learns_the_value_at_the_last_token_of_what_it_reads():
    found, metrics = select(StartLabels(), group([1.0, None, 0.25]))
    assert [s.columns["label"] for s in found] == [1.0, 0.25]
    assert found[0].sequences[0].tokens.tolist() == CRITIC.renderer.encode("3+4").tolist()
    assert found[0].sequences[0].columns["weight"].tolist() == [0, 0, 1]
    assert metrics["select/reward"] == 0.625
    with pytest.raises(ConfigError, match="values between 0 and 1"):
        select(StartLabels(), group([1.5]))


def test_an_advantage_is_the_value_less_what_the_critic_expects():
    made = Group("g", (attempt(TASK, "7", 0), attempt(TASK, "8", 1)))
    found = HOST.judge(Advantage(), made)
    expected = 1 / (1 + math.exp(-1.0))
    assert [v.value for v in found] == pytest.approx([1.0, 0.0, 1 - expected, -expected])
    assert [v.kind for v in found[2:]] == [VerdictKind.ADVANTAGE] * 2
    assert Verdicts(found).value(made.attempts[0]) == pytest.approx(1 - expected)


def test_what_is_no_better_than_expected_is_thrown_away():
    found, metrics = select(PositiveAdvantages(priority=False), group([0.5, -0.5, 0.0, 0.1]))
    assert [s.columns["advantage"] for s in found] == [0.5, 0.1]
    assert metrics["select/kept_fraction"] == 0.5
    assert select(PositiveAdvantages(), group([-1.0, 0.0]))[0] == []


def test_what_is_left_is_drawn_in_proportion_to_its_advantage():
    found, _ = select(PositiveAdvantages(), group([0.9, 0.1] * 200))
    share = sum(s.columns["advantage"] == 0.9 for s in found) / len(found)
    assert len(found) == 400 and share == pytest.approx(0.9, abs=0.05)
