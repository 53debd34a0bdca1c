"""What the searches of a round were like: how large, how deep, what they cost, why they ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.protocols import Metrics
from askesis.trees import Tree

BUDGETS = ("simulations", "tokens", "judge calls")


@dataclass(frozen=True, kw_only=True)
class Searches:
    """Figures of the round's trees, each a mean over trees. Nothing where there are none.

    explore: the slot whose groups are looked at ("": every slot).
    """

    explore: str = ""

    def measure(self, ctx: Any, view: Any) -> Metrics:
        """Metrics as docs/metrics.md describes them."""
        slot = self.explore
        groups = view.groups.get(slot, []) if slot else view.all_groups
        trees = [g.tree for g in groups if isinstance(g.tree, Tree)]
        if not trees:
            return {}
        ends = [[n.depth for n in t.nodes if "attempt" in n.labels] for t in trees]
        inner = [_branches(t) for t in trees]
        found: dict[str, list[float]] = {
            "nodes": [len(t.nodes) for t in trees],
            "attempts": [len(e) for e in ends],
            "simulations": [t.spent.get("simulations", 0.0) for t in trees],
            "tokens": [t.spent.get("tokens", 0.0) for t in trees],
            "judged": [t.spent.get("judged", 0.0) for t in trees],
            "dropped": [t.spent.get("dropped", 0.0) for t in trees],
            "exhausted_fraction": [float(t.ended == "everything ended") for t in trees],
            "broken_fraction": [float(_is_broken(t.ended)) for t in trees],
        }
        metrics = {f"tree/{key}": float(np.mean(numbers)) for key, numbers in found.items()}
        depths = [d for inside in ends for d in inside]
        if depths:
            metrics["tree/depth"] = float(np.mean(depths))
        branches = [b for inside in inner for b in inside]
        if branches:
            metrics["tree/branches"] = float(np.mean(branches))
        return metrics


def _branches(tree: Tree) -> list[int]:
    """Children of each node that has any."""
    num = [0] * len(tree.nodes)
    for node in tree.nodes[1:]:
        num[node.parent] += 1
    return [n for n in num if n]


def _is_broken(ended: str) -> bool:
    """Whether a search was ended by a failure and not by a budget or by having found everything."""
    regular = {"everything ended", "nothing left to open", ""}
    regular |= {f"{b} used up" for b in BUDGETS} | {f"no {b} allowed" for b in BUDGETS}
    return ended not in regular
