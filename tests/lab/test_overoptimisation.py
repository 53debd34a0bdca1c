"""Reward and truth over the distance from the first model, read from a run's metrics."""

from __future__ import annotations

import json

import numpy as np
import pytest

from askesis.cli.main import main
from askesis.formulas.overoptimisation import hump
from askesis.lab.overoptimisation import over_optimisation, points_of


class Store:
    """Metrics that a run wrote."""

    def __init__(self, rows):
        self.rows = rows

    def metrics(self, *keys):
        return [r for r in self.rows if r["key"] in keys]


def rows(num: int, rate: float = 0.4, noise: float = 0.004):
    """A run whose distance grows evenly, whose reward rises and whose truth follows a hump with
    its top at e."""
    rng, found = np.random.default_rng(0), []
    for i in range(num):
        d = rate * (i + 1)
        values = {
            "measure/drift/kl_base": d * d,
            "select/reward": 0.1 * rate * i,
            "measure/pass@1": 0.2 + 0.2 * hump(d, 1.0, 0.5) + rng.normal(0, noise),
        }
        found += [{"round": i, "key": k, "value": v} for k, v in values.items()]
    return found


def test_the_reward_of_a_point_is_that_of_the_same_weights():
    points = points_of(rows(4))
    assert [p.distance for p in points] == pytest.approx([0.4, 0.8, 1.2, 1.6])
    # the next round's attempts were made by these weights
    assert [p.proxy for p in points[:3]] == pytest.approx([0.04, 0.08, 0.12])
    assert np.isnan(points[3].proxy)


def test_a_run_that_went_too_far_is_past_its_top():
    found = over_optimisation(Store(rows(14)))
    assert found.truth.peak.low < np.e < found.truth.peak.high
    assert found.past_peak
    assert "past its predicted top" in found.sentence()
    assert not found.proxy.turns  # what is optimised only rises


def test_the_top_is_foretold_from_early_rounds():
    found = over_optimisation(Store(rows(10, rate=0.2, noise=1e-4)))
    assert found.points[-1].distance == pytest.approx(2.0)
    assert found.truth.peak.value == pytest.approx(np.e, rel=0.1)
    assert "is predicted to turn at" in found.sentence()


def test_little_is_said_of_little():
    assert "too few" in over_optimisation(Store(rows(3))).sentence()
    assert "no top is shown" in over_optimisation(Store(rows(5, rate=0.1, noise=0.02))).sentence()
    nothing = over_optimisation(Store([]))
    assert nothing.points == () and nothing.proxy is None and not nothing.past_peak


def test_rounds_that_were_not_measured_or_are_not_finite_are_left_out():
    some = [r for r in rows(6) if not (r["round"] == 2 and "pass" in r["key"])]
    some[0]["value"] = float("nan")
    assert [p.round for p in points_of(some)] == [1, 3, 4, 5]
    some[3]["value"] = -0.01  # k1 estimates can be negative
    assert points_of(some)[0].distance == 0


def test_the_command_shows_the_points_and_the_sentence(tmp_path, monkeypatch, capsys):
    class Opened(Store):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    store = Opened(rows(14))
    monkeypatch.setattr("askesis.store.run_store.RunStore.open", lambda path: store)
    assert main(["drift", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "sqrt(KL to base)" in told and "past its predicted top" in told
    assert main(["drift", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["past_peak"] and found["points"][-1]["proxy"] is None
    store.rows = []
    assert main(["drift", str(tmp_path)]) == 2
    assert "did not measure how far it went" in capsys.readouterr().err
