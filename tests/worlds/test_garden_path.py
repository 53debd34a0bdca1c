"""The world whose answers can be listed: its law, and where greedy decoding goes wrong."""

from __future__ import annotations

from collections import Counter
from math import factorial

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.records import TaskRole
from askesis.worlds.garden_path import GardenPath, num_letters, num_prompts
from askesis.worlds.views import Blind, RunView


def task(letters: str, world: GardenPath | None = None):
    return (world or GardenPath()).task(letters, letters[::-1], data={"letters": list(letters)})


def test_every_order_of_the_letters_is_an_answer_and_one_is_right():
    world, one = GardenPath(), task("cafb")
    answers = world.list_answers(one)
    assert len(set(answers)) == 24 and all(sorted(a) == sorted("cafb") for a in answers)
    assert [a for a in answers if world.verify(one, a).score] == ["bfac"]
    assert world.verify(one, " bfac\n").score == 1.0
    for wrong in ("", "bfacc", "BFAC", "b f a c", "bfac" * 99):
        assert world.verify(one, wrong).score == 0.0


@pytest.mark.parametrize("letters", ["caf", "cafb", "cafbd"])
@pytest.mark.parametrize("share", [0.06, 0.4])
def test_the_law_of_writers_by_hand(letters, share):
    world = GardenPath(share=share)
    law = world.law(task(letters))
    assert sum(law.values()) == pytest.approx(1)
    each = (1 - share) / factorial(len(letters) - 1)
    assert law[letters[::-1]] == share and law[letters] == pytest.approx(each)
    is_likeliest = max(law, key=law.get) == letters[::-1]
    assert is_likeliest == (share > each) == (share == 0.4 or len(letters) == 5)
    first = Counter()
    for text, probability in law.items():
        first[text[0]] += probability
    assert first.most_common(1)[0] == (letters[0], pytest.approx(1 - share))  # the wrong turn


def test_what_is_written_follows_the_law():
    world, one, rng = GardenPath(), task("caf"), np.random.default_rng(0)
    seen = Counter(world.demonstrate(one, rng) for _ in range(2000))
    for text, probability in world.law(one).items():
        assert seen[text] / 2000 == pytest.approx(probability, abs=0.05)
    assert all(world.demonstrate(one, rng, wrong=True)[0] == "c" for _ in range(50))


def test_a_blind_run_may_list_answers_and_not_score_them():
    one = task("caf")
    for view in (RunView(GardenPath()), Blind(GardenPath())):
        assert len(view.list_answers(one.without_truth())) == 6
    assert GardenPath().draw(TaskRole.TRAIN, np.random.default_rng(0), 1)[0].role is TaskRole.TRAIN


def test_sizes_and_options():
    assert [num_letters(d) for d in (0.0, 0.33, 0.5, 0.7, 1.0)] == [3, 3, 4, 5, 5]
    assert GardenPath().num_canonical == 4896 + 73440 + 1028160
    assert num_prompts(3) == GardenPath(difficulty=0.0).num_canonical == 4896
    assert GardenPath(difficulty=1.0, share=0.02).id == "garden_path-v1?difficulty=1&share=0.02"
    for share in (0.0, 1.0):
        with pytest.raises(WorldError, match="share"):
            GardenPath(share=share)
