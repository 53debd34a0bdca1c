"""Where attempts were lost: by halves and one by one, on attempts whose error is known."""

from __future__ import annotations

from math import ceil, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.judge.first_error import FirstError
from askesis.records import Group, Start, Task, Turn
from askesis.requests import Checked
from askesis.search.first_error import Omega, by_halves, lost_at, one_by_one
from askesis.steps import scores_of
from tests.explore.host import Host, attempt, says
from tests.search.solved import Digits

NUM = 8


class Count(Digits):
    """Eight digits in order, "1,2,...,8,"."""

    max_answer_tokens = 2 * NUM + 1

    def make(self):
        return Task("digits:0", self.id, "count:", "")

    def verify(self, task, answer):
        pieces = [p for p in answer.split(",") if p]
        return Checked(float(pieces == [str(i + 1) for i in range(NUM)]))


WORLD = Count()
ROLLOUTS = 3


def completes(text: str, u: float) -> str:
    """Goes on rightly from wherever it is, so a wrong digit is never mended."""
    said = text.removeprefix("count:").count(",")
    return "".join(f"{i + 1}," for i in range(said, NUM))


def wrong_at(*places: int):
    digits = ["9" if i in places else str(i + 1) for i in range(NUM)]
    return attempt(WORLD.make(), "".join(f"{d}," for d in digits), places[0] if places else 0)


def lost(one, linear: bool = False):
    host = Host(says(completes), world=WORLD)
    ctx = host.context("judge")
    found: list = []

    async def ask():
        found.append(await lost_at(ctx, one, num_rollouts=ROLLOUTS, linear=linear))

    (outcome,) = host.drive([ask])
    assert outcome.error is None, outcome.error
    return found[0]


@pytest.mark.parametrize("place", range(NUM))
def test_both_ways_find_the_first_wrong_digit_and_halves_ask_for_fewer_prefixes(place):
    one = wrong_at(place)
    halves, spans, cost = lost(one)
    linear, _, cost_linear = lost(one, linear=True)
    assert halves.step == linear.step == place and len(spans) == NUM
    assert len(halves.values) == ceil(log2(NUM)) and len(linear.values) == min(place + 1, NUM - 1)
    assert cost > 0 and (place < 4 or cost < cost_linear)
    for values in (halves.values, linear.values):
        assert all((v == 1.0) == (n <= place) for n, v in values.items())


@settings(max_examples=25, deadline=None)
@given(num=st.integers(1, 40), place=st.integers(0, 39))
def test_halving_finds_any_error_that_is_never_mended(num, place):
    place = min(place, num - 1)
    asked: list[int] = []

    async def value(n: int) -> float:
        asked.append(n)
        return float(n <= place)

    def run(coroutine):
        with pytest.raises(StopIteration) as ended:
            coroutine.send(None)
        return ended.value.value

    assert run(by_halves(num, value)).step == place
    assert len(asked) <= ceil(log2(max(num, 1))) if num > 1 else not asked
    asked.clear()
    assert run(one_by_one(num, value)).step == place and len(asked) <= max(0, num - 1)


def test_a_digit_that_can_be_mended_is_not_what_is_found():
    """The first wrong step is 2, and completions take it back; what cannot be mended is 5."""

    class Mending(Count):
        def verify(self, task, answer):
            return super().verify(task, answer.replace("9,3,", "3,"))

    world = Mending()
    one = attempt(world.make(), "1,2,9,4,5,7,8,8,", 0)
    script = lambda text, u: completes(text.replace("9,", ""), u)
    host = Host(says(script), world=world)
    found: list = []
    ctx = host.context("judge")

    async def ask():
        found.append(await lost_at(ctx, one, num_rollouts=1, linear=True))

    host.drive([ask])
    assert found[0][0].values[3] == 1.0  # the prefix with the wrong step, mended
    assert found[0][0].step == 3  # "4" behind it is too late to mend: the point of no return


