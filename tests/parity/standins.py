"""What functions of TRL's trainers are given: drawn tensors, a model that is its logits, a `self`.

Imported only where TRL is installed.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
from torch import Tensor, nn
from trl.trainer.utils import add_fused_lm_head

VOCAB, PROMPT, WIDTH, ROWS = 4, 2, 8, 8
GROUP = 4  # attempts at a prompt, in the cases of policy gradients
Case = tuple[str, Callable[[Tensor], Tensor]]  # which function of TRL, and loss of the leaf


class Surface(nn.Module):
    """A model whose logits are given: the identity head on hidden states that are a tensor."""

    is_gradient_checkpointing = False

    def __init__(self, logits: Tensor, temperature: float = 1.0) -> None:
        super().__init__()
        self.given = logits
        self.lm_head = nn.Linear(VOCAB, VOCAB, bias=False)
        self.lm_head.weight = nn.Parameter(torch.eye(VOCAB), requires_grad=False)
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(model_type="llama"))
        everything = ("log_probs", "entropy", "mean_logits", "is_top1")
        add_fused_lm_head(self, temperature, outputs=everything)

    def base_model(self, *args: Any, **options: Any) -> Any:
        return SimpleNamespace(last_hidden_state=self.given)

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def forward(self, *args: Any, **options: Any) -> Any:
        return SimpleNamespace(logits=self.given)


def identity(x: Any, *args: Any, **options: Any) -> Any:
    return x


ACCELERATOR = SimpleNamespace(
    device=torch.device("cpu"),
    num_processes=1,
    process_index=0,
    sync_gradients=True,
    is_main_process=False,
    gather=identity,
    gather_for_metrics=identity,
    reduce=identity,
    unwrap_model=identity,
    autocast=contextlib.nullcontext,
    parallelism_config=None,
)


def trainer(cls: type, **attributes: Any) -> Any:
    """A trainer that was never constructed, with the attributes that a function reads."""
    self = cls.__new__(cls)
    common = {
        "accelerator": ACCELERATOR,
        "model": SimpleNamespace(training=True, is_gradient_checkpointing=False),
        "aux_loss_enabled": False,
        "is_encoder_decoder": False,
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "_total_train_tokens": 0,
        "_tp_size": 1,
        "args": SimpleNamespace(gradient_checkpointing_kwargs=None),
    }
    for name, value in (common | attributes).items():
        setattr(self, name, value)
    return self


def drawn(seed: int) -> dict[str, Any]:
    """The tensors of all cases: tokens, masks, logits of four models, numbers per row."""
    torch.manual_seed(seed)
    lengths = torch.tensor([6, 3, 1, 5, 4, 3, 2, 6])  # of answers
    places = torch.arange(WIDTH)
    real = places < PROMPT + lengths[:, None]
    tokens = torch.randint(0, VOCAB, (ROWS, WIDTH))
    for first in range(0, ROWS, GROUP):  # one prompt a group; pairs are rows of the two halves
        tokens[first : first + GROUP, :PROMPT] = tokens[first, :PROMPT]
    policy = torch.randn(ROWS, WIDTH, VOCAB)
    return {
        "tokens": tokens.masked_fill(~real, 0),
        "real": real.long(),
        "mask": (real & (places >= PROMPT)).long(),
        "policy": policy,
        "reference": policy + 0.5 * torch.randn(ROWS, WIDTH, VOCAB),
        "old": policy + 0.3 * torch.randn(ROWS, WIDTH, VOCAB),
        "sampling": policy + 0.6 * torch.randn(ROWS, WIDTH, VOCAB),
        "advantage": torch.randn(ROWS),
        "reward": torch.tensor([1.0, 0.0, 0.0, 0.25, 0.5, 1.0, 1.0, -2.0]),
        "label": torch.tensor([1, 0, 1, 1, 0, 0, 1, 0]),
        "score": torch.randn(ROWS),
        "margin": torch.rand(ROWS // 2),
    }


def logp_of(given: dict[str, Any], model: str) -> Tensor:
    """(ROWS, WIDTH - PROMPT): log-probabilities of the answers' tokens, by TRL's own head."""
    labels = given["tokens"].masked_fill(given["mask"] == 0, -100)
    found = Surface(given[model])(labels=labels, fused_lm_head=True).log_probs
    return found[:, -(WIDTH - PROMPT) :].detach()
