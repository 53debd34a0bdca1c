"""Value heads: where they are, what trains them, and where they are written."""

from __future__ import annotations

import dataclasses
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from askesis.errors import ModelError
from askesis.learn.optimizer import default_groups
from askesis.learn.trainer import Trainer
from askesis.models.load import open_model
from askesis.models.shelf import Shelf
from askesis.models.tiny import tiny_model
from askesis.models.tokenizer import VOCAB_SIZE, byte_tokenizer
from askesis.plan import ModelSpec
from askesis.records import Sample, Sequence

BATCH = SimpleNamespace(
    tokens=torch.randint(0, 256, (2, 20), generator=torch.Generator().manual_seed(2))
)
USES = frozenset({"logp", "value", "hidden"})
VALUE = ModelSpec(heads=("value",))
SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Checkpoints of the two kinds of modules: our decoder's, and one that it does not cover."""
    folder = tmp_path_factory.mktemp("sources")
    tiny_model("policy", 0, **SMALL).save(folder / "llama")
    config = GPT2Config(vocab_size=VOCAB_SIZE, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(config).save_pretrained(folder / "gpt2")
    byte_tokenizer(64).save_pretrained(folder / "gpt2")
    return folder


@pytest.fixture(params=["llama", "gpt2", "adapters", "on a base"])
def kind(request):
    return request.param


@pytest.fixture
def opened(sources, kind):
    """() -> a new model with a value head; the same weights every time."""

    def make():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "on a base":
                source = ModelSpec(source=str(sources / "llama"), trainable=False)
                base = open_model("base", source)
                spec = dataclasses.replace(VALUE, base="base", lora_rank=2)
                return open_model("policy", spec, base=base)
            rank = 2 if kind == "adapters" else 0
            folder = sources / ("gpt2" if kind == "gpt2" else "llama")
            return open_model(
                "policy", dataclasses.replace(VALUE, source=str(folder), lora_rank=rank)
            )

    return make


def fill(model) -> None:
    """A head that says something."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.module.heads.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))


def value(model) -> torch.Tensor:
    with torch.no_grad():
        return model.outputs(BATCH, USES).value


def test_a_new_head_says_nought_and_changes_nothing(opened):
    model = opened()
    found = model.outputs(BATCH, USES)
    assert found.value.shape == (2, 20)
    assert found.value.dtype == torch.float32
    assert (found.value == 0).all()
    assert model.heads == ("value",)
    weights = {n: t for n, t in model.weights().items() if n.startswith("heads.")}
    assert {tuple(t.shape) for t in weights.values()} == {(1, found.hidden.shape[-1]), (1,)}


def test_the_value_is_linear_in_the_state_after_the_last_norm(opened):
    model = opened()
    fill(model)
    found = model.outputs(BATCH, USES)
    head = model.module.heads["value"]
    expected = found.hidden.detach().double() @ head.weight.detach()[0].double() + head.bias.item()
    torch.testing.assert_close(found.value.detach().double(), expected, atol=1e-5, rtol=0)


def test_gradient_flows_into_head_and_body(opened):
    model = opened()
    fill(model)
    model.outputs(BATCH, frozenset({"value"})).value.pow(2).sum().backward()
    trained = {n: p for n, p in model.module.named_parameters() if p.requires_grad}
    assert set(trained) == set(model.weights())
    got = {n for n, p in trained.items() if p.grad is not None and p.grad.abs().max() > 0}
    assert {"heads.value.weight", "heads.value.bias"} <= got
    assert len(got) > 2


@dataclasses.dataclass(frozen=True)
class ToOne:
    """Brings every value to 1: the smallest objective of a head."""

    needs, uses, atom, coef = frozenset(), frozenset({"value"}), "sequence", 1.0

    def __call__(self, out, batch, norm):
        return (out.value - 1).pow(2).mean(), {}


@pytest.mark.slow
def test_the_trainer_and_the_optimiser_see_the_head(opened):
    model = opened()
    trainer = Trainer(model, [ToOne()], micro_batch_tokens=999, max_grad_norm=0.0)
    optimizer = torch.optim.AdamW(default_groups(model, 0.0), lr=0.0)
    columns = {"weight": np.ones(20, np.float32)}
    samples = [Sample("policy", (Sequence(BATCH.tokens[0].numpy(), columns),))]
    before = model.copy_weights()
    losses = [trainer.update(optimizer, samples, 0.05).loss for _ in range(8)]
    assert losses[-1] < 0.5 * losses[0]
    moved = {n for n, t in model.weights().items() if not torch.equal(t, before[n])}
    assert "heads.value.weight" in moved
    assert any(not n.startswith("heads.") for n in moved)


@pytest.mark.slow
def test_state_and_snapshots_hold_the_head_to_the_bit(opened, tmp_path):
    model = opened()
    fill(model)
    expected = value(model)
    model.save_state(tmp_path)
    shelf = Shelf({"policy": model}, keep=[("policy", "base")])
    with torch.no_grad():
        model.module.heads["value"].weight.zero_()
    shelf.restore(model, "base")
    assert torch.equal(value(model), expected)
    again = opened()
    again.load_state(tmp_path)
    assert torch.equal(value(again), expected)


@pytest.mark.slow
def test_an_export_is_a_plain_checkpoint_with_the_head_beside_it(opened, tmp_path):
    model = opened()
    fill(model)
    expected = model.outputs(BATCH, USES)
    model.save(tmp_path)
    module, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert not report["missing_keys"]
    assert [p.name for p in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    assert sorted(load_file(tmp_path / "heads" / "value.safetensors")) == ["bias", "weight"]
    with torch.no_grad():
        hidden = module(BATCH.tokens, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(hidden, expected.hidden.detach(), atol=1e-4, rtol=0)
    again = open_model("policy", ModelSpec(source=str(tmp_path), heads=("value",)))
    torch.testing.assert_close(value(again), expected.value.detach(), atol=1e-3, rtol=0)
    assert open_model("policy", ModelSpec(source=str(tmp_path))).heads == ()


def test_a_head_stays_float32_in_a_model_that_is_not(sources):
    spec = dataclasses.replace(VALUE, source=str(sources / "llama"), dtype="bfloat16")
    model = open_model("policy", spec)
    fill(model)
    assert model.weights()["heads.value.weight"].dtype == torch.float32
    assert value(model).dtype == torch.float32


def test_a_frozen_model_does_not_train_its_head(sources):
    spec = dataclasses.replace(VALUE, source=str(sources / "llama"), trainable=False)
    assert not any(p.requires_grad for p in open_model("policy", spec).module.parameters())


def one_line(error) -> None:
    assert "\n" not in str(error.value)


def test_heads_that_are_not_there_are_one_clear_line(sources, tmp_path):
    source = str(sources / "llama")
    with pytest.raises(ModelError, match=r"no value head.*heads") as error:
        open_model("policy", ModelSpec(source=source)).outputs(BATCH, USES)
    one_line(error)
    with pytest.raises(ModelError, match=r"valve.*Did you mean 'value'") as error:
        open_model("policy", ModelSpec(source=source, heads=("valve",)))
    one_line(error)


def test_a_head_of_another_model_is_one_clear_line(opened, tmp_path):
    model = opened()
    model.save(tmp_path)
    path = tmp_path / "heads" / "value.safetensors"
    save_file({"weight": torch.zeros(1, 5), "bias": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=r"value\.safetensors") as error:
        open_model("policy", ModelSpec(source=str(tmp_path), heads=("value",)))
    one_line(error)
