"""The judge held against the truth."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError, TruthError
from askesis.measure.audit import Audit, Audited, audit_figures
from tests.explore.host import Host, NoTruth, says, view
from tests.measure.rounds import Steps, judged


def measured(seen, world=None, **options) -> dict[str, float]:
    host = Host(says({}), world=world)
    return Audit(**options).measure(host.context("measure", slot="measure.audit"), seen)


def test_false_passes_and_false_fails_of_a_round():
    # 0+1: the judge passes a wrong answer; 1+1: it fails a right one; one value is unknown
    seen = judged(
        [("1", 0.9), ("7", 0.8), ("6", 0.1)], [("2", 0.2), ("2", 0.7), ("3", 0.3), ("4", None)]
    )
    found = measured(seen)
    assert found["audit/num_attempts"] == 7
    assert found["audit/unknown_fraction"] == pytest.approx(1 / 8)  # 0 of 3 and 1 of 4
    assert found["audit/false_pass"] == pytest.approx(1 / 3)
    assert found["audit/false_fail"] == pytest.approx(1 / 3)
    assert found["audit/wrong_among_passed"] == pytest.approx(1 / 3)
    assert found["audit/accuracy"] == pytest.approx(4 / 6)
    # right .9 .2 .7, wrong .8 .1 .3: .9 above all, .2 above one, .7 above two
    assert found["audit/auroc"] == pytest.approx(6 / 9)
    assert found["audit/ranking_accuracy"] == pytest.approx((1 + 0.5) / 2)
    # means of value less truth: (1.8 - 1) / 3 and (1.2 - 2) / 3
    assert found["audit/inflation"] == pytest.approx(0, abs=1e-9)
    assert found["audit/brier"] == pytest.approx((0.01 + 0.64 + 0.01 + 0.64 + 0.09 + 0.09) / 6)
    for name in ("false_pass", "auroc", "ece", "aurc", "brier"):
        name = f"audit/{name}"
        assert found.get(f"{name}/low", 0) <= found[name] <= found.get(f"{name}/high", 1)
    assert "audit/first_error_f1" not in found


def test_votes_are_a_confidence_with_a_calibration():
    # three groups: 3 of 4 for the right answer, 4 of 4 for a wrong one, 2 of 4 for the right one
    right, wrong = ("1", 1.0), ("7", 1.0)
    seen = judged(
        [right] * 3 + [wrong], [("5", 1.0)] * 4, [("3", 1.0)] * 2 + [("4", 1.0), ("5", 1.0)]
    )
    found = measured(seen)
    assert found["audit/vote_accuracy"] == pytest.approx(2 / 3)
    assert found["audit/vote_auroc"] == 0.0  # the surest group is the wrong one
    assert found["audit/vote_ece"] == pytest.approx((0.25 + 1 + 0.5) / 3)


def test_a_judge_of_steps_is_scored_by_the_first_error():
    world = Steps()
    # the judge calls every step right: flawless answers are seen (1 of 1), errors never (0 of 2)
    seen = judged([("1=1", 1.0), ("3=1", 1.0)], [("2=9", 0.0)], world=world, steps=True)
    assert measured(seen, world)["audit/first_error_f1"] == 0.0
    rows = [
        [Audited(1.0, True, "1", (1.0, 1.0), (1.0, 1.0)), Audited(0.0, False, "2", (0.2,), (0.0,))],
        [Audited(0.0, False, "3", (1.0, 0.1), (0.0, 1.0))],
    ]
    found = audit_figures(rows, 0.5, np.random.default_rng(0))
    assert found["first_error_f1"] == pytest.approx(2 * 0.5 * 1 / 1.5)


def test_values_that_are_no_probabilities_have_no_calibration():
    found = measured(judged([("1", 3.5), ("7", -2.0)]), passing=0.0)
    assert found["audit/false_pass"] == 0.0 and found["audit/auroc"] == 1.0
    assert "audit/ece" not in found and "audit/inflation" not in found


def test_only_a_part_of_a_large_round_is_verified_and_it_is_the_same_part_again():
    seen = judged(*[[("1", 1.0), ("0", 0.0)] for _ in range(9)])
    found = measured(seen, num_attempts=6)
    assert found["audit/num_attempts"] == 6
    assert measured(seen, num_attempts=6) == found


def test_a_judge_by_name_is_audited_alone():
    seen = judged([("1", 1.0), ("7", 1.0)])
    assert measured(seen, judge="critic")["audit/false_pass"] == 1.0
    assert measured(seen, judge="somebody") == {}
    assert measured(view([])) == {}


def test_a_run_without_truth_has_nothing_to_audit_with_and_says_where_it_is_done():
    with pytest.raises(TruthError, match=r"askesis\.lab\.audit"):
        measured(judged([("1", 1.0)]), world=NoTruth())
    with pytest.raises(ConfigError, match="Audit"):
        Audit(num_attempts=0)


def test_the_truth_leaves_the_audit_as_figures_only():
    seen = judged([("1", 0.0), ("7", 1.0)])
    before = list(seen.verdicts)
    measured(seen)
    assert list(seen.verdicts) == before
    assert seen.metrics == {}
