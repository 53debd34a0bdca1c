"""Where an engine's weights come from: a model that may learn on, or a pinned copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from askesis.engines.packed import Packed
from askesis.models.adapters import merged_weights
from askesis.models.decoder import Decoder
from askesis.models.decoder_config import DecoderConfig, decoder_config
from askesis.models.heads import is_head


class Source:
    """One set of weights, packed for sampling and packed anew where they have changed.

    pinned: weights to speak with whatever the model learns (copied here); None follows the model.
    """

    def __init__(
        self, model: Any, dtype: torch.dtype, pinned: Mapping[str, torch.Tensor] | None = None
    ) -> None:
        self.model, self.dtype = model, dtype
        self.config = config_of(model)
        self._pinned = None
        if pinned is not None:
            self._pinned = {name: tensor.detach().clone() for name, tensor in pinned.items()}
        self._packed: Packed | None = None
        self._packed_of: tuple[Any, ...] = ()

    def heads(self) -> Mapping[str, torch.Tensor]:
        """The weights in which the heads are found."""
        if self._pinned is not None:
            return self._pinned
        return {n: p.detach() for n, p in self.model.module.named_parameters() if is_head(n)}

    @torch.inference_mode()
    def packed(self) -> tuple[Packed, bool]:
        """The weights as they are now, and whether they were packed anew for it."""
        state = () if self._pinned is not None else self._state()
        if self._packed is not None and state == self._packed_of:
            return self._packed, False
        self._packed = Packed(self.config, merged_weights(self.model, self._pinned), self.dtype)
        self._packed_of = state
        return self._packed, True

    def _state(self) -> tuple[Any, ...]:
        """What differs as soon as a weight was changed, in place or by another tensor."""
        parameters = self.model.module.parameters()
        return (self.model.version, *((p.data_ptr(), p._version) for p in parameters))

    def forget(self) -> None:
        """Pack anew at the next use."""
        self._packed = None


def config_of(model: Any) -> DecoderConfig:
    """The shape of a model the native engine covers; ModelError where it does not."""
    if isinstance(model.module, Decoder):
        return model.module.config
    return decoder_config(model.config)
