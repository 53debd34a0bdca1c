"""What objectives ask of a decoder, computed on the real tokens of a batch alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from askesis.models.decoder import Decoder
from askesis.models.packing import Packing, pack
from askesis.models.token_statistics import token_statistics


def packed_outputs(decoder: Decoder, batch: Any, uses: frozenset[str]) -> SimpleNamespace:
    """What `uses` names of `batch.tokens`, int64 (B, T) padded on the right.

    logp, entropy, kl: float32 (B, T), of the distribution that predicts each token, 0 where
    nothing reads it (`batch.mask`, bool (B, T), where the batch has one) and at position 0.
    logits, logits_reference: float32 (B, T, vocab): position t predicts token t + 1. hidden
    (B, T, width), after the last norm. value stays None: heads are the entry's. kl and
    logits_reference need `batch.reference`, another decoder of the same vocabulary.
    """
    device = decoder.head.device
    tokens = torch.as_tensor(batch.tokens, device=device)
    lengths = torch.as_tensor(lengths_of(batch), device=device)
    packing = pack(tokens, lengths)
    states = decoder.packed(packing)
    found = SimpleNamespace(logp=None, logits=None, hidden=None, value=None, entropy=None, kl=None)
    found.logits_reference, found.positions = None, len(packing.tokens)
    if uses & {"hidden", "logits", "value"}:
        found.hidden = unpacked(states, packing)
    if "logits" in uses:
        found.logits = decoder.logits(found.hidden)
    wanted = needed(batch, tokens, lengths)
    rows, columns = wanted.nonzero(as_tuple=True)
    places = packing.places[rows, columns - 1]
    reference = None
    if uses & {"kl", "logits_reference"}:
        with torch.no_grad():
            other = batch.reference.packed(packing)
            if "logits_reference" in uses:
                found.logits_reference = batch.reference.logits(unpacked(other, packing))
        if "kl" in uses:
            reference = (other.index_select(0, places), batch.reference.head)
    with torch.autocast(device.type, enabled=False):  # the head stays in the precision of states
        logp, entropy, kl = token_statistics(
            states.index_select(0, places),
            decoder.head,
            tokens[rows, columns],
            entropy="entropy" in uses,
            reference=reference,
        )
    for name, values in (("logp", logp), ("entropy", entropy), ("kl", kl)):
        if values is not None:
            setattr(found, name, scattered(values, rows, columns, tokens))
    return found


def scattered(values: Tensor, rows: Tensor, columns: Tensor, tokens: Tensor) -> Tensor:
    """Values (M,) at their places in (B, T), 0 elsewhere."""
    empty = values.new_zeros(tokens.numel())
    return empty.index_copy(0, rows * tokens.shape[1] + columns, values).view(tokens.shape)


def unpacked(values: Tensor, packing: Packing) -> Tensor:
    """(N, width) -> (B, T, width); what stands on padding is meaningless."""
    rows = values.index_select(0, packing.places.reshape(-1))
    return rows.view(*packing.places.shape, -1)


def needed(batch: Any, tokens: Tensor, lengths: Tensor) -> Tensor:
    """bool (B, T): real tokens that something predicts and something reads."""
    real = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    mask = getattr(batch, "mask", None)
    if mask is not None:
        real = real & torch.as_tensor(mask, device=tokens.device).bool()
    real[:, 0] = False
    return real


def lengths_of(batch: Any) -> Any:
    """Real tokens of every row; a batch that does not say has no padding."""
    found = getattr(batch, "lengths", None)
    if found is not None:
        return found
    rows, width = batch.tokens.shape
    return torch.full((rows,), width)
