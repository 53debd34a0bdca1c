"""A real server on the loopback address that behaves as a test wants, also badly."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from askesis.errors import ModelError
from askesis.models.remote import RemoteModel
from askesis.records import Start, Task
from askesis.requests import Said, Sampling, SayTokens
from askesis.rng import key

os.environ["NO_PROXY"] = "127.0.0.1"  # whatever proxy a machine has, not for the loopback address

Behaviour = Callable[["Exchange"], None]


class Exchange:
    """One request: its number in the server's life, its body, and ways to answer it."""

    def __init__(
        self, handler: BaseHTTPRequestHandler, number: int, body: Any, answered: Callable[[], None]
    ) -> None:
        self.handler, self.number, self.body = handler, number, body
        self.path = handler.path
        self._answered = answered  # called when an answer begins: the next request may come then

    @property
    def last_message(self) -> str:
        return self.body["messages"][-1]["content"]

    def send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.head(status, len(content), headers)
        self.handler.wfile.write(content)

    def head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self._answered()
        self.handler.send_response(status)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.handler.send_header(name, value)
        self.handler.end_headers()

    def json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), headers)

    def say(self, *texts: str, finish: str = "stop", **choice: Any) -> None:
        """A chat answer with these texts as its choices; 10 tokens read, 2 a choice written."""
        self.json(chat(*texts, finish=finish, **choice))

    def refuse(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        error = {"message": message, "code": message.replace(" ", "_")}
        self.json({"error": error}, status, headers)

    def die(self) -> None:
        """Half an answer, then the connection breaks."""
        content = json.dumps(chat("never heard")).encode()
        self.head(200, len(content))
        self.handler.wfile.write(content[: len(content) // 2])
        self.handler.wfile.flush()
        self.handler.close_connection = True


def chat(*texts: str, finish: str = "stop", **choice: Any) -> dict[str, Any]:
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": text},
            "finish_reason": finish,
            **choice,
        }
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 2 * len(texts)}
    return {"id": "x", "object": "chat.completion", "choices": choices, "usage": usage}


def ask_chat(text: str = "hello", k: int = 1, **sampling: Any) -> SayTokens:
    """A row for a chat endpoint; `k` names its noise."""
    renderer = RemoteModel("judge", "big").renderer
    context = renderer.render(Start(Task("t", "f-v1", text)))
    return SayTokens(context, Sampling(**({"max_tokens": 12} | sampling)), key("k", k), (257,))


def text_of(said: Said) -> str:
    return str(RemoteModel("judge", "big").renderer.decode(said.tokens))


def the_error(answers: list[Any]) -> str:
    """The message of the one answer, which has to be a failure in one line."""
    (error,) = answers
    assert isinstance(error, ModelError), error
    assert "\n" not in str(error)
    return str(error)


class Loopback:
    """The server, as a context. `asked` holds the exchanges in their order of arrival;
    `most_at_once` is how many waited for an answer at a time."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.asked: list[Exchange] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Loopback:
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answered(self) -> None:
        with self._lock:
            self.at_once -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        loopback = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with loopback._lock:
                    number = len(loopback.asked)
                    exchange = Exchange(self, number, body, loopback._answered)
                    loopback.asked.append(exchange)
                    loopback.at_once += 1
                    loopback.most_at_once = max(loopback.most_at_once, loopback.at_once)
                try:
                    loopback.behave(exchange)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Silence."""

        return Handler


def echo(exchange: Exchange) -> None:
    """Says back the last message in capitals."""
    exchange.say(exchange.last_message.upper())


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first request meets the first behaviour, and so on; the last one stays."""
    return lambda exchange: behaviours[min(exchange.number, len(behaviours) - 1)](exchange)


def slow(seconds: float, then: Behaviour = echo) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        time.sleep(seconds)
        then(exchange)

    return behave
