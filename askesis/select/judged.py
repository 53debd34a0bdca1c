"""What the selectors share: whose model, which attempts count, and one attempt as a sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.records import NOTHING, Attempt, Group, Sample, StopReason
from askesis.records import Sequence as Row
from askesis.select.sequences import is_demonstration, sequences_of, without_privilege


def model_of(ctx: Any) -> str:
    """The model that samples are for: the second half of the slot, `select.<model>`."""
    return str(ctx.slot).partition(".")[2].partition("~")[0]


def judged(
    groups: Sequence[Group], verdicts: Any, *, judge: str = "", cut_off: bool = True
) -> Iterator[list[tuple[Attempt, float]]]:
    """Per group, the attempts that count, each with its value; groups without any are left out.

    An attempt that failed is no behaviour of the model, and one whose value nobody knows cannot be
    compared: both are left out, and so, without `cut_off`, are those that we cut off. Raises
    ConfigError for a value that is not finite, naming the attempt and its judge.
    """
    for group in groups:
        found = []
        for attempt in group.attempts:
            value = finite_value(attempt, verdicts, judge)
            if value is None or attempt.stop is StopReason.FAILED:
                continue
            if cut_off or not attempt.stop.cut_off:
                found.append((attempt, value))
        if found:
            yield found


def must_compare(found: Sequence[Sequence[Any]]) -> None:
    """Raises ConfigError where there are groups and each of them has a single attempt."""
    if found and max(len(pairs) for pairs in found) < 2:
        raise ConfigError(
            "attempts are compared within their group, which needs two judged ones of a task",
            found="groups of one",
            hint="--explore.num-attempts 2 or more",
        )


def sample_of(
    ctx: Any,
    model: str,
    attempt: Attempt,
    role: str,
    columns: Mapping[str, float] = NOTHING,
    sampling_logp: bool = False,
) -> Sample | None:
    """What one role said in an attempt as a sample, privileged text taken out; None for nothing.

    columns: the sample's numbers. sampling_logp: with the column logp_sampling, what the sampler
    says it drew from (0 where it does not say).
    """
    turns = without_privilege(ctx, attempt, role)
    rows = sequences_of(turns, role, is_demonstration(attempt), sampling_logp=sampling_logp)
    if not rows:
        return None
    return Sample(model, tuple(rows), columns=dict(columns), sources=(attempt.id,))


def columns_with_sampling(part: Any, *numbers: str) -> frozenset[str]:
    """What a selector of single attempts makes, with logp_sampling where its option says so."""
    sampling = ("logp_sampling",) if part.sampling_logp else ()
    return frozenset({"weight", *numbers, *sampling})


def row_of(ctx: Any, attempt: Attempt, role: str, reader: str = "") -> Row | None:
    """An attempt as one sequence, or None where it does not make one.

    reader: "": what the role said, as a policy learns it. A role: the whole attempt as that role
    reads it, with a weight on the last token alone, as a reward model learns it
    (`askesis.judge.reward_model`).
    """
    turns = without_privilege(ctx, attempt, role)
    if reader:
        tokens = ctx.render(reader, attempt.start, attempt.turns).astype(np.int32)
        weight = np.zeros(len(tokens), np.float32)
        weight[-1] = 1.0
        return Row(tokens, {"weight": weight})
    rows = sequences_of(turns, role, is_demonstration(attempt))
    return rows[0] if len(rows) == 1 else None


def finite_value(attempt: Attempt, verdicts: Any, judge: str = "") -> float | None:
    """What an attempt is worth, None where nobody knows. ConfigError for NaN and infinity."""
    value = verdicts.value(attempt, judge=judge)
    if value is None or np.isfinite(value):
        return None if value is None else float(value)
    said = [v.judge for v in verdicts.of(attempt, judge=judge) if not v.about.other]
    raise ConfigError(
        f"the reward of attempt {attempt.id} is no finite number",
        expected="one, or None where it is unknown",
        found=f"{value} from judge {(said or [judge])[-1]}",
        hint="mend that judge, or the world's verify where it is the verifier",
    )
