"""Attempts as labelled answers, as sets of correct ones, and as rankings."""

from __future__ import annotations

import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.select.labelled import Labelled
from askesis.select.refill import Refill
from askesis.select.sets import CorrectSets, Rankings
from tests.select.test_pairs import group, select


def texts(sample) -> str:
    return "".join(chr(row.tokens[-2]) for row in sample.sequences)


def labels(part, values) -> list[float]:
    return [s.columns["label"] for s in select(part, group(values))[0]]


def test_a_value_is_a_label_or_compared_with_a_threshold():
    assert labels(Labelled(), [0.0, 0.25, None, 1.0]) == [0.0, 0.25, 1.0]
    assert labels(Labelled(threshold=0.5), [-3.0, 0.5, 7.0]) == [0.0, 1.0, 1.0]
    samples, metrics = select(Labelled(threshold=0.5), group([0.0, 1.0, 1.0, 1.0]))
    assert metrics["select/good_fraction"] == 0.75 and metrics["select/samples"] == 4
    assert samples[0].sequences[0].columns["weight"].tolist() == [0, 0, 0, 1, 1]
    with pytest.raises(ConfigError, match=r"no label; .* found 7.0. --select.policy.threshold"):
        labels(Labelled(), [7.0])


def test_a_head_learns_labels_at_the_last_token_of_what_its_role_reads():
    (one,), _ = select(Labelled(reader="reward"), group([1.0]))
    weight = one.sequences[0].columns["weight"]
    assert weight[-1] == 1 and weight.sum() == 1


def test_the_different_correct_attempts_at_a_task_are_one_sample():
    (one,), metrics = select(CorrectSets(), group([1.0, 1.0, 0.0, 1.0], texts="abca"))
    assert texts(one) == "ab" and len(one.sources) == 2
    assert metrics["select/rows_per_sample"] == 2
    assert select(CorrectSets(), group([0.0, 0.5]))[0] == []
    (few,), _ = select(CorrectSets(max_per_task=2), group([1.0] * 4))
    (again,), _ = select(CorrectSets(max_per_task=2), group([1.0] * 4))
    assert len(few.sequences) == 2 and few.sources == again.sources


def test_a_ranking_is_best_first_and_ties_are_no_ranking():
    (one,), metrics = select(Rankings(), group([0.2, 0.9, 0.5, 0.1]))
    assert texts(one) == "bcad" and metrics["select/tied_fraction"] == 0
    (tied,), _ = select(Rankings(), group([0.2, 0.9, 0.9, 0.2]))
    assert texts(tied) == "ba"
    found, metrics = select(Rankings(), group([0.5, 0.5]))
    assert found == [] and metrics["select/tied_fraction"] == 1
    assert select(Rankings(), group([1.0, 0.0], texts="aa"))[0] == []
    with pytest.raises(ConfigError, match="two judged ones"):
        select(Rankings(), group([1.0]))
    with pytest.raises(ConfigError, match=r"CorrectSets\.max_per_task"):
        CorrectSets(max_per_task=0)


def test_refilling_wants_groups_that_can_be_mixed():
    mixed, alike, single = group([1.0, 0.0]), group([1.0, 1.0]), group([1.0])
    assert Refill().mixed([mixed[0]], mixed[1]) == [mixed[0]]
    assert Refill().mixed([alike[0]], alike[1]) == Refill().mixed([], Verdicts()) == []
    with pytest.raises(ConfigError, match=r"groups of one. --explore.num-attempts 2"):
        Refill().mixed([single[0]], single[1])
