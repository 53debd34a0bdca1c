"""Reading a batch: rows, pairs, means over tokens or sequences, and the checks of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from askesis.formulas.means import masked, sequence_shares, weighted_mean

Mean = Literal["token", "sequence", "constant"]
LAZY = {"lazy": True}  # a field that only some settings of the others read


def one_of(value: str, choices: Any) -> tuple[bool, str]:
    """A limit for `must_fit`: one of a Literal's names."""
    return value in get_args(choices), " or ".join(get_args(choices))


def per_token(batch: Any, name: str) -> Tensor:
    """A column in the shape of the weights: a number per sample goes to all its tokens.

    0 where the weight is 0, so that what stands there cannot reach a ratio that tokens share.
    """
    found, weight = batch.column(name), batch.column("weight")
    return masked(found if found.shape == weight.shape else found[:, None], weight)


def averaging(
    batch: Any, weight: Tensor, mean: str, norm: Mapping[str, float], max_tokens: int
) -> tuple[Tensor, float]:
    """Weights and normaliser that make a kind of mean (see `askesis.formulas.means`).

    token: over tokens. sequence: over sequences, each alike. constant: the sum over tokens, divided
    by sequences * max_tokens.
    """
    if mean == "token":
        return weight, norm["tokens"]
    if mean == "constant":
        return weight, norm["sequences"] * max_tokens
    if weight.ndim == 2:
        return sequence_shares(weight), norm["sequences"]
    totals = weight.new_zeros(batch.num_samples).index_add(0, batch.sample, weight.abs())
    return weight / totals.clamp(min=1e-30)[batch.sample], norm["sequences"]


def per_row(batch: Any, name: str) -> Tensor:
    """A number of each sequence, (B,), of each array sample, (num_samples,).

    Of a column with a number per token it is that of the first learnt one.
    """
    if name in batch.sample_columns:
        found = batch.sample_columns[name]
        return found if batch.column("weight").ndim == 1 else found[batch.sample]

    def first(weight: Tensor, x: Tensor) -> Tensor:
        return x.gather(1, weight.ne(0).int().argmax(1, keepdim=True))[:, 0]

    return first(*as_rows(batch, batch.column("weight"), batch.column(name)))


def as_rows(batch: Any, *columns: Tensor) -> list[Tensor]:
    """Columns as rows of sequences, (B, T); those of array samples (N,) as (num_samples, T),
    padded with 0 on the right."""
    if columns[0].ndim == 2:
        return list(columns)
    shape = (batch.num_samples, int(batch.lengths.max()))
    where = (batch.sample, batch.place)
    return [x.new_zeros(shape).index_put(where, x) for x in columns]


def by_row(batch: Any, formula: Callable[..., Tensor], *columns: Tensor) -> Tensor:
    """A formula over whole rows, (B, T) -> (B, T), in the shape of the columns."""
    found = formula(*as_rows(batch, *columns))
    return found if columns[0].ndim == 2 else found[batch.sample, batch.place]


def row_sum(batch: Any, x: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum of each sequence, (B,); of each array sample, (num_samples,)."""
    each = weight.to(x.dtype) * masked(x, weight)
    if each.ndim == 2:
        return each.sum(-1)
    return each.new_zeros(batch.num_samples).index_add(0, batch.sample, each)


def row_mean(batch: Any, x: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of each sequence; 0 where a sequence has no weight."""
    total = row_sum(batch, torch.ones_like(x), weight.abs())
    return row_sum(batch, x, weight) / torch.where(total > 0, total, torch.ones_like(total))


def pairs(batch: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) values of the chosen and of the rejected rows, (P,) each, in the order of samples."""
    return x[batch.place == 0], x[batch.place == 1]


def share(x: Tensor, weight: Tensor, norm: float) -> Tensor:
    """A metric: the mean of x over places with weight, this micro-batch's share of it."""
    return weighted_mean(x.detach(), (weight != 0).to(x.dtype), norm)


def before(x: Tensor) -> Tensor:
    """(B, T) values after reading token t as values before token t; 0 at position 0.

    Array values, (N,), are already of the moment before acting.
    """
    if x.ndim == 1:
        return x
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)


def at_last(x: Tensor, weight: Tensor) -> Tensor:
    """(B, T) values at the last token with weight of each row, (B,); 0 in rows without any."""
    place = torch.arange(weight.shape[-1], device=weight.device)
    last = torch.where(weight != 0, place, -1).amax(-1)
    found = x.gather(-1, last.clamp(min=0)[:, None])[:, 0]
    return masked(found, (last >= 0).to(found.dtype))
