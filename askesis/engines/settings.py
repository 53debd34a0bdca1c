"""Sampling settings an engine does not honour are refused, never ignored."""

from __future__ import annotations

from collections.abc import Sequence

from askesis.errors import ModelError
from askesis.requests import SayTokens


def check_settings(
    engine: str, capabilities: frozenset[str], requests: Sequence[SayTokens]
) -> None:
    """ModelError for the first setting that asks for a capability which is not declared.

    Temperature, top-k and top-p are everybody's; stop strings, allowed tokens, biases, min-p and
    weights by name are declared.
    """
    lacking = {"stop_strings", "allowed", "bias", "min_p", "named_weights"} - capabilities
    if not lacking:
        return
    for request in requests:
        asked = request.sampling
        wants = {
            "stop_strings": bool(asked.stop),
            "allowed": asked.allowed is not None,
            "bias": bool(asked.bias),
            "min_p": asked.min_p > 0,
            "named_weights": bool(request.weights),
        }
        for name in sorted(lacking):
            if wants[name]:
                raise ModelError(
                    f"engine {engine!r} does not honour the sampling setting "
                    f"{name.replace('_', ' ')}",
                    hint="Leave it away, or choose another with --engine",
                )
