"""Comparison at equal budget: what is run, how curves are read, and what may be concluded."""

import json
from dataclasses import replace

import pytest

from askesis.cli.main import main
from askesis.errors import ConfigError, RunError
from askesis.lab.arm import Arm, ArmResult, Point
from askesis.lab.arms import run_arms
from askesis.lab.compare.compare import check, compare, summary
from askesis.lab.compare.contest import Contest, Entrant, entrants
from askesis.lab.compare.curves import at, curve, spent
from askesis.lab.compare.record import read_comparison
from askesis.lab.compare.table import lines
from askesis.lab.compare.tuning import tune
from askesis.models.tiny import tiny_model

CONTEST = Contest((Entrant("slow", "rft"), Entrant("fast", "grpo")), ("w",), {"tokens": 100.0},
                  (0, 1, 2, 3, 4), num_tasks=40, num_attempts=2)  # fmt: skip


def result(seed: int, figures: list[float], marks: list[float], seconds: float = 10.0, error="",
           num_tasks: int = 40) -> ArmResult:  # fmt: skip
    """An arm whose snapshots have these pass@1, at these tokens."""
    points = tuple(
        Point(
            f"policy@{i}", i, {"tokens": m, "trained_tokens": 2 * m, "seconds": seconds * m / 100},
            tuple((1.0, 1.0) if t < round(f * num_tasks) else (0.0, 0.0) for t in range(num_tasks)),
            5.0, 0.0,
        )
        for i, (f, m) in enumerate(zip(figures, marks, strict=True))
    )  # fmt: skip
    arm = Arm("a", "rft", (), seed, {"tokens": 100.0})
    whole = {"tokens": marks[-1], "seconds": seconds, "core_seconds": 2 * seconds}
    return ArmResult(arm, "budget", whole, points, (), error=error)


def both(slow: list[float], fast: list[float], fast_seconds: float = 10.0) -> dict:
    def some(ends: list[float], seconds: float) -> list[ArmResult]:
        return [result(s, [0.2, e], [0.0, 110.0], seconds) for s, e in enumerate(ends)]

    return {("w", "slow"): some(slow, 10.0), ("w", "fast"): some(fast, fast_seconds)}


def test_curves_are_read_at_the_budget_between_snapshots():
    one = result(0, [0.2, 0.4, 0.8], [0.0, 90.0, 110.0])
    assert at(one, "tokens", 100.0, "pass@1").mean() == pytest.approx(0.6)
    assert at(one, "tokens", 0.0, "pass@1").mean() == pytest.approx(0.2)
    assert at(one, "tokens", 999.0, "pass@1").mean() == pytest.approx(0.8), (
        "its last beyond its end"
    )
    drawn = curve([one, result(1, [0.2, 0.4], [0.0, 60.0])], "tokens", "pass@1")
    assert drawn[-1]["x"] == 60.0, "only as far as all seeds went"


def test_core_seconds_on_the_way_follow_the_seconds_of_the_rounds():
    one = result(0, [0.2, 0.4, 0.8], [0.0, 50.0, 100.0])
    assert [spent(one, p, "core_seconds") for p in one.points] == [0.0, 10.0, 20.0]


def test_a_clear_winner_is_called_one_and_equal_arms_are_not():
    clear = summary(CONTEST, both([0.3] * 5, [0.6, 0.62, 0.58, 0.6, 0.61]))
    assert any(s.startswith("fast ended above slow") for s in clear["conclusions"])
    assert clear["improvement"]["w"]["fast"]["slow"]["probability"] == 1.0
    assert clear["ranking"]["w"]["tokens"] == ["fast", "slow"]
    noisy = [0.3, 0.5, 0.4, 0.35, 0.45]
    equal = summary(CONTEST, both(noisy, noisy[::-1]))
    told = [s for s in equal["conclusions"] if "no difference shown between" in s]
    assert told and "would have been seen" in told[0]


