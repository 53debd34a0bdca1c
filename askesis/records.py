"""The vocabulary of the house: what flows through the loop, and what is written to disk.

Everything a stage hands to another is one of these frozen records. They hold plain values and
numpy arrays, know nothing of models or files, and are stored as they are. Read them in order:
a **Task** is posed from a **Start**; speakers and worlds add **Turns**; a finished try is an
**Attempt**; attempts with a common key form a **Group**; judges say **Verdicts** about them;
`select` makes **Samples**; learning makes a new **Snapshot**.

Token ids are int32 arrays, log-probabilities float32 arrays (natural logarithm).
Records with arrays compare by identity; compare their rows (`askesis.store.rows`) instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np


class _Nothing(dict[str, Any]):
    """An empty mapping that can be a default of frozen records: hashable, never written."""

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError("this empty mapping is shared and cannot be written")

    def __hash__(self) -> int:  # type: ignore[override]
        return 0


NOTHING: Mapping[str, Any] = _Nothing()
NO_TOKENS = np.zeros(0, np.int32)
NO_LOGP = np.zeros(0, np.float32)
NO_TOKENS.flags.writeable = NO_LOGP.flags.writeable = False


def _no_tokens() -> np.ndarray:
    return NO_TOKENS


def _no_logp() -> np.ndarray:
    return NO_LOGP


class TaskRole(StrEnum):
    """What a task may be used for. Decided by a hash of its canonical form (DESIGN section 7)."""

    TRAIN = "train"  # may be learnt from
    DECIDE = "decide"  # may decide: keep-or-revert, controllers, early stop
    CLAIM = "claim"  # only reported, never seen inside a run


class StopReason(StrEnum):
    """Why an attempt or a turn ended. *The task ended* is never merged with *we cut it off*."""

    ENDED = "ended"  # the speaker finished its turn (end token)
    STOP_STRING = "stop_string"  # the speaker said a string that was asked to stop it
    DONE = "done"  # the world says the task is over
    LENGTH = "length"  # cut: the allowance of new tokens was used up
    CONTEXT = "context"  # cut: the model's context was full
    TRUNCATED = "truncated"  # cut: the world's own limit on steps
    ILLEGAL = "illegal"  # the world did not allow the action
    BUDGET = "budget"  # cut: the run's budget was used up
    CANCELLED = "cancelled"  # nobody wanted it any more
    FAILED = "failed"  # an error, kept as data in `Attempt.error`
    OPEN = "open"  # not over: whoever reads the turn goes on from its last token

    @property
    def cut_off(self) -> bool:
        """True where we, not the speaker or the task, ended it."""
        return self in _CUT


_CUT = {
    StopReason.LENGTH,
    StopReason.CONTEXT,
    StopReason.TRUNCATED,
    StopReason.BUDGET,
    StopReason.CANCELLED,
}


class Purpose(StrEnum):
    """What an attempt was made for; costs are counted apart by it."""

    TRAIN = "train"
    PROBE = "probe"  # a controller or search trying something out
    JUDGE = "judge"  # a judge's own reasoning or roll-outs
    MEASURE = "measure"  # evaluation; counted outside the run's budget
    DEMONSTRATION = "demonstration"  # written by a demonstrator, not sampled


class VerdictKind(StrEnum):
    """What a verdict's number means."""

    OUTCOME = "outcome"  # how good the whole thing is, usually in [0, 1]
    VALUE = "value"  # expected outcome from here
    ADVANTAGE = "advantage"  # how much better than expected
    CORRECTNESS = "correctness"  # is this step right, in [0, 1]
    LOG_RATIO = "log_ratio"  # log-probability under one model minus another
    PREFERENCE = "preference"  # probability that the first of an ordered pair is better


class TokenOrigin:
    """Where a token of a turn came from (the values of `Turn.origin`)."""

    SAMPLED = 0  # drawn by the speaker
    FORCED = 1  # put there by the explorer, inside the speaker's turn
    GIVEN = 2  # written by somebody else: a world, a demonstrator, another attempt


@dataclass(frozen=True, slots=True)
class Task:
    """A problem.

    `answer` is the reference answer, or None where there is none or where the run may not see
    it. `data` holds what the world needs to check or act (plain JSON values). `difficulty` is
    in [0, 1], 0 the easiest the world makes.
    """

    id: str
    family: str  # world id with its version, as "countdown-v1"
    prompt: str
    answer: str | None = None
    difficulty: float = 0.0
    role: TaskRole = TaskRole.TRAIN
    origin: str = "generated"  # generated | data:<file> | proposed:<attempt id>
    parents: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default=NOTHING)

    def without_truth(self) -> Task:
        """The same task with nothing in it that tells the answer."""
        open_data = {k: v for k, v in self.data.items() if not k.startswith("truth")}
        kept = (self.difficulty, self.role, self.origin, self.parents, open_data)
        return Task(self.id, self.family, self.prompt, None, *kept)


