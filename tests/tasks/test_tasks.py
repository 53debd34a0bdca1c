"""Where tasks come from."""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain

import pytest

from askesis.errors import ConfigError, WorldError
from askesis.records import TaskRole
from askesis.tasks.difficulty_mixed import DifficultyMixed
from askesis.tasks.uniform import Uniform, distinct_tasks, pool_key
from tests.explore.host import Host, Sums, says, view

HOST = Host(says({}))


def drawn(part: Uniform, rounds: int, host: Host = HOST, stop_at: int = -1) -> list[list[str]]:
    """Task ids of each round; at `stop_at` the state goes through JSON, as a resume would."""
    state = part.init(host.context("init", slot="tasks"))
    found = []
    for i in range(rounds):
        if i == stop_at:
            state = json.loads(json.dumps(state))
        starts = part.draw(host.context("tasks", i, state=state))
        found.append([s.task.id for s in starts])
        ctx = host.context("observe", i, state=state)
        state = part.observe(ctx, state, view([], index=i, starts=starts))
    return found


def test_fresh_tasks_are_train_tasks_and_new_every_round():
    rounds = drawn(Uniform(num=20), 2)
    assert rounds[0] != rounds[1]
    assert rounds == drawn(Uniform(num=20), 2)
    starts = Uniform(num=5).draw(HOST.context("tasks", state={}))
    assert {s.task.role for s in starts} == {TaskRole.TRAIN}
    assert all(s.privileged is None for s in starts)


def test_a_pool_is_passed_through_completely_before_any_task_comes_again():
    rounds = drawn(Uniform(num=7, pool_size=21), 6)
    first, second = list(chain(*rounds[:3])), list(chain(*rounds[3:]))
    assert len(set(first)) == 21
    assert set(first) == set(second)
    assert first != second  # a new order every pass
    canonical = {"+".join(sorted(i.removeprefix("sums-v1:").split("+"))) for i in first}
    assert len(canonical) == 21  # different problems, not different wordings


def test_a_pool_goes_on_in_the_middle_of_a_pass_after_a_resume():
    part = Uniform(num=8, pool_size=20)
    assert drawn(part, 5) == drawn(part, 5, stop_at=3)
    assert sorted(Counter(chain(*drawn(part, 5))).values()) == [2] * 20


def test_the_pool_is_a_function_of_the_seed():
    part = Uniform(num=20, pool_size=20)
    same, other = Host(says({})), Host(says({}), seed=1)
    assert set(drawn(part, 1)[0]) == set(drawn(part, 1, same)[0])
    assert set(drawn(part, 1)[0]) != set(drawn(part, 1, other)[0])


def test_a_pool_with_a_seed_of_its_own_is_the_same_in_every_run_but_not_its_order():
    part = Uniform(num=20, pool_size=20, pool_seed=0)
    one, other = drawn(part, 1)[0], drawn(part, 1, Host(says({}), seed=1))[0]
    assert set(one) == set(other)
    assert one != other


def test_a_smaller_pool_is_the_beginning_of_a_larger_one():
    world = HOST.worlds["main"]
    large = distinct_tasks(world, pool_key(0), 40, None)
    assert distinct_tasks(world, pool_key(0), 13, None) == large[:13]


def test_a_second_call_in_one_round_takes_the_next_tasks():
    part = Uniform(num=10, pool_size=20)
    state = part.init(HOST.context("init", slot="tasks"))
    calls = [part.draw(HOST.context("tasks", state=state, slot=s)) for s in ("tasks", "tasks~2")]
    ids = [s.task.id for starts in calls for s in starts]
    assert len(set(ids)) == 20
    starts = [s for starts in calls for s in starts]
    assert part.observe(HOST.context(state=state), state, view([], starts=starts))["drawn"] == 20


def test_a_world_too_small_for_the_pool_is_named_with_what_would_do():
    with pytest.raises(WorldError, match=r"cannot fill a pool of 100.*pool-size 55 or less"):
        drawn(Uniform(num=4, pool_size=100), 1)


def test_difficulties_are_mixed_in_proportion_and_in_random_order():
    host = Host(says({}), world=Sums())
    ctx = host.context("tasks")
    starts = DifficultyMixed(num=400, weights=(3, 0, 1)).draw(ctx)
    hard = [s.task.difficulty > 0.2 for s in starts]  # the easy bin makes a in {0, 1}
    assert len(starts) == 400
    assert 50 < sum(hard) < 110
    assert 0.6 < ctx.metrics["tasks/share_of_bin/0"] < 0.9
    assert ctx.metrics["tasks/share_of_bin/1"] == 0
    assert sum(hard[:200]) > 10
    assert sum(hard[200:]) > 10
    again = DifficultyMixed(num=400, weights=(3, 0, 1)).draw(host.context("tasks"))
    assert [s.task.id for s in again] == [s.task.id for s in starts]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Uniform(num=0), lambda: Uniform(difficulty=1.5), lambda: Uniform(pool_size=-1),
        lambda: DifficultyMixed(weights=()), lambda: DifficultyMixed(weights=(0.0, 0.0)),
        lambda: DifficultyMixed(weights=(1.0, -1.0)), lambda: DifficultyMixed(num=0),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"Uniform|DifficultyMixed"):
        wrong()
