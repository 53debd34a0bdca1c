"""One token for every row of a batch: settings, noise, and both log-probabilities.

Rows are drawn by inverting the cumulative distribution at one uniform number, which is a
function of the row's key and of how many tokens it has said (`askesis.rng.uniforms`), so what
a row says does not depend on who shares its batch. Settings apply in this order: bias and
allowed tokens, temperature, top-k, top-p, min-p, each on what the one before left.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from askesis.errors import ModelError
from askesis.requests import Sampling, SayTokens
from askesis.rng import uniforms

WIDE_VOCABULARY = 4096  # from here on cumulative sums are float64: float32 loses rare tokens


class Sampler:
    """Draws for the rows of one `say` call. Rows are indices into its requests.

    num_sayable: ids from here on are never drawn (None: all of `vocab_size` may be). Output
    layers are often padded to a round size, and their tokeniser has no text for the rest.
    """

    def __init__(
        self,
        requests: Sequence[SayTokens],
        vocab_size: int,
        device: torch.device | str = "cpu",
        num_sayable: int | None = None,
    ) -> None:
        self.vocab_size, self.device = vocab_size, torch.device(device)
        self.num_sayable = min(vocab_size, num_sayable or vocab_size)
        self._padded = self.num_sayable < vocab_size
        self.keys = np.array([r.key & (2**64 - 1) for r in requests], np.uint64)
        distinct, which = _distinct([r.sampling for r in requests])
        self._which = which
        self._temperature = np.array([s.temperature for s in distinct], np.float32)
        self._top_k = np.array([s.top_k for s in distinct], np.int64)
        self._top_p = np.array([s.top_p for s in distinct], np.float32)
        self._min_p = np.array([s.min_p for s in distinct], np.float32)
        for sampling in distinct:
            check_sampling(sampling, self.num_sayable)
        self._added = self._added_logits(distinct)
        filters = (self._top_k > 0) | (self._top_p < 1) | (self._min_p > 0)
        self._plain = self._added is None and not filters.any() and (self._temperature == 1).all()
        self._filtered = bool(filters.any())
        self._kernel: Any = None
        simple = self._added is None and not self._filtered and not self._padded
        if self.device.type == "cpu" and simple:
            self._kernel = _compiled_draw()

    def noise(self, rows: np.ndarray, said: np.ndarray) -> np.ndarray:
        """The uniform number of each row for its next token; `said` tokens came before."""
        return uniforms(self.keys[rows], said)

    def draw(
        self, logits: torch.Tensor, rows: np.ndarray, said: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens int64, and their log-probabilities under the sampling distribution and under
        the model at temperature one, float32; (n,) each. logits float32 (n, vocab).

        ModelError where the logits are not numbers.
        """
        drawn = self.noise(rows, said)
        if self._kernel is not None:
            return self._compiled(logits, self._temperature[self._which[rows]], drawn)
        noise = torch.from_numpy(drawn).to(self.device)
        if self._plain:
            p = torch.softmax(logits, -1)
            if self._padded:
                p[:, self.num_sayable :] = 0
            tokens = _choose(p, noise)
            logp = p.gather(1, tokens[:, None])[:, 0].log_()
            return tokens, logp - p.sum(-1).log_() if self._padded else logp, logp
        which = self._which[rows]
        z = logits if self._added is None else logits + self._added[self._tensor(which)]
        if self._padded:
            z = z.clone() if z is logits else z
            z[:, self.num_sayable :] = -torch.inf
        temperature = self._temperature[which]
        greedy = temperature == 0
        if (temperature != 1).any():
            z = z / self._tensor(np.where(greedy, 1, temperature).astype(np.float32))[:, None]
        if self._filtered:
            z = self._filter(z, which)
        p = torch.softmax(z, -1)
        tokens = _choose(p, noise)
        if greedy.any():
            tokens = torch.where(self._tensor(greedy), z.argmax(-1), tokens)
        place = tokens[:, None]
        logp_sampling = p.gather(1, place)[:, 0].log_()
        if greedy.any():  # all the probability is on one token
            logp_sampling = logp_sampling.masked_fill_(self._tensor(greedy), 0.0)
        logp_model = logits.gather(1, place)[:, 0] - logits.logsumexp(-1)
        return tokens, logp_sampling, logp_model

    def _compiled(
        self, logits: torch.Tensor, temperature: np.ndarray, noise: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        n = len(noise)
        tokens = np.empty(n, np.int64)
        logp_sampling, logp_model = np.empty(n, np.float32), np.empty(n, np.float32)
        scratch = np.empty(self.vocab_size + 31, np.float32)
        z = logits.contiguous().numpy()
        self._kernel(z, temperature, noise, tokens, logp_sampling, logp_model, scratch)
        if n and tokens.min() < 0:
            raise _not_numbers()
        found = (tokens, logp_sampling, logp_model)
        return tuple(torch.from_numpy(a) for a in found)  # type: ignore[return-value]

    def _filter(self, z: torch.Tensor, which: np.ndarray) -> torch.Tensor:
        """Logits with what top-k, top-p and min-p leave out at -inf."""
        top_k, top_p, min_p = self._top_k[which], self._top_p[which], self._min_p[which]
        sorted_rows = np.nonzero((top_k > 0) | (top_p < 1))[0]
        if len(sorted_rows):
            some = self._tensor(sorted_rows)
            part = _top(z[some], self._tensor(top_k[sorted_rows]), self._tensor(top_p[sorted_rows]))
            z = part if len(sorted_rows) == len(z) else z.index_copy(0, some, part)
        if (min_p > 0).any():
            # p >= min_p * max(p), in logarithms; 0 becomes -inf and leaves nothing out
            with np.errstate(divide="ignore"):
                floor = self._tensor(np.log(min_p))[:, None] + z.amax(-1, keepdim=True)
            z = z.masked_fill(z < floor, -torch.inf)
        return z

    def _added_logits(self, distinct: Sequence[Sampling]) -> torch.Tensor | None:
        """(settings, vocab) to add to the logits: biases, and -inf outside allowed tokens."""
        if all(s.allowed is None and not s.bias for s in distinct):
            return None
        added = np.zeros((len(distinct), self.vocab_size), np.float32)
        for i, sampling in enumerate(distinct):
            if sampling.allowed is not None:
                added[i] = -np.inf
                added[i, list(sampling.allowed)] = 0.0
            for token, value in (sampling.bias or {}).items():
                added[i, token] += value
        return torch.from_numpy(added).to(self.device)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(self.device)


def _choose(p: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Inverse-CDF choice: probabilities (n, V), uniforms float64 (n,) -> int64 (n,)."""
    wide = p.shape[1] >= WIDE_VOCABULARY
    cumulative = p.cumsum(-1, dtype=torch.float64 if wide else None)
    total = cumulative[:, -1]
    # Rounding may lift the threshold to the total, beyond the last possible token: stay below.
    below = torch.nextafter(total, torch.zeros_like(total))
    threshold = torch.minimum((noise * total).to(total.dtype), below)
    tokens = torch.searchsorted(cumulative, threshold[:, None], right=True)[:, 0]
    if int(tokens.max()) >= p.shape[1]:  # NaN compares false with everything
        raise _not_numbers()
    return tokens


def _not_numbers() -> ModelError:
    return ModelError(
        "the model's probabilities are not numbers",
        expected="finite logits",
        found="NaN or infinity",
        hint="The weights are broken: load an earlier snapshot or lower the learning rate",
    )


def _compiled_draw() -> Any:
    """The compiled way to draw without filters, or None where numba is not installed."""
    if find_spec("numba") is None:
        return None
    from askesis.engines.kernels import draw

    return draw


def _top(z: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Keep the k most likely tokens (0: all), then the fewest whose probability reaches p."""
    ordered, order = torch.sort(z, dim=-1, descending=True, stable=True)
    rank = torch.arange(z.shape[1], device=z.device)
    out = (rank >= top_k[:, None]) & (top_k[:, None] > 0)
    p = torch.softmax(ordered.masked_fill(out, -torch.inf), -1)
    before = p.cumsum(-1) - p
    out |= (before >= top_p[:, None]) & (top_p[:, None] < 1)
    out[:, 0] = False
    return torch.empty_like(z).scatter_(1, order, ordered.masked_fill(out, -torch.inf))


def _distinct(samplings: Sequence[Sampling]) -> tuple[list[Sampling], np.ndarray]:
    """The different settings, and which of them each row has."""
    found: dict[tuple[object, ...], int] = {}
    distinct: list[Sampling] = []
    seen: dict[int, int] = {}
    which = np.empty(len(samplings), np.int64)
    for i, s in enumerate(samplings):
        place = seen.get(id(s))
        if place is None:
            bias = tuple(sorted((s.bias or {}).items()))
            key = (s.temperature, s.top_k, s.top_p, s.min_p, s.allowed, bias)
            place = found.setdefault(key, len(distinct))
            if place == len(distinct):
                distinct.append(s)
            seen[id(s)] = place
        which[i] = place
    return distinct, which


def check_sampling(s: Sampling, vocab_size: int) -> None:
    """ModelError for settings that cannot be sampled under."""
    wrong = ""
    if not 0 <= s.temperature < float("inf"):
        wrong = f"temperature {s.temperature}; expected 0 or more"
    elif s.top_k < 0:
        wrong = f"top_k {s.top_k}; expected 0 (off) or more"
    elif not 0 < s.top_p <= 1:
        wrong = f"top_p {s.top_p}; expected above 0 and at most 1 (off)"
    elif not 0 <= s.min_p <= 1:
        wrong = f"min_p {s.min_p}; expected 0 (off) to 1"
    elif s.allowed is not None and not s.allowed:
        wrong = "no allowed tokens; expected at least one"
    else:
        named = [*(s.allowed or ()), *(s.bias or {})]
        outside = [t for t in named if not 0 <= t < vocab_size]
        if outside:
            wrong = f"token {outside[0]}; expected ids from 0 to {vocab_size - 1}"
    if wrong:
        raise ModelError(f"cannot sample with {wrong}")
