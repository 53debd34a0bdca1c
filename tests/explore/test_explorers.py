"""How attempts are made."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError, TruthError, WorldError
from askesis.explore.demonstrate import Demonstrate
from askesis.explore.rationalize import Rationalize
from askesis.explore.sample import SampleAttempts
from askesis.explore.walk import Walk
from askesis.records import Purpose, Start, StopReason, TokenOrigin
from tests.explore.host import Corridor, Host, NoTruth, Sums, says

TASK = Sums().make(3, 4)


def test_attempts_have_authors_ids_and_noise_of_their_own():
    host = Host(says(lambda text, u: f"{u:.6f}"))
    found = host.explore(SampleAttempts(num_attempts=4), Start(TASK), round=3)
    assert len({a.text for a in found}) == 4
    assert [a.id for a in found] == [f"3.explore/sums-v1:3+4#{i}" for i in range(4)]
    assert {a.author for a in found} == {"policy@0"}
    assert {a.stop for a in found} == {StopReason.ENDED}
    again = Host(says(lambda text, u: f"{u:.6f}")).explore(
        SampleAttempts(num_attempts=4), Start(TASK), round=3
    )
    assert [a.text for a in again] == [a.text for a in found]


def test_the_allowance_is_the_worlds_unless_one_is_given():
    host = Host(says({"3+4": "9" * 40}))
    (found,) = host.explore(SampleAttempts(num_attempts=1), Start(TASK))
    assert (found.stop, found.num_tokens) == (StopReason.LENGTH, 16)
    (found,) = host.explore(SampleAttempts(num_attempts=1, max_tokens=5), Start(TASK))
    assert found.text == "99999"


def test_what_was_said_is_counted():
    host = Host(says({"3+4": "7"}))
    host.explore(SampleAttempts(num_attempts=8), Start(TASK))
    assert host.meter.counts["generated/train"] == 16  # "7" and the end, eight times


# ---------------------------------------------------------------- rationalisation


def with_hint(text: str, u: float) -> str:
    return text.rpartition("answer is ")[2].rstrip(".") if "answer is" in text else "0"


def test_failed_tasks_are_attempted_again_with_the_answer_in_sight():
    host = Host(says(with_hint))
    found = host.explore(Rationalize(num_attempts=3, num_hinted=2), Start(TASK))
    plain, hinted = found[:3], found[3:]
    assert [a.text for a in found] == ["0", "0", "0", "7", "7"]
    assert all(a.start.privileged is None for a in plain)
    assert {a.start.privileged for a in hinted} == {"The answer is 7."}
    assert {a.start.tag for a in hinted} == {"hint"}
    assert hinted[0].parents == tuple(a.id for a in plain)
    assert len({a.id for a in found}) == 5


def test_solved_tasks_get_no_hint():
    host = Host(says(lambda text, u: "7" if u < 0.5 else "8"))
    found = host.explore(Rationalize(num_attempts=8), Start(TASK))
    assert len(found) == 8


def test_tasks_without_a_reference_answer_get_no_hint():
    host = Host(says({}))
    found = host.explore(Rationalize(num_attempts=2), Start(TASK.without_truth()))
    assert [a.start.privileged for a in found] == [None, None]


def test_an_answer_with_braces_is_shown_as_it_is():
    import dataclasses

    task = dataclasses.replace(TASK, answer="{0} {x!r}")
    found = Host(says({})).explore(Rationalize(num_attempts=1), Start(task))
    assert found[1].start.privileged == "The answer is {0} {x!r}."


# ---------------------------------------------------------------- demonstrations


def test_a_demonstration_is_given_not_sampled():
    host = Host(says({}))
    (found,) = host.explore(Demonstrate(habit="steps"), Start(TASK))
    (turn,) = found.turns
    assert found.text == "3+4=7"
    assert (found.author, found.purpose) == ("demonstrator", Purpose.DEMONSTRATION)
    assert set(turn.origin.tolist()) == {TokenOrigin.GIVEN}
    assert turn.tokens.tolist() == [*map(ord, "3+4=7"), host.models["policy"].renderer.end_token]
    assert turn.context.tolist() == [*map(ord, "3+4")]
    assert np.isnan(turn.logp_sampling).all()
    assert found.num_tokens == 0
    assert not any(host.meter.counts.values())  # nobody generated anything


def test_where_nobody_demonstrates_the_reference_answer_is_used():
    class Mute(Sums):
        def demonstrate(self, *args):
            return None

    host = Host(says({}), world=Mute())
    assert host.explore(Demonstrate(), Start(TASK))[0].text == "7"
    with pytest.raises(WorldError, match="neither a demonstrator nor reference"):
        host.explore(Demonstrate(), Start(TASK.without_truth()))


# ---------------------------------------------------------------- walks


def walk(script, part: Walk | None = None, goal: int = 2):
    world = Corridor()
    host = Host(says(script), world=world)
    return host.explore(part or Walk(num_attempts=1), Start(world.make(goal)))


def test_a_walk_ends_when_the_world_says_so():
    (found,) = walk(lambda text, u: "r")
    assert found.stop is StopReason.DONE
    assert [(t.role, t.text) for t in found.turns] == [
        ("world", "at 0"), ("policy", "r"), ("world", "at 1"), ("policy", "r"),
    ]  # fmt: skip
    assert found.rewards["policy"] == pytest.approx(0.9)
    last = found.turns[-1]
    assert (last.done, last.truncated, last.rewards) == (True, False, {"policy": 1.0})


def test_done_and_truncated_are_kept_apart():
    (found,) = walk(lambda text, u: "l")
    assert found.stop is StopReason.TRUNCATED
    assert (found.turns[-1].done, found.turns[-1].truncated) == (False, True)
    (cut,) = walk(lambda text, u: "l", Walk(num_attempts=1, max_steps=3))
    assert cut.stop is StopReason.TRUNCATED
    assert sum(t.role == "policy" for t in cut.turns) == 3
    assert not any(t.truncated for t in cut.turns)  # we cut it, the world did not


def test_an_illegal_move_ends_the_walk_or_is_answered():
    def script(text: str, u: float) -> str:
        return "r" if text.endswith(("no such move", "at 1")) else "x"

    (ended,) = walk(script)
    assert (ended.stop, ended.turns[-1].legal) == (StopReason.ILLEGAL, False)
    (found,) = walk(script, Walk(num_attempts=1, illegal="observe"))
    assert found.stop is StopReason.DONE
    assert [t.text for t in found.turns if t.role == "policy"] == ["x", "r", "r"]
    assert found.rewards["policy"] == pytest.approx(-1.0 - 0.1 + 1.0)


def test_a_walk_can_begin_in_the_middle():
    world = Corridor()
    host = Host(says(lambda text, u: "r"), world=world)
    (found,) = host.explore(Walk(num_attempts=1), Start(world.make(), state=[1, 5]))
    assert [t.text for t in found.turns] == ["at 1", "r"]


def test_walks_of_one_start_have_noise_of_their_own():
    found = walk(lambda text, u: "r" if u < 0.5 else "l", Walk(num_attempts=6))
    assert len({tuple(t.text for t in a.turns) for a in found}) > 1


# ---------------------------------------------------------------- truth and options


def test_explorers_that_use_truth_fail_where_there_is_none():
    host = Host(says({"3+4": "7"}), world=NoTruth())
    host.explore(SampleAttempts(num_attempts=1), Start(TASK.without_truth()))
    with pytest.raises(TruthError):
        host.explore(Rationalize(), Start(TASK))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SampleAttempts(num_attempts=0), lambda: SampleAttempts(temperature=-1.0),
        lambda: SampleAttempts(top_p=0.0), lambda: SampleAttempts(max_tokens=0),
        lambda: SampleAttempts(min_p=1.0), lambda: SampleAttempts(top_k=-1),
        lambda: Rationalize(num_hinted=0), lambda: Rationalize(hint="no place for it"),
        lambda: Walk(max_steps=0), lambda: Walk(illegal="ignore"),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"SampleAttempts|Rationalize|Walk"):
        wrong()
