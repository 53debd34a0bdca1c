"""Forecasts of runs: which points they read, what they say, what people get wrong."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.budget import Meter
from askesis.cli.main import main
from askesis.errors import ConfigError, RunError
from askesis.lab.follow_curve import CurveFollower
from askesis.lab.forecast import forecast_curve as forecast_slowly
from askesis.lab.forecast import forecast_run, forecast_words
from askesis.lab.measured_curve import CurveRecorder, recorder_of
from askesis.plan import Budget, Parts, Phase, Until

forecast_curve = partial(forecast_slowly, num_places=9)


def recorded(values, *, tokens=1000.0, planned_rounds=20, **known) -> CurveRecorder:
    """Rounds of 1,000 tokens that measured pass@1 on 128 tasks."""
    recorder = CurveRecorder(planned_rounds=planned_rounds, **known)
    for y in values:
        half = 1.96 * math.sqrt(y * (1 - y) / 128 + 1e-4)
        figures = {
            "measure/pass@1": y,
            "measure/pass@1/low": y - half,
            "measure/pass@1/high": y + half,
        }
        recorder.hear(tokens, 64, {} if math.isnan(y) else figures)
    return recorder


def rising(num: int) -> list[float]:
    return [0.1 + 0.5 * (1 - math.exp(-i / 5)) for i in range(num)]


# ---------------------------------------------------------------- the points


def test_a_curve_has_what_was_spent_and_how_sure_each_point_is():
    curve = recorded([0.1, math.nan, 0.3]).curve("pass@1")
    assert curve.rounds == (1, 3)
    assert curve.x == (1000.0, 3000.0)
    assert curve.errors[0] == pytest.approx(math.sqrt(0.1 * 0.9 / 128 + 1e-4), rel=1e-4)
    assert (curve.now, curve.x_per_round, curve.end_x) == (3000.0, 1000.0, 20_000.0)
    assert curve.bounds == (0.0, 1.0)
    assert [curve.round_at(x) for x in (500.0, 2000.0, 4500.0)] == [0.5, 2.0, 4.5]
    assert curve.x_at(5) == 5000.0


def test_a_figure_of_the_attempts_tells_of_the_weights_before_the_round():
    recorder = CurveRecorder()
    for y in (0.0, 0.25, 0.5):
        recorder.hear(100.0, 64, {"select/reward": y})
    curve = recorder.curve("reward")
    assert curve.x == (0.0, 100.0, 200.0)
    assert curve.now == 300.0
    assert curve.errors[2] == pytest.approx(math.sqrt(0.5 * 0.5 / 64))
    assert curve.errors[0] > 0  # none right of 64 is not certainty


def test_without_a_name_the_usual_figure_with_enough_points_is_taken():
    recorder = CurveRecorder()
    for i in range(8):
        sparse = {"measure/pass@1": 0.5} if i % 3 == 0 else {}
        recorder.hear(1.0, 8, {"select/good_fraction": 0.25, "learn/policy/loss": 1.0, **sparse})
    assert recorder.curve().metric == "select/good_fraction"  # pass@1 has three points only
    for _ in range(6):
        recorder.hear(1.0, 8, {"measure/pass@1": 0.5})
    assert recorder.curve().metric == "measure/pass@1"
    assert CurveRecorder().curve() is None
    with pytest.raises(ConfigError, match="pass@1"):
        recorder.curve("pas@1")


def test_a_run_that_generates_nothing_is_counted_in_rounds():
    curve = recorded(rising(4), tokens=0.0).curve()
    assert curve.axis == "rounds"
    assert (curve.x, curve.end_x) == ((1.0, 2.0, 3.0, 4.0), 20.0)


def test_the_nearer_of_rounds_and_tokens_is_the_end():
    assert recorded(rising(4), planned_tokens=9000.0).curve().end_x == 9000.0
    assert recorded(rising(4), planned_tokens=90_000.0).curve().end_x == 20_000.0


def test_a_loss_is_no_share_and_has_a_scale_of_its_own():
    recorder = CurveRecorder()
    for y in (3.0, 2.0, 1.5, 1.3):
        recorder.hear(10.0, 8, {"learn/policy/loss": y})
    curve = recorder.curve("loss")
    assert (curve.bounds, curve.scale) == ((-math.inf, math.inf), 1.7)
    assert forecast_curve(curve).end.value < 1.3


# ---------------------------------------------------------------- the forecast


def test_a_forecast_says_where_a_saturating_curve_ends():
    found = forecast_curve(recorded(rising(12)).curve())
    assert found.name == "pass@1" and found.is_planned
    assert found.now.round == 12 and found.end.round == 20
    assert found.end.low < 0.1 + 0.5 * (1 - math.exp(-19 / 5)) < found.end.high
    assert (
        found.end.low <= found.end.low_80 <= found.end.value <= found.end.high_80 <= found.end.high
    )
    assert found.end.measured_low < found.end.low and found.end.high < found.end.measured_high
    assert found.gain.low <= found.gain.value <= found.gain.high
    assert 0 < found.next_gain < found.gain.value
    assert found.gain_per_million == pytest.approx(1e6 * found.next_gain / 1000)
    assert sum(found.families.values()) == pytest.approx(1)
    assert [s.is_ahead for s in found.steps] == sorted(s.is_ahead for s in found.steps)


def test_a_price_says_whether_the_next_round_is_worth_it():
    curve = recorded(rising(12)).curve()
    gain = forecast_curve(curve).gain_per_million
    assert forecast_curve(curve).is_worth_it is None
    assert forecast_curve(curve, price=0.9 * gain).is_worth_it is True
    assert forecast_curve(curve, price=1.1 * gain).is_worth_it is False


def test_a_flat_curve_has_stopped_long_ago_and_a_steep_one_does_not_stop():
    flat = forecast_curve(recorded([0.3] * 15).curve())
    assert flat.stop_round is not None and flat.stop_round <= 15
    assert flat.chance_of_gain < 0.3
    steep = forecast_curve(recorded([0.05 + 0.03 * i for i in range(15)]).curve(), "25")
    assert steep.stop_round is None
    assert steep.chance_of_gain > 0.9
    assert forecast_curve(flat.curve, smallest_effect=1e-9).smallest_effect == 1e-9


def test_the_end_can_be_given_in_rounds_or_tokens():
    curve = recorded(rising(6)).curve()
    ends = {
        to: forecast_curve(curve, to).end.x for to in ("30", "30 rounds", "3e4 tokens", "30ktokens")
    }
    assert set(ends.values()) == {30_000.0}
    assert forecast_curve(replace(curve, end_x=None)).end.x == 12_000.0  # as much again
    assert not forecast_curve(replace(curve, end_x=6000.0)).is_planned  # the plan is done
    for wrong in ("soon", "6", "2 tokens", "-4", "1.2.3"):
        with pytest.raises(ConfigError):
            forecast_curve(curve, wrong)
    with pytest.raises(ConfigError, match="no tokens"):
        forecast_curve(recorded(rising(6), tokens=0.0).curve(), "9 tokens")


def test_plain_values_are_json_without_nan():
    recorder = CurveRecorder()
    for y in (3.0, 2.0, 1.5):
        recorder.hear(10.0, 0, {"learn/policy/loss": y})
    plain = forecast_curve(recorder.curve("loss")).plain()
    text = json.dumps(plain, allow_nan=False)
    assert json.loads(text)["points"][0]["low"] is None  # nobody said how sure it was
    assert plain["metric"] == "learn/policy/loss"
    assert {"x", "round", "value", "low", "high", "is_ahead"} <= set(plain["steps"][0])


def test_a_cut_curve_is_the_curve_of_then():
    whole, then = recorded(rising(12)).curve(), recorded(rising(5)).curve()
    assert forecast_curve(whole.first(5), "12").end == forecast_curve(then, "12").end


def test_words_tell_the_forecast_or_why_there_is_none():
    assert "nothing was measured" in forecast_words(CurveRecorder())
    assert "3 are needed" in forecast_words(recorded(rising(2)))
    words = forecast_words(recorded(rising(8)))
    assert words.startswith("forecast: pass@1 ") and "by round 20" in words
    assert forecast_words(recorded(rising(20))) == ""  # the plan is done


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=6),
    st.sampled_from(["measure/pass@1", "select/reward"]),
)
def test_no_figure_however_odd_breaks_the_words(values, key):
    recorder = CurveRecorder(planned_rounds=9)
    for y in values:
        recorder.hear(10.0, 4, {key: y, f"{key}/low": y - 1, f"{key}/high": math.inf})
    assert isinstance(forecast_words(recorder), str)


# ---------------------------------------------------------------- runs


def test_a_run_directory_is_forecast_and_shown(finished, capsys):
    found = forecast_run(finished, to="6")
    assert (found.curve.metric, len(found.curve.y), found.end.round) == ("measure/pass@1", 3, 6.0)
    assert main(["forecast", str(finished), "--to", "6", "--price", "0.5"]) == 0
    text = capsys.readouterr().out
    for part in ("pass@1", "further gain", "the next round", "price", "95 %"):
        assert part in text
    assert main(["forecast", str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_planned"] is False


def test_mistakes_are_one_line(finished, tmp_path, capsys):
    for words in (
        [str(tmp_path)],
        [str(finished), "--metric", "pass@9"],
        [str(finished), "--to", "2"],
    ):
        assert main(["forecast", *words]) != 0
        err = capsys.readouterr().err
        assert err.startswith("askesis: ") and err.count("\n") == 1


def test_too_few_points_are_refused_with_what_to_do():
    with pytest.raises(RunError, match="measure more often"):
        forecast_curve(recorded(rising(2)).curve())


def test_only_the_present_phase_is_read():
    def line(phase, y):
        return SimpleNamespace(
            phase=phase, costs={"generated/train": 10.0, "generated/measure": 99.0, "attempts": 4.0},
            metrics={"measure/pass@1": y},
        )  # fmt: skip

    lines = [line("warm", 0.1), line("main", 0.2), line("main", 0.3)]
    config = {
        "phases": [{"name": "warm"}, {"name": "main", "until": {"rounds": 7}}],
        "budget": {"tokens": 50.0},
    }
    recorder = recorder_of(SimpleNamespace(lines=lines, config=config))
    curve = recorder.curve()
    assert (curve.rounds, curve.x, curve.y) == ((2, 3), (10.0, 20.0), (0.2, 0.3))
    assert curve.end_x == 40.0  # what the first phase left of the budget


def test_a_follower_speaks_now_and_then_and_begins_anew_with_a_phase():
    phase = Phase(parts=Parts(), until=Until(rounds=40))
    run = SimpleNamespace(
        meter=Meter(), plan=SimpleNamespace(budget=Budget()), position=SimpleNamespace(total=0)
    )
    follower = CurveFollower()
    follower.began(run)
    spoke = []
    for i, y in enumerate(rising(12), 1):
        run.meter.counts["generated/train"] += 1000
        run.position.total = i
        if follower.ended(run, phase, {"measure/pass@1": y, "learn/policy/loss": 1.0}):
            spoke.append(i)
    assert spoke == [3, 4, 5, 6, 8, 10]
    assert "by round 40" in follower.words
    run.position.total += 1
    assert follower.ended(run, replace(phase, name="second"), {"measure/pass@1": 0.5}) == ""
    assert follower.words == ""


# ---------------------------------------------------------------- the backtest


def arm_result(recipe, world, seed, values) -> dict:
    """What `askesis.lab.arm` writes of an arm that is done."""
    rows = [
        {"round": i, "tokens": 1000.0 * (i + 1), **metrics}
        for i, metrics in enumerate(recorded(values).metrics)
    ]
    arm = {"recipe": recipe, "options": [["world", world]], "seed": seed}
    return {"arm": arm, "error": "", "measured": rows}


@pytest.mark.slow
def test_the_backtest_judges_only_on_what_it_was_not_tuned_on(tmp_path, monkeypatch):
    pytest.importorskip("torch")  # the page names its version
    from benchmarks.forecast_backtest import HELD, backtest
    from benchmarks.forecast_page import page

    monkeypatch.setattr("benchmarks.forecast_backtest.CHANGE_MEANS", (0.2,))
    monkeypatch.setattr("benchmarks.forecast_backtest.CHANGE_SPREADS", (0.2,))
    rng = np.random.default_rng(0)
    trial, proper = 100, 0  # seeds
    arms = [
        ("rft", "a", trial), ("rft", "a", trial), ("grpo", "a", proper), ("rft", "b?x=1", trial),
        ("grpo", "b", proper), ("rft", "a", proper), ("grpo", "a", trial),
    ]  # fmt: skip
    for i, (recipe, world, seed) in enumerate(arms):
        values = np.clip(np.array(rising(20)) + 0.02 * rng.normal(size=20), 0.01, 0.99).tolist()
        place = tmp_path / f"{recipe}-{i}"
        place.mkdir()
        (place / "result.json").write_text(json.dumps(arm_result(recipe, world, seed, values)))
    found = backtest([tmp_path])
    assert (found["num_arms"], found["num_arms_used"], found["num_cases"]) == (7, 5, 15)
    assert found["recipes"]["tuned on"] == ["rft"] and found["worlds"]["tuned on"] == ["a"]
    assert [found["recipes"][g] for g in HELD] == [["grpo"], ["rft"], ["grpo"]]
    judged = found["groups"]["tuned"]["held out"]
    assert judged["num_cases"] == 9
    errors = judged["errors"]
    assert errors["weighted curves"]["error"]["value"] < errors["last value"]["error"]["value"]
    described = {"processor": "p", "cores": 1, "torch": "t"}
    text = page(
        {**found, "command": "c", "date": "d", "machine": described, "smallest_effect": 0.02}
    )
    assert "| held-out recipe | grpo | a |" in text
