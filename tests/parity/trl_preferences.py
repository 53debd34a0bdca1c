"""TRL's losses of pairs and of labelled answers, of likelihoods and of reward models."""

from __future__ import annotations

import inspect
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from trl import DPOTrainer, KTOTrainer, RewardTrainer, SFTTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.online_dpo import OnlineDPOTrainer
from trl.experimental.orpo import ORPOTrainer

from tests.parity.standins import (
    ACCELERATOR,
    PROMPT,
    ROWS,
    VOCAB,
    WIDTH,
    Case,
    Surface,
    identity,
    trainer,
)


def dpo(given: dict[str, Any], loss: str, pairs: slice | None = None, **options: Any) -> Case:
    """`DPOTrainer._compute_loss`: forward, log-ratios, every loss type."""
    rows = torch.arange(ROWS)
    if pairs is not None:
        rows = torch.cat([half[pairs] for half in rows.chunk(2)])

    def compute(logits: Tensor) -> Tensor:
        self = trainer(
            DPOTrainer,
            beta=0.3,
            label_smoothing=0.0,
            ld_alpha=None,
            precompute_ref_logps=False,
            f_divergence_type="reverse_kl",
            use_weighting=False,
            loss_types=loss.split("+"),
            loss_weights=[1.0] * len(loss.split("+")),
            ref_model=Surface(given["reference"][rows]),
        )
        for name, value in options.items():
            setattr(self, name, value)
        inputs = {
            "input_ids": given["tokens"][rows],
            "attention_mask": given["real"][rows],
            "completion_mask": given["mask"][rows],
        }
        return self._compute_loss(Surface(logits[rows]), inputs, return_outputs=False)

    return f"DPOTrainer._compute_loss, {loss}", compute


