"""Judges of games of preferences, reward models, and penalties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from askesis.errors import ConfigError, WorldError
from askesis.explore.against import Against
from askesis.explore.annotated import Annotated
from askesis.judge.bad_patterns import BadPatterns
from askesis.judge.returns import Return
from askesis.judge.reward_model import RewardModel
from askesis.judge.verifier import Verifier
from askesis.judge.win_rate import WinRate
from askesis.models.tabular import TabularModel
from askesis.records import Group, Purpose, Start, StopReason, Task, TokenOrigin
from tests.explore.host import Host, Sums, attempt, says
from tests.recipes.matrix_game import ANSWERS, MatrixGame

GAME = MatrixGame()
TASK = Task("matrix:a", "matrix-v1", "a")


def host(**models) -> Host:
    return Host({**says(lambda text, u: "wxyz"[int(4 * u)]), **models}, world=GAME)


def group(texts: str, *roles: str) -> Group:
    made = []
    for i, text in enumerate(texts):
        one = attempt(TASK, text, i)
        role = roles[i] if roles else "policy"
        made.append(replace(one, turns=(replace(one.turns[0], role=role),)))
    return Group("g", tuple(made))


def test_a_win_rate_is_the_mean_probability_against_the_others():
    found = host().judge(WinRate(num_votes=0), group("wxyw"))
    # w: 0.9 against x, 0.4 against y, 0.5 against itself
    assert found[0].value == pytest.approx((0.9 + 0.4 + 0.5) / 3) == found[3].value
    assert found[1].value == pytest.approx((0.1 + 0.7 + 0.1) / 3)
    assert found[0].draws == pytest.approx((0.9, 0.4, 0.5))
    assert np.mean([v.value for v in found]) == pytest.approx(0.5)
    assert {v.judge for v in found} == {"win-rate:matrix-v1"}


def test_votes_are_drawn_once_a_pair_so_that_wins_and_losses_add_up():
    found = host().judge(WinRate(num_votes=3), group("wxyz"))
    assert np.mean([v.value for v in found]) == pytest.approx(0.5)
    assert {round(3 * d, 6) for v in found for d in v.draws} <= {0, 1, 2, 3}
    assert found == host().judge(WinRate(num_votes=3), group("wxyz"))


def test_against_an_opponent_only_the_learner_gets_verdicts():
    both = group("wyxx", "policy", "policy", "opponent", "opponent")
    found = host().judge(WinRate(opponents="opponent", num_votes=0), both)
    assert [v.value for v in found] == pytest.approx([0.9, 0.3])
    assert [v.about.attempt for v in found] == [a.id for a in both.attempts[:2]]


def test_who_has_nobody_to_be_compared_with_is_unknown():
    with pytest.raises(ConfigError, match=r"found a group of one. --explore.num-attempts 2"):
        host().judge(WinRate(num_votes=0), group("w"))
    alone = host().judge(WinRate(opponents="opponent"), group("wx"))
    assert [v.value for v in alone] == [None, None]
    failed = replace(group("wx").attempts[1], stop=StopReason.FAILED)
    found = host().judge(WinRate(), Group("g", (group("w").attempts[0], failed)))
    assert [v.value for v in found] == [None]


def test_a_world_without_preferences_cannot_be_asked():
    task = Sums().make(3, 4)
    pair = Group("g", (attempt(task, "7", 0), attempt(task, "8", 1)))
    with pytest.raises(WorldError, match="nobody compares answers in world 'sums-v1'"):
        Host(says(lambda text, u: "7")).judge(WinRate(), pair)
    with pytest.raises(ConfigError, match=r"WinRate\.opponents"):
        WinRate(opponents="all")


def test_a_reward_model_s_verdict_is_its_head_after_the_whole_attempt():
    model = TabularModel("reward", "a" + ANSWERS)
    model.module.value.data[:] = 0.0
    for i in range(4):
        model.module.value.data[1 + i] = 4.0 - i
    found = host(reward=model).judge(RewardModel(), group("zw"))
    assert [v.value for v in found] == [1.0, 4.0] and found[0].judge == "reward"


def test_bad_patterns_are_punished_after_the_inner_judge_has_spoken():
    task, going = Sums().make(3, 4), "7 and 7 and 7 and 7 and 7 and 7"
    cut = replace(attempt(task, "7", 1), stop=StopReason.LENGTH)
    made = Group("g", (attempt(task, "7", 0), cut, attempt(task, going, 2)))
    here = Host(says(lambda text, u: "7"))
    found = here.judge(BadPatterns(words=2), made)
    assert [v.value for v in found[:3]] == [v.value for v in here.judge(Verifier(), made)]
    assert [(v.about.attempt, v.value, v.rationale) for v in found[3:]] == [
        (cut.id, -1.0, "cut off (length)"), (made.attempts[2].id, -1.0, "goes round in circles"),
    ]  # fmt: skip
    assert len(here.judge(BadPatterns(cut_off=False, repeated=1.0), made)) == 3


def test_an_annotated_pair_is_two_given_attempts_with_their_shares_of_votes():
    model = TabularModel("policy", "a" + ANSWERS)
    here = Host({"policy": model}, world=GAME)
    made = here.explore(Annotated(num_votes=4), Start(TASK))
    shares = [a.rewards["annotator"] for a in made]
    assert shares[0] >= 0.5 and sum(shares) == 1.0 and made[0].text != made[1].text
    for one in made:
        (turn,) = one.turns
        assert set(turn.origin) == {TokenOrigin.GIVEN} and turn.tokens[-1] == 5
        assert one.purpose is Purpose.DEMONSTRATION and one.author == "annotated"
    said = here.judge(Return(role="annotator"), Group("g", tuple(made)))
    assert [v.value for v in said] == shares
    with pytest.raises(ConfigError, match=r"Annotated\.num_votes"):
        Annotated(num_votes=0)


def test_both_sides_of_a_game_make_as_many_attempts_with_noise_of_their_own():
    here = host(opponent=TabularModel("opponent", "a" + ANSWERS))
    made = here.explore(Against(num_attempts=8), Start(TASK))
    assert [a.turns[0].role for a in made] == ["policy"] * 8 + ["opponent"] * 8
    assert len({a.id for a in made}) == 16 and len({a.text for a in made[:8]}) > 1
    with pytest.raises(ConfigError, match=r"Against\.opponent"):
        Against(opponent="policy")
