"""Being right mixed with having tried: by hand, and what earns nothing."""

from __future__ import annotations

import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.judge.search_bonus import SearchBonus
from askesis.records import Attempt, Group, Start, StopReason
from tests.explore.host import Host, Sums, attempt, says

TASK = Sums().make(3, 4)


def judged(*attempts, **options) -> tuple[list[float | None], list[float | None]]:
    """Rewards, and what the last verdict says."""
    verdicts = Verdicts(Host(says({})).judge(SearchBonus(**options), Group("g", attempts)))
    ids = [a.id for a in attempts]
    return [verdicts.value(i, judge="search-bonus") for i in ids], [verdicts.value(i) for i in ids]


def test_the_mixture_by_hand():
    said = [attempt(TASK, t, i) for i, t in enumerate(["=7", "=8", "a;b,=7", "a\nb\nc"])]
    rewards, last = judged(*said, alpha=0.8, gamma=0.5)
    assert rewards == pytest.approx([0.8 + 0.1, 0.1, 0.8 + 0.2 * 0.875, 0.2 * 0.875])
    assert last == [1.0, 0.0, 1.0, 0.0]  # the truth stands last
    assert judged(*said, alpha=1.0)[0] == [1.0, 0.0, 1.0, 0.0]
    right, wrong = judged(said[2], said[3], alpha=0.0)[0]
    assert right == wrong > 0  # without the outcome only trying counts


def test_repeating_oneself_and_not_ending_earn_nothing():
    short, padded = (attempt(TASK, t, i) for i, t in enumerate(["a;b", "a;b;a;b; a ;b"]))
    cut = attempt(TASK, "a;b;c;d", 2, stop=StopReason.LENGTH)
    failed = Attempt("f", Start(TASK), (), StopReason.FAILED, error="it broke")
    rewards, _ = judged(short, padded, cut, failed)
    assert rewards[0] == rewards[1] > 0 and rewards[2:] == [0.0, 0.0]


def test_the_bonus_saturates_below_what_being_right_is_worth():
    long = attempt(TASK, ";".join(map(str, range(500))), 0)
    (found,), _ = judged(long, alpha=0.8)
    assert found == pytest.approx(0.2) and found < 0.8


@pytest.mark.parametrize(
    "wrong", [{"alpha": 1.1}, {"alpha": -0.1}, {"gamma": 1.0}, {"gamma": 0.0}, {"separators": ""}]
)
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="SearchBonus"):
        SearchBonus(**wrong)
