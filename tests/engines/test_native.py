"""What the native engine promises beyond the contract."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from askesis.engines import native
from askesis.engines.batching import groups_of
from askesis.engines.blocks import Blocks, Match
from askesis.engines.compiled_pass import CompiledPass
from askesis.engines.native import NativeEngine
from askesis.engines.open import open_engine
from askesis.engines.packed import Packed
from askesis.engines.passes import Chunk, TensorPass
from askesis.errors import ModelError
from askesis.models.language_model import LanguageModel
from askesis.requests import ScoreTokens
from askesis.rng import key
from tests.engines.cast import ask, context, small_model
from tests.models.shapes import SHAPES, both

MODEL = small_model()


class AnyRenderer:
    context_length, vocab_size, end_token, pad_token, stop_tokens = 64, 97, 0, 0, (0,)

    def decode(self, tokens):
        return " ".join(map(str, tokens))


@pytest.mark.parametrize("kind", [CompiledPass, TensorPass])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_pass_gives_the_log_probabilities_of_transformers(shape, kind):
    """All sizes and switches, position by position: whole rows, and token by token after them."""
    module, decoder = both(shape)
    tokens = torch.randint(0, 97, (3, 30), generator=torch.Generator().manual_seed(1))
    packed = Packed(decoder.config, decoder.state_dict(), torch.float32)
    blocks = Blocks(16, 4, 4, 0)
    speaks = kind(packed, 16)
    rows = tokens.numpy().astype(np.int32)
    for i, row in enumerate(rows):
        blocks.begin(i, -1, row[: 20 + i], Match([], -1, 0), 30)
    read = [20, 21, 22]
    chunk = Chunk(
        np.concatenate([row[:n] for row, n in zip(rows, read, strict=True)]).astype(np.int64),
        np.arange(3), np.zeros(3, np.int64), np.array(read),
    )  # fmt: skip
    with torch.inference_mode():
        expected = torch.log_softmax(module(tokens).logits, -1)
        found = torch.log_softmax(speaks.logits(chunk, blocks.table, None), -1)
        whole = torch.cat([expected[i, :n] for i, n in enumerate(read)])
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=0)
        places = np.array([3, 25])
        some = torch.log_softmax(speaks.logits(chunk, blocks.table, places), -1)
        torch.testing.assert_close(some, whole[places], atol=1e-4, rtol=0)
        for step in range(7):
            positions = np.array(read) + step
            blocks.grow(positions)
            newest = rows[np.arange(3), positions].astype(np.int64)
            chunk = Chunk(newest, np.arange(3), positions, np.ones(3, np.int64))
            found = torch.log_softmax(speaks.logits(chunk, blocks.table, None), -1)
            wanted = torch.stack([expected[i, p] for i, p in enumerate(positions)])
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_a_model_it_does_not_cover_is_refused_and_the_engine_that_does_named():
    module = GPT2LMHeadModel(GPT2Config(vocab_size=264, n_embd=16, n_layer=1, n_head=2))
    model = LanguageModel("m", module, AnyRenderer(), module.config, None)
    with pytest.raises(ModelError, match=r"gpt2.*--engine transformers"):
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
    requests = requests_for(range(40))
    groups = [members for _, members in groups_of(requests, np.arange(40))]
    engine._use("", 40)
    shares = engine._shares(-1, [r.context for r in requests], groups)
    assert len(shares) == 2
    assert sorted(i for share in shares for i in share) == list(range(40))
    assert max(map(len, shares)) - min(map(len, shares)) <= 8
    first = engine.say(requests_for(range(40)))
    engine.clear()
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
    assert batch.max_rows == 32
    assert len(batch.blocks._users) <= 32 * 4 + engine.known_bytes // 1024
    assert engine.gauge.num_said == 6000


def test_a_small_cache_bounds_the_rows_of_a_large_model():
    engine = NativeEngine(MODEL, cache_bytes=1)
    requests = requests_for(range(3))
    assert [s.tokens.tolist() for s in engine.say(requests)] == [
        e.tokens.tolist() for e in EXPECTED[:3]
    ]
    assert len(engine._batches[0].blocks._users) == 2 * 4


# ---------------------------------------------------------------- known prefixes


def continued(requests, said, num: int = 6):
    """The next level of a search: every answer with a few tokens of somebody else's after it."""
    return [
        ask(np.concatenate([r.context, s.tokens, context(3, i)]), key("next", i), max_tokens=num)
        for i, (r, s) in enumerate(zip(requests, said, strict=True))
    ]


