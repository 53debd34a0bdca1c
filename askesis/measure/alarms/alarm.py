"""What an alarm is: a question asked of a run's history after every round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Protocol

from askesis.errors import ConfigError
from askesis.measure.alarms.history import History


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that seems to go wrong.

    name: of the alarm, as in the registry. round: after which it was raised, from 0. key: the
    metric it is about. value, threshold: the figure that was too large, and what it may be; most
    are in standard errors. words: what was seen, with figures, in one sentence. meaning, advice:
    what it means and what to do; the same sentences stand in docs/alarms.md.
    """

    name: str
    round: int
    key: str
    value: float
    threshold: float
    words: str
    meaning: str
    advice: str

    def plain(self) -> dict[str, Any]:
        """As an event's data: everything but the round, which the event has itself."""
        return {k: v for k, v in asdict(self).items() if k != "round"}

    @staticmethod
    def from_event(round: int, data: Mapping[str, Any]) -> Alarm:
        """What `plain` gave; what is missing or unknown is passed over."""
        empty = Alarm("", round, "", 0.0, 0.0, "", "", "")
        return replace(empty, **{k: data[k] for k in empty.plain() if k in data})


@dataclass(frozen=True, slots=True)
class Sign:
    """What a watch saw: the figure to hold against its limit, the key, and the words for it."""

    value: float
    key: str
    words: str


class Watch(Protocol):
    """One alarm: a frozen dataclass whose fields are its keys and thresholds.

    `look` is a pure function of the history, so the same alarm works in a run, over a run
    directory and in a simulation. `strongest` is the figure that is compared with `limit`,
    whether or not it reaches it: thresholds are set on how large it gets in clean runs.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    advice: ClassVar[str]

    @property
    def limit(self) -> float: ...

    def strongest(self, history: History) -> Sign | None: ...

    def look(self, history: History) -> Alarm | None: ...


class Asked:
    """`look` for everything that has `strongest` and `limit`."""

    name: ClassVar[str]
    meaning: ClassVar[str]
    advice: ClassVar[str]
    z: float

    @property
    def limit(self) -> float:
        return self.z

    def strongest(self, history: History) -> Sign | None:
        raise NotImplementedError

    def look(self, history: History) -> Alarm | None:
        """The alarm as of the last round of the history; None where all is well or unknown."""
        sign = self.strongest(history)
        if sign is None or not sign.value > self.limit:
            return None
        return Alarm(
            self.name,
            history.last_round,
            sign.key,
            float(sign.value),
            float(self.limit),
            sign.words,
            self.meaning,
            self.advice,
        )


def check(part: Any, limits: dict[str, tuple[bool, str]]) -> None:
    """Raises ConfigError for the first field that does not fit."""
    for name, (fits, expected) in limits.items():
        if not fits:
            raise ConfigError(
                f"alarm {part.name}: option {name} is out of range",
                expected=expected,
                found=repr(getattr(part, name)),
            )
