"""Any causal language model of the transformers library, adapters included.

Its forward is the library's, the loop around it is ours: the same sampler and the same noise
as the native engine, exact log-probabilities, contexts shared, finished rows dropped.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from askesis.engines.batching import (
    by_tokens,
    check_score,
    groups_of,
    padded_left,
    padded_right,
    wholes_of,
)
from askesis.engines.rows import GOES_ON, Rows
from askesis.engines.sampler import Sampler
from askesis.errors import ModelError
from askesis.models.decoder import Decoder
from askesis.models.language_model import LanguageModel, logp_from
from askesis.protocols import Gauge
from askesis.requests import Said, SayTokens, ScoreTokens

SCORE_LOGITS = 1 << 26  # elements of the logits of one batch to score: 256 MiB in float32


class TransformersEngine:
    """Speaks for any language model of the table, through its transformers module.

    max_rows: rows that run at a time. Rows of one batch start together; batches are formed from
    requests of similar length.
    """

    name = "transformers"
    capabilities = frozenset(
        {
            *("say", "score", "logp", "exact_logp", "replayable"),
            *("allowed", "bias", "stop_strings", "min_p"),
        }
    )

    def __init__(self, model: Any, *, max_rows: int = 128) -> None:
        if max_rows < 1:
            raise ModelError("max_rows must be at least 1", found=str(max_rows))
        self.model, self.max_rows = model, max_rows
        self._own: Any = None  # a private copy, where weights are pinned
        self._shared: Any = None  # a transformers module over the decoder's own tensors
        self._shared_at = 0
        self.gauge = Gauge()

    @classmethod
    def refusal(cls, model: Any) -> str:
        return "" if isinstance(model, LanguageModel) else "it is no language model"

    # ------------------------------------------------------------ contract

    @torch.inference_mode()
    def say(self, requests: Sequence[SayTokens]) -> list[Said]:
        """One answer per request, in order. A context without room left says nothing."""
        if not requests:
            return []
        module = self._module()
        vocab_size = module.get_output_embeddings().weight.shape[0]
        capacity = min(self.max_rows, len(requests))
        rows = Rows(requests, self.model.renderer, capacity, vocab_size)
        sampler = Sampler(requests, vocab_size, self.model.device)
        batch: list[tuple[np.ndarray, np.ndarray]] = []
        room = capacity
        for context, members in groups_of(requests, rows.to_say):
            for first in range(0, len(members), capacity):
                some = members[first : first + capacity]
                if len(some) > room:
                    self._run(module, batch, rows, sampler)
                    batch, room = [], capacity
                batch.append((context, some))
                room -= len(some)
        if batch:
            self._run(module, batch, rows, sampler)
        return rows.answers

    @torch.inference_mode()
    def score(self, requests: Sequence[ScoreTokens]) -> list[np.ndarray]:
        """float32 (N,) log-probabilities of each target, under the model at temperature one.

        ModelError where a row does not fit the context.
        """
        module = self._module()
        found: list[np.ndarray] = [np.zeros(0, np.float32)] * len(requests)
        for request in requests:
            check_score(request, self.model.renderer.context_length)
        wholes, wanted = wholes_of(requests)
        most = max(1, SCORE_LOGITS // module.get_output_embeddings().weight.shape[0])
        for batch in by_tokens(wanted, wholes, most):
            tokens, lengths = padded_right([wholes[i] for i in batch], self.model.device)
            seen = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
            logits = module(tokens, attention_mask=seen.long(), use_cache=False).logits
            logp = logp_from(logits.float(), tokens).cpu().numpy()
            for row, i in zip(logp, batch, strict=True):
                begin = len(requests[i].context)
                found[i] = row[begin : begin + len(requests[i].target)].copy()
        return found

    def load(self, weights: Mapping[str, Any], name: str = "") -> None:
        """Speak with these weights from the next request on, whatever the model learns."""
        if self._own is None:
            module = self._module()
            # What adapters leave frozen need not be there twice.
            frozen = [p for n, p in module.named_parameters() if self.model.adapters]
            kept = {id(p): p for p in frozen if not p.requires_grad}
            self._own = copy.deepcopy(module, kept)
        own = dict(self._own.named_parameters()) | dict(self._own.named_buffers())
        with torch.no_grad():
            for name, tensor in weights.items():
                own[name].copy_(tensor)

    def clear(self) -> None:
        """Nothing is cached between requests."""

    def close(self) -> None:
        """Let go of private copies."""
        self._own = self._shared = None

    # ------------------------------------------------------------ how it works

    def _module(self) -> Any:
        if self._own is not None:
            return self._own
        module = self.model.module
        if not isinstance(module, Decoder):
            return module
        if self._shared is None or self._shared_at != module.head.data_ptr():
            self._shared, self._shared_at = _over(module, self.model.config), module.head.data_ptr()
        return self._shared

    def _run(
        self, module: Any, batch: list[tuple[np.ndarray, np.ndarray]], rows: Rows, sampler: Sampler
    ) -> None:
        """Read the contexts of a batch once each, then say tokens until every row is over."""
        device = self.model.device
        tokens, mask = padded_left([context for context, _ in batch], device)
        self.gauge.num_read += int(mask.sum())
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        out = _forward(module, tokens, mask, positions, None)
        members = [some for _, some in batch]
        source = torch.from_numpy(np.repeat(np.arange(len(batch)), [len(m) for m in members]))
        source = source.to(device)
        cache = out.past_key_values
        if len(source) != len(batch):
            cache.batch_select_indices(source)
        mask, logits = mask[source], out.logits[:, -1].float()[source]
        rows.add(np.concatenate(members))
        while True:
            some = slice(0, rows.n)
            drawn = sampler.draw(logits, rows.who[some], rows.said[some])
            said, logp_sampling, logp_model = (d.cpu().numpy() for d in drawn)
            self.gauge.num_said += len(said)
            why = rows.record(some, said, logp_sampling, logp_model)
            over = np.nonzero(why != GOES_ON)[0]
            if len(over):
                places = np.arange(rows.n)
                to, moved = rows.retire(over, why[over])
                places[to] = moved
                kept = torch.from_numpy(places[: rows.n]).to(device)
                if not rows.n:
                    return
                cache.batch_select_indices(kept)
                mask = mask[kept]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            newest = torch.from_numpy(rows.last[: rows.n]).to(device)[:, None]
            positions = torch.from_numpy(rows.length[: rows.n] - 1).to(device)[:, None]
            out = _forward(module, newest, mask, positions, cache)
            cache, logits = out.past_key_values, out.logits[:, -1].float()


def _forward(
    module: Any, tokens: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any
) -> Any:
    """One pass of a transformers module; logits for the last position alone where it can."""
    base = module.get_base_model() if hasattr(module, "get_base_model") else module
    known = inspect.signature(base.forward).parameters
    options: dict[str, Any] = {"attention_mask": mask, "past_key_values": cache, "use_cache": True}
    if "position_ids" in known:
        options["position_ids"] = positions
    if "logits_to_keep" in known:
        options["logits_to_keep"] = 1
    return module(tokens, **options)


def _over(decoder: Decoder, config: Any) -> Any:
    """A transformers module whose parameters are the decoder's own tensors."""
    from transformers import AutoModelForCausalLM

    module = AutoModelForCausalLM.from_config(config, dtype=decoder.head.dtype)
    module.load_state_dict(decoder.state_dict(keep_vars=True), strict=False, assign=True)
    module.tie_weights()
    return module.to(decoder.head.device).eval()
