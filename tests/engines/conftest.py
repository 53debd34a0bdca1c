"""An engine of endpoints for a test, closed after it."""

from __future__ import annotations

from typing import Any

import pytest

from askesis.engines.openai import OpenAIEngine
from askesis.models.remote import RemoteModel
from tests.engines.endpoint import Loopback


@pytest.fixture
def own_key(monkeypatch):
    """Never the key or the address of this machine's user."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-the-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def speak(tmp_path, own_key):
    """speak(at, **options) -> an engine with a cache of its own and short pauses."""
    made = []

    def make(at: Loopback, model: Any = None, /, **options: Any) -> OpenAIEngine:
        options = {"backoff_s": 0.01, "cache": str(tmp_path / "answers")} | options
        made.append(OpenAIEngine(model or RemoteModel("judge", "big"), url=at.url, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.close()
