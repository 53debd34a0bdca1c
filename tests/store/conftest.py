"""The store's tests do not wait for the disk; every flush is still reached."""

from __future__ import annotations

import os

import pytest

from askesis.store import ledger


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(ledger, "_DURABLE", "off")
    monkeypatch.setattr(ledger, "_CHEAP", "off")