def test_a_winner_by_tokens_that_loses_by_time_is_shown_as_such():
    found = summary(CONTEST, both([0.5] * 5, [0.6] * 5, fast_seconds=100.0))
    assert found["ranking"]["w"]["tokens"][0] == "fast"
    assert found["ranking"]["w"]["core_seconds"][0] == "slow"
    assert any(
        "counted in core seconds" in s and "slow is ahead" in s for s in found["conclusions"]
    )


def test_one_seed_concludes_nothing_and_says_so():
    one = replace(CONTEST, seeds=(0,))
    results = {k: v[:1] for k, v in both([0.3] * 5, [0.9] * 5).items()}
    found = summary(one, results)
    assert len(found["conclusions"]) == 1 and "cannot be said from one" in found["conclusions"][0]
    assert found["at_budget"]["w"]["fast"]["pass@1"]["low"] is None
    assert json.dumps(found, allow_nan=False)


def test_failed_arms_are_named_and_the_others_count():
    results = both([0.3] * 5, [0.6] * 5)
    results["w", "slow"][2] = replace(results["w", "slow"][2], error="disk full", points=())
    found = summary(CONTEST, results)
    assert found["failed"] == [{"world": "w", "arm": "slow", "seed": 2, "why": "disk full"}]
    assert len(found["at_budget"]["w"]["slow"]["pass@1"]["per_seed"]) == 4
    gone = {k: [replace(r, error="x", points=()) for r in v] for k, v in results.items()}
    assert any("no arm was finished" in line for line in lines(summary(CONTEST, gone)))