def test_the_judge_labels_steps_up_to_the_first_error_and_no_farther():
    group = Group("g", (wrong_at(), wrong_at(3), wrong_at(6), attempt(WORLD.make(), "", 9)))
    host = Host(says(completes), world=WORLD)
    verdicts = host.judge(FirstError(num_rollouts=2), group)
    labels = [scores_of(v).values.tolist() if v.vector else None for v in verdicts]
    assert labels == [[1.0] * 8, [1.0, 1.0, 1.0, 0.0], [1.0] * 6 + [0.0], None]
    assert [v.cost > 0 for v in verdicts] == [False, True, True, False]
    assert verdicts[3].rationale == "nothing was said"


def test_where_no_attempt_is_right_nobody_knows_unless_asked_to_guess():
    group = Group("g", (wrong_at(3),))
    host = Host(says(completes), world=WORLD)
    (verdict,) = host.judge(FirstError(num_rollouts=2), group)
    assert not verdict.vector and "no attempt" in verdict.rationale
    (verdict,) = host.judge(FirstError(num_rollouts=2, hopeless=True), group)
    assert verdict.vector == (1.0, 1.0, 1.0, 0.0)


def test_answers_of_several_turns_are_refused():
    one = wrong_at(3)
    two = type(one)(one.id, one.start, (*one.turns, *one.turns), one.stop)
    host = Host(says(completes), world=WORLD)

    async def ask():
        await lost_at(host.context("judge"), two)

    (outcome,) = host.drive([ask])
    assert isinstance(outcome.error, ConfigError)


# ---------------------------------------------------------------- the tree of card [135]


def slips(text: str, u: float) -> str:
    """Goes on rightly, with one wrong digit somewhere behind in two cases of three."""
    said = text.removeprefix("count:").count(",")
    digits = [str(i + 1) for i in range(said, NUM)]
    if u < 2 / 3 and digits:
        digits[int(u * 1.5 * len(digits))] = "9"
    return "".join(f"{d}," for d in digits)


def omega(**options):
    host = Host(says(slips), world=WORLD)
    ctx, found = host.context("judge"), []

    async def ask():
        found.append(await Omega(**options).grow(ctx, Start(WORLD.make())))

    (outcome,) = host.drive([ask])
    assert outcome.error is None, outcome.error
    return found[0]


def test_a_tree_of_prefixes_reuses_what_it_has_and_its_values_are_true():
    grove = omega(num_rollouts=8, num_searches=6)
    prefixes, tokens = grove.prefixes, grove.num_tokens
    texts = ["".join(t.text for t in p.turns) for p in prefixes]
    assert texts[0] == "" and len(set(texts)) == len(texts) > 3 and tokens > 0
    for prefix, text in zip(prefixes[1:], texts[1:], strict=True):
        is_right = all(d == str(i + 1) for i, d in enumerate(text.split(",")[:-1]))
        assert is_right or prefix.share == 0  # a wrong one is never mended
        assert text.startswith(texts[prefix.parent]) and prefix.num_steps == text.count(",")
    labels = [p.share > 0 for p in prefixes[1:]]
    assert any(labels) and not all(labels)
    assert 1 <= sum(p.visits for p in prefixes) == len(grove.searched) <= 6
    for one in grove.searched:  # a wrong digit is never mended, so it is found where it stands
        assert one.attempt.text.split(",")[one.step] == "9"
        assert "9" not in one.attempt.text.split(",")[: one.step]
    assert tokens == sum(len(t.tokens) for p in prefixes for t, _ in p.ends)


def test_a_tree_with_nothing_to_search_is_the_empty_prefix_alone():
    grove = omega(num_rollouts=4, num_searches=0)
    assert len(grove.prefixes) == 1 and not grove.searched and not grove.is_exhausted

    host = Host(says(completes), world=WORLD)  # always right: 0 < MC < 1 never holds
    ctx, found = host.context("judge"), []

    async def ask():
        found.append(await Omega(num_rollouts=2).grow(ctx, Start(WORLD.make())))

    host.drive([ask])
    assert [p.share for p in found[0].prefixes] == [1.0] and found[0].is_exhausted


def test_a_turn_of_arrays_is_no_answer():
    one = wrong_at(3)
    empty = type(one)(
        one.id, one.start, (Turn("policy", "", tokens=np.zeros(0, np.int32)),), one.stop
    )
    host = Host(says(completes), world=WORLD)

    async def ask():
        await lost_at(host.context("judge"), empty)

    (outcome,) = host.drive([ask])
    assert isinstance(outcome.error, ConfigError)
