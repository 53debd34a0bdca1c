"""Every figure of trees and of what is harvested from them."""

from __future__ import annotations

from askesis.context import Verdicts
from askesis.explore.search import Search
from askesis.measure.searches import Searches
from askesis.records import About, Start, Verdict, VerdictKind
from askesis.search.evaluate import Nothing
from askesis.search.frontier import BreadthFirst
from askesis.select.tree_leaves import TreeLeaves
from askesis.select.tree_pairs import TreePairs
from askesis.select.tree_values import TreeValues
from tests.explore.host import Host, says, view
from tests.search.solved import Digits, counts


def tree_keys() -> set[str]:
    """Keys with their stage."""
    world = Digits()
    host = Host(says(counts), world=world)
    search = Search(select=BreadthFirst(), evaluate=Nothing(), visit="all")
    group = host.explore(search, Start(world.make()))
    said = [
        Verdict("v", About(a.id), VerdictKind.OUTCOME, world.verify(a.task, a.text).score)
        for a in group.attempts
    ]
    keys = {f"measure/{k}" for k in Searches().measure(None, view([group]))}
    for part in (TreeValues(), TreePairs(scheme="soft"), TreeLeaves()):
        ctx = host.context("select", slot="select.policy")
        part.select(ctx, [group], Verdicts(said))
        keys |= set(ctx.metrics)
    return keys
