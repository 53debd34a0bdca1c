"""Every key of the measures of drift and forgetting, from a round in which all of them apply."""

from __future__ import annotations

from askesis.measure.drift import Drift
from askesis.measure.self_consuming import SelfConsuming
from askesis.measure.worlds import Worlds
from askesis.models.tabular import TabularModel
from tests.explore.host import Host
from tests.measure.test_drift import KEEP, rewarded
from tests.probes.house import LetterWorld


def drift_keys() -> set[str]:
    """With their stage, not generalised."""
    host = Host({"policy": TabularModel("policy", "abxy")}, world=LetterWorld(), keep=KEEP)
    keys: set[str] = set()
    for part in (Drift(num_tasks=4), Worlds(num_tasks=4)):
        keys |= set(part.measure(host.context("measure"), None))
    keys |= set(SelfConsuming().measure(None, rewarded("o0 g1", "g1 g1")))
    return {f"measure/{key}" for key in keys}
