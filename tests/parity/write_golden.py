"""Losses and gradients of TRL's own code on drawn tensors, for the tests of parity.

    sh tests/parity/make_trl_env.sh .venv-trl
    .venv-trl/bin/python -m tests.parity.write_golden tests/parity/golden

Runs where TRL is installed and imports nothing of askesis. Every number of a case comes out of the
function of TRL that the case names, called on a trainer that was not constructed but given what
that function reads. The model is a stand-in whose hidden states are the drawn logits and whose head
is the identity, with TRL's own fused head on it, so log-probabilities and entropies are TRL's too.
Everything is float64 and drawn from seed 0. Prompts have the same length, so that TRL's layout of
rows (prompts padded left, answers right) is the plain one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from torch import Tensor
from trl import RLOOTrainer

from tests.parity.standins import Case, drawn
from tests.parity.trl_policies import (
    distilled,
    distilled_in_tiles,
    grpo,
    policy_gradient,
    rloo_advantages,
    scored,
)
from tests.parity.trl_preferences import cpo, dpo, kto, online_dpo, orpo, reward, sft


def cases(given: dict[str, Any]) -> Iterator[tuple[str, str, Case]]:
    """Name, leaf ("policy": logits, "score") and what TRL makes of it."""
    yield "sft", "policy", sft(given)
    yield "dpo", "policy", dpo(given, "sigmoid")
    yield "dpo, smoothed", "policy", dpo(given, "aot", slice(1, 2), label_smoothing=0.1)
    yield "hinge", "policy", dpo(given, "hinge")
    yield "ipo", "policy", dpo(given, "ipo")
    yield "ipo, equal lengths", "policy", dpo(given, "ipo", slice(1, 2))
    yield "robust", "policy", dpo(given, "robust", label_smoothing=0.1)
    yield "dpo with likelihood", "policy", dpo(given, "sigmoid+sft")
    yield "bco_pair", "policy", dpo(given, "bco_pair")
    yield "apo_zero", "policy", dpo(given, "apo_zero")
    yield "online dpo", "policy", online_dpo(given, "sigmoid")
    yield "online ipo", "policy", online_dpo(given, "ipo")
    yield "kto", "policy", kto(given, "kto")
    yield "apo_zero_unpaired", "policy", kto(given, "apo_zero_unpaired")
    yield "cpo", "policy", cpo(given, "sigmoid", 0.0, smoothing=0.1)
    yield "cpo with likelihood", "policy", cpo(given, "sigmoid", 1.0)
    yield "slic", "policy", cpo(given, "hinge", 0.0)
    yield "simpo", "policy", cpo(given, "simpo", 0.0)
    yield "orpo", "policy", orpo(given)
    yield "reward", "score", reward(given, margin=False, centre=None)
    yield "reward, margin", "score", reward(given, margin=True, centre=0.01)
    yield "grpo", "policy", grpo(given, "grpo")
    yield "grpo with kl", "policy", grpo(given, "grpo, beta=0.04", beta=0.04)
    yield (
        "grpo with corrected kl",
        "policy",
        grpo(given, "grpo, use_bias_correction_kl", beta=0.04, use_bias_correction_kl=True),
    )
    yield "grpo with entropy", "policy", grpo(given, "grpo, entropy_coef=0.01", entropy_coef=0.01)
    yield "grpo, two-sided", "policy", grpo(given, "grpo, delta=1.25", delta=1.25)
    yield "bnpo", "policy", grpo(given, "bnpo", loss_type="bnpo")
    yield "dr_grpo", "policy", grpo(given, "dr_grpo", loss_type="dr_grpo")
    yield "dapo", "policy", grpo(given, "dapo", loss_type="dapo", epsilon_high=0.28)
    narrow = {"epsilon_low": 0.02, "epsilon_high": 0.03}
    sequence = {"importance_sampling_level": "sequence"} | narrow
    yield "gspo", "policy", grpo(given, "grpo, importance_sampling_level=sequence", **sequence)
    yield (
        "gspo with corrected kl",
        "policy",
        grpo(
            given,
            "grpo, importance_sampling_level=sequence, use_bias_correction_kl",
            beta=0.04,
            use_bias_correction_kl=True,
            **sequence,
        ),
    )
    for mode in ("token_truncate", "sequence_truncate"):
        ratio = scored(given, mode)["importance_sampling_ratio"]
        yield f"grpo, {mode}", "policy", grpo(given, f"grpo, {mode}", ratio=ratio)
    for name, on_policy in (("rloo", False), ("rloo, on-policy", True)):
        loss = policy_gradient(RLOOTrainer, given, on_policy=on_policy)
        yield name, "policy", ("RLOOTrainer._compute_loss", loss)
    for beta in (0.0, 0.5, 1.0):
        yield f"gkd, {beta:g}", "policy", distilled(given, beta)
    yield "gkd, 0.3, warm", "policy", distilled(given, 0.3, 2.0)
    yield "distillation, 0.3", "policy", distilled_in_tiles(given, 0.3)


def numbers(x: Tensor) -> Any:
    """Nested lists with ten significant digits."""
    if x.ndim:
        return [numbers(row) for row in x]
    return int(x) if not x.is_floating_point() else float(f"{float(x):.10g}")


def main() -> None:
    torch.set_default_dtype(torch.float64)
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    given = drawn(seed=0)
    versions = {"trl": trl.__version__, "torch": torch.__version__}
    versions["transformers"] = transformers.__version__
    advantages = {
        "grpo": scored(given)["advantages"],
        "dr_grpo": scored(given, scale="none")["advantages"],
        "rloo with kl": rloo_advantages(given),
    }
    found = {}
    for name, leaf_name, (function, loss_of) in cases(given):
        leaf = given[leaf_name].clone().requires_grad_()
        loss = loss_of(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
        found[name] = {
            "trl": function,
            "of": leaf_name,
            "loss": numbers(loss.detach()),
            "gradient": numbers(gradient),
        }
        print(f"{name:24} {float(loss.detach()):10.6f}  {function}")
    write(folder / "losses.json", found)
    whole = {
        "versions": versions,
        "advantages": {k: numbers(v) for k, v in advantages.items()},
    }
    write(folder / "inputs.json", whole | {k: numbers(v) for k, v in given.items()})


def write(path: Path, whole: dict[str, Any]) -> None:
    """One entry a line."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in whole.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
