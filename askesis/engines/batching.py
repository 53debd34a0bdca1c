"""How requests become batches: equal contexts together, similar lengths together, padded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from askesis.errors import ModelError
from askesis.requests import ReadTokens, SayTokens, ScoreTokens


def groups_of(
    requests: Sequence[SayTokens], asked: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(context, indices of the requests that have it), longest contexts first."""
    groups: dict[bytes, list[int]] = {}
    for i in asked:
        context = np.ascontiguousarray(requests[i].context, np.int32)
        groups.setdefault(context.tobytes(), []).append(int(i))
    ordered = sorted(groups.values(), key=lambda g: -len(requests[g[0]].context))
    return [(np.ascontiguousarray(requests[g[0]].context, np.int32), np.array(g)) for g in ordered]


class Waiting:
    """Requests that have not begun, those of one context together.

    The largest allowances go first, so that a batch does not end with one long row.
    """

    def __init__(
        self, requests: Sequence[SayTokens], asked: np.ndarray, limits: np.ndarray
    ) -> None:
        groups = groups_of(requests, asked)
        groups.sort(key=lambda group: -int(limits[group[1]].max()))
        self._groups = groups
        self._next = 0
        self.num = len(asked)

    def peek(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Context and requests of the next group, `most` of them at most."""
        context, members = self._groups[self._next]
        return context, members[:most]

    def pop(self, num: int) -> np.ndarray:
        """Take the first `num` requests of the next group."""
        context, members = self._groups[self._next]
        if num < len(members):
            self._groups[self._next] = (context, members[num:])
        else:
            self._next += 1
        self.num -= num
        return members[:num]


def wholes_of(requests: Sequence[ScoreTokens]) -> tuple[list[np.ndarray], list[int]]:
    """Context and target of each request in one array; and those with a target, by length."""
    wholes = [np.concatenate([r.context, r.target]) for r in requests]
    wanted = [i for i, r in enumerate(requests) if len(r.target)]
    wanted.sort(key=lambda i: len(wholes[i]))
    return wholes, wanted


def check_score(request: ScoreTokens, context_length: int) -> None:
    """ModelError for a row that cannot be scored."""
    length = len(request.context) + len(request.target)
    if not len(request.context) and len(request.target):
        raise ModelError("cannot score after an empty context", hint="Give at least one token")
    if length > context_length:
        raise ModelError(
            "a row to score does not fit the model's context",
            expected=f"at most {context_length} tokens",
            found=str(length),
        )


def check_read(request: ReadTokens, context_length: int) -> None:
    """ModelError for a row that cannot be read for its value or hidden state."""
    if not len(request.context):
        raise ModelError("cannot read an empty context", hint="Give at least one token")
    if len(request.context) > context_length:
        raise ModelError(
            "a row to read does not fit the model's context",
            expected=f"at most {context_length} tokens",
            found=str(len(request.context)),
        )


def by_tokens(indices: Iterable[int], rows: Sequence[np.ndarray], most: int) -> list[list[int]]:
    """Consecutive indices in batches of at most `most` padded tokens (one row at least)."""
    batches: list[list[int]] = []
    longest = 0
    for i in indices:
        longest = max(longest, len(rows[i]))
        if not batches or (len(batches[-1]) + 1) * longest > most:
            batches.append([])
            longest = len(rows[i])
        batches[-1].append(i)
    return batches


def padded_right(
    rows: Sequence[np.ndarray], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token rows as int64 (B, T) padded on the right with 0, and their lengths (B,)."""
    lengths = np.array([len(r) for r in rows], np.int64)
    tokens = np.zeros((len(rows), int(lengths.max())), np.int64)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = row
    return torch.from_numpy(tokens).to(device), torch.from_numpy(lengths).to(device)


def padded_left(
    rows: Sequence[np.ndarray], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token rows as int64 (B, T) padded on the left with 0, and a mask of real tokens (B, T)."""
    longest = max(len(r) for r in rows)
    tokens = np.zeros((len(rows), longest), np.int64)
    mask = np.zeros((len(rows), longest), np.int64)
    for i, row in enumerate(rows):
        tokens[i, longest - len(row) :] = row
        mask[i, longest - len(row) :] = 1
    return torch.from_numpy(tokens).to(device), torch.from_numpy(mask).to(device)