def test_options_go_to_the_arm_they_name():
    arms, common = entrants(
        ["rft", "hot=rft", "my.py:mine"],
        [("hot.explore.temperature", "2"), ("tasks.num", "8"), ("mine.rounds", "3")],
    )
    assert [(a.name, a.recipe, a.options) for a in arms] == [
        ("rft", "rft", ()),
        ("hot", "rft", (("explore.temperature", "2"),)),
        ("mine", "my.py:mine", (("rounds", "3"),)),
    ]
    assert common == (("tasks.num", "8"),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": {}}, "needs a budget"),
        ({"budget": {"tokns": 5.0}}, "tokens"),
        ({"budget": {"tokens": 0.0}}, "above 0"),
        ({"entrants": (Entrant("a", "rft"),)}, "two arms"),
        ({"entrants": (Entrant("a", "rft"), Entrant("a", "grpo"))}, "two arms are called"),
        ({"seeds": (1, 1)}, "differ"),
        ({"metric": "pass@8"}, "raise --attempts"),
        ({"metric": "accuracy"}, "pass@K or score"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(CONTEST, **changes)


def test_a_budget_too_small_for_one_round_is_refused_before_anything_runs():
    with pytest.raises(ConfigError, match="too small for one round of slow"):
        check(replace(CONTEST, worlds=("countdown",)))
    with pytest.raises(ConfigError, match="nothing"):
        check(replace(CONTEST, worlds=("countdown",), entrants=(Entrant("a", "nothing"),) * 1
                      + (Entrant("b", "rft"),), budget={"tokens": 1e9}))  # fmt: skip


def test_arms_by_the_clock_run_alone(tmp_path):
    arm = Arm("a", "rft", (), 0, {"seconds": 5.0})
    with pytest.raises(ConfigError, match="one worker"):
        run_arms([arm], tmp_path, workers=2)


def test_the_help_names_every_option(capsys):
    assert main(["compare", "--help"]) == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("--seeds", "--budget.tokens", "--workers", "--out"))


@pytest.mark.slow
def test_two_recipes_are_compared_from_end_to_end_and_go_on_where_they_were(tmp_path, capsys):
    tiny_model("policy", seed=0).save(tmp_path / "start")
    words = ["compare", "rft", "grpo", "--world", "countdown", "--budget.tokens", "2500",
             "--seeds", "1", "--num", "30", "--attempts", "2", "--snapshots", "2", "--tasks.num", "8",
             "--out", str(tmp_path / "c"), "--model", str(tmp_path / "start"),
             "--measure-every", "100"]  # fmt: skip
    assert main(words) == 0
    first = read_comparison(tmp_path / "c")
    told = capsys.readouterr().out
    assert "one seed was run" in told and "2 of 2 arms" in told
    assert not first.failed and first.worlds == ["countdown"]
    curves = first.curves["countdown"]
    assert {"tokens", "trained_tokens", "seconds", "flops"} <= set(curves["rft"])
    again = next((tmp_path / "c" / "arms").glob("rft-0-*"))
    points = json.loads((again / "result.json").read_text())["points"]
    assert points[0]["spent"] == {}, "the start has cost nothing"
    (again / "result.json").unlink()
    assert main(words) == 0
    second = read_comparison(tmp_path / "c")
    assert second.at_budget == first.at_budget
    with pytest.raises(RunError, match="another comparison"):
        compare(replace(CONTEST, worlds=("countdown",), budget={"tokens": 1e9}), tmp_path / "c")


def test_every_arm_tries_the_same_values_and_takes_what_was_best_on_decide_tasks(
    tmp_path, monkeypatch
):
    asked = []

    def run(arms, folder, **_):
        asked.append((folder.name, arms))
        rates = [dict(a.options)["rate"] for a in arms]
        return [
            replace(
                result(a.seed, [0.2, 0.7 if (a.recipe, rate) in good else 0.3], [0.0, 100.0]),
                error="it failed" if (a.recipe, rate) == ("grpo", "3") else "",
            )
            for a, rate in zip(arms, rates, strict=True)
        ]

    good = {("rft", "2"), ("grpo", "1")}
    monkeypatch.setattr("askesis.lab.compare.tuning.run_arms", run)
    monkeypatch.setattr("askesis.lab.compare.compare.run_arms", run)
    monkeypatch.setattr("askesis.lab.compare.compare.check", lambda contest: None)
    contest = replace(CONTEST, tune=(("rate", ("1", "2", "3")),), tune_share=0.5)
    found = compare(contest, tmp_path)
    (first, trials), (_, arms) = asked
    assert first == "trials" and len(trials) == 6
    assert {a.look.role for a in trials} == {"decide"} and {a.seed for a in trials} == {100}
    assert {a.budget["tokens"] for a in trials} == {50.0}
    assert {a.look.role for a in arms} == {"claim"}
    assert {(a.recipe, dict(a.options)["rate"]) for a in arms} == good
    tuned = found["tuned"]["w"]
    assert tuned["slow"]["chosen"] == {"rate": "2"} and tuned["fast"]["chosen"] == {"rate": "1"}
    assert tuned["fast"]["tried"][2] == {"options": {"rate": "3"}, "value": None}
    assert "tuned on decide tasks of w: slow: rate 2; fast: rate 1" in lines(found)
    assert read_comparison(tmp_path).tuned["w"]["slow"].tried[1].value == pytest.approx(0.7)


def test_one_value_is_taken_without_a_trial(tmp_path):
    contest = replace(CONTEST, tune=(("rate", ("2",)),))
    found = tune(contest, tmp_path)
    assert {t.chosen for t in found.values()} == {(("rate", "2"),)}


@pytest.mark.parametrize("change", [{"tune": (("rate", ()),)}, {"tune": (("rate", ("1", "1")),)},
                                    {"tune_share": 0.0}, {"tune_share": 1.5}])  # fmt: skip
def test_a_grid_that_cannot_be_is_refused(change):
    with pytest.raises(ConfigError):
        replace(CONTEST, **change)


def test_a_comparison_with_the_seed_of_tuning_is_refused(tmp_path):
    contest = replace(CONTEST, seeds=(99, 100), tune=(("rate", ("1", "2")),))
    with pytest.raises(ConfigError, match="seed 100"):
        tune(contest, tmp_path)


def test_a_folder_of_before_there_was_tuning_still_goes_on(tmp_path):
    from dataclasses import asdict

    from askesis.lab.compare.compare import _claim

    old = {k: v for k, v in asdict(CONTEST).items() if not k.startswith("tune")}
    (tmp_path / "contest.json").write_text(json.dumps(old))
    _claim(tmp_path, CONTEST)
