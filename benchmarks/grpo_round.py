"""A whole GRPO round with the tiny model, against one step of TRL's GRPOTrainer.

    sh tests/parity/make_trl_env.sh .venv-trl
    python -m benchmarks.grpo_round [--trl-python PYTHON] [--pairs 7] [--to PATH]

64 prompts of countdown with 8 attempts each of up to 32 new tokens, temperature one, one update,
divergence from the reference in the loss. Both sides begin from the same warm-started weights in
Hugging Face layout, work on the same prompts every round, check answers with the same verifier,
and learn at a rate that leaves answers as long as they are. Ours is a run of the recipe `grpo`, as
`askesis run` makes one: tasks, sampling, verifier, selection, learning, records and store; a round
is all the time from one round's end to the next one's. TRL's is a step of its trainer
(`benchmarks.trl_side`), without logging or saving.

Every side is a process of its own that stands still until it is told to make a round, and they
take turns. Each precision is first tried at several settings (TRL: answers in a forward pass,
autocast or bfloat16 weights; ours: positions in a forward pass, where bfloat16 is used) and
measured at its best. Ratios are medians of turns. Not tried again: TRL's continuous batching
(`benchmarks.trl_side --continuous`) took 13.9 s a step where plain generation took 2.5, one thread
3.2, and 32 answers a forward pass 4.4 (2 cores, 2026-11-21).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.grpo_sides import (
    ATTEMPTS,
    KL_COEF,
    PROMPTS,
    ROOT,
    WORLD,
    Side,
    our_command,
    tasks,
    trl_command,
)

ENGINE = "native?dtype=bfloat16"
WIDE = ("learn.policy.micro-batch-tokens", "2048")
LOW = ("learn.policy.precision", "bfloat16")
OURS: dict[str, tuple[tuple[str, str], ...]] = {  # where a setting departs from the recipe's own
    "float32": (),
    "float32, micro-batches of 2048": (WIDE,),
    "learning in bfloat16": (LOW, WIDE),
    "learning and sampling in bfloat16": (LOW, WIDE, ("roles.policy.engine", ENGINE)),
}
TRL_ROWS = (64, 128, 512)
CORES = os.cpu_count() or 1


def tried(name: str, command: Sequence[str], best: float = float("inf")) -> float:
    """Seconds of the faster of two rounds after one to warm up; infinite where it does not work.

    Where the first is a third slower than `best` there is no second.
    """
    try:
        with Side(name, command) as side:
            side.round()
            seconds = float(side.round()["seconds"])
            if seconds < 1.3 * best:
                seconds = min(seconds, side.round()["seconds"])
    except RuntimeError as error:
        print(f"  {name}: does not work here ({str(error)[:300]})", flush=True)
        return float("inf")
    print(f"  {name}: {seconds:.3f} s", flush=True)
    return seconds


def best_of_trl(python: str, model: Path, kl_coef: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """TRL's best setting in float32 and of all, and seconds of everything that was tried."""
    found: dict[tuple[Any, ...], float] = {}

    def fastest(*some: tuple[Any, ...]) -> tuple[Any, ...]:
        for at in some:
            if at not in found:
                least = min(found.values(), default=float("inf"))
                found[at] = tried(said(at), trl_command(python, model, at, kl_coef), least)
        return min(some, key=found.__getitem__)

    exact = fastest(*[("float32", rows, CORES) for rows in TRL_ROWS])
    best = fastest(exact, ("autocast", *exact[1:]), *[("bfloat16", r, CORES) for r in TRL_ROWS[1:]])
    return {"float32": exact, "best": best}, {said(at): s for at, s in found.items()}


def said(at: Sequence[Any]) -> str:
    precision, rows, threads = at
    return f"{precision}, {rows} answers a forward pass, {threads} threads"


@contextmanager
def warm_weights() -> Iterator[tuple[Path, Any]]:
    """A directory with the weights that both sides begin from, and the model."""
    from askesis.lab.warm_start import warm_model
    from askesis.plan import ModelSpec

    model = warm_model("policy", ModelSpec(), {"main": WORLD})
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        yield Path(folder) / "model", model


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with warm_weights() as (folder, model), ExitStack() as stack:
        print("ours, tried first", flush=True)
        ours_tried = {
            at: tried(at, our_command(folder, changes, options.kl_coef))
            for at, changes in OURS.items()
        }
        ours_best = min(ours_tried, key=ours_tried.__getitem__)
        ours_exact = min((n for n in OURS if n.startswith("float32")), key=ours_tried.__getitem__)
        print("TRL, tried first", flush=True)
        at, trl_tried = best_of_trl(options.trl_python, folder, options.kl_coef)
        commands = {
            "ours, float32": our_command(folder, OURS[ours_exact], options.kl_coef),
            "TRL, float32": trl_command(options.trl_python, folder, at["float32"], options.kl_coef),
            "ours, best": our_command(folder, OURS[ours_best], options.kl_coef),
            "TRL, best": trl_command(options.trl_python, folder, at["best"], options.kl_coef),
        }
        opened = {tuple(c): stack.enter_context(Side(n, c)) for n, c in commands.items()}
        sides = {name: opened[tuple(command)] for name, command in commands.items()}
        speeds: dict[str, float] = {}
        for turn in range(options.warm_up + options.pairs):
            for name, speed in product_speeds().items():
                speeds[name] = max(speed, speeds.get(name, 0.0))
            for side in opened.values():
                told = side.round()
                if turn >= options.warm_up:
                    side.took.append(told)
        version = sides["TRL, float32"].ready
        settings = {
            "ours, float32": ours_exact,
            "ours, best": ours_best,
            "TRL, float32": said(at["float32"]),
            "TRL, best": said(at["best"]),
        }
        figures: dict[str, Any] = {
            "trl": version,
            "parameters": model.num_parameters,
            "turns": options.pairs,
            "kl_coef": options.kl_coef,
            "tried_s": {"ours": rounded(ours_tried), "TRL": rounded(trl_tried)},
            "rounds": {n: {"at": settings[n]} | summary(s.took) for n, s in sides.items()},
        }
        for precision in ("float32", "best"):
            ours, theirs = (sides[f"{who}, {precision}"].took for who in ("ours", "TRL"))
            pairs = zip(ours, theirs, strict=True)
            ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in pairs)
            figures[f"times_trl_{precision}"] = round(ratio, 2)
        figures["arithmetic_limit"] = limits(model, figures["rounds"], speeds, options.kl_coef)
    return figures


