from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig

from askesis.errors import ModelError
from askesis.models import token_statistics
from askesis.models.decoder import Decoder, initialise
from askesis.models.decoder_config import decoder_config
from askesis.models.language_model import logp_from
from askesis.models.tiny import tiny_config
from tests.models.shapes import BASE, SHAPES, both

TOLERANCE = 1e-4  # float32, natural logarithms


def some_tokens(rows: int = 3, length: int = 40) -> torch.Tensor:
    return torch.randint(0, 97, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_log_probabilities_equal_those_of_transformers_at_every_position(shape):
    module, decoder = both(shape)
    tokens = some_tokens()
    with torch.no_grad():
        expected = logp_from(module(tokens).logits, tokens)
        found = decoder.logp(tokens)
    assert expected.std() > 0.5, "the reference must be far from uniform to mean anything"
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=0)
    assert (found[:, 0] == 0).all()


@pytest.mark.parametrize("shape", ["llama tied one kv head", "qwen3"])
def test_gradients_equal_those_of_transformers(shape):
    module, decoder = both(shape)
    tokens = some_tokens(2, 12)
    logp_from(module(tokens).logits, tokens).sum().backward()
    decoder.logp(tokens).sum().backward()
    expected = dict(module.named_parameters())
    for name, parameter in decoder.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, atol=2e-3, rtol=1e-3)


def test_what_stands_in_the_padding_changes_nothing_before_it():
    _, decoder = both("qwen2")
    tokens = some_tokens(2, 20)
    padded = torch.cat([tokens, some_tokens(2, 9)], 1)
    with torch.no_grad():
        torch.testing.assert_close(
            decoder.logp(padded)[:, :20], decoder.logp(tokens), atol=1e-5, rtol=0
        )


def test_chunks_of_a_large_vocabulary_change_neither_values_nor_gradients(monkeypatch):
    _, decoder = both("llama untied full heads")
    tokens = some_tokens(2, 17)
    whole = decoder.logp(tokens)
    whole.pow(2).sum().backward()
    expected = {n: p.grad.clone() for n, p in decoder.named_parameters()}
    decoder.zero_grad()
    monkeypatch.setattr(token_statistics, "LOGITS_IN_MEMORY", 97 * 5)  # five positions at a time
    parts = decoder.logp(tokens)
    parts.pow(2).sum().backward()
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=0)
    for name, parameter in decoder.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("length", [0, 1])
def test_nothing_to_predict_gives_zeros(length):
    _, decoder = both("mistral")
    found = decoder.logp(torch.zeros(2, length, dtype=torch.long))
    assert found.shape == (2, length)
    assert not found.any()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("gpt2", {}),
        ("gemma2", {}),
        ("llama", {"mlp_bias": True}),
        ("llama", {"hidden_act": "gelu"}),
        ("mistral", {"sliding_window": 16}),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}),
    ],
)
def test_a_shape_it_does_not_have_is_refused_and_the_engine_that_has_it_named(kind, changes):
    config = AutoConfig.for_model(kind, **((BASE if kind != "gpt2" else {}) | changes))
    with pytest.raises(ModelError, match="--engine transformers"):
        decoder_config(config)


def test_first_weights_are_a_function_of_the_seed():
    def weights(seed: int) -> torch.Tensor:
        decoder = Decoder(decoder_config(tiny_config(num_hidden_layers=1)))
        initialise(decoder, seed)
        return torch.cat([p.flatten() for p in decoder.parameters()])

    before = torch.random.get_rng_state()
    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
    torch.manual_seed(5)
    assert torch.equal(weights(3), weights(3))
    torch.random.set_rng_state(before)
