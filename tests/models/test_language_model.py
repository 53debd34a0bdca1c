from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from askesis.errors import ModelError
from askesis.models.decoder import Decoder
from askesis.models.language_model import logp_from
from askesis.models.load import open_model
from askesis.models.renderers import ByteRenderer
from askesis.models.tiny import tiny_model
from askesis.models.tokenizer import VOCAB_SIZE, byte_tokenizer
from askesis.plan import ModelSpec

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}


def small(seed: int = 0, **changes):
    return tiny_model("policy", seed, **(SMALL | changes))


def tokens(rows: int = 2, length: int = 30) -> torch.Tensor:
    return torch.randint(0, 256, (rows, length), generator=torch.Generator().manual_seed(2))


def gpt2(directory, **changes):
    config = GPT2Config(vocab_size=VOCAB_SIZE, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(directory)
    byte_tokenizer(64).save_pretrained(directory)
    return directory


def test_the_default_has_about_a_million_parameters_and_a_context_of_512():
    model = tiny_model()
    assert 700_000 < model.num_parameters < 1_100_000
    assert model.renderer.context_length == 512


def test_an_exported_checkpoint_loads_in_plain_transformers(tmp_path):
    model = small()
    model.save(tmp_path)
    module = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == VOCAB_SIZE
    x = tokens()
    with torch.no_grad():
        expected = logp_from(module(x).logits, x)
        found = model.outputs(SimpleNamespace(tokens=x)).logp
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_an_exported_checkpoint_opens_as_what_it_was(tmp_path):
    model = small(seed=7)
    model.save(tmp_path)
    again = open_model("policy", ModelSpec(source=str(tmp_path)))
    assert isinstance(again.module, Decoder)
    assert isinstance(again.renderer, ByteRenderer)
    for name, tensor in model.weights().items():
        assert torch.equal(again.weights()[name], tensor)


def test_outputs_hold_what_was_asked_for():
    model, x = small(), tokens()
    batch = SimpleNamespace(tokens=x)
    plain = model.outputs(batch)
    rich = model.outputs(batch, frozenset({"logp", "logits", "hidden"}))
    assert plain.logits is None
    assert plain.hidden is None
    assert rich.logits.shape == (2, 30, VOCAB_SIZE)
    assert rich.hidden.shape == (2, 30, 32)
    torch.testing.assert_close(rich.logp, plain.logp, atol=1e-5, rtol=0)
    torch.testing.assert_close(logp_from(rich.logits, x), plain.logp, atol=1e-5, rtol=0)


def step(model, x) -> None:
    model.optimizer = model.optimizer or torch.optim.AdamW(model.module.parameters(), lr=1e-2)
    model.optimizer.zero_grad()
    (-model.outputs(SimpleNamespace(tokens=x)).logp.mean()).backward()
    model.optimizer.step()


def test_a_saved_state_continues_to_the_same_bits(tmp_path):
    model, x = small(), tokens()
    step(model, x)
    model.save_state(tmp_path)
    step(model, x)
    again = small(seed=99)
    again.load_state(tmp_path)
    again.optimizer = torch.optim.AdamW(again.module.parameters(), lr=1e-2)
    again.optimizer.load_state_dict(again.optimizer_state)
    step(again, x)
    for name, tensor in model.weights().items():
        assert torch.equal(again.weights()[name], tensor)


def test_a_model_the_decoder_does_not_cover_is_kept_in_transformers(tmp_path):
    model = open_model("policy", str(gpt2(tmp_path / "gpt2")))
    assert isinstance(model.module, GPT2LMHeadModel)
    assert model.renderer.context_length == 64
    x = tokens(2, 12)
    rich = model.outputs(SimpleNamespace(tokens=x), frozenset({"logp", "hidden"}))
    assert rich.hidden.shape == (2, 12, 16)
    model.save(tmp_path / "out")
    module = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(logp_from(module(x).logits, x), rich.logp, atol=1e-5, rtol=0)


def test_adapters_train_alone_and_are_merged_on_export(tmp_path):
    small().save(tmp_path / "base")
    model = open_model("policy", ModelSpec(source=str(tmp_path / "base"), lora_rank=4))
    x = tokens()
    before = model.outputs(SimpleNamespace(tokens=x)).logp.detach()
    torch.testing.assert_close(
        before, small().outputs(SimpleNamespace(tokens=x)).logp, atol=1e-5, rtol=0
    )
    frozen = {n: p.clone() for n, p in model.module.named_parameters() if not p.requires_grad}
    model.optimizer = torch.optim.AdamW([p for p in model.module.parameters() if p.requires_grad])
    for _ in range(3):
        step(model, x)
    after = model.outputs(SimpleNamespace(tokens=x)).logp.detach()
    assert (after - before).abs().max() > 1e-3
    for name, parameter in model.module.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name])
    assert all("lora_" in name for name in model.weights())
    model.save(tmp_path / "merged")
    module = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logp_from(module(x).logits, x), after, atol=1e-4, rtol=0)
    again = open_model("policy", ModelSpec(source=str(tmp_path / "base"), lora_rank=4))
    model.save_state(tmp_path / "state")
    again.load_state(tmp_path / "state")
    assert torch.equal(again.outputs(SimpleNamespace(tokens=x)).logp, after)


def one_line(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    small().save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.norm\.weight") as error:
        open_model("policy", str(tmp_path))
    assert "finite" in one_line(error)


def test_weights_that_are_missing_or_of_another_shape_are_refused(tmp_path):
    small().save(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="up_proj") as error:
        open_model("policy", str(tmp_path))
    one_line(error)


def test_a_tokeniser_that_does_not_belong_to_the_weights_is_refused(tmp_path):
    model = small(vocab_size=200)
    model.save(tmp_path)
    with pytest.raises(ModelError, match="tokeniser") as error:
        open_model("policy", str(tmp_path))
    assert "263" in one_line(error)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("nobody/has-this-model", "nobody/has-this-model"),
        ("./no/such/folder", "no/such/folder"),
        ("no_module:function", "no_module"),
    ],
)
def test_a_model_that_is_not_there_is_one_clear_line(source, says):
    with pytest.raises(ModelError, match=says) as error:
        open_model("policy", source)
    one_line(error)


def test_a_folder_without_a_model_or_with_a_broken_one_is_one_clear_line(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json") as error:
        open_model("policy", str(tmp_path))
    one_line(error)
    small().save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="cannot open") as error:
        open_model("policy", str(tmp_path))
    one_line(error)


def test_a_device_that_is_not_there_is_one_clear_line():
    with pytest.raises(ModelError, match="device"):
        open_model("policy", ModelSpec(device="abacus"))
