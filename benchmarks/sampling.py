"""Tokens per second of the native engine against `transformers.generate` and vLLM, tiny model.

    python -m benchmarks.sampling [--pairs 7] [--vllm-python PYTHON] [--to PATH]

Three workloads: 256 prompts of 24 tokens with 48 new tokens each, once and with 8 attempts a
prompt; and 1,024 attempts whose lengths are geometric with mean 12. All sides draw at temperature
one without filters; each is first tried at several batch sizes and precisions and then measured
at its best, in interleaved pairs, so that what else the machine does hits all. Only tokens that
count are counted: padding after a row's end is not. Nothing is kept from one run to the next: the
native engine's caches are emptied before every call.

vLLM wants an environment of its own (tests/engines/make_vllm_env.sh makes one); PYTHON is its
interpreter. It runs as a child of this process, one run at a time in turn with the others.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from askesis.engines.native import NativeEngine
from askesis.models.sharing import transformers_module
from askesis.models.tiny import tiny_model
from askesis.requests import Sampling, SayTokens
from askesis.rng import key
from benchmarks.machine import describe, write
from benchmarks.vllm_side import VllmSide

PROMPT, NEW = 24, 48


def workloads() -> dict[str, tuple[np.ndarray, int, np.ndarray]]:
    """name -> prompts (P, 24), attempts per prompt, new tokens of every row."""
    rng = np.random.default_rng(0)
    prompts = rng.integers(0, 256, (256, PROMPT)).astype(np.int32)
    many = rng.integers(0, 256, (1024, PROMPT)).astype(np.int32)
    lengths = np.minimum(rng.geometric(1 / 12, 1024), 200)
    return {
        "256 prompts, 1 attempt, 48 tokens": (prompts, 1, np.full(256, NEW)),
        "256 prompts, 8 attempts, 48 tokens": (prompts, 8, np.full(2048, NEW)),
        "1024 prompts, 1 attempt, geometric, mean 12": (many, 1, lengths),
    }


def native(model: Any, dtype: str, rows: int, work: Any) -> Callable[[], int]:
    """A call that does the work with our engine and returns the tokens said."""
    prompts, attempts, lengths = work
    engine = NativeEngine(model, max_rows=rows, dtype=dtype)
    requests = [
        SayTokens(prompts[i // attempts], Sampling(max_tokens=int(n)), key("row", i), ())
        for i, n in enumerate(lengths)
    ]

    def call() -> int:
        engine.clear()
        return sum(len(s.tokens) for s in engine.say(requests))

    return call


def generate(module: Any, rows: int, work: Any) -> Callable[[], int]:
    """The same with `transformers.generate`; rows that are over still ride to the batch's end."""
    prompts, attempts, lengths = work
    per_batch = max(1, rows // attempts)

    def call() -> int:
        said = 0
        for first in range(0, len(prompts), per_batch):
            some = torch.from_numpy(prompts[first : first + per_batch]).long()
            ends = lengths[first * attempts : (first + per_batch) * attempts]
            limits = torch.from_numpy(ends) + PROMPT
            done = [lambda ids, scores, limits=limits: ids.shape[1] >= limits]
            with torch.inference_mode():
                module.generate(
                    some,
                    attention_mask=torch.ones_like(some),
                    do_sample=True,
                    top_k=0,
                    num_return_sequences=attempts,
                    max_new_tokens=int(ends.max()),
                    stopping_criteria=done,
                    eos_token_id=None,
                    pad_token_id=256,
                )
            said += int(ends.sum())
        return said

    return call


def speed(call: Callable[[], int]) -> float:
    """Tokens per second of one call."""
    began = time.perf_counter()
    said = call()
    return said / (time.perf_counter() - began)


def best(candidates: dict[str, Callable[[], int]]) -> str:
    """The fastest candidate, by one measured call each after one to warm up."""
    for call in candidates.values():
        call()
    return max(candidates, key=lambda name: speed(candidates[name]))


def modules(model: Any) -> dict[str, Any]:
    """The model as transformers modules, one a precision."""
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        module = copy.deepcopy(transformers_module(model.module, model.config)).to(dtype)
        module.generation_config.eos_token_id = None
        found[name] = module
    return found


def measure(work: Any, number: int, pairs: int, sides: Any) -> dict[str, Any]:
    """Medians of one workload: every side at its best, in turn."""
    model, with_transformers, vllm = sides
    ours = {
        f"{dtype}, {rows} rows": native(model, dtype, rows, work)
        for dtype in ("float32", "bfloat16")
        for rows in (128, 256, 512, 1024)
    }
    theirs = {
        f"{dtype}, {rows} rows": generate(module, rows, work)
        for dtype, module in with_transformers.items()
        for rows in (128, 256, 512)
    }
    our_best, their_best = best(ours), best(theirs)
    exact = best({n: c for n, c in ours.items() if n.startswith("float32")})
    runs: dict[str, Callable[[], float]] = {
        "native": lambda: speed(ours[our_best]),
        "native_float32": lambda: speed(ours[exact]),
        "generate": lambda: speed(theirs[their_best]),
    }
    at = {"native": our_best, "native_float32": exact, "generate": their_best}
    if vllm is not None:
        runs["vllm"] = lambda: vllm.speed(number)
        at["vllm"] = list(vllm.best.values())[number]["at"]
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(pairs):
        for name, run in runs.items():
            found[name].append(run())
    row: dict[str, Any] = {}
    for name, speeds in found.items():
        row[f"{name}_tokens_per_s"] = round(statistics.median(speeds))
        row[f"{name}_at"] = at[name]
    for other in ("generate", "vllm"):
        if other in found:
            row[f"ratio_to_{other}"] = round(ratio(found["native"], found[other]), 2)
            row[f"float32_ratio_to_{other}"] = round(
                ratio(found["native_float32"], found[other]), 2
            )
    return row


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Median of the pairwise ratios."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def table(name: str, row: dict[str, Any]) -> str:
    """What one workload came to, as lines."""
    sides = [n.removesuffix("_tokens_per_s") for n in row if n.endswith("_tokens_per_s")]
    lines = [name]
    for side in sides:
        times = row.get(f"ratio_to_{side}")
        less = f"  native is {times:.2f} times as fast" if times else ""
        lines.append(
            f"  {side:15} {row[f'{side}_tokens_per_s']:9,} tokens/s  ({row[f'{side}_at']}){less}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="interleaved pairs to take")
    parser.add_argument("--vllm-python", default="", help="interpreter with vLLM installed")
    parser.add_argument("--to", type=Path, default=None, help="write the JSON there instead")
    options = parser.parse_args()
    torch.manual_seed(0)  # transformers.generate draws from the global generator
    model = tiny_model()
    figures: dict[str, Any] = {"parameters": model.num_parameters, "pairs": options.pairs}
    rows: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        vllm = None
        if options.vllm_python:
            print("vLLM tries its configurations first, which takes some minutes", flush=True)
            vllm = stack.enter_context(VllmSide(options.vllm_python))
            figures["vllm_tried"] = vllm.best
        sides = (model, modules(tiny_model()), vllm)
        for number, (name, work) in enumerate(workloads().items()):
            rows[name] = measure(work, number, options.pairs, sides)
            print(table(name, rows[name]), flush=True)
    figures["workloads"] = rows
    for other in ("generate", "vllm"):
        ratios = [row[f"ratio_to_{other}"] for row in rows.values() if f"ratio_to_{other}" in row]
        if ratios:
            mean = round(statistics.geometric_mean(ratios), 2)
            figures[f"geometric_mean_ratio_to_{other}"] = mean
            print(f"geometric mean of the ratios to {other}: {mean}")
    command = f"python -m benchmarks.sampling --pairs {options.pairs}"
    command += " --vllm-python PYTHON" if options.vllm_python else ""
    if options.to is None:
        print("written to", write("sampling", figures, command))
    else:
        plain_json = {"command": command, "machine": describe(), "figures": figures}
        options.to.write_text(json.dumps(plain_json, indent=1, sort_keys=True) + "\n")
        print("written to", options.to)


if __name__ == "__main__":
    main()
