"""Is this machine ready? Versions, optional extras, the cache, and one second of sampling."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

REQUIRED = (
    "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "pyarrow", "duckdb",
    "pydantic", "typer", "rich", "jinja2", "plotly",
)  # fmt: skip
EXTRAS = (
    ("peft", "adapters", "LoRA adapters (--model.lora-rank)"),
    ("math-verify", "math", "mathematical equivalence of answers"),
    ("reasoning-gym", "gym", "worlds reasoning_gym:NAME"),
    ("datasets", "datasets", "loading an exported data set"),
)
SAMPLING_S = 1.0
ENOUGH_DISK = 2e9  # bytes


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what was found (with what to type)."""

    what: str
    verdict: Literal["ok", "note", "bad"]
    found: str


def examine() -> list[Finding]:
    """Look at everything; nothing is changed and nothing downloaded."""
    return [
        _python(),
        _machine(),
        *(_package(name) for name in REQUIRED),
        *(_extra(*extra) for extra in EXTRAS),
        _accelerator(),
        _cache(),
        _disk(Path.cwd()),
        _sampling(),
    ]


def _python() -> Finding:
    return Finding("python", "ok", f"{platform.python_version()} at {sys.prefix}")


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = "memory unknown"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        memory = f"{gib:.1f} GiB of memory"
    return Finding("machine", "ok", f"{platform.machine()}, {cores} cores, {memory}")


def _package(name: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        return Finding(name, "bad", "not installed: pip install askesis")


def _extra(name: str, extra: str, purpose: str) -> Finding:
    try:
        return Finding(name, "ok", version(name))
    except PackageNotFoundError:
        how = f"pip install 'askesis[{extra}]'"
        return Finding(name, "note", f"not installed; for {purpose}: {how}")


def _accelerator() -> Finding:
    import torch

    threads = f"{torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        return Finding("accelerator", "ok", f"{torch.cuda.get_device_name(0)}; {threads}")
    return Finding("accelerator", "ok", f"none: models run on the processor, {threads}")


def _cache() -> Finding:
    from askesis.lab.warm_start import cache_root

    root = cache_root()
    there = sorted(p.parent.name for p in root.glob("warm/*/warm.json"))
    place = root
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return Finding("cache", "bad", f"{root} cannot be written; set ASKESIS_CACHE to another")
    kept = f"{len(there)} warm starts" + (f" ({', '.join(there)})" if there else "")
    return Finding("cache", "ok", f"{root}: {kept}")


def _disk(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    verdict: Literal["ok", "note"] = "ok" if free >= ENOUGH_DISK else "note"
    return Finding("disk here", verdict, f"{free / 1e9:.1f} GB free")


def _sampling() -> Finding:
    """One second of sampling from a tiny model of random weights."""
    try:
        speed = tokens_per_second()
    except Exception as error:
        return Finding("sampling", "bad", f"{type(error).__name__}: {error}")
    return Finding("sampling", "ok", f"{speed:,.0f} tokens a second (tiny model, 64 rows)")


def tokens_per_second(seconds: float = SAMPLING_S) -> float:
    """What the native engine makes of the tiny model on this machine."""
    from askesis.lab.speech import Answerer
    from askesis.models.load import open_model
    from askesis.records import Task
    from askesis.requests import Sampling

    answerer = Answerer(open_model("policy", "tiny"), allowance=48)
    tasks = [Task(f"doctor:{i}", "doctor", f"3 7 {i} -> 33") for i in range(64)]
    sampling = Sampling(max_tokens=48)
    said = 0
    try:
        list(answerer.answers(None, tasks, num_attempts=1, sampling=sampling, seed=0))  # warm up
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for _, answers in answerer.answers(
                None, tasks, num_attempts=1, sampling=sampling, seed=said
            ):
                said += sum(a.num_tokens for a in answers)
        return said / (time.perf_counter() - began)
    finally:
        answerer.close()
