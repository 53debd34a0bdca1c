"""What the native engine promises beyond the contract."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from askesis.engines import native
from askesis.engines.native import NativeEngine
from askesis.engines.open import open_engine
from askesis.engines.packed import Packed
from askesis.errors import ModelError
from askesis.models.language_model import LanguageModel, logp_from
from askesis.rng import key
from tests.engines.cast import ask, context, small_model
from tests.models.shapes import SHAPES, both

MODEL = small_model()


class AnyRenderer:
    context_length, vocab_size, end_token, pad_token, stop_tokens = 64, 97, 0, 0, (0,)

    def decode(self, tokens):
        return " ".join(map(str, tokens))


@pytest.mark.parametrize("shape", SHAPES)
def test_packed_weights_give_the_log_probabilities_of_transformers(shape):
    """All sizes and switches; one pass over all positions, and token by token with the cache."""
    module, decoder = both(shape)
    tokens = torch.randint(0, 97, (3, 30), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = logp_from(module(tokens).logits, tokens)
        packed = Packed(decoder.config, decoder.state_dict(), torch.float32)
        torch.testing.assert_close(packed.logp(tokens), expected, atol=1e-4, rtol=0)
    parameters = sum(p.numel() for p in decoder.parameters())
    model = SimpleNamespace(name="m", module=decoder, renderer=AnyRenderer(), version=0,
                            num_parameters=parameters)  # fmt: skip
    requests = [ask(context(n) % 97, n, max_tokens=20) for n in (3, 8, 8, 17, 30)]
    for request, said in zip(requests, NativeEngine(model).say(requests), strict=True):
        whole = torch.from_numpy(np.concatenate([request.context, said.tokens]))[None].long()
        with torch.no_grad():
            own = logp_from(module(whole).logits, whole)[0, len(request.context) :]
        np.testing.assert_allclose(said.logp_model, own.numpy(), atol=1e-4)


def test_a_model_it_does_not_cover_is_refused_and_the_engine_that_does_named():
    module = GPT2LMHeadModel(GPT2Config(vocab_size=264, n_embd=16, n_layer=1, n_head=2))
    model = LanguageModel("m", module, AnyRenderer(), module.config, None)
    with pytest.raises(ModelError, match=r"GPT2LMHeadModel.*--engine transformers"):
        open_engine("native", model)
    with pytest.raises(ModelError, match="dtype"):
        NativeEngine(MODEL, dtype="float8")
    assert open_engine("auto", MODEL).name == "native"


def requests_for(numbers):
    return [
        ask(context(2 + i * 5 % 30, i % 6), key("row", i), tuple(range(0, 256, 17)),
            max_tokens=1 + i % 23)
        for i in numbers
    ]  # fmt: skip


EXPECTED = NativeEngine(MODEL).say(requests_for(range(40)))


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(40)), st.integers(1, 40), st.integers(1, 40))
def test_rows_entering_and_leaving_in_any_order_say_the_same(order, num, max_rows):
    """Whatever batch a key is served in: the same tokens, log-probabilities within 1e-4."""
    some = order[:num]
    for i, said in zip(some, NativeEngine(MODEL, max_rows=max_rows).say(requests_for(some)),
                       strict=True):  # fmt: skip
        assert said.tokens.tolist() == EXPECTED[i].tokens.tolist()
        assert said.stop is EXPECTED[i].stop
        np.testing.assert_allclose(said.logp_model, EXPECTED[i].logp_model, atol=1e-4)


@pytest.fixture
def two_threads(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(native, "WORTH_A_THREAD", 4)
    yield
    torch.set_num_threads(before)


def test_two_threads_say_what_one_says_and_repeat_their_bytes(two_threads):
    engine = NativeEngine(MODEL, max_rows=16)
    shares = engine._shares(requests_for(range(40)))
    assert len(shares) == 2
    assert sorted(i for share in shares for i in share) == list(range(40))
    assert max(map(len, shares)) - min(map(len, shares)) <= 8
    first = engine.say(requests_for(range(40)))
    again = engine.say(requests_for(range(40)))
    for expected, a, b in zip(EXPECTED, first, again, strict=True):
        assert a.tokens.tolist() == expected.tokens.tolist()
        assert a.logp_model.tobytes() == b.logp_model.tobytes()
    assert torch.get_num_threads() == 2
    engine.close()


def test_a_failure_in_one_thread_ends_the_others_and_is_told(two_threads):
    engine = NativeEngine(MODEL)
    requests = requests_for(range(40))
    requests[7] = ask(context(9), temperature=-1.0)
    with pytest.raises(ModelError, match="temperature"):
        engine.say(requests)
    assert len(engine.say(requests_for(range(40)))) == 40
    engine.close()
    assert not any(t.name.startswith("native") for t in threading.enumerate())


def test_memory_is_bounded_by_what_runs_not_by_what_waits():
    engine = NativeEngine(MODEL, max_rows=32)
    requests = [ask(context(4, i % 50), i, max_tokens=2) for i in range(3000)]
    said = engine.say(requests)
    assert all(len(s.tokens) == 2 for s in said)
    (batch,) = engine._batches
    assert batch.cache.num_rows == 32
    assert engine.gauge.num_said == 6000


def test_a_small_cache_bounds_the_rows_of_a_large_model():
    engine = NativeEngine(MODEL, cache_bytes=1)
    requests = requests_for(range(3))
    assert [s.tokens.tolist() for s in engine.say(requests)] == [
        e.tokens.tolist() for e in EXPECTED[:3]
    ]
    assert engine._batches[0].cache.num_rows == 1
