"""The stretch that recipes of several turns begin with where a model cannot yet be asked twice."""

from __future__ import annotations

from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.plan import Parts, Phase, Until
from askesis.retain.pin import Pin
from askesis.select.revisions import Revisions
from askesis.tasks.uniform import Uniform

ASKED = "asked"  # the snapshot at the end of this phase


def second_answer_phase(num_tasks: int, instruction: str) -> tuple[Phase, ...]:
    """A round after which a second turn is another first answer, and nothing about correcting.

    A warm-started tiny model has only ever seen one turn and says noise in a second, on which no
    reward can work. Here its answers to `num_tasks` tasks are each followed by the instruction and
    by *another* of its answers to the same task, drawn without looking which is right; both are
    learnt, so first answers stay what they were. The result is kept as the snapshot `ASKED`, the
    base that a method's reference means. 0 tasks: no such phase, for models that follow
    instructions.
    """
    if num_tasks == 0:
        return ()
    parts = Parts(
        tasks=Uniform(num=num_tasks),
        explore=SampleAttempts(num_attempts=4),
        judge=Verifier(),
        select={"policy": Revisions(kind="any", learn_first=True, instruction=instruction)},
        learn={"policy": Learn(epochs=2, learning_rate=1e-3, schedule="cosine")},
    )
    kept = (Pin(tag=ASKED),)
    return (Phase(name="second_answer", parts=parts, retain=kept, until=Until(rounds=1)),)
