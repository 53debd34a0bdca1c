"""TRL's losses and advantages of policy gradients, and its losses of students."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer, RLOOTrainer
from trl.experimental.gkd import GKDTrainer
from trl.trainer.distillation_trainer import _chunked_divergence_loss

from tests.parity.standins import (
    GROUP,
    PROMPT,
    ROWS,
    VOCAB,
    WIDTH,
    Case,
    Surface,
    identity,
    logp_of,
    trainer,
)


def scored(given: dict[str, Any], mode: str = "", scale: str = "group") -> dict[str, Any]:
    """`GRPOTrainer._generate_and_score_completions`: advantages and importance ratios.

    What it generates, how it is rewarded and what the sampler said are stood in.
    """
    lists = [row[m == 1].tolist() for row, m in zip(given["tokens"], given["mask"], strict=True)]
    prompts = given["tokens"][:, :PROMPT].tolist()
    counts = given["mask"].sum(1).tolist()
    said = [row[:n].tolist() for row, n in zip(logp_of(given, "sampling"), counts, strict=True)]
    self = trainer(
        GRPOTrainer,
        model=Surface(given["old"]),
        environment_factories=None,
        environments=None,
        tools=None,
        mask_truncated_completions=False,
        pad_to_multiple_of=None,
        num_iterations=1,
        num_generations=GROUP,
        args=SimpleNamespace(
            gradient_checkpointing_kwargs=None,
            per_device_train_batch_size=ROWS,
            steps_per_generation=1,
            gradient_accumulation_steps=1,
        ),
        use_vllm=bool(mode),
        vllm_importance_sampling_correction=bool(mode),
        vllm_importance_sampling_mode=mode,
        vllm_importance_sampling_clip_min=None,
        vllm_importance_sampling_clip_max=1.5,
        beta=0.0,
        multi_objective_aggregation="sum_then_normalize",
        scale_rewards=scale,
        reward_weights=torch.ones(1),
        reward_funcs=[identity],
        reward_func_names=["reward"],
        log_multimodal=False,
        _tokenizer=SimpleNamespace(pad_token_id=0),
        _logs=defaultdict(list) | {"rewards": defaultdict(list), "extra": defaultdict(list)},
        _pending_extra_logs={},
        _pending_metrics={},
        _generate=lambda _: (prompts, lists, None, [""] * ROWS, said, {}, None, None),
        _calculate_rewards=lambda *_: given["reward"][:, None],
    )
    return inspect.unwrap(GRPOTrainer._generate_and_score_completions)(
        self, [{"prompt": ""} for _ in range(ROWS)]
    )


def policy_gradient(cls: type, given: dict[str, Any], **changed: Any) -> Callable[[Tensor], Tensor]:
    """`_compute_loss` of GRPOTrainer or RLOOTrainer, one step in one micro-batch."""
    settings = {
        "loss_type": "grpo",
        "importance_sampling_level": "token",
        "epsilon_low": 0.2,
        "epsilon_high": 0.2,
        "beta": 0.0,
        "entropy_coef": 0.0,
        "delta": None,
        "use_bias_correction_kl": False,
        "ratio": None,
        "on_policy": False,
    } | changed

    def compute(logits: Tensor) -> Tensor:
        self = trainer(
            cls,
            **{k: settings[k] for k in ("loss_type", "importance_sampling_level", "beta")},
            epsilon_low=settings["epsilon_low"],
            epsilon_high=settings["epsilon_high"],
            entropy_coef=settings["entropy_coef"],
            _entropy_bonus_enabled=settings["entropy_coef"] != 0,
            use_adaptive_entropy=False,
            top_entropy_quantile=1.0,
            off_policy_mask_threshold=None,
            use_vllm=settings["ratio"] is not None,
            vllm_importance_sampling_correction=True,
            current_gradient_accumulation_steps=1,
            max_completion_length=WIDTH - PROMPT + 3,
            args=SimpleNamespace(
                delta=settings["delta"],
                use_bias_correction_kl=settings["use_bias_correction_kl"],
                steps_per_generation=1,
            ),
        )
        prompt, answer = given["tokens"].split([PROMPT, WIDTH - PROMPT], 1)
        mask = given["mask"][:, PROMPT:]
        old = logp_of(given, "policy" if settings["on_policy"] else "old")
        inputs = {
            "prompt_ids": prompt,
            "prompt_mask": torch.ones_like(prompt),
            "completion_ids": answer,
            "completion_mask": mask,
            "advantages": given["advantage"],
            "num_items_in_batch": mask.sum(),
            "old_per_token_logps": old,
            "old_logps": (old * mask).sum(1),
            "ref_per_token_logps": logp_of(given, "reference"),
            "importance_sampling_ratio": settings["ratio"],
        }
        return self._compute_loss(Surface(logits), inputs)

    return compute


def grpo(given: dict[str, Any], said: str, **changed: Any) -> Case:
    return f"GRPOTrainer._compute_loss, {said}", policy_gradient(GRPOTrainer, given, **changed)


def distilled(given: dict[str, Any], beta: float, temperature: float = 1.0) -> Case:
    """`GKDTrainer.generalized_jsd_loss`, with the shift of its compute_loss."""

    def compute(logits: Tensor) -> Tensor:
        labels = given["tokens"].masked_fill(given["mask"] == 0, -100)
        return GKDTrainer.generalized_jsd_loss(
            student_logits=logits[:, :-1],
            teacher_logits=given["reference"][:, :-1],
            labels=labels[:, 1:],
            beta=beta,
            temperature=temperature,
        )

    return f"GKDTrainer.generalized_jsd_loss, beta={beta:g}, temperature={temperature:g}", compute


def distilled_in_tiles(given: dict[str, Any], beta: float) -> Case:
    """DistillationTrainer's loss over hidden states, with identity heads."""

    def compute(logits: Tensor) -> Tensor:
        return _chunked_divergence_loss(
            logits[:, :-1],
            given["reference"][:, :-1],
            torch.eye(VOCAB),
            torch.eye(VOCAB),
            given["mask"][:, 1:],
            beta,
        )[0]

    return f"DistillationTrainer, _chunked_divergence_loss, beta={beta:g}", compute


def rloo_advantages(given: dict[str, Any]) -> Tensor:
    """`RLOOTrainer._generate_and_score_completions`, with the log-ratio in the reward."""
    lists = [row[m == 1].tolist() for row, m in zip(given["tokens"], given["mask"], strict=True)]
    self = trainer(
        RLOOTrainer,
        model=Surface(given["old"]),
        ref_model=Surface(given["reference"]),
        mask_truncated_completions=False,
        pad_to_multiple_of=None,
        num_generations=GROUP,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None, per_device_train_batch_size=ROWS),
        beta=0.03,
        reward_weights=torch.ones(1),
        reward_clip_range=None,
        normalize_advantages=False,
        reward_func_names=["reward"],
        log_multimodal=False,
        _tokenizer=SimpleNamespace(pad_token_id=0),
        _logs=defaultdict(list) | {"rewards": defaultdict(list), "extra": defaultdict(list)},
        _pending_extra_logs={},
        _pending_metrics={},
        _generate=lambda _: (given["tokens"][:, :PROMPT].tolist(), lists, [""] * ROWS),
        _calculate_rewards=lambda *_: given["reward"][:, None],
    )
    found = inspect.unwrap(RLOOTrainer._generate_and_score_completions)(
        self, [{"prompt": ""} for _ in range(ROWS)]
    )
    return found["advantages"]
