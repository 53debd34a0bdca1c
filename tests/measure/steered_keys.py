"""Every key of the parts of rounds that steer themselves, and of pairs of two sides."""

from __future__ import annotations

from askesis.explore.steered import SteeredAttempts
from askesis.measure.sharpness import Sharpness
from askesis.records import Start
from askesis.select.sides import Sides
from askesis.select.steering import Setting, SteeredThreshold
from tests.explore.host import Host, Sums, says
from tests.measure.test_sharpness import host as listed
from tests.select.test_sides import pairs, said, shown, truth
from tests.select.test_steering import tried


def steered_keys() -> set[str]:
    """With their stage."""
    host = Host(says(lambda text, u: "7"))
    keys: set[str] = set()
    ctx = host.context("explore", inputs={"temperatures": (0.5,)})
    host.call(ctx, SteeredAttempts(num_attempts=1).explore, Start(Sums().make(3, 4)))
    keys |= set(ctx.metrics)
    ctx = host.context("select", slot="select.policy", inputs={"setting": Setting(1.0, 0.5, 0.1)})
    SteeredThreshold().select(ctx, *tried({1.0: [("a", 1, 1.0)]}))
    keys |= set(ctx.metrics) | set(pairs(Sides(), shown("7", 0), said("8", 1))[2])
    ctx = listed().context("measure")
    keys |= {f"measure/{key}" for key in Sharpness(num_tasks=16).measure(ctx, None)}
    return keys | {f"measure/{key}" for key in truth(shown("7", 0), said("8", 1), said("9", 2))}
