"""The benchmark's other side says what the engine says, so that the two are the same search."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.engines.native import NativeEngine
from askesis.models.tiny import tiny_model
from askesis.requests import Sampling, SayTokens
from benchmarks.generate_side import ByGenerate


@pytest.mark.slow
def test_generate_in_the_place_of_an_engine_says_the_same_and_ends_the_same():
    model = tiny_model(seed=3)
    # Random weights repeat one token for ever; what is likeliest next differs with the context,
    # so every token becomes an end of some request.
    rng = np.random.default_rng(0)
    contexts = [rng.integers(97, 123, n).astype(np.int32) for n in (3, 9, 9, 20, 31, 505)]
    engine = NativeEngine(model, dtype="float32")

    def asked(temperature: float, stops: list[str], most: list[int]) -> list[SayTokens]:
        return [
            SayTokens(c, Sampling(temperature, stop=(s,) if s else (), max_tokens=n), i, ends)
            for i, (c, s, n, ends) in enumerate(
                zip(contexts, stops, most, [(256,)] * 5 + [()], strict=True)
            )
        ]

    free = engine.say(asked(0.0, [""] * 6, [12] * 6))
    texts = [model.renderer.decode(s.tokens) for s in free]
    stops = [t[2:3] if t[2:3].isascii() else "" for t in texts]
    for stop, most in (([""] * 6, [12, 1, 5, 12, 12, 12]), (stops, [12] * 6)):
        ours = engine.say(asked(0.0, stop, most))
        theirs = ByGenerate(model, rows=4)(asked(1e-4, stop, most))
        for a, b in zip(ours, theirs, strict=True):
            assert a.tokens.tolist() == b.tokens.tolist()
            assert a.stop == b.stop or len(a.tokens) == 512 - 505
    assert any(len(s.tokens) < 12 for s in engine.say(asked(0.0, stops, [12] * 6))[:5])
