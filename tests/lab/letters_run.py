"""A finished run of `letters.py` that tests read, made once a test process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

RECIPE = f"{Path(__file__).with_name('letters.py')}:letters"


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Three rounds, every one of them a segment. Do not write into it."""
    from askesis.cli.main import main

    path = tmp_path_factory.mktemp("runs") / "letters"
    assert main(["run", RECIPE, "--out", str(path), "--segment-s", "0"]) == 0
    return path


@pytest.fixture
def letters_run(finished, tmp_path) -> Path:
    """A copy of the finished run that a test may change."""
    path = tmp_path / "letters"
    shutil.copytree(finished, path)
    return path
