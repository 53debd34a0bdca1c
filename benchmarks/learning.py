"""One update of a GRPO round: tokens per second, padding, and the share of the arithmetic limit.

    python -m benchmarks.learning [--repeats 9] [--device cpu|cuda] [--to PATH]

64 prompts of 16 to 32 tokens with 8 attempts each, whose lengths are geometric with mean 14 and at
most 32; one update of the tiny model on all of them: forward, backward, clipping, AdamW. Measured
in interleaved repeats, medians: our trainer in float32 and in bfloat16, and for comparison the
same update through `LlamaForCausalLM` of transformers (padded micro-batches sorted by length, log-
softmax over all positions, one thread per micro-batch as ours), at its best micro-batch size.

Tokens are the real ones of all samples, prompts included, also where ours computes a prompt once.
The arithmetic limit is the time the matrix products of what we compute would take at the speed
that one core multiplies matrices of these shapes, times the number of cores.

With `--device cuda` it is the same on a GPU: half a billion random weights of the Qwen2-0.5B shape,
prompts of 128 to 256 tokens, answers of mean 100 and at most 256, weights in float32.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from askesis.learn.batch import collate, step_norm
from askesis.learn.batching import micro_batches
from askesis.learn.optimizer import open_optimizer
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import Trainer
from askesis.models.bins import bins
from askesis.models.tiny import tiny_model
from askesis.records import Sample, Sequence
from benchmarks.machine import describe, write

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
PROMPTS, ATTEMPTS = 64, 8


@dataclass(frozen=True)
class Size:
    """What is learnt on which device: lengths in tokens, changes to the tiny model's shape."""

    device: str
    prompt: tuple[int, int]
    mean: int
    longest: int
    micro: int  # our micro-batches
    others: tuple[int, ...]  # what transformers is tried with
    shape: dict[str, Any]


CPU = Size("cpu", (16, 32), 14, 32, 1024, (1024, 2048, 4096), {})
HALF_BILLION = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "initializer_range": 0.02,
}
GPU = Size("cuda", (128, 256), 100, 256, 16384, (8192, 16384), HALF_BILLION)


def attempts(size: Size, num_prompts: int = PROMPTS, seed: int = 0) -> list[Sample]:
    """Groups of attempts with an advantage for each, as a GRPO round makes them."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(num_prompts):
        prompt = rng.integers(0, 256, int(rng.integers(size.prompt[0], size.prompt[1] + 1)))
        for _ in range(ATTEMPTS):
            answer = rng.integers(0, 256, int(min(size.longest, rng.geometric(1 / size.mean))))
            tokens = np.concatenate([prompt, answer]).astype(np.int32)
            weight = np.r_[np.zeros(len(prompt)), np.full(len(answer), rng.normal())]
            columns = {"weight": weight.astype(np.float32)}
            found.append(Sample("policy", (Sequence(tokens, columns),)))
    return found


def model_of(size: Size) -> Any:
    model = tiny_model(**size.shape)
    model.module.to(size.device)
    return model


def ours(
    model: Any, size: Size, samples: list[Sample], precision: Any, num_workers: int | None = None
) -> Callable[[], Any]:
    """A call that makes one update with our trainer."""
    trainer = Trainer(
        model,
        (Supervised(),),
        micro_batch_tokens=size.micro,
        max_grad_norm=1.0,
        precision=precision,
        num_workers=num_workers,
    )
    optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
    return lambda: trainer.update(optimizer, samples, 1e-6)


def through_transformers(
    model: Any, size: Size, samples: list[Sample], precision: str, micro: int
) -> Callable[[], None]:
    """The same update by padded micro-batches through transformers, on the same weights."""
    from askesis.models.sharing import transformers_module

    module = transformers_module(model.module, model.config)
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-6, betas=(0.9, 0.95), fused=True)
    norm = step_norm(samples)["weight"]

    def one(piece: list[Sample]) -> tuple[torch.Tensor, ...]:
        batch = collate(piece, device=size.device)
        with torch.autocast(size.device, DTYPES[precision], enabled=precision != "float32"):
            logits = module(batch.tokens, use_cache=False).logits[:, :-1]
        rows, targets = logits.flatten(0, 1).float(), batch.tokens[:, 1:].flatten()
        nll = torch.nn.functional.cross_entropy(rows, targets, reduction="none")
        loss = (nll * batch.columns["weight"][:, 1:].flatten()).sum() / norm
        return torch.autograd.grad(loss, parameters)

    def call() -> None:
        threads = torch.get_num_threads() if size.device == "cpu" else 1
        found = [torch.zeros_like(p) for p in parameters]
        pieces = list(micro_batches(samples, micro))
        if threads == 1:
            for piece in pieces:
                torch._foreach_add_(found, one(piece))
        else:
            torch.set_num_threads(1)
            start = lambda: torch.set_num_threads(1)
            with ThreadPoolExecutor(threads, initializer=start) as workers:
                for gradients in workers.map(one, pieces):
                    torch._foreach_add_(found, gradients)
            torch.set_num_threads(threads)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return call


def seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def multiply_speed(size: Size, dtype: torch.dtype) -> float:
    """Multiply-adds times two a second at the widest layer's shape: of one core, times cores."""
    width, inner = size.shape.get("hidden_size", 128), size.shape.get("intermediate_size", 384)
    x = torch.randn(size.micro, width, dtype=dtype, device=size.device)
    w = torch.randn(2 * inner, width, dtype=dtype, device=size.device)
    threads = torch.get_num_threads() if size.device == "cpu" else 1
    torch.set_num_threads(1)
    best = min(seconds(lambda: [x @ w.t() for _ in range(20)]) for _ in range(15))
    torch.set_num_threads(threads)
    return threads * 20 * 2.0 * len(x) * width * 2 * inner / best