def fresh_requests(num: int = 24):
    return [ask(context(5 + i % 14, i // 4), key("first", i), max_tokens=7) for i in range(num)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_continued_context_pays_for_its_new_tokens_only(dtype):
    engine = NativeEngine(small_model(initializer_range=0.2), dtype=dtype)
    first = fresh_requests()
    said = engine.say(first)
    read = engine.gauge.num_read
    after = engine.say(continued(first, said))
    # the last token said and the three that follow it are new; the rest is known
    assert engine.gauge.num_read - read == 4 * len(first)
    cold = NativeEngine(engine.model, dtype=dtype).say(continued(first, said))
    for a, b in zip(after, cold, strict=True):
        if dtype == "float32":
            assert a.tokens.tolist() == b.tokens.tolist()
        n = int(np.cumprod(a.tokens == b.tokens).sum())
        limit = 1e-4 if dtype == "float32" else 0.1
        np.testing.assert_allclose(a.logp_model[:n], b.logp_model[:n], atol=limit)


def test_what_was_scored_is_known_when_it_is_continued_and_the_other_way_round():
    engine = NativeEngine(MODEL)
    first = fresh_requests(4)
    said = engine.say(first)
    rows = [ScoreTokens(r.context, s.tokens) for r, s in zip(first, said, strict=True)]
    read = engine.gauge.num_read
    for answer, scores in zip(said, engine.score(rows), strict=True):
        np.testing.assert_allclose(answer.logp_model, scores, atol=1e-4)
    assert engine.gauge.num_read - read <= sum(len(s.tokens) for s in said)
    assert engine.gauge.num_reused == sum(len(r.context) - 1 for r in first)


def test_new_weights_do_not_find_what_old_ones_computed():
    engine = NativeEngine(small_model())
    first = fresh_requests(8)
    said = engine.say(first)
    with torch.no_grad():
        engine.model.module.model.layers[0].mlp.up_proj.weight.mul_(-1)
    after = engine.say(continued(first, said))
    cold = NativeEngine(engine.model).say(continued(first, said))
    assert [a.tokens.tolist() for a in after] == [b.tokens.tolist() for b in cold]


def test_a_cleared_engine_repeats_a_whole_search_byte_for_byte(two_threads):
    engine = NativeEngine(MODEL)

    def search():
        engine.clear()
        requests, found = fresh_requests(), []
        for _ in range(4):
            said = engine.say(requests)
            found += [(s.tokens.tobytes(), s.logp_model.tobytes()) for s in said]
            requests = continued(requests, said, num=4)
        return found

    once = search()
    assert once == search()
    assert engine.gauge.num_reused > engine.gauge.num_read
    engine.close()


def test_prompts_that_begin_alike_share_what_they_have_in_common():
    engine = NativeEngine(MODEL)
    shared = context(32)
    engine.say([ask(np.append(shared, context(4, i)), i, max_tokens=2) for i in range(9)])
    assert engine.gauge.num_read == 32 + 9 * 4


# ---------------------------------------------------------------- several weights


def test_named_weights_in_one_batch_say_what_engines_of_their_own_say():
    one, other = small_model(1), small_model(2)
    engine = NativeEngine(one)
    engine.load(other.copy_weights(), "other")
    requests = fresh_requests()
    mixed = [replace(r, weights="other") if i % 2 else r for i, r in enumerate(requests)]
    answers = engine.say(mixed)
    for start, model in ((0, one), (1, other)):
        own = NativeEngine(model).say(requests[start::2])
        assert [a.tokens.tolist() for a in answers[start::2]] == [s.tokens.tolist() for s in own]
    engine.drop("other")
    with pytest.raises(ModelError, match="no weights 'other'"):
        engine.say(mixed)
    engine.say(requests)


def test_an_attached_model_is_followed_while_it_learns():
    engine, other = NativeEngine(small_model(1)), small_model(2)
    engine.attach(other, "other")
    requests = [replace(r, weights="other") for r in fresh_requests(6)]
    engine.say(requests)
    with torch.no_grad():
        other.module.model.embed_tokens.weight.mul_(0.5)
    now = NativeEngine(other).say(fresh_requests(6))
    assert [a.tokens.tolist() for a in engine.say(requests)] == [s.tokens.tolist() for s in now]


# ---------------------------------------------------------------- mixtures


def logits_of(model, ids):
    tokens = torch.from_numpy(np.append(ids, 0).astype(np.int64))[None]
    with torch.no_grad():
        out = model.outputs(SimpleNamespace(tokens=tokens), frozenset({"logits"}))
    return torch.log_softmax(out.logits[0, len(ids) - 1], -1)


@pytest.mark.slow
@pytest.mark.parametrize("coefficients", [(0.7, 0.3), (1.0, -0.5), (1.0, 0.0)])
def test_a_mixture_speaks_with_the_normalised_product_of_powers(coefficients):
    one, other = small_model(1, initializer_range=0.2), small_model(2, initializer_range=0.2)
    members = [(coefficients[0], one, None), (coefficients[1], other, other.copy_weights())]
    engine = NativeEngine(one).mixture(members)
    first = fresh_requests(10)
    said = engine.say(first)
    for request, answer in zip(first, said, strict=True):
        for i, token in enumerate(answer.tokens):
            ids = np.concatenate([request.context, answer.tokens[:i]])
            z = coefficients[0] * logits_of(one, ids) + coefficients[1] * logits_of(other, ids)
            logp = torch.log_softmax(z, -1)[token]
            np.testing.assert_allclose(answer.logp_model[i], logp, atol=1e-4)
    after = engine.say(continued(first, said))
    cold = NativeEngine(one).mixture(members).say(continued(first, said))
    assert [a.tokens.tolist() for a in after] == [c.tokens.tolist() for c in cold]
    rows = [ScoreTokens(r.context, s.tokens) for r, s in zip(first, said, strict=True)]
    for answer, scores in zip(said, engine.score(rows), strict=True):
        np.testing.assert_allclose(answer.logp_model, scores, atol=1e-4)


def test_a_mixture_of_different_vocabularies_is_refused():
    other = small_model(2)
    other.renderer = AnyRenderer()
    with pytest.raises(ModelError, match="share a vocabulary"):
        NativeEngine(MODEL).mixture([(0.5, MODEL, None), (0.5, other, None)])


# ---------------------------------------------------------------- without numba


def test_without_numba_the_same_is_said_by_tensor_operations(monkeypatch):
    monkeypatch.setattr(native, "find_spec", lambda name: None)
    engine = NativeEngine(MODEL, max_rows=7)
    said = engine.say(requests_for(range(40)))
    assert isinstance(engine._batches[0].speaks, TensorPass)
    for a, expected in zip(said, EXPECTED, strict=True):
        assert a.tokens.tolist() == expected.tokens.tolist()
        np.testing.assert_allclose(a.logp_model, expected.logp_model, atol=1e-4)
    first = fresh_requests()
    continued_said = engine.say(continued(first, engine.say(first)))
    assert len(continued_said) == len(first)
