"""Turn by turn: what later answers mend and spoil."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError, TruthError
from askesis.measure.correction import Correction
from tests.explore.host import Host, NoTruth, says, view
from tests.measure.rounds import corrected


def measured(seen, world=None, **options) -> dict[str, float]:
    host = Host(says({}), world=world)
    return Correction(**options).measure(host.context("measure"), seen)


def test_turns_flips_and_levels_of_two_tasks():
    # answers to 0+1 and to 1+1; four attempts each, up to three turns
    seen = corrected(
        [["9", "1"], ["1", "1"], ["1", "8"], ["9", "9"]],
        [["2"], ["3", "3", "2"], ["2", "2"], ["3", "4"]],
    )
    found = measured(seen)
    assert found["turn_accuracy/1"] == 0.5
    assert found["turn_accuracy/2"] == 0.5
    assert found["turn_accuracy/3"] == pytest.approx(5 / 8)
    assert found["wrong_to_right"] == pytest.approx(2 / 8)
    assert found["right_to_wrong"] == pytest.approx(1 / 8)
    assert found["correction_gain"] == pytest.approx(1 / 8)
    assert found["confidence_level"] == pytest.approx(3 / 4)
    assert found["critique_level"] == pytest.approx(2 / 4)
    # (5/8 - 1/4) / (2 * 1/4)
    assert found["relative_self_correction"] == pytest.approx(0.75)
    assert found["unchanged_fraction"] == pytest.approx(4 / 8)
    # votes of turns: 9,1 ties (half); 1,1; 1,8 half; 9,9; 2; 3,3,2 wrong; 2,2; 3,4 wrong
    assert found["majority_of_turns"] == pytest.approx((0.5 + 1 + 0.5 + 1 + 1) / 8)
    for name in ("turn_accuracy/3", "correction_gain", "critique_level"):
        assert found[f"{name}/low"] <= found[name] <= found[f"{name}/high"]


def test_a_vote_of_first_answers_gets_the_same_tokens():
    # a whole attempt takes 4 + 4 tokens, a first answer 4: two votes; of three first answers two
    # are right, so a vote of two is right with probability 1/3 + 2/3 * 1/2
    seen = corrected([["1", "1"], ["1", "1"], ["5", "1"]], tokens=(4, 4))
    found = measured(seen)
    assert found["equal_token_votes"] == 2.0
    assert found["equal_token_vote"] == pytest.approx(2 / 3)
    assert found["equal_token_gain"] == pytest.approx(1 / 3)
    few = measured(corrected([["5", "1"]], tokens=(1, 9)))
    assert few["equal_token_votes"] == 10.0
    assert "equal_token_vote" not in few  # one first answer cannot tell what ten would do


def test_rounds_without_a_second_answer_say_nothing():
    assert measured(corrected([["1"], ["2"]])) == {}
    assert measured(view([])) == {}


def test_truth_is_needed_and_a_run_without_it_says_so():
    with pytest.raises(TruthError):
        measured(corrected([["1", "2"]]), world=NoTruth())
    with pytest.raises(ConfigError, match="Correction"):
        Correction(threshold=0.0)
