"""What really happened."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError, TruthError
from askesis.measure.ability import Ability, ability
from askesis.measure.groups import Groups, Votes
from askesis.measure.sampling import Scored, scored_attempts
from askesis.records import (
    About,
    Attempt,
    Group,
    Purpose,
    Start,
    StopReason,
    TaskRole,
    Verdict,
    VerdictKind,
)
from askesis.requests import Sampling
from tests.explore.host import Host, NoTruth, Sums, attempt, eval_sum, says, view


def sometimes(text: str, u: float) -> str:
    return str(eval_sum(text)) if u < 0.5 else "none"


def measured(part: Ability, script=sometimes, round: int = 0, world=None):
    host = Host(says(script), world=world)
    ctx = host.context("measure", round, slot="measure.ability", purpose=Purpose.MEASURE)
    return part.measure(ctx, view([])), host


def test_ability_is_estimated_on_fresh_decide_tasks_outside_the_budget():
    drawn = []

    class Watched(Sums):
        def draw(self, role, *rest):
            drawn.append(role)
            return super().draw(role, *rest)

    found, host = measured(Ability(num_tasks=64, num_attempts=8, ks=(4,)), world=Watched())
    assert drawn == [TaskRole.DECIDE]
    assert found["pass@1/low"] < 0.5 < found["pass@1/high"]
    assert found["pass@1"] < found["pass@4"] < found["pass@8"]
    assert found["pass@4"] == pytest.approx(1 - 0.5**4, abs=0.08)
    assert host.meter.counts["generated/measure"] > 0
    assert host.meter.budget_tokens == 0
    other, _ = measured(Ability(num_tasks=64, num_attempts=8, ks=(4,)), round=1)
    assert other["pass@1"] != found["pass@1"]


def test_the_figures_of_a_handful_of_attempts_are_exact():
    right = Scored(1.0, "7", 2)
    scored = [
        [right, right, Scored(0.0, "8", 4, cut_off=True)],
        [Scored(0.0, "", 3), Scored(0.5, "9", 3), Scored(0.0, failed=True)],
    ]
    found = ability(scored, threshold=1.0, ks=[2, 3])
    assert found["pass@1"] == pytest.approx(1 / 3)
    assert found["pass@2"] == pytest.approx(0.5)  # 1 - C(1,2)/C(3,2) = 1, and 0
    assert found["pass@3"] == found["majority@3"] == 0.5
    assert found["score"] == pytest.approx(2.5 / 6)
    assert found["distinct_correct"] == 0.5
    assert found["tokens_per_attempt"] == pytest.approx(2.333, abs=1e-3)
    assert found["tokens_per_right"] == 2.0
    assert found["tokens_per_wrong"] == pytest.approx((4 + 2) / 2)  # by task: 4, and 3, 3, 0
    assert "steps_per_attempt" not in found and "best_of@3" not in found
    assert found["truncated_fraction"] == found["failed_fraction"] == pytest.approx(1 / 6)


def test_a_score_that_looks_at_more_than_the_answer_does_not_break_the_vote():
    scored = [[Scored(1.0, "7"), Scored(1.0, "7"), Scored(0.0, "7")]] * 2
    assert ability(scored, 1.0, [3])["majority@3"] == 1.0


class TellsHalf:
    """A judge that values the right answers of even sums at 1 and knows nothing of odd ones."""

    async def judge(self, ctx, group):
        return [
            Verdict("half", About(a.id), VerdictKind.OUTCOME, value)
            for a in group.attempts
            for value in [float(a.text == str(eval_sum(a.task.prompt)))]
            if eval_sum(a.task.prompt) % 2 == 0
        ]


def test_best_of_k_under_a_judge_lies_between_one_attempt_and_k():
    part = Ability(num_tasks=64, num_attempts=8, ks=(4,), judge=TellsHalf())
    found, _ = measured(part)
    # where it knows it gets pass@k, elsewhere pass@1: about half way, 64 tasks of 8 attempts
    for k in (4, 8):
        middle = (found["pass@1"] + found[f"pass@{k}"]) / 2
        assert found[f"best_of@{k}"] == pytest.approx(middle, abs=0.1)
    plain, _ = measured(Ability(num_tasks=64, num_attempts=8, ks=(4,)))
    assert plain == {k: v for k, v in found.items() if not k.startswith("best_of")}


def test_figures_by_difficulty_average_to_the_whole():
    # difficulty of a+b is a / 9: bins of 0..4 and 5..9
    found, _ = measured(Ability(num_tasks=64, num_attempts=4, num_bins=2))
    num = [found[f"num_tasks_of_bin/{b}"] for b in (0, 1)]
    assert sum(num) == 64 and min(num) > 10
    for name in ("pass@1", "pass@4", "majority@4", "distinct_correct"):
        parts = [found[f"{name}_of_bin/{b}"] for b in (0, 1)]
        assert sum(p * n for p, n in zip(parts, num, strict=True)) / 64 == pytest.approx(
            found[name]
        )
        assert found[f"{name}_of_bin/1/low"] <= parts[1] <= found[f"{name}_of_bin/1/high"]
    easy, _ = measured(Ability(num_tasks=8, num_attempts=1, num_bins=4, difficulty=0.1))
    assert "pass@1_of_bin/0" in easy and "pass@1_of_bin/3" not in easy


def test_a_start_with_a_hint_is_never_measured():
    host = Host(says(sometimes))
    start = Start(Sums().make(1, 2), privileged="it is 3")
    with pytest.raises(ConfigError, match="cannot be measured"):
        scored_attempts(host.context("measure"), [start], "policy", 1, Sampling())


def test_tasks_that_fail_count_as_wrong_and_are_shown():
    class Brittle(Sums):
        def verify(self, task, answer):
            if task.prompt.startswith("0"):
                raise RuntimeError("broken")
            return super().verify(task, answer)

    found, _ = measured(Ability(num_tasks=60, num_attempts=2), world=Brittle())
    assert 0 < found["failed_fraction"] < 0.5
    with pytest.raises(TruthError):
        measured(Ability(num_tasks=2), world=NoTruth())


def test_a_task_that_is_drawn_twice_is_attempted_with_other_noise():
    host = Host(says(lambda text, u: f"{u:.9f}"))
    starts = [Start(Sums().make(1, 2))] * 2
    found = scored_attempts(host.context("measure"), starts, "policy", 3, Sampling())
    assert len({s.answer for attempts in found for s in attempts}) == 6


# ---------------------------------------------------------------- the round's groups


def verdict(a: Attempt, value: float | None, judge: str = "verifier:sums-v1", **rest) -> Verdict:
    return Verdict(judge, About(a.id), VerdictKind.OUTCOME, value, **rest)


def round_of(*outcomes: str, judge: str = "verifier:sums-v1"):
    """Groups from patterns of right (1), wrong (0) and unknown (?)."""
    groups, verdicts = [], []
    for n, pattern in enumerate(outcomes):
        task = Sums().make(n, 0)
        made = [attempt(task, f"{n}" * (i + 1), i) for i in range(len(pattern))]
        groups.append(Group(task.id, tuple(made)))
        known = {"1": 1.0, "0": 0.0, "?": None}
        verdicts += [verdict(a, known[c], judge) for a, c in zip(made, pattern, strict=True)]
    return view(groups, verdicts)


def test_groups_tell_how_many_of_them_teach_anything():
    found = Groups().measure(Host(says({})).context("measure"), round_of("11", "10", "00", "01?"))
    assert found["train_accuracy"] == pytest.approx(0.5)
    assert found["train_solved_fraction"] == 0.75
    assert found["groups_effective"] == 0.5
    assert found["groups_all_right"] == found["groups_all_wrong"] == 0.25
    assert found["train_unknown_fraction"] == pytest.approx(1 / 9)
    assert found["train_distinct_correct"] == 1.0
    assert found["train_tokens_per_attempt"] == pytest.approx(
        (2 + 3 + 2 + 3 + 2 + 3 + 2 + 3 + 4) / 9
    )


def test_hinted_attempts_are_counted_apart():
    seen = round_of("10")
    start = Start(Sums().make(0, 0), tag="hint", privileged="0")
    hinted = attempt(start.task, "0", 5, start=start)
    seen.groups["explore"][0] = Group("g", (*seen.groups["explore"][0].attempts, hinted))
    seen.verdicts.extend([verdict(hinted, 1.0)])
    found = Groups().measure(Host(says({})).context("measure"), seen)
    assert found["train_accuracy"] == 0.5
    assert found["hinted_fraction"] == pytest.approx(1 / 3)
    assert found["hinted_accuracy"] == 1.0


def test_a_round_that_nobody_judged_has_lengths_only():
    found = Groups().measure(Host(says({})).context("measure"), view(round_of("10").all_groups))
    assert "train_accuracy" not in found
    assert found["train_truncated_fraction"] == 0
    assert Groups().measure(Host(says({})).context("measure"), view([])) == {}


def test_failed_and_cut_off_attempts_are_shown():
    task = Sums().make(1, 1)
    cut = attempt(task, "2", 0, stop=StopReason.LENGTH)
    failed = Attempt("f", Start(task), (), StopReason.FAILED)
    found = Groups().measure(Host(says({})).context("measure"), view([Group("g", (cut, failed))]))
    assert found["train_truncated_fraction"] == found["train_failed_fraction"] == 0.5


def test_votes_show_confidence_not_accuracy():
    task = Sums().make(1, 1)
    groups, verdicts = [], []
    for draws, value in (((1.0, 1.0, 0.0, 0.0), 1.0), ((1.0,) * 4, 1.0), ((0.0,) * 4, None)):
        a = attempt(task, "2", len(groups))
        groups.append(Group(str(len(groups)), (a,)))
        verdicts.append(verdict(a, value, "self-consistency-v1", draws=draws))
    found = Votes().measure(Host(says({})).context("measure"), view(groups, verdicts))
    assert found["vote_share"] == pytest.approx(0.5)
    assert found["vote_decided_fraction"] == pytest.approx(2 / 3)
    assert found["vote_unanimous_fraction"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Ability(num_tasks=1), lambda: Ability(ks=(9,)), lambda: Ability(threshold=0.0),
        lambda: Ability(top_p=1.5), lambda: Groups(threshold=2.0), lambda: Ability(difficulty=-0.1),
        lambda: Ability(num_bins=-1),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"Ability|Groups"):
        wrong()
