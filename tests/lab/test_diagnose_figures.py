"""Every figure of a diagnosis on attempts whose answer is known by hand."""

from __future__ import annotations

from math import exp, log, nan

import pytest

from askesis.lab.diagnose import figures as f
from askesis.lab.diagnose.asked import Probe, Probed, Try
from askesis.records import StopReason, Task

TASK = Task("t", "letters-v1", "abcd", "z")


def attempt(
    answer: str, right: bool, p: float = 0.1, tokens: int = 2, stop: StopReason = StopReason.ENDED
) -> Try:
    return Try(answer, float(right), answer, tokens, log(p), stop)


def probed(right: int, of: int, **more) -> Probed:
    tries = [attempt("z", True, 0.5)] * right + [attempt("y", False, 0.2)] * (of - right)
    return Probed(TASK, tuple(tries), **more)


def probe(*tasks: Probed, **more) -> Probe:
    usual = {
        "role": "decide", "num_attempts": len(tasks[0].tries), "knows_right": True,
        "reference_kind": "", "preferred": (), "prompt_tokens": 4.0, "seconds": 1.0, "notes": (),
    }  # fmt: skip
    return Probe(tasks, **(usual | more))


def test_headroom_is_what_all_attempts_solve_less_what_one_does():
    found = f.figures(probe(probed(4, 16), probed(0, 16), probed(16, 16), probed(1, 16)), None)
    assert found["pass@1"].value == pytest.approx((4 + 16 + 1) / 64)
    assert found["pass@16"].value == found["solved_fraction"].value == 0.75
    # pass@4 by Chen et al. 2021, equation 1: 1 - C(12,4)/C(16,4) = 1 - 495/1820; 1; 4/16.
    assert found["pass@4"].value == pytest.approx((1 - 495 / 1820 + 0 + 1 + 0.25) / 4)
    assert found["headroom"].value == pytest.approx(0.75 - 21 / 64)
    assert found["pass@16"].value <= found["pass@1024"].value <= found["ceiling"].value <= 1


def test_mixed_groups_are_counted_without_bias_and_guessed_where_there_are_too_few_attempts():
    found = f.groups([probed(1, 8), probed(0, 8)], 8)
    assert found["mixed@8"].value == 0.5
    assert 0.2 < found["mixed@16"].value < 0.9  # sixteen were never made


def test_likelihood_ranks_right_above_wrong_within_tasks():
    up = [attempt("z", True, 0.5), attempt("y", False, 0.1), attempt("x", False, 0.05)]
    down = [attempt("z", True, 0.1), attempt("y", False, 0.5), attempt("x", False, 0.1)]
    all_right = [attempt("z", True, 0.5)] * 3
    found = f.self_judgement([Probed(TASK, tuple(t)) for t in (up, down, all_right)])
    # above both: 1; below one and tied with the other: 0.25; a task without both kinds: nothing
    assert found["auroc/likelihood"].value == pytest.approx((1 + 0.25) / 2)


def test_likelihood_per_token_forgives_length():
    long, short = attempt("z", True, exp(-4), tokens=8), attempt("y", False, exp(-2), tokens=2)
    found = f.self_judgement([Probed(TASK, (long, short))])
    assert found["auroc/likelihood"].value == 0
    assert found["auroc/likelihood_per_token"].value == 1


def test_asking_is_judged_by_the_odds_of_yes():
    tasks = [Probed(TASK, (), checks=((True, 2.0), (False, 1.0), (False, 3.0)))]
    assert f.self_judgement(tasks)["auroc/asking"].value == 0.5
    assert f.self_judgement([Probed(TASK, (), checks=((True, 2.0),))]) == {}


def test_a_vote_is_better_than_an_attempt_where_wrong_answers_scatter():
    scattered = [attempt("z", True)] * 3 + [attempt(a, False) for a in "wxy"]
    agreed = [attempt("y", False)] * 4 + [attempt("z", True)] * 2
    found = f.votes([Probed(TASK, tuple(scattered)), Probed(TASK, tuple(agreed))], True)
    assert found["vote_share"].value == pytest.approx((3 / 6 + 4 / 6) / 2)
    assert found["majority"].value == 0.5
    assert found["vote_gain"].value == pytest.approx(0.5 - (3 / 6 + 2 / 6) / 2)
    # (0.5 - 1)^2 and (4/6 - 0)^2
    assert found["vote_brier"].value == pytest.approx((0.25 + 4 / 9) / 2)
    assert found["vote_auroc"].value == 0  # the wrong vote is the surer one


def test_votes_without_any_answer_say_nothing():
    assert f.votes([Probed(TASK, (attempt("", False),) * 4)], True) == {}
    assert set(f.votes([probed(2, 4)], False)) == {"vote_share"}


def test_coverage_takes_the_reference_and_what_was_found_once_each():
    found_too = Probed(
        TASK, (attempt("w", True, 0.3), attempt("w", True, 0.3), attempt("z", True, 0.2)),
        reference="z", reference_logp=log(0.2), reference_tokens=2,
    )  # fmt: skip
    assert exp(f.known_mass(found_too)) == pytest.approx(0.5)
    cut = Probed(TASK, (attempt("w", True, 0.3, stop=StopReason.LENGTH),))
    assert f.known_mass(cut) is None
    found = f.coverage([found_too, cut])
    assert found["reference/covered@1"].value == pytest.approx(0.2)
    assert found["reference/log_coverage"].value == pytest.approx(log(5))
    assert found["reference/nats_per_token"].value == pytest.approx(log(5) / 2)
    assert found["reference/surprise"].value == pytest.approx(1 - 0.2**0.5)
    assert found["right/covered@1"].value == pytest.approx(0.5)


def test_unknown_likelihoods_leave_figures_out_and_make_none_up():
    unknown = Try("z", 1.0, "z", 2, nan, StopReason.ENDED)
    wrong = Try("y", 0.0, "y", 2, nan, StopReason.ENDED)
    found = f.figures(probe(Probed(TASK, (unknown, wrong))), None)
    assert not [k for k in found if k.startswith(("auroc/like", "reference/", "right/"))]
    assert found["auroc/votes"].value == 0.5


def test_lengths_and_what_was_cut_failed_or_silent():
    tries = (
        attempt("z", True, tokens=4),
        attempt("z", True, tokens=2, stop=StopReason.LENGTH),
        Try("", 0.0, "", 1, nan, StopReason.ENDED),
        Try("", 0.0, "", 0, nan, StopReason.FAILED, "too long"),
    )
    found = f.lengths([Probed(TASK, tries)])
    assert found["tokens_per_attempt"].value == 7 / 4
    assert found["truncated_fraction"].value == 0.25
    assert found["failed_fraction"].value == 0.25
    assert found["silent_fraction"].value == 0.5


def test_habits_are_shares_of_attempts_by_whoever_counts_them():
    found = f.figures(probe(probed(1, 4)), lambda task, text: {"checks": float(text == "z")})
    assert found["habit/checks"].value == 0.25
    world = Task("c", "countdown-v1", "3 7 12 -> 33", None)
    # the example of askesis.text.habits.count_habits
    assert f.seen_habits(world, "12-7=5,5*3=15;#15 no;7*3=21,21+12=33")["backtracking"] == 1


def test_preferences_are_ranked_by_likelihood_and_ties_are_half_right():
    found = f.figures(probe(probed(0, 2), knows_right=False, preferred=(1.0, -0.5, 0.0)), None)
    assert found["preference_accuracy"].value == 0.5
    assert "pass@1" not in found
