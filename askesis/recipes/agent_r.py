"""Agent-R: learn to notice a mistake and turn back, from one's own walks (Yuan et al. 2025)."""

from __future__ import annotations

from typing import Literal

from askesis.explore.demonstrate_walk import DemonstrateWalk
from askesis.explore.tree_walk import TreeWalk
from askesis.explore.walk import Walk
from askesis.judge.returns import Return
from askesis.learn.learner import Learn
from askesis.measure.groups import Groups
from askesis.measure.walks import Walks
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.splice import Splice
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform


def agent_r(
    locate: Literal["value", "truth", "end", "none"] = "value",
    num_simulations: int = 8,
    imitate_rounds: int = 4,
) -> Plan:
    """A few demonstrated walks; then rounds of tree search whose bad walks are left at their first
    bad move and go on as the good ones.

    locate: how that move is found, see `Splice`; none learns the good walks alone, the control.
    num_simulations: walks of a tree. imitate_rounds: rounds of demonstrations, 128 walks each.
    """
    demonstrated = Parts(
        tasks=Uniform(num=128),
        explore=DemonstrateWalk(),
        judge=Return(),
        select={"policy": Threshold()},
        learn={"policy": Learn(epochs=4)},
    )
    good_only = Threshold(max_per_task=4)
    searched = Parts(
        tasks=Uniform(num=64),
        explore=TreeWalk(num_simulations=num_simulations, max_tokens=8),
        judge=Return(),
        select={"policy": good_only if locate == "none" else Splice(locate=locate)},
        learn={"policy": Learn()},
    )
    walks = Walks(walk=Walk(num_attempts=2, max_tokens=8, illegal="observe"))
    phases = (
        Phase(name="imitate", parts=demonstrated, until=Until(rounds=imitate_rounds)),
        Phase(parts=searched, measure=(Groups(), walks), until=Until(rounds=16)),
    )
    return Plan(recipe="agent_r", phases=phases, worlds={"main": "maze"})