def products(model: Any, report: Any, samples: list[Sample]) -> float:
    """Floating-point operations of the matrix products of one update: layers and head."""
    layers = sum(p.numel() for n, p in model.module.named_parameters() if "proj" in n)
    learnt = sum(int(np.count_nonzero(s.sequences[0].columns["weight"])) for s in samples)
    return 6.0 * (report.positions * layers + learnt * model.module.head.numel())


def padding(samples: list[Sample], limit: int) -> dict[str, float]:
    """Padding as a fraction of positions, by how the samples of a step are laid out."""
    real = sum(s.num_tokens for s in samples)
    pieces = list(micro_batches(samples, limit))
    widths = [max(len(s.sequences[0].tokens) for s in p) for p in pieces]
    rows = 0
    for piece in pieces:
        batch = SimpleNamespace(**{k: getattr(collate(piece), k) for k in ("tokens", "lengths")})
        rows += bins(batch.tokens, batch.lengths).tokens.numel()
    whole = max(len(s.sequences[0].tokens) for s in samples) * len(samples)
    in_sorted = sum(w * len(p) for w, p in zip(widths, pieces, strict=True))
    return {
        "padded to the longest": round(1 - real / whole, 3),
        "sorted by length": round(1 - real / in_sorted, 3),
        "several in a row (transformers modules)": round(1 - real / rows, 3),
        "real tokens alone (native decoders)": 0.0,
    }


def profile_of(call: Callable[[], Any], device: str) -> dict[str, float]:
    """Share of time of the most expensive operations; of one thread on a processor."""
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    with profile(activities=activities) as found:
        seconds(call)
    name = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    rows = found.key_averages()
    total = sum(getattr(r, name) for r in rows)
    top = sorted(rows, key=lambda r: -getattr(r, name))[:12]
    return {r.key[:60]: round(getattr(r, name) / total, 3) for r in top}


def measure(size: Size, repeats: int) -> dict[str, Any]:
    """All figures for one device."""
    samples, model = attempts(size), model_of(size)
    tokens = sum(s.num_tokens for s in samples)
    calls: dict[str, Callable[[], Any]] = {}
    for precision in DTYPES:
        calls[f"ours, {precision}"] = ours(model, size, samples, precision)
        tried = {m: through_transformers(model, size, samples, precision, m) for m in size.others}
        for call in tried.values():
            call()
        best = min(tried, key=lambda m: min(seconds(tried[m]) for _ in range(2)))
        calls[f"transformers, {precision}"] = tried[best]
    reports = {name: call() for name, call in calls.items()}
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            took[name].append(seconds(call))
    medians = {name: statistics.median(values) for name, values in took.items()}
    figures: dict[str, Any] = {
        "parameters": model.num_parameters,
        "samples": len(samples),
        "tokens": tokens,
        "computed_positions": reports["ours, float32"].positions,
        "repeats": repeats,
        "updates": {
            name: {
                "median_s": round(medians[name], 3),
                "least_s": round(min(took[name]), 3),
                "tokens_per_s": round(tokens / medians[name]),
            }
            for name in calls
        },
        "padding_fraction": {
            "a round of 512 attempts": padding(samples, size.others[0]),
            "a step of 40 attempts": padding(samples[:40], size.others[0]),
        },
        "profile": {},
        "arithmetic_limit": {},
    }
    for precision, dtype in DTYPES.items():
        speed, name = multiply_speed(size, dtype), f"ours, {precision}"
        limit = products(model, reports[name], samples) / speed
        figures["arithmetic_limit"][precision] = {
            "products_gflop_per_s": round(speed / 1e9),
            "limit_s": round(limit, 3),
            "share_reached": round(limit / medians[name], 2),
        }
        ratio = statistics.median(
            a / b for a, b in zip(took[f"transformers, {precision}"], took[name], strict=True)
        )
        figures["updates"][name]["times_transformers"] = round(ratio, 2)
        alone = ours(model, size, samples, precision, num_workers=1)
        figures["profile"][precision] = profile_of(alone, size.device)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--to", type=Path, default=None, help="write the JSON there instead")
    options = parser.parse_args()
    figures = measure(GPU if options.device == "cuda" else CPU, options.repeats)
    print(json.dumps(figures, indent=1))
    command = f"python -m benchmarks.learning --repeats {options.repeats}"
    name = "learning"
    if options.device == "cuda":
        command, name = command + " --device cuda", "learning_cuda"
    if options.to is None:
        print("written to", write(name, figures, command))
    else:
        plain = {"command": command, "machine": describe(), "figures": figures}
        options.to.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")
        print("written to", options.to)


if __name__ == "__main__":
    main()