def online_dpo(given: dict[str, Any], loss: str) -> Case:
    """`OnlineDPOTrainer.training_step` from the answers on; what it makes of them is stood in."""

    def compute(logits: Tensor) -> Tensor:
        prompt, answer = given["tokens"].split([PROMPT, WIDTH - PROMPT], 1)
        _, mask = given["mask"].split([PROMPT, WIDTH - PROMPT], 1)
        losses = []
        self = trainer(
            OnlineDPOTrainer,
            args=SimpleNamespace(
                use_vllm=False,
                missing_eos_penalty=None,
                loss_type=loss,
                torch_empty_cache_steps=None,
                optim=None,
                n_gpu=1,
                gradient_accumulation_steps=1,
            ),
            model=Surface(logits),
            ref_model=Surface(given["reference"]),
            reward_funcs=[identity],
            eos_token_ids=[VOCAB],
            stats=defaultdict(list),
            processing_class=SimpleNamespace(batch_decode=lambda ids, **_: [""] * len(ids)),
            state=SimpleNamespace(global_step=1, epoch=0.0),
            _beta=0.3,
            _generate=lambda *_: (prompt, torch.ones_like(prompt), answer, mask, None),
            _forward=lambda model, *_: every_logp(model, given["tokens"])[:, PROMPT - 1 :],
            _calculate_rewards_from_functions=lambda **_: torch.tensor([1.0] * 4 + [0.0] * 4),
            accelerator=SimpleNamespace(**vars(ACCELERATOR), backward=losses.append),
        )
        self.training_step(self.model, {"prompt": [""] * (ROWS // 2)})
        return losses[0]

    return f"OnlineDPOTrainer.training_step, {loss}", compute


def every_logp(model: Surface, tokens: Tensor) -> Tensor:
    """Log-probabilities of all tokens but the first, padding too."""
    return model(labels=tokens, fused_lm_head=True).log_probs


def kto(given: dict[str, Any], loss: str) -> Case:
    """`KTOTrainer._compute_loss`; its reference point comes from other rows' answers."""

    def compute(logits: Tensor) -> Tensor:
        self = trainer(
            KTOTrainer,
            beta=0.3,
            loss_type=loss,
            calculate_KL=loss == "kto",
            desirable_weight=1.25,
            undesirable_weight=0.75,
            precompute_ref_logps=False,
            ref_model=Surface(given["reference"]),
        )
        inputs = {
            "input_ids": given["tokens"],
            "attention_mask": given["real"],
            "completion_mask": given["mask"],
            "label": given["label"],
        }
        others = {k: v.roll(3, 0) for k, v in inputs.items() if k != "label"}
        inputs |= {f"KL_{k}": v for k, v in others.items()} if loss == "kto" else {}
        found = self._compute_loss(Surface(logits), inputs, return_outputs=False)
        if loss == "kto":
            (given["kl"],) = torch.tensor(self._metrics["train"]["kl"])
            assert given["kl"] > 0, "a reference point of 0 would not be seen"
        return found

    return f"KTOTrainer._compute_loss, {loss}", compute


def cpo(given: dict[str, Any], loss: str, alpha: float, smoothing: float = 0.0) -> Case:
    """`CPOTrainer.get_batch_loss_metrics`: forward, likelihood of the chosen, every loss type."""

    def compute(logits: Tensor) -> Tensor:
        self = trainer(
            CPOTrainer,
            alpha=0.0,
            beta=2.0 if loss == "simpo" else 0.3,
            simpo_gamma=0.5,
            label_smoothing=smoothing,
            loss_type=loss,
            cpo_alpha=alpha,
            pad_token_id=0,
        )
        return self.get_batch_loss_metrics(Surface(logits), halves(given))[0]

    return f"CPOTrainer.get_batch_loss_metrics, {loss}, cpo_alpha={alpha:g}", compute


def orpo(given: dict[str, Any]) -> Case:
    """`ORPOTrainer.get_batch_loss_metrics`."""

    def compute(logits: Tensor) -> Tensor:
        self = trainer(ORPOTrainer, beta=0.1, padding_value=0)
        return self.get_batch_loss_metrics(Surface(logits), halves(given))[0]

    return "ORPOTrainer.get_batch_loss_metrics", compute


def halves(given: dict[str, Any]) -> dict[str, Tensor]:
    """Pairs as the trainers of CPO and ORPO get them."""
    batch = {}
    labels = given["tokens"].masked_fill(given["mask"] == 0, -100)
    for side, rows in (("chosen", slice(0, 4)), ("rejected", slice(4, 8))):
        batch[f"{side}_input_ids"] = given["tokens"][rows]
        batch[f"{side}_attention_mask"] = given["real"][rows]
        batch[f"{side}_labels"] = labels[rows]
    return batch


def sft(given: dict[str, Any]) -> Case:
    """`SFTTrainer.compute_loss`."""

    def compute(logits: Tensor) -> Tensor:
        args = SimpleNamespace(loss_type="nll", average_tokens_across_devices=False)
        self = trainer(SFTTrainer, args=args, compute_loss_func=None, label_smoother=None)
        labels = given["tokens"].masked_fill(given["mask"] == 0, -100)
        inputs = {"attention_mask": given["real"], "labels": labels}
        return inspect.unwrap(SFTTrainer.compute_loss)(self, Surface(logits), inputs)

    return "SFTTrainer.compute_loss, nll", compute


def reward(given: dict[str, Any], margin: bool, centre: float | None) -> Case:
    """`RewardTrainer.compute_loss`; the leaf is the scores, chosen rows first."""

    def compute(score: Tensor) -> Tensor:
        self = trainer(RewardTrainer, args=SimpleNamespace(center_rewards_coefficient=centre))
        inputs = {"attention_mask": given["real"]} | ({"margin": given["margin"]} if margin else {})
        model = lambda **_: SimpleNamespace(logits=score[:, None])
        return self.compute_loss(model, inputs)

    said = ", margin" * margin + f", center_rewards_coefficient={centre}" * (centre is not None)
    return f"RewardTrainer.compute_loss{said}", compute
