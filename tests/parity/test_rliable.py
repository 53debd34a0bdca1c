"""Comparisons over seeds and worlds agree with rliable, the field's reference for them.

golden/rliable.json was written by write_rliable.py (its versions are in the file). Values agree to
rounding; intervals are bootstraps with other draws, so they agree to the step between two
neighbouring quantiles of 50,000 draws of five runs.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from askesis.formulas.crossed import performance_profile, probability_of_improvement

GOLDEN = json.loads((Path(__file__).parent / "golden" / "rliable.json").read_text())
FIRST, SECOND = np.array(GOLDEN["first"]), np.array(GOLDEN["second"])


@pytest.mark.parametrize("world", [0, 1, 2])
def test_the_probability_of_improvement_is_that_of_rliable(world):
    value, low, high = GOLDEN["probability_of_improvement"][str(world)]
    rng = np.random.default_rng(1)
    found = probability_of_improvement(FIRST[:, world], SECOND[:, world], rng, num_draws=5_000)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert found.low == pytest.approx(low, abs=0.041)  # 1/25: one pair of runs
    assert found.high == pytest.approx(high, abs=0.041)


def test_the_performance_profile_is_that_of_rliable():
    runs = {str(w): SECOND[:, w] for w in range(3)}
    found = performance_profile(
        runs, GOLDEN["thresholds"], np.random.default_rng(1), num_draws=5_000
    )
    assert [e.value for e in found] == pytest.approx(GOLDEN["profile"], abs=1e-12)
    step = 1 / 15 + 1e-9  # one run of five on three worlds
    assert [e.low for e in found] == pytest.approx(GOLDEN["profile_low"], abs=step)
    assert [e.high for e in found] == pytest.approx(GOLDEN["profile_high"], abs=step)
    assert max(e.high - e.low for e in found) > 0.2  # there is something to agree on
