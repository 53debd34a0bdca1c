"""The engine of endpoints against a server of others."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from askesis.engines.openai import OpenAIEngine
from askesis.models.remote import RemoteModel
from askesis.models.tiny import tiny_model
from askesis.records import StopReason
from tests.engines.endpoint import ask_chat as ask
from tests.engines.endpoint import text_of

pytest.importorskip("openai", reason="the extra `openai` is not installed")


@pytest.mark.slow
def test_a_real_server_of_the_transformers_library_is_spoken_to(speak, tmp_path):
    """`transformers serve` on a tiny model: greedy answers are the model's own."""
    if not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn")):
        pytest.skip("`transformers serve` needs: pip install 'transformers[serving]'")
    from askesis.engines.native import NativeEngine

    local = tiny_model("policy", seed=1, initializer_range=0.2)
    with torch.no_grad():  # it says letters, so that bytes survive the server's text
        scale = torch.full((264, 1), 0.05)
        scale[97:123] = 1
        local.module.model.embed_tokens.weight *= scale
    local.save(tmp_path / "model")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    main = "from transformers.cli.transformers import main; main()"
    options = ["serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    command = [sys.executable, "-c", main, *options]
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(port, process, tmp_path / "log")
        model = RemoteModel("judge", str(tmp_path / "model"), url=f"http://127.0.0.1:{port}/v1")
        engine = OpenAIEngine(model, server="transformers", cache="off", timeout_s=120)
        greedy = ask("hello", temperature=0)
        (said,) = engine.say([greedy])
        (expected,) = NativeEngine(local).say([greedy])
        assert text_of(said) == local.renderer.decode(expected.tokens)
        assert (said.stop, said.usage.tokens) == (StopReason.LENGTH, 12)
        drawn = engine.say([ask("hello", k, top_k=50, min_p=0.001) for k in range(3)])
        assert len({text_of(s) for s in drawn}) == 3
        engine.close()
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen, log: Path, limit_s: float = 90) -> None:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()[-2000:]
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"the server did not come up in {limit_s} s: {log.read_text()[-2000:]}")
