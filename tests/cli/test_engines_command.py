"""`askesis engines`: what there is, and what this machine has of it."""

from __future__ import annotations

import json
import subprocess
import sys

from askesis.cli.listing import missing
from askesis.cli.main import main
from askesis.engines.table import ENGINES


def run(capsys, *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


def test_every_engine_is_listed_with_its_purpose_and_whether_it_runs_here(capsys):
    out = run(capsys, "engines")
    listed = json.loads(run(capsys, "engines", "--json"))
    assert set(ENGINES) <= set(listed)
    for name, row in ENGINES.items():
        assert name in out
        assert listed[name]["purpose"] == row.purpose
        assert listed[name]["here"] == (not missing(row.needs))
    assert listed["native"]["here"] is True


def test_an_engine_whose_library_is_missing_says_which(capsys, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "vllm" else real(name)
    )
    listed = json.loads(run(capsys, "engines", "--json"))["vllm"]
    assert (listed["here"], listed["lacks"]) == (False, ["vllm"])
    assert "no: vllm not installed" in run(capsys, "engines")


def test_listing_engines_imports_none_of_them():
    heavy = ("torch", "transformers", "vllm", "openai")
    code = (
        "import sys; from askesis.cli.main import main; assert main(['engines']) == 0\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().splitlines()[-1] == "[]"