@dataclass(frozen=True, slots=True)
class Turn:
    """One contribution to an attempt, by a speaker or by the world.

    Text turns: `context` is exactly what the speaker read (token ids, never re-tokenised) and
    `tokens` what it added (including its end token when it gave one); `logp_sampling` is under
    the distribution it was drawn from (after temperature, top-p, ...), `logp_model` under the
    model itself at temperature one. Both are NaN where unknown, and empty for world turns.

    Array turns (control policies): `block` maps "observation", "action", "logp", "reward", ...
    to arrays whose first axis is the step.

    What a world answered to this turn: `rewards` per role, `done` (the task ended),
    `truncated` (a limit cut it), `legal`.
    """

    role: str  # policy, critic, refiner, opponent, world, ...
    text: str = ""
    speaker: str = ""  # snapshot id of the author; "" for worlds and demonstrators
    context: np.ndarray = field(default_factory=_no_tokens, repr=False)
    tokens: np.ndarray = field(default_factory=_no_tokens, repr=False)
    origin: np.ndarray | None = field(default=None, repr=False)  # uint8; None: all sampled
    logp_sampling: np.ndarray = field(default_factory=_no_logp, repr=False)
    logp_model: np.ndarray = field(default_factory=_no_logp, repr=False)
    temperature: float = 1.0
    stop: StopReason = StopReason.ENDED
    rewards: Mapping[str, float] = field(default=NOTHING)
    done: bool = False
    truncated: bool = False
    legal: bool = True
    block: Mapping[str, np.ndarray] = field(default=NOTHING, repr=False)


@dataclass(frozen=True, slots=True)
class Start:
    """Where attempts begin: a task, perhaps from the middle, perhaps with help.

    `state` is the world's state as a plain value (None: the task's first state). `tag` says
    what kind of start it is ("", "hint", "from_wrong", "from_right", a skill). `privileged` is
    text the speaker may read but that does not belong to the task (a hint, an answer, a
    document): it is recorded, refused when measuring, and stripped from samples unless the
    recipe says otherwise. `copy` tells apart equal starts of one round, so that a task drawn
    twice is attempted twice with different noise; the loop counts it.
    """

    task: Task
    prefix: tuple[Turn, ...] = ()
    state: Any = None
    tag: str = ""
    privileged: str | None = None
    copy: int = 0

    @property
    def key(self) -> str:
        """A name for this start within a round."""
        name = f"{self.task.id}/{self.tag}" if self.tag else self.task.id
        return f"{name}~{self.copy}" if self.copy else name


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished try at a start, with everything that was said.

    `author` is a snapshot id, a data set, a teacher, or an edit ("splice"). Turns of the
    start's prefix are not repeated here. `error` is the one-line failure where `stop` is FAILED.
    `rewards` are totals per role that the explorer already knows (games, environments).
    """

    id: str
    start: Start
    turns: tuple[Turn, ...]
    stop: StopReason
    author: str = ""
    purpose: Purpose = Purpose.TRAIN
    parents: tuple[str, ...] = ()
    rewards: Mapping[str, float] = field(default=NOTHING)
    error: str | None = None

    @property
    def task(self) -> Task:
        return self.start.task

    @property
    def text(self) -> str:
        """The last thing a speaker (not the world) said: what a verifier reads."""
        for turn in reversed(self.turns):
            if turn.role != "world":
                return turn.text
        return ""

    @property
    def num_tokens(self) -> int:
        """Tokens sampled by speakers in this attempt."""
        return sum(
            len(t.tokens) if t.origin is None else int((t.origin == TokenOrigin.SAMPLED).sum())
            for t in self.turns
            if t.role != "world"
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Attempts with a common key: the same task, the same start, siblings in a tree, ..."""

    key: str
    attempts: tuple[Attempt, ...]
    tree: Any = None  # askesis.trees.Tree where a search made the group


@dataclass(frozen=True, slots=True)
class About:
    """What a verdict is about: an attempt, perhaps a role in it, spans, a pair, or a node.

    `spans` are (turn, first token, one past the last token) for per-step verdicts; `other`
    makes the ordered pair (attempt, other); `node` is a node index in the group's tree.
    """

    attempt: str
    role: str = ""
    other: str = ""
    node: int = -1
    spans: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said. Never a bare float.

    `value` is None where the judge does not know. `vector` has one entry per span for
    per-step verdicts; what those mean, and how they are read, is `askesis.steps`. `draws` are the
    raw votes behind `value`. `cost` is in generated plus scored tokens.
    """

    judge: str  # id with version, and the snapshot where a model judged
    about: About
    kind: VerdictKind
    value: float | None
    vector: tuple[float, ...] = ()
    draws: tuple[float, ...] = ()
    rationale: str = ""
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Sequence:
    """One token sequence to learn from, with named per-token columns of the same length.

    The column "weight" is how much each token counts in the loss (0: context only, never
    predicted). Position i's values are about predicting token i from those before it.
    """

    tokens: np.ndarray  # int32 (T,)
    columns: Mapping[str, np.ndarray]  # each float32 (T,)


@dataclass(frozen=True, slots=True)
class Sample:
    """One atom of training data for one model: a sequence, a pair, or a set of sequences.

    An atom is never split over micro-batches. `columns` are per-sample scalars (a margin, a
    label); `sources` are the attempts it was made from; `arrays` holds non-text payloads
    (array observations and targets) for control policies.
    """

    model: str
    sequences: tuple[Sequence, ...]
    columns: Mapping[str, float] = field(default=NOTHING)
    sources: tuple[str, ...] = ()
    arrays: Mapping[str, np.ndarray] = field(default=NOTHING)

    @property
    def num_tokens(self) -> int:
        return sum(len(s.tokens) for s in self.sequences)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of one model. `round` is the number of rounds learnt when it was taken."""

    id: str  # "policy@12"
    model: str
    round: int
    parents: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # base, best, phase_start, ...
    digest: str = ""  # content hash of the weights
