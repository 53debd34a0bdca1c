"""What a learner compares with: another snapshot of its model, or another model of the run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from askesis.errors import ConfigError, ModelError
from askesis.formulas.divergences import kl

BESIDE = frozenset({"kl", "logits_reference"})  # what asks for a reference's own forward pass
SPELLED = 64  # tokens whose spelling is compared


@contextmanager
def speaking(ctx: Any, model: Any, reference: str) -> Iterator[Any]:
    """The model that a reference names; its own weights come back at the end."""
    check_reference(ctx, model, reference)
    if reference in ctx.models:
        yield ctx.models[reference]
        return
    if reference == ctx.shelf.current(model.name):
        yield model
        return
    weights, version = ctx.shelf.weights(model.name, reference), model.version
    own = model.copy_weights()
    model.load(weights)
    try:
        yield model
    finally:
        model.load(own)
        model.version = version  # nobody else has seen the others


def frozen(ctx: Any, model: Any, reference: str) -> Any:
    """An entry with the weights of a reference, beside the one that learns."""
    check_reference(ctx, model, reference)
    if reference in ctx.models:
        return ctx.models[reference]
    with speaking(ctx, model, reference):
        twin = copy.copy(model)
        twin.module = copy.deepcopy(model.module).requires_grad_(False)
        twin.optimizer = twin.optimizer_state = None
        return twin


def check_reference(ctx: Any, model: Any, reference: str) -> None:
    """Raises ConfigError where a reference is missing or reads other tokens than the model."""
    if not reference:
        raise ConfigError(
            f"an objective of model {model.name!r} needs a reference and none is named",
            hint=f"--learn.{model.name}.reference base (or previous, phase_start, another model)",
        )
    other = ctx.models.get(reference) if reference in ctx.models else None
    if other is None or other.renderer is None or model.renderer is None:
        return
    expected = f"{model.renderer.vocab_size} tokens"
    found = f"{other.renderer.vocab_size}"
    if other.renderer.vocab_size == model.renderer.vocab_size:
        own, others = _spelling(model.renderer), _spelling(other.renderer)
        differ = next((i for i in own if own[i] != others[i]), None)
        if differ is None:
            return
        expected = f"token {differ} to be {own[differ]!r}"
        found = repr(others[differ])
    raise ConfigError(
        f"the reference {reference!r} of model {model.name!r} has another vocabulary",
        expected=expected,
        found=found,
        hint=f"choose one with the same tokeniser: --learn.{model.name}.reference base",
    )


def outputs_beside(model: Any, reference: Any, batch: Any, uses: frozenset[str]) -> Any:
    """`model.outputs` with what `BESIDE` names of a reference, which gets no gradient.

    kl: (B, T), KL(model || reference) of the distribution that predicts token t, 0 where nothing is
    learnt; (N,) for array samples. logits_reference: aligned with `logits`. Native decoders make
    both by themselves, in chunks; of other models the logits are asked for, which are (B, T, vocab)
    numbers for each of the two.
    """
    if getattr(model, "packs", False) and getattr(reference, "packs", False):
        return model.outputs(batch, uses)  # from batch.reference
    out = model.outputs(batch, (uses - BESIDE) | {"logits"})
    with torch.no_grad():
        other = reference.outputs(batch, frozenset({"logits"}))
    for name, found in ((model.name, out), (reference.name, other)):
        if getattr(found, "logits", None) is None:
            raise ModelError(
                f"model {name!r} does not say its whole distribution, which a divergence over the "
                "vocabulary needs",
                hint='estimate it from sampled tokens: KLToReference(kind="k3")',
            )
    logits_reference = other.logits.detach().to(out.logits.device)
    if out.logits.shape[-1] != logits_reference.shape[-1]:
        raise ConfigError(
            f"the reference of model {model.name!r} has another vocabulary",
            expected=f"{out.logits.shape[-1]} logits",
            found=f"{logits_reference.shape[-1]}",
            hint="choose a reference with the same tokeniser",
        )
    out.logits_reference = logits_reference
    if "kl" in uses:
        out.kl = _divergence(out.logits, logits_reference, batch)
    return out


def _divergence(logits: Tensor, other: Tensor, batch: Any) -> Tensor:
    """KL at the learnt places, 0 elsewhere; on tokens position t - 1 predicts token t."""
    with torch.autocast(logits.device.type, enabled=False):
        if batch.tokens.numel() == 0:  # array samples
            return kl(_wide(logits), _wide(other))
        wanted = batch.mask.clone()
        wanted[:, 0] = False
        rows, places = wanted.nonzero(as_tuple=True)
        found = kl(_wide(logits[rows, places - 1]), _wide(other[rows, places - 1]))
        empty = found.new_zeros(wanted.shape)
        return empty.index_put((rows, places), found)


def _wide(x: Tensor) -> Tensor:
    """float32 at least."""
    return x if x.dtype == torch.float64 else x.float()


def _spelling(renderer: Any) -> dict[int, str]:
    """How tokens spread over a vocabulary are spelt."""
    step = max(1, renderer.vocab_size // SPELLED)
    return {i: renderer.decode(np.array([i])) for i in range(0, renderer.vocab_size, step)}
