"""One update of a GRPO round: tokens per second, padding, and the share of the arithmetic limit.

    python -m benchmarks.learning [--repeats 9] [--to PATH]

64 prompts of 16 to 32 tokens with 8 attempts each, whose lengths are geometric with mean 14 and at
most 32; one update of the tiny model on all of them: forward, backward, clipping, AdamW. Measured
in interleaved repeats, medians: our trainer in float32 and in bfloat16, and for comparison the
same update through `LlamaForCausalLM` of transformers (padded micro-batches sorted by length, log-
softmax over all positions, one thread per micro-batch as ours), at its best micro-batch size.

Tokens are the real ones of all samples, prompts included, also where ours computes a prompt once.
The arithmetic limit is the time the matrix products of what we compute would take at the speed
that this machine multiplies matrices of these shapes, on all cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from askesis.learn.batching import collate, micro_batches, step_norm
from askesis.learn.optimizer import open_optimizer
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import Trainer
from askesis.models.bins import bins
from askesis.models.tiny import tiny_model
from askesis.records import Sample, Sequence
from benchmarks.machine import describe, write

PROMPTS, ATTEMPTS, LONGEST = 64, 8, 32
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def attempts(num_prompts: int = PROMPTS, seed: int = 0) -> list[Sample]:
    """Groups of attempts with an advantage for each, as a GRPO round makes them."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(num_prompts):
        prompt = rng.integers(0, 256, int(rng.integers(16, 33)))
        for _ in range(ATTEMPTS):
            answer = rng.integers(0, 256, int(min(LONGEST, rng.geometric(1 / 14))))
            tokens = np.concatenate([prompt, answer]).astype(np.int32)
            weight = np.r_[np.zeros(len(prompt)), np.full(len(answer), rng.normal())]
            found.append(
                Sample("policy", (Sequence(tokens, {"weight": weight.astype(np.float32)}),))
            )
    return found


def ours(samples: list[Sample], precision: str) -> tuple[Callable[[], Any], Any]:
    """A call that makes one update with our trainer, and the model."""
    model = tiny_model()
    trainer = Trainer(
        model, (Supervised(),), micro_batch_tokens=1024, max_grad_norm=1.0, precision=precision
    )
    optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
    return lambda: trainer.update(optimizer, samples, 1e-6), model


def through_transformers(samples: list[Sample], precision: str, micro: int) -> Callable[[], None]:
    """The same update by padded micro-batches through transformers."""
    from askesis.models.sharing import transformers_module

    model = tiny_model()
    module = transformers_module(model.module, model.config)
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-6, betas=(0.9, 0.95), fused=True)
    norm = step_norm(samples)["weight"]

    def one(piece: list[Sample]) -> tuple[torch.Tensor, ...]:
        batch = collate(piece)
        with torch.autocast("cpu", DTYPES[precision], enabled=precision != "float32"):
            logits = module(batch.tokens, use_cache=False).logits[:, :-1]
        logp = torch.log_softmax(logits.float(), -1).gather(-1, batch.tokens[:, 1:, None])[..., 0]
        loss = -(logp * batch.columns["weight"][:, 1:]).sum() / norm
        return torch.autograd.grad(loss, parameters)

    def call() -> None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        found = [torch.zeros_like(p) for p in parameters]
        start = lambda: torch.set_num_threads(1)
        with ThreadPoolExecutor(threads, initializer=start) as workers:
            for gradients in workers.map(one, list(micro_batches(samples, micro))):
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
    return time.perf_counter() - began


def multiply_speed(dtype: torch.dtype) -> float:
    """Multiply-adds times two a second, all cores, at the shapes of the tiny model's layers."""
    x = torch.randn(1024, 128, dtype=dtype)
    w = torch.randn(768, 128, dtype=dtype)
    threads = torch.get_num_threads()

    def some(_: int) -> None:
        torch.set_num_threads(1)
        for _ in range(40):
            x @ w.t()

    with ThreadPoolExecutor(threads) as workers:
        best = min(seconds(lambda: list(workers.map(some, range(threads)))) for _ in range(7))
    torch.set_num_threads(threads)
    return threads * 40 * 2 * 1024 * 128 * 768 / best


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


def profile_of(call: Callable[[], Any]) -> dict[str, float]:
    """Share of processor time of the most expensive operations, with one thread."""
    from torch.profiler import ProfilerActivity, profile

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        call()
    torch.set_num_threads(threads)
    rows = found.key_averages()
    total = sum(r.self_cpu_time_total for r in rows)
    top = sorted(rows, key=lambda r: -r.self_cpu_time_total)[:12]
    return {r.key: round(r.self_cpu_time_total / total, 3) for r in top}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--to", type=Path, default=None, help="write the JSON there instead")
    options = parser.parse_args()
    samples = attempts()
    tokens = sum(s.num_tokens for s in samples)
    calls: dict[str, Callable[[], Any]] = {}
    models = {}
    for precision in DTYPES:
        calls[f"ours, {precision}"], models[precision] = ours(samples, precision)
        tried = {m: through_transformers(samples, precision, m) for m in (1024, 2048, 4096)}
        for call in tried.values():
            call()
        best = min(tried, key=lambda m: min(seconds(tried[m]) for _ in range(2)))
        calls[f"transformers, {precision}"] = tried[best]
    reports = {name: call() for name, call in calls.items()}
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.repeats):
        for name, call in calls.items():
            took[name].append(seconds(call))
    medians = {name: statistics.median(values) for name, values in took.items()}
    figures: dict[str, Any] = {
        "samples": len(samples),
        "tokens": tokens,
        "computed_positions": reports["ours, float32"].positions,
        "repeats": options.repeats,
        "updates": {
            name: {
                "median_s": round(medians[name], 3),
                "least_s": round(min(took[name]), 3),
                "tokens_per_s": round(tokens / medians[name]),
            }
            for name in calls
        },
        "padding_fraction": {
            "a round of 512 attempts": padding(samples, 1024),
            "a step of 40 attempts": padding(samples[:40], 1024),
        },
        "profile": {},
        "arithmetic_limit": {},
    }
    for precision, dtype in DTYPES.items():
        speed = multiply_speed(dtype)
        name = f"ours, {precision}"
        limit = products(models[precision], reports[name], samples) / speed
        figures["arithmetic_limit"][precision] = {
            "products_gflop_per_s": round(speed / 1e9),
            "limit_s": round(limit, 3),
            "share_reached": round(limit / medians[name], 2),
            "share_reached_by_the_fastest": round(limit / min(took[name]), 2),
        }
        ratio = statistics.median(
            a / b for a, b in zip(took[f"transformers, {precision}"], took[name], strict=True)
        )
        figures["updates"][name]["times_transformers"] = round(ratio, 2)
        figures["profile"][precision] = profile_of(calls[name])
    print(json.dumps(figures, indent=1))
    command = f"python -m benchmarks.learning --repeats {options.repeats}"
    if options.to is None:
        print("written to", write("learning", figures, command))
    else:
        plain = {"command": command, "machine": describe(), "figures": figures}
        options.to.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")
        print("written to", options.to)


if __name__ == "__main__":
    main()
