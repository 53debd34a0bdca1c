"""Tokens per second of the native engine against `transformers.generate`, on the tiny model.

    python -m benchmarks.sampling [--pairs 7] [--to PATH]

Three workloads: 256 prompts of 24 tokens with 48 new tokens each, once and with 8 attempts a
prompt; and 1,024 attempts whose lengths are geometric with mean 12. Both sides draw at temperature
one without filters; each is first tried at several batch sizes and precisions and then measured
at its best, in interleaved pairs, so that what else the machine does hits both. Only tokens that
count are counted: padding after a row's end is not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from askesis.engines.native import NativeEngine
from askesis.models.tiny import tiny_model
from askesis.requests import Sampling, SayTokens
from askesis.rng import key
from benchmarks.machine import describe, write

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
    return lambda: sum(len(s.tokens) for s in engine.say(requests))


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
    from askesis.engines.transformers import TransformersEngine

    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        module = TransformersEngine(model)._module()
        module.generation_config.eos_token_id = None
        found[name] = module.to(dtype) if dtype != torch.float32 else module
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=7, help="interleaved pairs to take")
    parser.add_argument("--to", type=Path, default=None, help="write the JSON there instead")
    options = parser.parse_args()
    torch.manual_seed(0)  # transformers.generate draws from the global generator
    model = tiny_model()
    with_transformers = modules(tiny_model())
    figures: dict[str, Any] = {"parameters": model.num_parameters, "workloads": {}}
    ratios = []
    for name, work in workloads().items():
        ours = {
            f"{dtype}, {rows} rows": native(model, dtype, rows, work)
            for dtype in ("float32", "bfloat16")
            for rows in (256, 512, 1024)
        }
        theirs = {
            f"{dtype}, {rows} rows": generate(module, rows, work)
            for dtype, module in with_transformers.items()
            for rows in (128, 256)
        }
        our_best, their_best = best(ours), best(theirs)
        exact = best({n: c for n, c in ours.items() if n.startswith("float32")})
        pairs = [
            (speed(ours[our_best]), speed(theirs[their_best]), speed(ours[exact]))
            for _ in range(options.pairs)
        ]
        fast, slow, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b, _ in pairs)
        ratios.append(ratio)
        figures["workloads"][name] = {
            "native_tokens_per_s": round(fast),
            "native_at": our_best,
            "native_float32_tokens_per_s": round(plain),
            "native_float32_at": exact,
            "generate_tokens_per_s": round(slow),
            "generate_at": their_best,
            "ratio": round(ratio, 2),
        }
        print(
            f"{name}\n  native    {fast:9,.0f} tokens/s  ({our_best})"
            f"\n  native    {plain:9,.0f} tokens/s  ({exact})"
            f"\n  generate  {slow:9,.0f} tokens/s  ({their_best})\n  ratio     {ratio:9.2f}",
            flush=True,
        )
    figures["ratio_geometric_mean"] = round(statistics.geometric_mean(ratios), 2)
    figures["pairs"] = options.pairs
    print(f"geometric mean of the ratios {figures['ratio_geometric_mean']}")
    command = f"python -m benchmarks.sampling --pairs {options.pairs}"
    if options.to is None:
        print("written to", write("sampling", figures, command))
    else:
        plain_json = {"command": command, "machine": describe(), "figures": figures}
        options.to.write_text(json.dumps(plain_json, indent=1, sort_keys=True) + "\n")
        print("written to", options.to)


if __name__ == "__main__":
    main()
