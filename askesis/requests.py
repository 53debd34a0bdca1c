"""What an explorer or a model judge may ask for, and what comes back.

Coroutines written for one start `await` these and nothing else; the driver collects the
requests of thousands of coroutines, orders them, and hands full batches to whoever serves
them. A request is a plain value, so a batch can be logged, ordered and replayed.

Requests at this level speak of roles, starts and turns. Engines see the token-level records at
the end of this file (`SayTokens`, `Said`, `ScoreTokens`, `ReadTokens`).
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from askesis.records import NO_LOGP, NOTHING, Purpose, Start, StopReason, Task, Turn


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. None means: the role's or the world's default.

    temperature 0 is greedy. `top_k` 0, `top_p` 1, `min_p` 0 switch those filters off. `stop`
    are strings after which the turn ends; `allowed` restricts every token to these ids;
    `bias` is added to the logits of the given ids.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    allowed: tuple[int, ...] | None = None
    bias: Mapping[int, float] | None = None


class Request:
    """Base of everything that can be awaited: it yields itself to the driver."""

    __slots__ = ()

    def __await__(self) -> Generator[Request, Any, Any]:
        return (yield self)


@dataclass(frozen=True, slots=True)
class Say(Request):
    """Let `role` add a turn after `turns`. Answer: the new `Turn`.

    `key` is the 64-bit key of the noise; equal keys in equal contexts say the same thing.
    `snapshot` overrides the role's weights ("policy@3", "base", "previous", "best").
    """

    role: str
    start: Start
    turns: tuple[Turn, ...]
    sampling: Sampling
    key: int
    purpose: Purpose = Purpose.TRAIN
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Score(Request):
    """Log-probabilities that `role` gives to `target`, the turn after `turns`.

    Answer: float32 (len(target.tokens),), under the model at temperature one. A target without
    tokens (text only) is encoded by the role's renderer, its end token included.
    """

    role: str
    start: Start
    turns: tuple[Turn, ...]
    target: Turn
    purpose: Purpose = Purpose.TRAIN
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Value(Request):
    """The value head's estimate after `turns`. Answer: float."""

    role: str
    start: Start
    turns: tuple[Turn, ...]
    purpose: Purpose = Purpose.TRAIN
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Hidden(Request):
    """The state of `role`'s model after `turns`, behind its last norm. Answer: float32 (width,)."""

    role: str
    start: Start
    turns: tuple[Turn, ...]
    purpose: Purpose = Purpose.TRAIN
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Act(Request):
    """Let `role` choose an action for an array observation. Answer: `Action`."""

    role: str
    observation: np.ndarray
    key: int
    legal: np.ndarray | None = None  # bool (num_actions,)
    temperature: float = 1.0
    purpose: Purpose = Purpose.TRAIN
    snapshot: str = ""


@dataclass(frozen=True, slots=True)
class Step(Request):
    """Let a world act: apply `action` of `seat` in `state`. Answer: `Transition`."""

    world: Any
    task: Task
    state: Any
    action: Any
    seat: int = 0


@dataclass(frozen=True, slots=True)
class Check(Request):
    """Let a world's verifier look at an answer. Answer: `Checked`."""

    world: Any
    task: Task
    answer: str


class All(Request):
    """Several requests or coroutines at once. Answer: the list of their answers, in order.

    >>> # turns = await All([ctx.say("policy", start, attempt=i) for i in range(8)])

    Where an item fails, its exception is raised at the `await` (the first in order, if several
    fail at a time) and the others are given up: what they still ask leaves the batch, their
    coroutines are closed (`finally` blocks run, and can ask for nothing more). What goes to the
    servers in the same batch as the failure is still answered. An item whose failure shall not
    cost the others catches it in its own coroutine.
    """

    __slots__ = ("items",)

    def __init__(self, items: Sequence[Request | Coroutine[Any, Any, Any]]) -> None:
        self.items = list(items)


# ---------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Action:
    """An action and its log-probability; `value` where the model has a value head."""

    action: int
    logp: float
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """What a world says to an action.

    `observation` is text for language speakers and an array for control policies; `rewards`
    per role or seat name; `seat` is who moves next. *done* (the task ended) and *truncated*
    (a limit cut it) are different things. An illegal action leaves the state as the world's
    page says.
    """

    state: Any
    observation: Any = ""
    rewards: Mapping[str, float] = field(default=NOTHING)
    done: bool = False
    truncated: bool = False
    legal: bool = True
    seat: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a verifier found: a score in [0, 1] and one line why.

    `answer` is the answer it read out of the text, in canonical form ("" where it found none).
    `steps` is per-step correctness where the world knows it, with `spans` as character offsets
    (first, one past the last) into the text.
    """

    score: float
    why: str = ""
    answer: str = ""
    steps: tuple[float, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()


# ---------------------------------------------------------------- what engines see


@dataclass(frozen=True, slots=True)
class SayTokens:
    """One row for an engine: continue `context` under `sampling`, with noise from `key`.

    `sampling.max_tokens` is always set here. `stop_tokens` end the turn and are included in
    what was said. Rows with equal contexts may share the computation of their prompt. `weights`
    names the set that speaks, in an engine that holds several ("": its model's own).
    """

    context: np.ndarray  # int32 (T,)
    sampling: Sampling
    key: int
    stop_tokens: tuple[int, ...]
    weights: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server counted for one answer, in its own tokens; `cost` in its currency.

    `cached`: the answer came from our disk and cost nothing this time.
    """

    prompt_tokens: int
    tokens: int
    cost: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What an engine said: token ids with both log-probabilities, float32 (N,) each.

    An engine that cannot tell log-probabilities gives empty arrays (`NO_LOGP`). `usage` is set
    by engines whose tokens somebody else counts.
    """

    tokens: np.ndarray
    logp_sampling: np.ndarray
    logp_model: np.ndarray
    stop: StopReason
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class ScoreTokens:
    """One row to score: log-probabilities of `target` after `context`."""

    context: np.ndarray  # int32 (T,)
    target: np.ndarray  # int32 (N,)
    weights: str = ""


@dataclass(frozen=True, slots=True)
class ReadTokens:
    """One row to read for its value or hidden state after the last token."""

    context: np.ndarray  # int32 (T,)
    weights: str = ""


EMPTY_SAID = Said(np.zeros(0, np.int32), NO_LOGP, NO_LOGP, StopReason.CONTEXT)
