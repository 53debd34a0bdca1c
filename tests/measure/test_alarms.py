"""Alarms on made-up histories: each is set off by what it is about, and by nothing else."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import ConfigError
from askesis.measure.alarms.fell import Forgetting, JudgeDrift
from askesis.measure.alarms.history import MEMORY, History, spread, standard_error
from askesis.measure.alarms.level import WastedGroups
from askesis.measure.alarms.monitor import REST, Monitor, open_alarms, rows_of
from askesis.measure.alarms.outran import RewardHacking
from askesis.measure.alarms.windows import changes, together, windows
from askesis.registry import ALARMS
from tests.measure.histories import PROVOKED, Rows, history, with_interval

EVERY = open_alarms(("all",))


def raised(rows: Rows, alarms=EVERY) -> dict[str, int]:
    """The first round after which each alarm was raised."""
    found: dict[str, int] = {}
    for alarm in Monitor(alarms).replay(rows):
        found.setdefault(alarm.name, alarm.round)
    return found


# ---------------------------------------------------------------- what sets them off


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_is_set_off_by_what_it_is_about(name):
    rows = history(change=PROVOKED[name])
    (alarm,) = open_alarms((name,))
    at = raised(rows, [alarm])[name]
    assert 8 <= at <= 22, "it began in round 8 (forgetting: 12)"
    one = alarm.look(History(rows[: at + 1]))
    assert one.round == at and one.value > one.threshold
    assert one.words and one.meaning and one.advice


@pytest.mark.parametrize("rise", [0.0, 0.01, 0.03])
def test_no_alarm_is_set_off_by_a_clean_run(rise):
    for seed in range(2):
        assert raised(history(seed=seed, rise=rise)) == {}


@pytest.mark.parametrize("name", ["wasted_groups", "judge_drift", "non_finite_updates"])
def test_an_alarm_sets_no_other_one_off(name):
    assert set(raised(history(change=PROVOKED[name]))) == {name}


def test_a_judge_that_errs_from_the_first_round_on_is_found_though_it_does_not_drift():
    rows = history(8, change=lambda i, m: {"measure/audit/false_fail": 0.25})
    assert raised(rows) == {"judge_drift": JudgeDrift().window - 1}


def test_what_rises_together_with_the_truth_is_no_hacking():
    rows = history(rise=0.02, change=lambda i, m: {"select/reward": 0.2 + 0.025 * i})
    assert raised(rows) == {}


def test_a_model_that_repeats_its_right_answers_has_not_collapsed():
    rows = history(
        rise=0.03,
        change=lambda i, m: {"measure/train_distinct_fraction": 1.1 - m["measure/pass@1"]},
    )
    assert raised(rows) == {}


def test_a_reward_on_a_free_scale_is_read_in_units_of_its_first_spread():
    def free(i, m):
        return {"select/reward": 5.0, "select/reward_std": 4.0, "measure/pass@1": 0.2}

    def scaled(rows: Rows, rise: float) -> Rows:
        return [(i, p, {**m, **with_interval("select/reward", 5 + rise * i, 0.2)})
                for i, p, m in rows]  # fmt: skip

    flat = history(change=free)
    assert raised(scaled(flat, 0.0)) == {}
    assert raised(scaled(flat, 0.5)).keys() == {"reward_hacking"}
    unknown = [(i, p, {k: v for k, v in m.items() if k != "select/reward_std"})
               for i, p, m in scaled(flat, 0.5)]  # fmt: skip
    assert raised(unknown) == {}


def test_scores_of_named_worlds_are_compared_over_phases_and_others_are_not():
    first = history(8, rise=0.0, change=lambda i, m: {"measure/pass@1": 0.7})
    second = [(8 + i, "other", m) for i, _, m in history(8, rise=0.0)]
    assert raised([*first, *second]) == {}, "another phase may measure another world"
    named = [(i, p, with_interval("measure/world/main/pass@1", 0.7 if p == "main" else 0.2))
             for i, p, _ in [*first, *second]]  # fmt: skip
    assert raised(named).keys() == {"forgetting"}


def test_groups_of_one_attempt_are_never_called_wasted():
    rows = [(i, "main", {"measure/groups_all_wrong": 1.0}) for i in range(12)]
    assert raised(rows) == {}
    several = [(i, p, {**m, "measure/train_distinct_fraction": 1.0}) for i, p, m in rows]
    assert raised(several) == {"wasted_groups": WastedGroups().window - 1}


def test_an_alarm_is_raised_again_only_after_it_has_been_silent():
    refused = [1.0] * 3 + [0.0] * (REST - 1) + [1.0] + [0.0] * (REST + 1) + [1.0]
    rows = [(i, "main", {"learn/policy/num_refused": n}) for i, n in enumerate(refused)]
    assert [a.round for a in Monitor(EVERY).replay(rows)] == [0, len(rows) - 1]


@pytest.mark.parametrize("at", [3, 10, 13, 20])
def test_a_resumed_monitor_raises_what_the_uninterrupted_one_raises(at):
    rows = history(26, change=PROVOKED["non_finite_updates"])
    rows = [(i, p, {**m, "learn/policy/num_refused": float(i in (9, 10, 19))}) for i, p, m in rows]
    whole, again = Monitor(EVERY), Monitor(EVERY)
    raised_before = [len(whole.add(*row)) for row in rows]
    again.resume(rows[:at])
    assert [len(again.add(*row)) for row in rows[at:]] == raised_before[at:]
    assert sum(raised_before) == 2


def test_a_history_keeps_only_its_newest_points():
    seen = History([(i, "main", {"x": float(i)}) for i in range(1000)])
    assert len(seen.series("x")) == MEMORY
    assert seen.series("x").values[-1] == 999.0


# ---------------------------------------------------------------- hostile histories


def test_histories_that_say_nothing_set_nothing_off():
    for rows in (
        [],
        history(1),
        [(i, "main", {}) for i in range(30)],
        [(i, f"phase {i}", m) for i, _, m in history()],
    ):
        assert raised(rows) == {}


def test_figures_that_are_no_numbers_count_as_unknown():
    for worst in (math.nan, math.inf):
        rows = [(i, p, dict.fromkeys(m, worst)) for i, p, m in history()]
        assert raised(rows) == {}
        some = [row if i % 3 else rows[i] for i, row in enumerate(history())]
        assert raised(some) == {}
        no_ends = [(i, p, {k: worst if k.endswith(("/low", "/high")) else v for k, v in m.items()})
                   for i, p, m in history()]  # fmt: skip
        assert raised(no_ends) == {}


def test_a_provoked_run_with_holes_in_its_figures_is_still_found():
    rows = history(40, change=PROVOKED["reward_hacking"])
    holes = [(i, p, {k: v for k, v in m.items() if i % 2 or "pass@1" not in k})
             for i, p, m in rows]  # fmt: skip
    assert "reward_hacking" in raised(holes)


metrics = st.dictionaries(
    st.sampled_from(sorted({k for _, _, m in history(1) for k in m})),
    st.floats(allow_nan=True, allow_infinity=True),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), metrics), max_size=12))
def test_no_history_makes_an_alarm_fail_and_looking_changes_nothing(rounds):
    rows = [(i, phase, m) for i, (phase, m) in enumerate(rounds)]
    monitor = Monitor(EVERY)
    live = [a for row in rows for a in monitor.add(*row)]
    assert live == Monitor(EVERY).replay(rows), "the same rows raise the same alarms"
    for alarm in EVERY:
        assert alarm.look(monitor.history) == alarm.look(History(rows))
        found = alarm.strongest(monitor.history)
        assert found is None or math.isfinite(found.value)


# ---------------------------------------------------------------- what they are made of


def test_an_error_is_read_off_the_wider_side_of_an_interval():
    assert standard_error(0.1, 0.0, 0.296) == pytest.approx(0.1)
    assert math.isnan(standard_error(0.1, None, 0.3))
    assert math.isnan(standard_error(0.1, 0.2, math.nan))


def test_the_spread_is_at_least_what_neighbours_differ_by_and_one_jump_is_no_noise():
    calm = np.full(12, 0.1)
    assert spread(calm, np.full(12, 0.02)) == pytest.approx(0.02)
    jump = np.concatenate([calm, calm + 0.5])
    assert spread(jump, np.full(24, 0.02)) == pytest.approx(0.02)
    rough = np.random.default_rng(0).normal(0, 0.2, 400)
    assert spread(rough, np.full(400, 0.02)) == pytest.approx(0.2, abs=0.03)


def test_every_size_of_window_is_compared_with_every_earlier_one():
    rows = [(i, "main", with_interval("x", float(i), 0.1)) for i in range(5)]
    found = changes(History(rows).series("x"), (1, 2))
    assert found.differences == pytest.approx([4, 3, 2, 1, 3, 2])
    assert found.before == pytest.approx([0, 1, 2, 3, 0.5, 1.5])
    assert found.rounds.tolist() == [0, 1, 2, 3, 1, 2]
    assert found.errors == pytest.approx([0.1 * 2**0.5] * 4 + [0.1] * 2)


def test_windows_are_means_of_neighbours_with_the_error_of_a_mean():
    rows = [(i, "main", with_interval("x", v, 0.06)) for i, v in enumerate([0.0, 0.3, 0.6, 0.9])]
    means, errors = windows(History(rows).series("x"), 2)
    assert means == pytest.approx([0.15, 0.45, 0.75])
    assert errors == pytest.approx(0.06 / 2**0.5)


def test_a_figure_of_every_round_is_averaged_between_the_measurements_of_the_truth():
    rows = [(i, "main", {"a": float(i), **({"t": 1.0} if i % 3 == 2 else {})}) for i in range(9)]
    seen = History(rows)
    figure, truth = together(seen.series("a"), seen.series("t"))
    assert truth.rounds.tolist() == [2, 5, 8]
    assert figure.values.tolist() == [1.0, 4.0, 7.0]


def test_rows_of_the_ledger_become_a_history_with_empty_rounds_kept():
    rounds = [{"round": 0, "phase": "a"}, {"round": 1, "phase": "b"}]
    found = rows_of([{"round": 1, "key": "x", "value": 2.0}], rounds)
    assert found == [(0, "a", {}), (1, "b", {"x": 2.0})]


# ---------------------------------------------------------------- names and options


def test_alarms_are_chosen_by_name_with_options():
    assert [a.name for a in EVERY] == list(ALARMS)
    assert open_alarms(("none",)) == ()
    (one,) = open_alarms(("forgetting?z=4&keys=measure/score+measure/pass@4&windows=2+4",))
    assert one == Forgetting(z=4.0, keys=("measure/score", "measure/pass@4"), windows=(2, 4))
    changed = open_alarms(("all", "reward_hacking?margin=0.2"))
    assert len(changed) == len(ALARMS) and changed[0] == RewardHacking(margin=0.2)


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        (("forgeting",), "Did you mean 'forgetting'"),
        (("forgetting?zz=1",), "no option 'zz'"),
        (("forgetting?z=-1",), "above 0"),
        (("forgetting?windows=0+2",), "at least 1"),
        (("forgetting?windows=some",), "wrong value"),
        (("judge_drift?window=1",), "at least 2"),
        (("none", "forgetting"), "stands alone"),
    ],
)
def test_a_wrong_name_or_option_is_told_in_one_line(specs, words):
    with pytest.raises(ConfigError, match=words):
        open_alarms(specs)
