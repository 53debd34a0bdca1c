"""Decoding with half a billion parameters: the native engine, `transformers.generate`, bandwidth.

    python -m benchmarks.half_billion [--device cuda] [--layers 24] [--rows 256] [--pairs 5]

Random weights of the shape of Qwen2.5-0.5B (24 layers of width 896, 14 query and 2 key heads, but
the byte vocabulary: nothing is downloaded). Meant for a GPU; a processor runs it with fewer layers
to see that it works. 24 prompt tokens and 128 new ones a row, in bfloat16 on a GPU. Each step of a
batch reads every weight and every row's keys and values once: what that comes to in bytes a
second is set against what the device reaches when it copies memory.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from askesis.engines.native import NativeEngine
from askesis.models.sharing import transformers_module
from askesis.models.tiny import tiny_model
from askesis.requests import Sampling, SayTokens
from askesis.rng import key
from benchmarks.machine import write

PROMPT, NEW = 24, 128
SHAPE = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "head_dim": 64,
}


def wall(call: Callable[[], Any], device: torch.device) -> float:
    """Seconds of a call, until the device has done it."""
    began = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def copied_bytes_per_s(device: torch.device) -> float:
    """What the device reaches when it copies a quarter of a GiB: bytes read and written."""
    source = torch.empty(1 << 28, dtype=torch.uint8, device=device)
    to = torch.empty_like(source)
    seconds = min(wall(lambda: to.copy_(source), device) for _ in range(8))
    return 2 * source.numel() / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    device = torch.device(options.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = tiny_model("policy", 0, num_hidden_layers=options.layers, **SHAPE)
    model.module.to(device, dtype)
    rng = np.random.default_rng(0)
    prompts = rng.integers(0, 256, (options.rows, PROMPT)).astype(np.int32)
    engine = NativeEngine(model, max_rows=options.rows)
    asked = [
        SayTokens(p, Sampling(max_tokens=NEW), key("row", i), ()) for i, p in enumerate(prompts)
    ]
    module = transformers_module(model.module, model.config)
    module.generation_config.eos_token_id = None
    some = torch.from_numpy(prompts).long().to(device)

    def native() -> None:
        engine.clear()
        engine.say(asked)

    def generate() -> None:
        with torch.inference_mode():
            module.generate(
                some,
                attention_mask=torch.ones_like(some),
                do_sample=True,
                top_k=0,
                max_new_tokens=NEW,
                pad_token_id=256,
            )

    for call in (native, generate):
        call()
    pairs = [(wall(native, device), wall(generate, device)) for _ in range(options.pairs)]
    tokens = options.rows * NEW
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    c = model.module.config
    a_token = 2 * c.num_layers * c.num_kv_heads * c.head_size * dtype.itemsize
    kept = options.rows * (PROMPT + NEW / 2) * a_token
    read = NEW * (model.num_parameters * dtype.itemsize + kept)
    reached, peak = read / ours, copied_bytes_per_s(device)
    figures = {
        "parameters": model.num_parameters,
        "dtype": str(dtype).removeprefix("torch."),
        "rows": options.rows,
        "native_tokens_per_s": round(tokens / ours),
        "generate_tokens_per_s": round(tokens / theirs),
        "ratio": round(statistics.median(b / a for a, b in pairs), 2),
        "read_gb_per_s": round(reached / 1e9, 1),
        "copy_gb_per_s": round(peak / 1e9, 1),
        "bandwidth_share": round(reached / peak, 3),
    }
    for name, value in figures.items():
        print(f"{name:24} {value}")
    command = f"python -m benchmarks.half_billion --device {device.type} --layers {options.layers}"
    print("written to", write(f"half_billion_{device.type}", figures, command))


if __name__ == "__main__":
    main()
