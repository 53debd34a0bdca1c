"""The metrics of parts for taking back, feedback and refinement."""

from __future__ import annotations

from askesis.context import Verdicts
from askesis.explore.against_demonstration import AgainstDemonstration
from askesis.explore.turns import SelfCorrect
from askesis.judge.own_feedback import OwnFeedback
from askesis.measure.spontaneous import Spontaneous
from askesis.measure.tail import Tail
from askesis.models.scripted import ScriptedModel
from askesis.records import Group, Sample, Start
from askesis.select.feedback_lessons import FeedbackLessons
from askesis.select.refined import Refined
from askesis.select.step_splice import StepSplice
from askesis.worlds.chain_arithmetic import ChainArithmetic
from tests.explore.host import Host, attempt, says, view
from tests.measure.rounds import Steps


def mended_keys() -> set[str]:
    """Every key, on a round in which every figure applies."""
    keys: set[str] = set()
    models = {n: ScriptedModel(n, lambda text, u: "right") for n in ("policy", "critic")}
    host, start = Host(models, world=Steps()), Start(Steps().make(3, 4))
    answered = Group("g", tuple(host.explore(SelfCorrect(critic="critic"), start)))
    shown = Group("g", tuple(host.explore(AgainstDemonstration(), start)))
    chain = ChainArithmetic(difficulty=0.0)
    for part, group, judge in (
        (Refined(), answered, OwnFeedback()),
        (FeedbackLessons(), shown, None),
        (StepSplice(), shown, None),
    ):
        ctx = host.context("select", slot="select.policy")
        found = host.judge(judge, group) if judge else []
        part.select(ctx, [group], Verdicts(found))
        keys |= set(ctx.metrics)
    task = chain.task("7 +5", "12", data={"first": 7, "operations": ["+5"]})
    own = Group("g", (attempt(task, "7+5=13\n#13 no\n7+5=12"),))
    ctx = Host(says(lambda text, u: ""), world=chain).context("measure")
    learnt = {"policy": [Sample("policy", (), sources=(own.attempts[0].id,))]}
    for part in (Spontaneous(num_tasks=2), Tail(num_bins=2)):
        keys |= {f"measure/{key}" for key in part.measure(ctx, view([own], samples=learnt))}
    return keys
