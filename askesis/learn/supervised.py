"""Maximum likelihood of what was selected: the objective of `sft`, `star`, `rest_em` and `rft`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor

from askesis.errors import ConfigError
from askesis.formulas.supervised import sequence_mean_nll, weighted_nll

Mean = Literal["token", "sequence"]


@dataclass(frozen=True, kw_only=True)
class Supervised:
    """Weighted negative log-likelihood of the tokens that a selector gave a weight.

    mean: "token" counts every weighted token alike (the field's usual choice, long answers count
    more); "sequence" counts every sequence alike.
    coef: what the loss is multiplied by beside other objectives, any finite number; default 1.
    Negative weights make tokens less likely; the normaliser is the sum of |weight| over the
    whole step. See `askesis.formulas.supervised`.
    """

    mean: Mean = "token"
    coef: float = 1.0

    needs = frozenset({"weight"})
    uses = frozenset({"logp"})
    atom = "sequence"

    def __post_init__(self) -> None:
        if self.mean not in get_args(Mean):
            raise ConfigError(
                "Supervised.mean has a wrong value",
                expected=" or ".join(get_args(Mean)),
                found=repr(self.mean),
            )

    def __call__(
        self, out: Any, batch: Any, norm: Mapping[str, float]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch's share of the step's loss; shares of micro-batches add up."""
        weight = batch.column("weight")
        if self.mean == "token":
            return weighted_nll(out.logp, weight, norm["weight"]), {}
        if weight.ndim == 1:  # array samples: rows are steps, sequences are samples
            return self._by_episode(out.logp, weight, batch, norm["sequences"]), {}
        return sequence_mean_nll(out.logp, weight, norm["sequences"]), {}

    @staticmethod
    def _by_episode(logp: Tensor, weight: Tensor, batch: Any, norm: float) -> Tensor:
        totals = weight.new_zeros(batch.num_samples).index_add(0, batch.sample, weight.abs())
        share = weight / totals.clamp(min=1e-30)[batch.sample]
        return weighted_nll(logp, share, norm)
