"""Output layers that are larger than what the tokeniser knows, as most published models have."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from askesis.engines.native import NativeEngine
from askesis.engines.transformers import TransformersEngine
from askesis.errors import ModelError
from askesis.models.load import open_model, renderer_for
from askesis.models.renderers import ChatRenderer
from askesis.models.tokenizer import VOCAB_SIZE, byte_tokenizer
from askesis.requests import ScoreTokens
from tests.engines.cast import SMALL, ask, context, small_model

PADDED = 320
SETTINGS = [{}, {"temperature": 0.7}, {"temperature": 0.0}, {"top_k": 300}, {"top_p": 0.95},
            {"min_p": 0.001}, {"bias": {7: 1.0}}]  # fmt: skip
ENGINES = pytest.mark.parametrize("engine", [NativeEngine, TransformersEngine])


@pytest.fixture(scope="module")
def model():
    """A model whose likeliest tokens have no text."""
    found = small_model(vocab_size=PADDED, tie_word_embeddings=False)
    with torch.no_grad():
        found.module.lm_head.weight[VOCAB_SIZE:] *= 1.5
    return found


def logits(model, ids) -> np.ndarray:
    tokens = torch.from_numpy(np.append(ids, 0).astype(np.int64))[None]
    with torch.no_grad():
        out = model.outputs(SimpleNamespace(tokens=tokens), frozenset({"logits"}))
    return out.logits[0, len(ids) - 1].numpy()


@ENGINES
def test_tokens_without_a_text_are_never_said_and_probabilities_stay_true(engine, model):
    requests = [ask(context(9, k), k, **s) for k in range(6) for s in SETTINGS]
    answers = engine(model).say(requests)
    # Without the rule they would be said often: the test can fail.
    share = [np.exp(torch.log_softmax(torch.from_numpy(logits(model, r.context)), -1)[VOCAB_SIZE:])
             .sum() for r in requests[:: len(SETTINGS)]]  # fmt: skip
    assert np.mean(share) > 0.2
    for request, said in zip(requests, answers, strict=True):
        assert len(said.tokens) == 8
        assert (said.tokens < VOCAB_SIZE).all()
        z = logits(model, request.context).astype(np.float64)
        token = said.tokens[0]
        whole, known = np.logaddexp.reduce(z), np.logaddexp.reduce(z[:VOCAB_SIZE])
        assert said.logp_model[0] == pytest.approx(z[token] - whole, abs=1e-4)
        if request.sampling == ask(context(1)).sampling:
            assert said.logp_sampling[0] == pytest.approx(z[token] - known, abs=1e-4)
        if request.sampling.temperature == 0:
            assert token == z[:VOCAB_SIZE].argmax()


@ENGINES
def test_what_a_tokeniser_does_not_know_cannot_be_asked_for(engine, model):
    for settings in ({"allowed": (5, VOCAB_SIZE)}, {"bias": {VOCAB_SIZE: 1.0}}):
        with pytest.raises(ModelError, match=f"expected ids from 0 to {VOCAB_SIZE - 1}") as error:
            engine(model).say([ask(context(4), **settings)])
        assert "\n" not in str(error.value)


@ENGINES
def test_stop_strings_work_beside_a_larger_output_layer(engine, model):
    settings = {"allowed": (97, 98), "temperature": 5.0, "max_tokens": 40}
    (said,) = engine(model).say([ask(context(4), 3, stop=("ab",), **settings)])
    assert model.renderer.decode(said.tokens).endswith("ab")


@ENGINES
def test_scores_are_under_the_whole_output_layer(engine, model):
    ids = context(6)
    (score,) = engine(model).score([ScoreTokens(ids, np.array([65], np.int32))])
    z = logits(model, ids).astype(np.float64)
    assert score[0] == pytest.approx(z[65] - np.logaddexp.reduce(z), abs=1e-4)


def test_an_opened_model_knows_how_many_tokens_have_a_text(tmp_path):
    small_model(vocab_size=PADDED).save(tmp_path)
    model = open_model("policy", str(tmp_path))
    assert model.config.vocab_size == PADDED
    assert model.renderer.vocab_size == VOCAB_SIZE
    tokenizer = byte_tokenizer(64)
    tokenizer.chat_template = None
    renderer = renderer_for(tokenizer, SimpleNamespace(vocab_size=PADDED, **SMALL))
    assert isinstance(renderer, ChatRenderer)
    assert renderer.vocab_size == VOCAB_SIZE
