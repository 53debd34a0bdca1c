"""A language model as an entry of the table of models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file

from askesis.models.decoder import Decoder, chunked_logp
from askesis.models.entry import Entry

LOGP = frozenset({"logp"})


class LanguageModel(Entry):
    """Implements `askesis.protocols.Model` for causal language models.

    module: our `Decoder` where it covers the architecture, else the transformers (or peft)
    module. config: the Hugging Face configuration; tokenizer: the Hugging Face tokeniser that
    `save` writes beside the weights. adapters: only adapter weights are trained, pinned and
    saved as state.
    """

    def __init__(
        self,
        name: str,
        module: Any,
        renderer: Any,
        config: Any,
        tokenizer: Any,
        trainable: bool = True,
        adapters: bool = False,
    ) -> None:
        super().__init__(name, module, renderer, trainable)
        self.config, self.tokenizer, self.adapters = config, tokenizer, adapters
        for parameter_name, parameter in module.named_parameters():
            parameter.requires_grad_(trainable and (not adapters or "lora_" in parameter_name))
        module.eval()  # no dropout: what is learnt is what was sampled

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Name -> tensor by reference: all weights, or the adapters alone where it has them."""
        if not self.adapters:
            return super().weights()
        return {n: p.data for n, p in self.module.named_parameters() if "lora_" in n}

    def outputs(self, batch: Any, uses: frozenset[str] = LOGP) -> Any:
        """What an objective asked for of `batch.tokens`, int64 (B, T) padded on the right.

        logp float32 (B, T): log-probability of each token given those before it, 0 at position
        0. With "logits" in `uses`: float32 (B, T, vocab), position t predicts token t + 1. With
        "hidden": (B, T, width) after the last norm.
        """
        tokens = torch.as_tensor(batch.tokens, device=self.device)
        if isinstance(self.module, Decoder):
            hidden = self.module(tokens)
            found = SimpleNamespace(logp=None, logits=None, hidden=None)
            if "logits" in uses:
                found.logits = self.module.logits(hidden)
                found.logp = logp_from(found.logits, tokens)
            else:
                found.logp = chunked_logp(hidden, self.module.head, tokens)
            if "hidden" in uses:
                found.hidden = hidden
            return found
        answer = self.module(tokens, output_hidden_states="hidden" in uses, use_cache=False)
        logits = answer.logits.float()
        return SimpleNamespace(
            logp=logp_from(logits, tokens),
            logits=logits if "logits" in uses else None,
            hidden=answer.hidden_states[-1] if "hidden" in uses else None,
        )

    def save(self, directory: Path) -> None:
        """Write a checkpoint in Hugging Face layout; adapters are merged into the weights.

        It loads with plain `AutoModelForCausalLM` and `AutoTokenizer`.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if isinstance(self.module, Decoder):
            tensors = {n: t.detach().cpu().contiguous() for n, t in self.weights().items()}
            save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
            self.config.save_pretrained(directory)
            _note_dtype(directory / "config.json", self.module.head.dtype)
        else:
            from askesis.models.adapters import merged

            merged(self).save_pretrained(directory)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(directory)


def logp_from(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """float32 (B, T) log-probabilities of `tokens` from logits (B, T, vocab); 0 at position 0."""
    logp = torch.zeros(tokens.shape, dtype=torch.float32, device=logits.device)
    if tokens.shape[1] < 2:
        return logp
    targets = tokens[:, 1:]
    found = -torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, logits.shape[-1]).float(), targets.reshape(-1), reduction="none"
    )
    return torch.nn.functional.pad(found.view(targets.shape), (1, 0))


def _note_dtype(path: Path, dtype: torch.dtype) -> None:
    plain = json.loads(path.read_text())
    plain["dtype"] = str(dtype).removeprefix("torch.")
    path.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")