def rounded(seconds: dict[str, float]) -> dict[str, float | str]:
    """Seconds by setting; JSON has no infinity."""
    return {k: "does not work" if v == float("inf") else round(v, 3) for k, v in seconds.items()}


def summary(took: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians of a side's rounds, and where the time went as shares of it."""

    def median(name: str) -> float:
        return statistics.median(t[name] for t in took)

    whole = median("seconds")
    parts = {name: median(name) for name in ("sampling", "judging")}
    if "learning" in took[0]:
        parts |= {"learning": median("learning")}
        within = statistics.median(t["stages"] - sum(t[p] for p in parts) for t in took)
        parts |= {"tasks and selection": within}
        parts["loop, records and store"] = statistics.median(
            t["seconds"] - t["stages"] for t in took
        )
    else:
        parts["reference, update and the rest"] = whole - sum(parts.values())
    tokens = statistics.mean(t["tokens"] for t in took)
    return {
        "median_s": round(whole, 3),
        "least_s": round(min(t["seconds"] for t in took), 3),
        "most_s": round(max(t["seconds"] for t in took), 3),
        "tokens_an_answer": round(tokens / (PROMPTS * ATTEMPTS), 2),
        "generated_tokens_per_s": round(tokens / whole),
        "seconds": {name: round(s, 3) for name, s in parts.items()},
    }


def product_speeds() -> dict[str, float]:
    """Floating-point operations a second in products of the model's shapes: one core's times cores.

    Taken before every turn, and what `benchmarks.learning` found if it ran on such a machine; the
    best counts, because what else the machine does only slows it.
    """
    import torch

    from benchmarks.learning import CPU, multiply_speed
    from benchmarks.machine import RESULTS, describe

    found = {"float32": multiply_speed(CPU, torch.float32)}
    found["bfloat16"] = multiply_speed(CPU, torch.bfloat16)
    path, machine = RESULTS / "learning.json", describe()
    if path.exists():
        known = json.loads(path.read_text())
        if all(known["machine"][k] == machine[k] for k in ("processor", "cores")):
            for name, row in known["figures"]["arithmetic_limit"].items():
                found[name] = max(found[name], 1e9 * row["products_gflop_per_s"])
    return found


def limits(
    model: Any, rounds: dict[str, Any], speeds: dict[str, float], kl_coef: float
) -> dict[str, Any]:
    """The time the matrix products of our round would take at that speed.

    Every prompt is computed once and every answer's token once: for sampling, for the reference
    where there is one, and for the update (forward and twice that backward).
    """
    from askesis.records import Start

    _, drawn = tasks()
    prompts = sum(len(model.renderer.render(Start(task))) for task in drawn)
    layers = sum(p.numel() for n, p in model.module.named_parameters() if "proj" in n)
    found = {}
    for name, speed in speeds.items():
        row = rounds["ours, float32" if name == "float32" else "ours, best"]
        answers = row["tokens_an_answer"] * PROMPTS * ATTEMPTS
        passes = 2.0 + 2.0 * (kl_coef > 0) + 6.0
        work = passes * (layers * (prompts + answers) + model.module.head.numel() * answers)
        found[name] = {
            "products_gflop_per_s": round(speed / 1e9),
            "limit_s": round(work / speed, 3),
            "share_reached": round(work / speed / row["median_s"], 2),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    usual = ROOT / ".venv-trl" / "bin" / "python"
    parser.add_argument(
        "--trl-python",
        default=str(usual) if usual.exists() else "",
        help="interpreter with TRL installed (default: .venv-trl's)",
    )
    parser.add_argument("--pairs", type=int, default=7, help="turns to measure")
    parser.add_argument("--warm-up", type=int, default=1, help="turns before them")
    parser.add_argument("--kl-coef", type=float, default=KL_COEF, help="of the reference")
    parser.add_argument("--to", type=Path, default=None, help="write the JSON there instead")
    options = parser.parse_args()
    if not options.trl_python:
        print("left out: no environment with TRL (tests/parity/make_trl_env.sh makes .venv-trl)")
        return
    figures = measure(options)
    print(json.dumps(figures, indent=1))
    from benchmarks.machine import describe, write

    command = f"python -m benchmarks.grpo_round --trl-python PYTHON --pairs {options.pairs}"
    if options.to is None:
        print("written to", write("grpo_round", figures, command))
    else:
        plain = {"command": command, "machine": describe(), "figures": figures}
        options.to.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")
        print("written to", options.to)


if __name__ == "__main__":
    main()
