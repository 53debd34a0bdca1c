"""Divergence at a price of its own for first answers and for later ones."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.learn.turn_credit import KLOfTurns
from askesis.records import Sample, Sequence


def sample(**columns: list[float]) -> Sample:
    rows = {name: np.array(values, np.float32) for name, values in columns.items()}
    return Sample("policy", (Sequence(np.arange(4, dtype=np.int32), rows),))


ONE = sample(weight=[0, 1, 1, 1], turn=[0, 1, 2, 2], advantage=[0, 1, 1, 1],
             logp_old=[9, -1, -1, -2], logp_reference=[0, -2, -2, -1])  # fmt: skip


def test_each_turn_pays_its_own_price_for_its_log_ratio():
    (made,), metrics = KLOfTurns(first_coef=0.5, later_coef=0.1)([ONE])
    assert made.sequences[0].columns["advantage"].tolist() == pytest.approx([0, 0.5, 0.9, 1.1])
    assert metrics == {"kl_first": 1.0, "kl_later": 0.0}  # 1 nat; 1 less 1 in the second answer
    assert ONE.sequences[0].columns["advantage"].tolist() == [0, 1, 1, 1]


def test_without_a_price_nothing_is_needed_and_nothing_is_changed():
    free = KLOfTurns(first_coef=0, later_coef=0)
    assert free.needs == frozenset() and free([ONE]) == ([ONE], {})
    assert "logp_reference" in KLOfTurns().needs


def test_columns_that_are_missing_and_prices_below_zero_are_refused():
    with pytest.raises(ConfigError, match=r"column 'turn'.*TurnAdvantages"):
        KLOfTurns()([sample(weight=[1] * 4, advantage=[1] * 4)])
    for name in ("first_coef", "later_coef"):
        with pytest.raises(ConfigError, match=rf"KLOfTurns\.{name}"):
            KLOfTurns(**{name: -0.1})
