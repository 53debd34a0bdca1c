"""Asking an endpoint and paying for it: nothing is asked twice, everything is counted.

Equal askings of a batch are asked once; those whose answers lie on disk are not asked at all;
the rest go out, together where the server gives several answers at a time. An answer is written
down the moment it arrives, so an interrupted batch has lost nothing that was paid for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from askesis.engines.answers_on_disk import AnswersOnDisk, name_of
from askesis.engines.endpoint import Endpoint, Question
from askesis.engines.readings import Nonsense, choices_of, usage_of
from askesis.errors import ModelError
from askesis.protocols import Gauge
from askesis.requests import Usage

PER = 1e6  # prices are per million tokens
NO_USAGE = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class Asking:
    """One thing to be asked.

    key: decides the noise; None where the answer does not depend on it. read: makes a value of
    a choice of the answer; counted(value): what the answer took where the server does not
    say, in our tokens. `read` raises Nonsense for what is no answer and ModelError for a refusal.
    """

    path: str
    body: Mapping[str, Any]
    key: int | None
    read: Callable[[Mapping[str, Any]], Any]
    counted: Callable[[Any], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Answer:
    """A value, or the ModelError that the asking earned; and what it took."""

    value: Any
    usage: Usage


class Desk:
    """Asks, keeps and counts. `cost` is in the currency of the prices (per million tokens);
    `num_asked` answers were paid for, `num_kept` were not asked for again."""

    def __init__(
        self,
        endpoint: Endpoint,
        disk: AnswersOnDisk | None,
        gauge: Gauge,
        *,
        price_in: float,
        price_out: float,
        group: bool,
    ) -> None:
        self.endpoint, self.disk, self.gauge = endpoint, disk, gauge
        self.price_in, self.price_out, self.group = price_in, price_out, group
        self.cost = 0.0
        self.num_asked = self.num_kept = 0

    def answer(self, askings: Sequence[Asking]) -> list[Answer]:
        """One answer per asking, in order. Raises what `Endpoint.ask` raises."""
        places: dict[str, list[int]] = {}
        for i, asking in enumerate(askings):
            places.setdefault(name_of(self._place(asking)), []).append(i)
        records: dict[str, Any] = {}
        answers: list[Any] = [None] * len(askings)
        missing: list[str] = []
        for name, (first, *_) in places.items():
            records[name] = None if self.disk is None else self._on_disk(askings[first])
            if records[name] is None:
                missing.append(name)
        lots = self._lots({name: askings[places[name][0]] for name in missing})
        questions = [self._question([askings[places[name][0]] for name in lot]) for lot in lots]
        for lot, found in zip(lots, self.endpoint.ask(questions), strict=True):
            for number, name in enumerate(lot):
                first = places[name][0]
                if isinstance(found, Exception):
                    for i in places[name]:
                        answers[i] = Answer(found, NO_USAGE)
                else:
                    answers[first], records[name] = found[number]
        for name, record in records.items():
            for i in places[name]:
                if answers[i] is None:
                    answers[i] = self._again(askings[i], record)
        return answers

    # ------------------------------------------------------------ kept

    def _place(self, asking: Asking) -> dict[str, Any]:
        """All that determines an answer."""
        return {
            "url": self.endpoint.url,
            "path": asking.path,
            "body": asking.body,
            "key": asking.key,
        }

    def _on_disk(self, asking: Asking) -> Any:
        """What was written down of an answer, if it can still be read."""
        assert self.disk is not None
        record = self.disk.get(self._place(asking))
        try:
            self._read(asking, record["choice"], record["usage"], cached=True)
        except (Nonsense, TypeError, KeyError):
            return None
        return record

    def _again(self, asking: Asking, record: Any) -> Answer:
        answer = self._read(asking, record["choice"], record["usage"], cached=True)
        self.num_kept += 1
        self.gauge.num_reused += answer.usage.prompt_tokens + answer.usage.tokens
        return answer

    # ------------------------------------------------------------ asked

    def _lots(self, askings: Mapping[str, Asking]) -> list[list[str]]:
        """Names of the askings that go out as one request: those that differ in the seed alone."""
        if not self.group:
            return [[name] for name in askings]
        lots: dict[str, list[str]] = {}
        for name, asking in askings.items():
            body = {k: v for k, v in asking.body.items() if k != "seed"}
            lots.setdefault(name_of([asking.path, body]), []).append(name)
        return list(lots.values())

    def _question(self, lot: Sequence[Asking]) -> Question:
        first, num = lot[0], len(lot)
        body = dict(first.body) | ({"n": num} if num > 1 else {})

        def understand(answer: Any) -> list[tuple[Answer, Any]]:
            choices, told = choices_of(answer, num), usage_of(answer)
            found = []
            for number, (asking, choice) in enumerate(zip(lot, choices, strict=True)):
                # One bill for all of them: it stands at the first.
                usage = told if number == 0 or told is None else (0, 0)
                record = {"choice": choice, "usage": usage and list(usage)}
                found.append((self._read(asking, choice, usage, cached=False), record))
            for asking, (answered, record) in zip(lot, found, strict=True):
                self._paid(asking, answered, record)
            return found

        return Question(first.path, body, first.key or 0, understand)

    def _read(self, asking: Asking, choice: Any, usage: Any, *, cached: bool) -> Answer:
        try:
            value = asking.read(choice)
            read, written = usage or asking.counted(value)
        except ModelError as refusal:
            value, (read, written) = refusal, usage or (0, 0)
        cost = (read * self.price_in + written * self.price_out) / PER
        return Answer(value, Usage(read, written, 0.0 if cached else cost, cached))

    def _paid(self, asking: Asking, answer: Answer, record: Any) -> None:
        self.num_asked += 1
        self.cost += answer.usage.cost
        self.gauge.num_read += answer.usage.prompt_tokens
        self.gauge.num_said += answer.usage.tokens
        if self.disk is not None:
            self.disk.put(self._place(asking), record)
