"""The contracts between the rooms. A stage knows these and the records, nothing else.

Every stage part is a frozen dataclass whose fields are its options, with the one method of its
stage. A part that learns across rounds also has

    init(ctx) -> State                 its first state
    observe(ctx, state, view) -> State what it makes of a finished round

where a State is a plain value: JSON types and numpy arrays, no pickle. The run commits states
with the round; a part keeps nothing on itself.

All stage methods get a `askesis.context.Context`: the world(s), the models, named randomness,
its own state, and ways to ask for speech. Nothing else is reachable from a part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from askesis.records import (
    Attempt,
    Group,
    Sample,
    Start,
    Task,
    TaskRole,
    Turn,
    Verdict,
)
from askesis.requests import Checked, ReadTokens, Said, SayTokens, ScoreTokens, Transition

if TYPE_CHECKING:
    from askesis.context import Context, RoundView, Verdicts

State = Any  # JSON types and numpy arrays
Metrics = dict[str, float]

# ---------------------------------------------------------------- worlds


@runtime_checkable
class World(Protocol):
    """A family of problems that knows the truth.

    `id` carries a version that rises when scores could change. `truth` says what it knows:
    "answer" (it can verify), "steps" (it knows which step is wrong), "demonstration" (it can
    write solutions), "turns" (it can be walked step by step). `num_canonical` is how many
    different tasks there are (None: more than 10**9). `max_answer_tokens` is a sensible
    allowance for one answer in byte tokens. A world whose answers are worked step by step may say
    with `step_end` what closes a step (a line end where it does not say).

    Some worlds know more about answers that are not finished: `states(task, answer)` ("states" is
    in `truth`) gives (one past its last character, state) for each step up to the first that
    cannot be followed, where states from which the same can still be done are equal texts;
    `finish(task, begun, rng)` is a right answer that begins with these steps, or None.
    `correction(task, wrong, right, again=, remark=)` ("corrections" is in `truth`) is what follows
    a wrong beginning of an answer so that its last step is taken back and it ends as `right` does.
    """

    id: str
    truth: frozenset[str]
    num_canonical: int | None
    max_answer_tokens: int

    def draw(
        self, role: TaskRole, rng: np.random.Generator, num: int, difficulty: float | None = None
    ) -> list[Task]:
        """`num` tasks of a role; at a difficulty in [0, 1], or spread over all of it (None)."""
        ...

    def canonical(self, task: Task) -> str:
        """A form equal for tasks that are the same problem (permuted, re-worded)."""
        ...

    def verify(self, task: Task, answer: str) -> Checked:
        """Score an answer: hostile text, parsed, never evaluated."""
        ...

    def demonstrate(self, task: Task, rng: np.random.Generator, habit: str = "plain") -> str | None:
        """A worked answer in a habit of writing, or None where there is none."""
        ...


@runtime_checkable
class Environment(Protocol):
    """A world that is walked in turns. Purely functional: states are plain values.

    Any state can be kept and returned to, so restarting from the middle and tree search need
    nothing more. Some worlds know more of the truth, which recipes may ask for:
    `demonstrate_walk(task, rng)` the actions of a solution, `actions(task, state)` all legal ones,
    `moves_left(task, state)` the fewest that are needed, `way_back(task, state, earlier)` actions
    that lead back to an earlier state of a walk (None: there are none), `position(task, state)` a
    text that is equal for states from which the same can be done, however one came there.
    """

    def initial(self, task: Task) -> Any:
        """The state in which a task begins."""
        ...

    def observe(self, task: Task, state: Any, seat: int = 0) -> Any:
        """What `seat` sees in `state`: text, or an array."""
        ...

    def step(self, task: Task, state: Any, action: Any, seat: int = 0) -> Transition:
        """What happens when `seat` does `action`."""
        ...


# ---------------------------------------------------------------- speaking


class Renderer(Protocol):
    """Between turns of text and token ids, for one tokeniser and template."""

    vocab_size: int
    context_length: int
    end_token: int  # ends a turn
    pad_token: int
    stop_tokens: tuple[int, ...]

    def render(self, start: Start, turns: Sequence[Turn] = (), role: str = "policy") -> np.ndarray:
        """Token ids that `role` reads before it speaks, int32 (T,).

        The last earlier turn of the same role gives its `context` and `tokens` as they are;
        only what came after is tokenised.
        """
        ...

    def encode(self, text: str) -> np.ndarray: ...

    def decode(self, tokens: np.ndarray) -> str: ...


class Engine(Protocol):
    """How tokens come out of one model. Batches in, answers in the same order out.

    An engine is made as `Engine(model, **options)` and says with `refusal(model)` why it cannot
    speak for a model ("" where it can). Capabilities:

    - "say", "score", "value", "hidden", "act": the methods it has;
    - "logp": says log-probabilities at all; "exact_logp": they are the model's own, to 1e-4 in
      float32 and 0.1 in bfloat16;
    - "allowed", "bias", "stop_strings", "min_p": sampling settings it honours beyond temperature,
      top-k and top-p;
    - "named_weights": holds several sets of weights at once and answers rows of all of them;
    - "mixture": `mixture(members)` makes one that speaks for several models together;
    - "replayable": same ordered requests, same bytes.
    """

    name: str
    capabilities: frozenset[str]
    gauge: Gauge

    @classmethod
    def refusal(cls, model: Any) -> str:
        """Why this engine cannot speak for `model`, in a few words; "" where it can."""
        ...

    def say(self, requests: Sequence[SayTokens]) -> list[Said]: ...

    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) per request, under the model at temperature one."""
        ...

    def value(self, requests: Sequence[ReadTokens]) -> list[float]: ...

    def hidden(self, requests: Sequence[ReadTokens]) -> list[np.ndarray]:
        """float32 (width,) per request."""
        ...

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Speak with a copy of these weights from the next request on: as the engine's own, or
        (with "named_weights") for the requests that ask for `name`."""
        ...

    def attach(self, model: Any, name: str) -> None:
        """With "named_weights": requests for `name` are answered with what `model`, another
        entry over the same base, weighs at the time."""
        ...

    def drop(self, name: str) -> None:
        """Forget the weights of that name."""
        ...

    def clear(self) -> None:
        """Forget every cache; called when a round starts."""
        ...

    def close(self) -> None: ...


@dataclass
class Gauge:
    """What an engine is doing, for the progress line; read while it works.

    num_said and num_read count tokens drawn and prompt tokens computed; num_reused those whose
    computation was found in a cache; running and waiting are requests at this moment.
    """

    num_said: int = 0
    num_read: int = 0
    num_reused: int = 0
    running: int = 0
    waiting: int = 0


class Model(Protocol):
    """One entry of the table of models: weights, optimiser, renderer, snapshots."""

    name: str
    trainable: bool
    module: Any  # torch.nn.Module
    renderer: Renderer | None
    optimizer: Any  # torch.optim.Optimizer or None
    version: int  # how many times it was learnt or restored; engines compare it

    def weights(self) -> Mapping[str, Any]:
        """Name -> tensor, the current weights by reference."""
        ...

    def load(self, weights: Mapping[str, Any]) -> None:
        """Copy weights in and raise the version."""
        ...

    def save(self, directory: Path) -> None:
        """Write the weights in Hugging Face layout where the model has one."""
        ...


# ---------------------------------------------------------------- stages


class TaskSource(Protocol):
    """tasks: what to work on next."""

    def draw(self, ctx: Context) -> list[Start]: ...


class Explorer(Protocol):
    """explore: make attempts at one start. A coroutine that awaits only requests."""

    async def explore(self, ctx: Context, start: Start) -> Sequence[Attempt] | Group: ...


@runtime_checkable
class Feed(Protocol):
    """An explorer that looks across starts: after each wave it may ask for more of them."""

    def more(self, ctx: Context, groups: Sequence[Group]) -> list[Start]:
        """Further starts, given everything explored so far this round; [] when enough."""
        ...


class Judge(Protocol):
    """judge: say what one group is worth. A coroutine that awaits only requests."""

    async def judge(self, ctx: Context, group: Group) -> list[Verdict]: ...


class Selector(Protocol):
    """select: turn attempts and verdicts into training samples for one model."""

    def select(self, ctx: Context, groups: Sequence[Group], verdicts: Verdicts) -> list[Sample]: ...


class Learner(Protocol):
    """learn: change the weights of one model."""

    def learn(
        self, ctx: Context, model: Model, samples: Sequence[Sample], hooks: Sequence[Any]
    ) -> Metrics: ...


class Measure(Protocol):
    """measure: find out what really happened. Sees *train* and *decide* tasks only."""

    def measure(self, ctx: Context, view: RoundView) -> Metrics: ...


class Retainer(Protocol):
    """retain: what survives. A retainer has any of these methods; only the ones it has count.

    on_phase_start(ctx), on_phase_end(ctx), mix(ctx, model: str, samples) -> samples,
    extra_loss(ctx, model) -> Tensor, param_groups(ctx, model) -> groups,
    transform_step(ctx, model, before) (after the optimiser: edits the weights in place),
    on_step_end(ctx, model: Model), settle(ctx, view, report) -> Metrics. `model` is the table entry
    unless said otherwise. A learner gets them as (retainer, its Context) pairs.
    """


# ---------------------------------------------------------------- learning


class Outputs(Protocol):
    """What a forward pass gives an objective; rows are sequences."""

    logp: Any  # (B, T) log-probability of each token given those before it (0 at position 0)


class Objective(Protocol):
    """One equation. A frozen dataclass whose fields are its coefficients.

    `needs`: columns of the batch it reads. `uses`: what of the model ("logp", "logits",
    "value", "hidden"). `atom`: "token" | "sequence" | "pair" | "set".
    """

    needs: frozenset[str]
    uses: frozenset[str]
    atom: str

    def __call__(self, out: Outputs, batch: Any, norm: Mapping[str, float]) -> tuple[Any, Metrics]:
        """(loss, metrics); `norm` holds counts over the whole optimiser step."""
        ...
