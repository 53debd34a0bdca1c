"""One endpoint: many questions at a time, asked again while that may help, and never for ever.

The HTTP is the `openai` library's. Trying again is ours, because a nonsensical answer is a
reason for it as well, and because waiting times come from the question's key and not from a
global generator.

Three kinds of failure are told apart. *The question's own* (a prompt too long, a refusal): its
exception stands in place of its answer and the others go on. *The endpoint's, for now* (no
connection, no answer in time, 408, 409, 425, 429, 5xx, nonsense): asked again, then the
question's own. *The endpoint's, for good* (a wrong key; no such address or model, before
anything was ever answered; as many questions given up in a row as run at a time): raised, so
that ten thousand questions do not wait for what will not come.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.engines.readings import Nonsense
from askesis.errors import ModelError
from askesis.protocols import Gauge
from askesis.rng import uniforms

CHAT, COMPLETIONS = "/chat/completions", "/completions"
MAX_ANSWER_BYTES = 64 << 20
LONGEST_PAUSE_S = 60.0
AGAIN = frozenset({408, 409, 425, 429})  # and all from 500
FEWEST_IN_A_ROW = 8


@dataclass(frozen=True, slots=True)
class Question:
    """A body for a path ("/chat/completions"); `understand` makes a value of the answer's JSON,
    raising Nonsense where it is none; `key` decides the waiting times."""

    path: str
    body: dict[str, Any]
    key: int
    understand: Callable[[Any], Any]


class _Again(Exception):
    """A failure that may pass. pause_s: how long the server asked us to wait, if it did.
    connected: whether anything was there at all."""

    def __init__(self, why: str, pause_s: float | None = None, connected: bool = True) -> None:
        super().__init__(why)
        self.pause_s, self.connected = pause_s, connected


class _Over(Exception):
    """The endpoint failed for good; carries the ModelError to raise."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(str(error))
        self.error = error


