"""The expected gain: fitted, predicted, and honest about what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.lab.diagnose.gains import (
    FILE,
    Gains,
    Outcome,
    driver_value,
    fit_gains,
    growth,
    read_gains,
    seen_drivers,
    write_gains,
)


def made(num_pairs: int = 8, noise: float = 0.0) -> list[Outcome]:
    """Pairs whose rft gains 0.3 mixed + 0.2 headroom x mixed, and rest_em half of it."""
    rng = np.random.default_rng(0)
    found = []
    for p in range(num_pairs):
        figures = {"pass@1": rng.uniform(0, 0.6), "mixed@8": rng.uniform(0, 0.8),
                   "headroom": rng.uniform(0, 0.7)}  # fmt: skip
        full = figures["mixed@8"] * (0.3 + 0.2 * figures["headroom"])
        for recipe, share in (("rft", 1.0), ("rest_em", 0.5)):
            for _ in range(2):
                gain = share * full + noise * rng.standard_normal()
                found.append(Outcome(f"pair {p}", recipe, "own right answers", figures, gain))
    return found


def test_the_model_finds_what_the_gains_were_made_of():
    gains = Gains(fit_gains(made()))
    figures = {"pass@1": 0.1, "mixed@8": 0.5, "headroom": 0.6}
    expected = 0.5 * (0.3 + 0.2 * 0.6)
    assert gains.predict("rft", "own right answers", figures).value == pytest.approx(expected, 0.05)
    half = gains.predict("rest_em", "own right answers", figures).value
    assert half == pytest.approx(expected / 2, rel=0.1)


def test_no_signal_is_no_gain():
    gains = Gains(fit_gains(made(noise=0.01)))
    none = {"pass@1": 0.0, "mixed@8": 0.0, "headroom": 0.0}
    assert gains.predict("rft", "own right answers", none).value == 0


def test_noise_widens_the_interval_and_pass_at_one_stays_a_share():
    figures = {"pass@1": 0.02, "mixed@8": 0.1, "headroom": 0.2}
    quiet = Gains(fit_gains(made())).predict("rft", "own right answers", figures)
    loud = Gains(fit_gains(made(noise=0.05))).predict("rft", "own right answers", figures)
    assert quiet.high - quiet.low < loud.high - loud.low
    assert loud.low >= -0.02
    full = {"pass@1": 0.99, "mixed@8": 0.8, "headroom": 0.7}
    assert Gains(fit_gains(made())).predict("rft", "own right answers", full).high <= 0.0100001


def test_a_recipe_that_was_not_studied_gets_its_familys_gain_and_a_wider_interval():
    gains = Gains(fit_gains(made(noise=0.01)))
    figures = {"pass@1": 0.1, "mixed@8": 0.5, "headroom": 0.6}
    known = gains.predict("rft", "own right answers", figures)
    new = gains.predict("star", "own right answers", figures)
    assert new.high - new.low > known.high - known.low


def test_what_nobody_studied_is_not_known():
    gains = Gains(fit_gains(made()))
    assert gains.predict("dpo", "preferences", {"pass@1": 0.1}) is None
    assert gains.predict("rft", "own right answers", {"pass@1": 0.1}) is None
    assert fit_gains(made(num_pairs=2)) == {}
    assert Gains().predict("rft", "own right answers", {}) is None


def test_outside_of_what_was_studied_is_said():
    outcomes = made()
    gains = Gains(fit_gains(outcomes), seen_drivers(outcomes))
    inside = outcomes[0].figures
    assert gains.outside("own right answers", inside) == ()
    far = dict(inside) | {"mixed@8": 0.999}
    assert "mixed@8 1.00 (studied: " in gains.outside("own right answers", far)[0]


def test_gains_grow_with_the_budget_and_level_off():
    gains = Gains(budget_tokens=2e5, tau_tokens=1e5)
    shares = [gains.budget_share(t) for t in (None, 1e5, 2e5, 1e9)]
    # (1 - e^-1) / (1 - e^-2) and 1 / (1 - e^-2)
    assert shares == pytest.approx([1.0, 0.7310586, 1.0, 1.1565176])
    assert Gains().budget_share(1e6) == 1.0
    assert growth(1e5, 1e5) == pytest.approx(1 - np.exp(-1))


def test_drivers_are_products_of_figures_and_room_is_what_is_left():
    figures = {"pass@1": 0.25, "reference/surprise": 0.4}
    assert driver_value("room * reference/surprise", figures) == pytest.approx(0.3)
    assert driver_value("headroom * mixed@8", figures) is None


def test_constants_are_read_back_as_they_were_written(tmp_path):
    outcomes = made()
    gains = Gains(fit_gains(outcomes), seen_drivers(outcomes), 2e5, 1e5,
                  {"rft": {"tasks.num": "64"}}, {"date": "2026-11-21"})  # fmt: skip
    write_gains(gains, tmp_path / "gains.json")
    assert read_gains(tmp_path / "gains.json") == gains


def test_the_constants_of_the_package_say_where_they_come_from():
    gains = read_gains()
    assert FILE.exists()
    assert bool(gains.families) == bool(gains.about)
    if gains.families:
        assert {"command", "date", "commit", "machine", "num_pairs"} <= set(gains.about)
        assert gains.budget_tokens > 0
