"""Re-ReST: a reflector repairs what failed, and both learn from it (Dou et al. 2024)."""

from __future__ import annotations

from typing import Literal

from askesis.explore.repair import Repair
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.plan import ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.select.repaired import AsOwn, RepairLessons
from askesis.tasks.uniform import Uniform


def re_rest(
    num_attempts: int = 4,
    num_repairs: int = 1,
    feedback: Literal["outcome", "why", "step"] = "why",
    train_reflector: bool = True,
    reflector_rounds: int = 4,
) -> Plan:
    """Attempts; those that failed are read by a reflector with the environment's feedback, who
    tries anew. The agent learns what was right from the task alone, the reflector how to repair.

    num_attempts: k. num_repairs: of each failed attempt; 0 and twice the attempts is the control.
    feedback: see `Repair`. train_reflector: without, it stays as it began. reflector_rounds: at the
    beginning, in which it alone learns: a tiny model has never read a failed attempt.
    """
    parts = {
        "tasks": Uniform(num=128),
        "explore": Repair(num_attempts=num_attempts, num_repairs=num_repairs, feedback=feedback),
        "judge": Verifier(),
    }
    select = {"reflector": RepairLessons()} if train_reflector else {}
    learn = {"reflector": Learn()} if train_reflector else {}
    both = Parts(
        **parts,
        select={**select, "policy": AsOwn()},
        learn={**learn, "policy": Learn(learning_rate=3e-4)},
    )
    main = Phase(parts=both, measure=(Groups(), Ability()), until=Until(rounds=16))
    first = Phase(
        name="reflector", parts=Parts(**parts, select=select, learn={"reflector": Learn(epochs=4)}),
        until=Until(rounds=reflector_rounds),
    )  # fmt: skip
    return Plan(
        recipe="re_rest",
        phases=(first, main) if train_reflector and num_repairs and reflector_rounds else (main,),
        models={"policy": ModelSpec(), "reflector": ModelSpec(trainable=train_reflector)},
        roles={"policy": RoleSpec(), "reflector": RoleSpec(model="reflector")},
    )
