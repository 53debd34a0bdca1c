"""The worlds by name. Importing this imports none of them."""

from __future__ import annotations

from askesis.registry import Row

_PAGE = "docs/worlds.md"

WORLDS: dict[str, Row] = {
    "countdown-v1": Row(
        "askesis.worlds.countdown:Countdown",
        "reach a target from three or four numbers, using each once; as one answer, or walked",
        "answer, steps, demonstration, turns, states, corrections",
        page=_PAGE,
    ),
    "chain_arithmetic-v1": Row(
        "askesis.worlds.chain_arithmetic:ChainArithmetic",
        "a chain of operations on a scratchpad, one a line; the truth of every step",
        "answer, steps, demonstration, corrections",
        page=_PAGE,
    ),
    "addition-v1": Row(
        "askesis.worlds.addition:Addition",
        "multi-digit addition from one to ten digits, column by column",
        "answer, steps, demonstration, corrections",
        page=_PAGE,
    ),
    "maze-v1": Row(
        "askesis.worlds.maze:Maze",
        "find the way through a maze: as one answer, or walked move by move",
        "answer, steps, demonstration, turns, states",
        page=_PAGE,
    ),
    "preferences-v1": Row(
        "askesis.worlds.preferences:Preferences",
        "order letters to a hidden taste; annotators' preferences, with noise and cycles",
        "answer, preference, listed answers",
        page=_PAGE,
    ),
    "garden_path-v1": Row(
        "askesis.worlds.garden_path:GardenPath",
        "take the right turns after writers who begin wrongly; all answers can be listed",
        "answer, listed answers",
        page=_PAGE,
    ),
    "reasoning_gym": Row(
        "askesis.worlds.gym:open_gym",
        "reasoning_gym:NAME, a task family of the reasoning-gym library with its own scorer",
        "answer",
        needs=("reasoning-gym",),
        page=_PAGE,
    ),
    "jsonl": Row(
        "askesis.worlds.questions:open_jsonl",
        "jsonl:PATH, questions and answers from a file, a folder or a pattern of files",
        "answer (and demonstration where the answers are worked)",
        page=_PAGE,
    ),
    "parquet": Row(
        "askesis.worlds.questions:open_parquet",
        "parquet:PATH, questions and answers from Parquet files",
        "answer (and demonstration where the answers are worked)",
        page=_PAGE,
    ),
    "pairs": Row(
        "askesis.worlds.preference_files:open_pairs",
        "pairs:PATH, prompts with a chosen and a rejected answer from a file",
        "preference",
        page=_PAGE,
    ),
}

# These take something behind a colon.
ADAPTERS = frozenset({"reasoning_gym", "jsonl", "parquet", "pairs"})
