"""A language model as an entry of the table of models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from askesis.errors import ModelError
from askesis.models.adapters import is_adapter, merged
from askesis.models.decoder import Decoder
from askesis.models.entry import Entry
from askesis.models.heads import (
    PREFIX,
    add_heads,
    heads_of,
    is_head,
    load_heads,
    read_head,
    save_heads,
)
from askesis.models.module_outputs import module_outputs, short_cuts
from askesis.models.packed_outputs import packed_outputs
from askesis.models.recompute import set_recompute

LOGP = frozenset({"logp"})


class LanguageModel(Entry):
    """Implements `askesis.protocols.Model` for causal language models.

    module: our `Decoder` where it covers the architecture, else the transformers (or peft)
    module. config: the Hugging Face configuration; tokenizer: the Hugging Face tokeniser that
    `save` writes beside the weights. adapters: only adapter weights (and heads) are trained,
    pinned and saved as state. base_id: the model whose frozen weights these adapters sit on; an
    engine can speak for all entries of one base.
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
        base_id: str = "",
    ) -> None:
        super().__init__(name, module, renderer, trainable)
        self._allows: frozenset[str] | None = None  # see `askesis.models.module_outputs`
        self.config, self.tokenizer, self.adapters = config, tokenizer, adapters
        self.base_id = base_id or name
        for parameter_name, parameter in module.named_parameters():
            parameter.requires_grad_(trainable and self._is_own(parameter_name))
        module.eval()  # no dropout: what is learnt is what was sampled

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())

    @property
    def packs(self) -> bool:
        """Whether `outputs` computes real tokens alone, and common beginnings once."""
        return isinstance(self.module, Decoder)

    def set_recompute(self, recompute: bool) -> None:
        """Whether a backward pass computes activations again instead of keeping them."""
        if not set_recompute(self.module, recompute):
            raise ModelError(
                f"the architecture of model {self.name!r} cannot compute activations again",
                hint=f"--learn.{self.name}.recompute false",
            )

    def weights(self) -> Mapping[str, torch.Tensor]:
        """Name -> tensor by reference: all weights, or the adapters alone where it has them."""
        if not self.adapters:
            return super().weights()
        return {n: p.data for n, p in self.module.named_parameters() if self._is_own(n)}

    def _is_own(self, name: str) -> bool:
        """Whether a weight is this entry's, not its base's."""
        return not self.adapters or is_adapter(name) or is_head(name)

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the outputs beside the vocabulary."""
        return heads_of(self.module)

    def add_heads(self, names: Sequence[str], directory: Path | None = None) -> None:
        """Give the model heads (`askesis.models.heads`), as saved in a directory or at zero."""
        if not names:
            return
        width = self.config.get_text_config().hidden_size
        add_heads(self.module, names, width, self.device)
        if directory is not None:
            load_heads(self.module, directory)
        self.module.heads.requires_grad_(self.trainable)

    def read_head(
        self,
        name: str,
        hidden: torch.Tensor,
        weights: Mapping[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """What a head says of hidden states (..., width): float32 (...), differentiable.

        weights: pinned ones to read it with. ModelError where there is no such head.
        """
        if weights is None:
            own = self.module.heads.named_parameters() if self.heads else ()
            weights = {PREFIX + n: p for n, p in own}
        return read_head(name, hidden, weights)

    def outputs(self, batch: Any, uses: frozenset[str] = LOGP) -> Any:
        """What an objective asked for of `batch.tokens`, int64 (B, T) padded on the right.

        logp float32 (B, T): log-probability of each token given those before it, 0 at position 0
        and where `batch.mask` says that nothing reads it. With "logits" in `uses`: float32
        (B, T, vocab), position t predicts token t + 1. With "hidden": (B, T, width) after the
        last norm. With "entropy": float32 (B, T). With "value": float32 (B, T), what the value
        head says after each token. See `askesis.models.packed_outputs`.
        """
        if isinstance(self.module, Decoder):
            found = packed_outputs(self.module, batch, uses)
        else:
            if self._allows is None:
                self._allows = short_cuts(self.module, self.config.vocab_size)
            found = module_outputs(self.module, batch, uses, self._allows)
        if "value" in uses:
            found.value = self.read_head("value", found.hidden)
        return found

    def save(self, directory: Path) -> None:
        """Write a checkpoint in Hugging Face layout; adapters are merged into the weights.

        It loads with plain `AutoModelForCausalLM` and `AutoTokenizer`; heads stand beside it.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        if isinstance(self.module, Decoder):
            tensors = {n: t.detach().cpu().contiguous() for n, t in self._body(self.weights())}
            save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
            self.config.save_pretrained(directory)
            _note_dtype(directory / "config.json", self.module.head.dtype)
        else:
            module = merged(self)
            module.save_pretrained(directory, state_dict=dict(self._body(module.state_dict())))
        save_heads(self.module, directory)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(directory)

    @staticmethod
    def _body(weights: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, tensor) for name, tensor in weights.items() if not is_head(name))


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
