"""The world whose answers can be listed: its law, and where greedy decoding goes wrong."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.records import TaskRole
from askesis.worlds.garden_path import GardenPath, num_turns, right_turns
from askesis.worlds.views import Blind, RunView


def task(digits: str):
    return GardenPath().posed(digits)


def test_every_way_to_go_is_an_answer_and_one_is_right():
    world, one = GardenPath(), task("4871")
    answers = world.list_answers(one)
    assert len(set(answers)) == 16 and {len(a) for a in answers} == {4}
    assert [a for a in answers if world.verify(one, a).score] == ["llrr"]
    assert world.verify(one, " llrr\n").score == 1.0
    for wrong in ("", "llr", "llrrl", "LLRR", "l l r r", "llrr" * 99):
        assert world.verify(one, wrong).score == 0.0


@pytest.mark.parametrize("digits", ["4871", "48710", "487103"])
@pytest.mark.parametrize("share", [0.06, 0.4])
def test_the_law_of_writers_by_hand(digits, share):
    world, right = GardenPath(share=share), right_turns(digits)
    law = world.law(task(digits))
    assert sum(law.values()) == pytest.approx(1)
    each = (1 - share) / 2 ** (len(digits) - 1)
    assert law[right] == share and law["r" * len(digits)] == pytest.approx(each)
    is_likeliest = max(law, key=law.get) == right
    assert is_likeliest == (share > each) == (share == 0.4 or len(digits) > 4)
    first = Counter()
    for text, probability in law.items():
        first[text[0]] += probability
    assert first.most_common(1)[0] == ("r", pytest.approx(1 - share))  # the wrong turn


def test_what_is_written_follows_the_law():
    world, one, rng = GardenPath(), task("4871"), np.random.default_rng(0)
    seen = Counter(world.demonstrate(one, rng) for _ in range(2000))
    for text, probability in world.law(one).items():
        assert seen[text] / 2000 == pytest.approx(probability, abs=0.05)
    assert all(world.demonstrate(one, rng, wrong=True)[0] == "r" for _ in range(50))


def test_a_blind_run_may_list_answers():
    one = task("4871")
    for view in (RunView(GardenPath()), Blind(GardenPath())):
        assert len(view.list_answers(one.without_truth())) == 16
    assert GardenPath().draw(TaskRole.TRAIN, np.random.default_rng(0), 1)[0].role is TaskRole.TRAIN


def test_sizes_and_options():
    assert [num_turns(d) for d in (0.0, 0.33, 0.5, 0.7, 1.0)] == [4, 4, 5, 6, 6]
    assert GardenPath().num_canonical == 1_110_000
    assert GardenPath(difficulty=0.0).num_canonical == 10_000
    assert GardenPath(difficulty=1.0, share=0.06).id == "garden_path-v1?difficulty=1&share=0.06"
    for share in (0.0, 1.0):
        with pytest.raises(WorldError, match="share"):
            GardenPath(share=share)