class Endpoint:
    """Asks questions of one address, `max_concurrency` at a time.

    timeout_s: for one try, whole. retries: further tries. backoff_s: the first pause; it doubles,
    to a minute at most, and is shortened by up to half by the question's key. patience_s: after
    so long no further try is begun. A server's Retry-After is honoured within that.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        gauge: Gauge,
        *,
        max_concurrency: int,
        timeout_s: float,
        retries: int,
        backoff_s: float,
        patience_s: float,
    ) -> None:
        self.url, self._api_key, self.gauge = url, api_key, gauge
        self.max_concurrency, self.timeout_s = max_concurrency, timeout_s
        self.retries, self.backoff_s, self.patience_s = retries, backoff_s, patience_s
        self.num_tries = 0
        self._has_answered = False
        self._given_up_in_a_row = 0
        self._runner: asyncio.Runner | None = None
        self._client: Any = None

    def ask(self, questions: Sequence[Question]) -> list[Any]:
        """One answer per question, in order: what it was understood as, or a ModelError."""
        if not questions:
            return []
        answers: list[Any] = [None] * len(questions)
        self.gauge.waiting += len(questions)
        try:
            self._run(self._ask_all(questions, answers))
        except BaseExceptionGroup as group:
            over = [e for e in group.exceptions if isinstance(e, _Over)]
            raise (over[0].error if over else group.exceptions[0]) from None
        finally:
            self.gauge.waiting = self.gauge.running = 0
        return answers

    def close(self) -> None:
        """Close connections and the event loop."""
        if self._runner is not None:
            if self._client is not None:
                self._run(self._client.close())
            self._runner.close()
        self._runner = self._client = None

    # ------------------------------------------------------------ many

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run to the end, on one loop for the life of the engine so that connections are kept.
        Ctrl-C cancels the work and what it waits for."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        runner = self._runner
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return runner.run(work)
        # Called out of somebody else's loop (a notebook's): ours runs in a thread meanwhile.
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(runner.run, work)
            try:
                return future.result()
            except BaseException:
                loop = runner.get_loop()
                loop.call_soon_threadsafe(lambda: [t.cancel() for t in asyncio.all_tasks(loop)])
                raise

    async def _ask_all(self, questions: Sequence[Question], answers: list[Any]) -> None:
        numbered = iter(enumerate(questions))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self.max_concurrency, len(questions))):
                group.create_task(self._work(numbered, answers))

    async def _work(self, numbered: Iterator[tuple[int, Question]], answers: list[Any]) -> None:
        for i, question in numbered:
            self.gauge.waiting -= 1
            self.gauge.running += 1
            try:
                answers[i] = await self._ask(question)
            except ModelError as error:
                answers[i] = error
            finally:
                self.gauge.running -= 1

    # ------------------------------------------------------------ one

    async def _ask(self, question: Question) -> Any:
        began = time.monotonic()
        for num_tries in range(1, self.retries + 2):
            try:
                return await self._try(question)
            except _Again as error:
                last = error
            pause = max(last.pause_s or 0.0, self._pause_s(question.key, num_tries))
            is_over = time.monotonic() - began + pause > self.patience_s
            if is_over or num_tries > self.retries:
                break
            await asyncio.sleep(pause)
        raise self._given_up(last, num_tries)

    def _pause_s(self, key: int, num_tries: int) -> float:
        u = float(uniforms(np.array([key], np.uint64), np.array([num_tries]))[0])
        return min(self.backoff_s * 2.0 ** (num_tries - 1), LONGEST_PAUSE_S) * (1 - u / 2)

    def _given_up(self, last: _Again, num_tries: int) -> Exception:
        """The question's failure, or the endpoint's where there is no sense in going on."""
        self._given_up_in_a_row += 1
        if not last.connected and not self._has_answered:
            return _Over(
                ModelError(
                    f"there is no endpoint at {self.url}",
                    found=str(last),
                    hint="Start the server, or say where it is: engine openai?url=http://HOST/v1",
                )
            )
        asked = "asked once" if num_tries == 1 else f"asked {num_tries} times"
        wish = "" if last.pause_s is None else f", it wants {last.pause_s:.0f} s between"
        error = ModelError(
            f"the endpoint {self.url} gave no usable answer",
            found=f"{last} ({asked}{wish})",
            hint="Raise `retries`, `timeout_s` or `patience_s`, or lower `max_concurrency`",
        )
        hopeless = self._given_up_in_a_row >= max(FEWEST_IN_A_ROW, self.max_concurrency)
        return _Over(error) if hopeless else error

    async def _try(self, question: Question) -> Any:
        """Ask once. Raises _Again, ModelError or _Over."""
        self.num_tries += 1
        text = await self._fetch(question)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            raise _Again(f"no JSON: {self._shown(text[:60].decode('utf-8', 'replace'))}") from None
        try:
            value = question.understand(answer)
        except Nonsense as error:
            raise _Again(str(error)) from None
        except ModelError:  # a refusal is an answer
            self._heard()
            raise
        self._heard()
        return value

    def _heard(self) -> None:
        self._has_answered, self._given_up_in_a_row = True, 0

    async def _fetch(self, question: Question) -> bytes:
        """The bytes of one answer. They are parsed by us: the library takes anything for one."""
        import openai

        try:
            async with asyncio.timeout(self.timeout_s), self._posted(question) as response:
                return await _at_most(response, MAX_ANSWER_BYTES)
        except (TimeoutError, openai.APITimeoutError):
            raise _Again(f"no answer within {self.timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            why = f"no connection ({self._shown(str(error.__cause__ or error))})"
            raise _Again(why, connected=False) from error
        except openai.APIStatusError as error:
            raise self._refused(error) from error
        except (_Again, ModelError):
            raise
        except Exception as error:
            # The transport's own errors, once an answer has begun. Whose classes they are
            # depends on the version of the library.
            why = f"the connection broke ({type(error).__name__}: {self._shown(str(error))})"
            raise _Again(why) from error

    def _posted(self, question: Question) -> Any:
        """The request, as a context that holds its response."""
        if self._client is None:
            import openai

            self._client = openai.AsyncOpenAI(
                api_key=self._api_key,
                base_url=self.url,
                max_retries=0,
                timeout=self.timeout_s,
                # The library's own default would close itself, when forgotten, on any loop it
                # finds running.
                http_client=openai.DefaultAsyncHttpxClient(),
            )
        # Bodies are plain already; what the typed arguments go through costs a millisecond a
        # message, so all travels as "extra".
        model, body = question.body["model"], question.body
        if question.path == CHAT:
            create = self._client.chat.completions.with_streaming_response.create
            return create(model=model, messages=[], extra_body=body)
        create = self._client.completions.with_streaming_response.create
        return create(model=model, prompt="", extra_body=body)

    def _refused(self, error: Any) -> Exception:
        """What to do about a status that is no success."""
        status = int(error.status_code)
        body = error.body if isinstance(error.body, dict) else {}
        told = (
            body.get("message") or body.get("detail") or error.body or error.response.reason_phrase
        )
        found = f"{status} {self._shown(str(told))}".strip()
        if status == 401 or body.get("code") == "insufficient_quota":
            hint = "Put a valid key in the environment variable that the engine's key_env names"
            if status != 401:
                hint = "Pay, or use another endpoint; answers so far are kept on disk"
            return _Over(
                ModelError(f"the endpoint {self.url} does not let us in", found=found, hint=hint)
            )
        if status in AGAIN or status >= 500:
            return _Again(found, _retry_after_s(error.response.headers))
        if status in (403, 404) and not self._has_answered:
            return _Over(
                ModelError(
                    f"the endpoint {self.url} does not serve this model",
                    found=found,
                    hint="Check the model's name, and that the url ends where /chat/completions "
                    "begins (usually in /v1)",
                )
            )
        self._given_up_in_a_row = 0  # it is there, and it thinks
        return ModelError(f"the endpoint {self.url} refused a request", found=found)

    def _shown(self, text: str) -> str:
        """A server's own words, short and without our key."""
        if len(self._api_key) >= 8:
            text = text.replace(self._api_key, "***")
        return " ".join(text.split())[:200].rstrip(".")


async def _at_most(response: Any, num_bytes: int) -> bytes:
    held = bytearray()
    async for chunk in response.iter_bytes():
        held += chunk
        if len(held) > num_bytes:
            raise _Again(f"an answer of more than {num_bytes >> 20} MiB")
    return bytes(held)


def _retry_after_s(headers: Any) -> float | None:
    """Seconds that a server asks us to wait (RFC 9110, section 10.2.3: seconds or a date)."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    try:
        when = email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return max(when - time.time(), 0.0)
