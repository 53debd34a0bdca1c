"""One thread a test process, a cache of its own, and a warm start that takes a second."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory):
    """Tests never see or touch the user's cache."""
    before = os.environ.get("ASKESIS_CACHE")
    os.environ["ASKESIS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["ASKESIS_CACHE"]
    else:
        os.environ["ASKESIS_CACHE"] = before


@pytest.fixture
def quick_warm_start(monkeypatch):
    """A start from a few demonstrations: it knows the format and hardly more."""
    from askesis.lab import warm_start

    quick = warm_start.WarmStart(demonstrations=256, held_out=32, max_updates=20)
    monkeypatch.setattr(warm_start, "DEFAULT", quick)
