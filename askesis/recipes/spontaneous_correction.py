"""S3c-Math: noticing and mending a wrong step inside the same answer (Yan et al. 2024)."""

from __future__ import annotations

from typing import Any

from askesis.explore.against_demonstration import AgainstDemonstration
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.groups import Groups
from askesis.measure.spontaneous import Spontaneous
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.step_splice import At, StepSplice
from askesis.tasks.uniform import Uniform


def spontaneous_correction(
    num_taught: int = 2000,
    share: float = 0.57,
    at: At = "step",
    remark: bool = True,
    mask: bool = True,
    num_attempts: int = 8,
) -> Plan:
    """Solutions are learnt, and beside them the same solutions with a failed attempt's wrong step
    put in, taken back and mended, of which the wrong step is read and never learnt. First those of
    the demonstrator, once; then the model's own, round after round.

    num_taught: tasks of the first phase; 0 leaves it out. share: at most this share of the samples
    are such splices; 0 is the control without any. at: behind the wrong step, or at the end of the
    whole answer. remark: whether what is wrong is said. mask: without, mistakes are learnt.
    """

    def parts(num: int, source: Any, explore: Any, learn: Learn) -> Parts:
        splice = StepSplice(source=source, share=share, at=at, remark=remark, mask=mask)
        return Parts(
            tasks=Uniform(num=num),
            explore=explore,
            judge=Verifier(),
            select={"policy": splice},
            learn={"policy": learn},
        )

    measure = (Groups(), Ability(), Spontaneous())
    shown = AgainstDemonstration(num_attempts=2)
    learn = Learn(epochs=4, batch_tokens=2048, schedule="cosine")  # a way of writing that is new
    taught = parts(num_taught or 1, "demonstration", shown, learn)
    first = Phase(name="taught", parts=taught, measure=measure, until=Until(rounds=1))
    again = SampleAttempts(num_attempts=num_attempts)
    own = parts(256, "own", again, Learn(learning_rate=3e-4))
    main = Phase(parts=own, measure=measure, until=Until(rounds=16), reset=("optimizer",))
    phases = (first, main) if num_taught else (main,)
    return Plan(recipe="spontaneous_correction", phases=phases, truth="steps")
