"""Who may import whom (docs/design.md). Lower never imports higher; stages never each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "askesis"
LEVELS = [
    {"records", "trees", "errors", "rng", "text"},
    {"requests", "protocols", "plan", "config", "registry", "budget", "formulas", "specs", "steps"},
    {"models", "worlds", "store"},
    {"engines"},
    {"driver", "speakers", "context"},
    {"search"},
    {"tasks", "explore", "judge", "select", "learn", "measure", "retain"},
    {"loop"},
    {"recipes", "run"},
    {"lab"},
    {"cli", "web"},
]
APART = [
    {"models", "worlds", "store"},
    {"tasks", "explore", "judge", "select", "learn", "measure", "retain"},
]
STAGES = APART[1]
FORBIDDEN = {"utils", "common", "helpers", "misc", "manager"}
LEVEL = {room: n for n, rooms in enumerate(LEVELS) for room in rooms}
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Rooms of the package a file imports, except for type checking."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "askesis":
                names = [f"askesis.{a.name}" for a in node.names]
        found |= {n.split(".")[1] for n in names if n.startswith("askesis.")}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_what_lies_below_it(path):
    room = room_of(path)
    assert room in LEVEL, f"{room} has no place in the house: give it one in docs/design.md"
    for other in imports(path) - {room}:
        assert LEVEL[other] <= LEVEL[room], f"{room} imports {other}, which lies above it"
        for rooms in APART:
            assert not {room, other} <= rooms, f"{room} and {other} must not know each other"


def test_the_loop_sees_no_stage_and_no_engine():
    seen = imports(PACKAGE / "loop.py")
    assert not seen & (STAGES | {"models", "worlds", "store", "engines", "recipes", "run"})


def test_there_is_no_drawer_for_odds_and_ends():
    names = {part for p in PACKAGE.rglob("*") for part in (p.stem,)}
    assert not names & FORBIDDEN


def test_listing_what_there_is_imports_no_heavy_library():
    import subprocess
    import sys

    code = (
        "import sys; import askesis.cli.main, askesis.registry; "
        "print([m for m in ('torch','transformers','pyarrow','duckdb','plotly') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
