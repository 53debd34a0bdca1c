"""The metrics of parts for attempts of several turns."""

from __future__ import annotations

import numpy as np

from askesis.context import Verdicts
from askesis.explore.sample import SampleAttempts
from askesis.explore.turns import SelfCorrect
from askesis.judge.turns import TurnVerifier
from askesis.judge.verifier import Verifier
from askesis.learn.turn_credit import KLOfTurns
from askesis.measure.revisions import Revisions as FreshRevisions
from askesis.records import Group, Sample, Sequence, Start
from askesis.select.revisions import Revisions
from askesis.select.turn_advantages import TurnAdvantages
from askesis.select.turn_pairs import TurnPairs
from askesis.select.turn_prefixes import TurnPrefixes
from tests.explore.host import Host, Sums, says, view


def turn_keys() -> set[str]:
    """Every key, on a round in which every figure applies."""
    host, start = Host(says(lambda text, u: "7" if u < 0.5 else "8")), Start(Sums().make(3, 4))
    keys: set[str] = set()
    several = Group("g", tuple(host.explore(SelfCorrect(), start)))
    single = Group("g", tuple(host.explore(SampleAttempts(), start)))
    for part, judge, group in (
        (TurnAdvantages(), TurnVerifier(), several),
        (TurnPairs(), TurnVerifier(), several),
        (TurnPrefixes(), TurnVerifier(), several),
        (Revisions(), Verifier(), single),
    ):
        ctx = host.context("select", slot="select.policy")
        part.select(ctx, [group], Verdicts(host.judge(judge, group)))
        keys |= set(ctx.metrics)
    ctx = host.context("measure")
    measured = FreshRevisions(explore=SelfCorrect(), num_tasks=8).measure(ctx, view([]))
    keys |= {f"measure/{key}" for key in measured}
    columns = ("weight", "turn", "advantage", "logp_old", "logp_reference")
    row = Sequence(np.arange(2, dtype=np.int32), dict.fromkeys(columns, np.ones(2, np.float32)))
    keys |= {f"learn/policy/{key}" for key in KLOfTurns()([Sample("policy", (row,))])[1]}
    return keys
