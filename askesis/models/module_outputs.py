"""What objectives ask of a transformers module, with little padding and few logits.

Two short cuts that most architectures allow and some do not: several sequences in a row, and
logits of the learnt positions alone, made from the last hidden states and the output embedding
(`askesis.models.token_statistics`). Whether a module allows them is found out once by comparing
with its plain answer; one that does not is asked plainly, padded and whole.
"""

from __future__ import annotations

import inspect
import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from askesis.errors import ModelError
from askesis.models.bins import bins
from askesis.models.packed_outputs import lengths_of, needed, scattered
from askesis.models.token_statistics import token_statistics

TOLERANCE = 0.05  # of the error of a wrong mask or head; rounding is below it in bfloat16 too
BENT = ("softcap", "logit_scale", "logits_scal", "output_mult")  # logits that are no plain product


def module_outputs(
    module: Any, batch: Any, uses: frozenset[str], allows: frozenset[str] = frozenset()
) -> SimpleNamespace:
    """The same as `askesis.models.packed_outputs.packed_outputs`, through a transformers module.

    allows: what `short_cuts` found. hidden (B, T, width) is the module's last hidden state.
    `positions` counts the positions computed.
    """
    if "kl" in uses:
        raise ModelError(
            "the divergence to a reference over the whole vocabulary needs a native decoder",
            expected="the Llama, Mistral, Qwen2 or Qwen3 shape, without adapters",
            found=type(module).__name__,
            hint="estimate it from log-probabilities of the sampled tokens instead",
        )
    device = next(module.parameters()).device
    tokens = torch.as_tensor(batch.tokens, device=device)
    lengths = torch.as_tensor(lengths_of(batch), device=device)
    found = SimpleNamespace(logp=None, logits=None, hidden=None, value=None, entropy=None, kl=None)
    states, logits, places, found.positions = _answer(module, tokens, lengths, uses, allows)
    if "logits" in uses and logits is not None:
        found.logits = logits.float()[places]
    if uses & {"hidden", "value"}:
        found.hidden = states[places]
    rows, columns = needed(batch, tokens, lengths).nonzero(as_tuple=True)
    at, targets = places[rows, columns - 1], tokens[rows, columns]
    with torch.autocast(device.type, enabled=False):
        if logits is None:
            values = _from_states(module, states[at], targets, uses)
        else:
            values = _from_logits(logits[at], targets, uses)
    for name, value in values.items():
        setattr(found, name, scattered(value, rows, columns, tokens))
    return found


def short_cuts(module: Any, vocab_size: int) -> frozenset[str]:
    """Which of "bins" and "states" a module allows: tried out on two short sequences.

    A way is allowed where its error is small beside the error of a wrong way: the second sequence
    seeing the first one, all tokens equally likely.
    """
    device = next(module.parameters()).device
    tokens = (torch.arange(22, device=device).view(2, 11) ** 2 + 3) % min(vocab_size, 97)
    batch = SimpleNamespace(tokens=tokens, lengths=torch.tensor([6, 11]))
    with torch.no_grad(), torch.autocast(device.type, enabled=False):

        def logp(*allows: str) -> Tensor:
            return module_outputs(module, batch, frozenset({"logp"}), frozenset(allows)).logp

        expected = logp()
        one_row = torch.cat([tokens[0, :6], tokens[1]])[None]
        joined = SimpleNamespace(tokens=one_row, lengths=torch.tensor([17]))
        wrong = {
            "bins": module_outputs(module, joined, frozenset({"logp"})).logp[0, 7:],
            "states": torch.full_like(expected[1, 1:], -math.log(vocab_size)),
        }
        found = set()
        for way in ("states", "bins"):
            if way == "states" and not _keeps_few_logits(module):
                continue
            try:
                tried = logp(way)
            except (TypeError, ValueError, RuntimeError, IndexError, NotImplementedError):
                continue
            allowed = TOLERANCE * float((wrong[way] - expected[1, 1:]).abs().max())
            if float((tried - expected).abs().max()) < allowed:
                found.add(way)
    return frozenset(found)


def _answer(
    module: Any, tokens: Tensor, lengths: Tensor, uses: frozenset[str], allows: frozenset[str]
) -> tuple[Any, Tensor | None, Tensor, int]:
    """Hidden states (M, width) and logits (M, vocab) of computed positions, None where not made;
    where each (row, position) of the batch is among them, (B, T); and how many there are."""
    from_states = "states" in allows and "logits" not in uses
    options: dict[str, Any] = {"use_cache": False}
    if uses & {"hidden", "value"} or from_states:
        options["output_hidden_states"] = True
    if from_states:
        options["logits_to_keep"] = 1
    if "bins" in allows and len(tokens) > 1:
        rows = bins(tokens, lengths)
        answer = module(rows.tokens, position_ids=rows.positions, **options)
        places, shape = rows.places, rows.tokens.shape
    else:
        answer = module(tokens, **options)
        places, shape = torch.arange(tokens.numel(), device=tokens.device), tokens.shape
        places = places.view(shape)
    states = answer.hidden_states[-1].flatten(0, 1) if "output_hidden_states" in options else None
    logits = None if from_states else answer.logits.flatten(0, 1)
    return states, logits, places, shape.numel()


def _from_states(
    module: Any, states: Tensor, targets: Tensor, uses: frozenset[str]
) -> dict[str, Tensor]:
    head = module.get_output_embeddings().weight
    logp, entropy, _ = token_statistics(states, head, targets, entropy="entropy" in uses)
    return {"logp": logp} if entropy is None else {"logp": logp, "entropy": entropy}


def _from_logits(logits: Tensor, targets: Tensor, uses: frozenset[str]) -> dict[str, Tensor]:
    whole = torch.log_softmax(logits.float(), -1)
    found = {"logp": whole.gather(-1, targets[:, None])[:, 0]}
    if "entropy" in uses:
        found["entropy"] = -(whole.exp() * whole).sum(-1)
    return found


def _keeps_few_logits(module: Any) -> bool:
    """Whether a module can be told to make few logits, from a head that is one matrix."""
    inner = module.get_base_model() if hasattr(module, "get_base_model") else module
    head = inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None
    settings = vars(getattr(inner, "config", None) or SimpleNamespace())
    if any(value and any(b in name for b in BENT) for name, value in settings.items()):
        return False
    return (
        "logits_to_keep" in inspect.signature(inner.forward).parameters
        and head is not None
        and getattr(head, "bias", None) is None
    )
