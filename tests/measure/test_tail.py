"""Where what is learnt comes from, by the difficulty of the tasks."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError
from askesis.measure.tail import Tail
from askesis.records import Group, Sample
from tests.explore.host import Host, Sums, attempt, says, view


def test_shares_and_coverage_by_difficulty():
    """Difficulties 0, 0, 1/9, 8/9 and 1; samples come from the first, twice, and from the last."""
    tasks = [Sums().make(a, b) for a, b in ((0, 1), (0, 2), (1, 1), (8, 1), (9, 1))]
    groups = [Group(t.id, (attempt(t, "1", 0), attempt(t, "2", 1))) for t in tasks]

    def sample(place, model="policy"):
        return Sample(model, (), sources=(groups[place].attempts[0].id,))

    samples = {"policy": [sample(0), sample(0), sample(4)], "critic": [sample(3, "critic")]}
    ctx = Host(says({})).context("measure")
    found = Tail(num_bins=2).measure(ctx, view(groups, samples=samples))
    assert found["tail/task_share_of_bin/0"] == pytest.approx(3 / 5)
    assert found["tail/sample_share_of_bin/0"] == pytest.approx(2 / 3)
    assert found["tail/sample_share_of_bin/1"] == pytest.approx(1 / 3)
    assert found["tail/covered_of_bin/0"] == pytest.approx(1 / 3)
    assert found["tail/covered_of_bin/1"] == pytest.approx(1 / 2)


def test_without_samples_nothing_is_covered_and_nothing_shared_out():
    group = Group("g", (attempt(Sums().make(0, 1), "1"),))
    found = Tail().measure(Host(says({})).context("measure"), view([group]))
    assert found["tail/covered_of_bin/0"] == 0.0
    assert not any("sample_share" in key for key in found)


def test_one_bin_tells_nothing_and_is_refused():
    with pytest.raises(ConfigError, match="num_bins"):
        Tail(num_bins=1)
