"""Several models as adapters on one base, and adapters merged into it."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from askesis.config import override
from askesis.errors import ModelError
from askesis.lab.begin import open_models
from askesis.models.adapters import merged_weights, plain_module, rank_of, with_adapters
from askesis.models.bases import opening_order
from askesis.models.decoder import Decoder
from askesis.models.language_model import LanguageModel, logp_from
from askesis.models.load import open_model
from askesis.models.renderers import ByteRenderer
from askesis.models.tiny import tiny_model
from askesis.models.tokenizer import VOCAB_SIZE, byte_tokenizer
from askesis.plan import ModelSpec, Plan

SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 8}
BATCH = SimpleNamespace(
    tokens=torch.randint(0, 256, (2, 30), generator=torch.Generator().manual_seed(2))
)


def frozen(**changes) -> LanguageModel:
    return tiny_model("policy", 0, trainable=False, **(SMALL | changes))


def adapted(name: str = "policy", seed: int = 1) -> LanguageModel:
    """A model whose adapters say something, over weights of its own."""
    model = frozen()
    module = with_adapters(plain_module(model), 4)
    config, tokenizer = model.config, model.tokenizer
    model = LanguageModel(name, module, model.renderer, config, tokenizer, adapters=True)
    disturb(model, seed)
    return model


def disturb(model: LanguageModel, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in sorted(model.weights().items()):
            if "lora_B" in name:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)


def logp(model) -> torch.Tensor:
    with torch.no_grad():
        return model.outputs(BATCH).logp


def step(model) -> None:
    optimizer = torch.optim.SGD([p for p in model.module.parameters() if p.requires_grad], 1.0)
    model.outputs(BATCH).logp.mean().neg().backward()
    optimizer.step()
    optimizer.zero_grad()


# ---------------------------------------------------------------- merged weights


def by_merged_weights(model, pinned=None) -> torch.Tensor:
    """Log-probabilities by the plain forward of a decoder that holds the merged weights."""
    from askesis.models.decoder_config import decoder_config

    decoder = Decoder(decoder_config(model.config))
    weights = merged_weights(model, pinned)
    decoder.load_state_dict({n: weights[n] for n in decoder.state_dict()})
    with torch.no_grad():
        return decoder.logp(BATCH.tokens)


def test_merged_weights_say_what_the_adapted_module_says_and_leave_it_alone():
    model = adapted()
    before = {n: t.clone() for n, t in model.module.state_dict().items()}
    torch.testing.assert_close(by_merged_weights(model), logp(model), atol=1e-5, rtol=0)
    assert (by_merged_weights(model) - logp(frozen())).abs().max() > 0.01
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.slow
def test_merged_weights_are_those_that_an_export_holds(tmp_path):
    model = adapted()
    model.save(tmp_path)
    exported = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    found = merged_weights(model)
    assert set(found) == set(exported)
    for name, tensor in exported.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=0)


def test_pinned_adapters_merge_into_the_base_of_whoever_is_asked():
    model = adapted(seed=1)
    pinned, expected = model.copy_weights(), logp(model)
    disturb(model, seed=5)
    torch.testing.assert_close(by_merged_weights(model, pinned), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(by_merged_weights(frozen(), pinned), expected, atol=1e-5, rtol=0)


def test_merged_weights_of_a_model_without_adapters_are_its_own_or_the_pinned():
    model = frozen()
    for name, tensor in merged_weights(model).items():
        assert tensor.data_ptr() == model.module.state_dict()[name].data_ptr()
    other = tiny_model("policy", 3, **SMALL).copy_weights()
    found = merged_weights(model, other)
    assert all(found[name] is tensor for name, tensor in other.items())


def test_matrices_that_are_kept_the_other_way_round_are_merged_so():
    config = GPT2Config(vocab_size=VOCAB_SIZE, n_positions=64, n_embd=16, n_layer=1, n_head=2)
    base = GPT2LMHeadModel(config).eval()
    plain = {n: t.clone() for n, t in base.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft says that it sets fan_in_fan_out
        module = with_adapters(base, 4)
    model = LanguageModel("m", module, ByteRenderer(64), config, byte_tokenizer(64), adapters=True)
    disturb(model, 1)
    other = GPT2LMHeadModel(config).eval()
    other.load_state_dict(merged_weights(model))
    with torch.no_grad():
        found = logp_from(other(BATCH.tokens).logits, BATCH.tokens)
        other.load_state_dict(plain)
        before = logp_from(other(BATCH.tokens).logits, BATCH.tokens)
    torch.testing.assert_close(found, logp(model), atol=1e-5, rtol=0)
    assert (found - before).abs().max() > 1e-3


# ---------------------------------------------------------------- several on one base


@pytest.fixture(params=["a frozen decoder", "a model with adapters"])
def pair(request):
    """(base, entry with adapters on it): both kinds of base."""
    base = frozen() if request.param == "a frozen decoder" else adapted()
    return base, open_model("critic", ModelSpec(base="policy", lora_rank=2), base=base)


def test_the_base_is_in_memory_once(pair):
    base, critic = pair
    assert base.base_id == critic.base_id == "policy"
    held = {t.data_ptr() for t in base.module.parameters()}
    own = {n for n, t in critic.module.named_parameters() if t.data_ptr() not in held}
    assert own == set(critic.weights())
    assert rank_of(critic.weights()) == 2


def test_new_adapters_change_nothing_and_do_not_see_those_of_the_base(pair):
    _, critic = pair
    torch.testing.assert_close(logp(critic), logp(frozen()), atol=1e-5, rtol=0)


def test_each_entry_trains_its_own_alone(pair):
    base, critic = pair
    before, weights = logp(base), critic.copy_weights()
    everything = {n: p.clone() for n, p in base.module.named_parameters()}
    trained = [n for n, p in critic.module.named_parameters() if p.requires_grad]
    assert sorted(trained) == sorted(critic.weights())
    for _ in range(3):
        step(critic)
    assert torch.equal(logp(base), before)
    for name, parameter in base.module.named_parameters():
        assert torch.equal(parameter, everything[name])
    assert (logp(critic) - logp(frozen())).abs().max() > 1e-3
    after = logp(critic)
    if base.adapters:
        for _ in range(3):
            step(base)
        assert torch.equal(logp(critic), after)
        assert (logp(base) - before).abs().max() > 1e-3
    critic.load(weights)
    torch.testing.assert_close(logp(critic), logp(frozen()), atol=1e-5, rtol=0)


def test_each_entry_saves_and_exports_its_own(pair, tmp_path):
    base, critic = pair
    disturb(critic, 7)
    expected = logp(critic)
    critic.save_state(tmp_path / "state")
    critic.save(tmp_path / "export")
    again = open_model("critic", ModelSpec(base="policy", lora_rank=2), base=base)
    again.load_state(tmp_path / "state")
    assert torch.equal(logp(again), expected)
    module = AutoModelForCausalLM.from_pretrained(tmp_path / "export")
    with torch.no_grad():
        found = logp_from(module(BATCH.tokens).logits, BATCH.tokens)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_opening_adapters_leaves_the_global_generator_alone():
    base, before = frozen(), torch.random.get_rng_state()
    open_model("critic", ModelSpec(base="policy", lora_rank=2), base=base)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("trainable", [True, False])
def test_a_module_over_the_weights_of_a_decoder_leaves_open_what_is_trained(trainable):
    model = tiny_model("policy", 0, trainable=trainable, **SMALL)
    module = plain_module(model)
    plain_module(model, detached=True).requires_grad_(not trainable)
    for parameter in [*model.module.parameters(), *module.parameters()]:
        assert parameter.requires_grad == trainable
    own = {p.data_ptr() for p in model.module.parameters()}
    assert {p.data_ptr() for p in module.parameters()} == own


def test_adapters_may_sit_on_what_sits_on_a_base():
    base = frozen()
    middle = open_model("critic", ModelSpec(base="policy", lora_rank=2), base=base)
    disturb(middle, 3)
    top = open_model("judge", ModelSpec(base="critic", lora_rank=4), base=middle)
    assert top.base_id == "policy"
    torch.testing.assert_close(logp(top), logp(base), atol=1e-5, rtol=0)


# ---------------------------------------------------------------- what cannot be done


def one_line(error) -> None:
    assert "\n" not in str(error.value)


def test_adapters_on_weights_that_are_learnt_are_refused_in_one_line():
    base = tiny_model("policy", 0, **SMALL)
    with pytest.raises(ModelError, match="learns all its weights") as error:
        open_model("critic", ModelSpec(base="policy", lora_rank=2), base=base)
    one_line(error)


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        ({"critic": ModelSpec(base="polcy", lora_rank=2)}, "polcy"),
        ({"critic": ModelSpec(base="policy")}, r"critic.*no adapters.*lora-rank"),
        (
            {
                "critic": ModelSpec(base="judge", lora_rank=2),
                "judge": ModelSpec(base="critic", lora_rank=2),
            },
            "leads back",
        ),
        ({"critic": ModelSpec(base="critic", lora_rank=2)}, "leads back"),
    ],
    ids=["unknown", "without a rank", "a circle", "itself"],
)
def test_a_base_that_cannot_be_is_one_clear_line(specs, says):
    with pytest.raises(ModelError, match=says) as error:
        opening_order({"policy": ModelSpec(), **specs})
    one_line(error)


def test_a_plan_with_two_models_on_one_base_is_opened_from_what_a_person_types(tmp_path):
    frozen().save(tmp_path)
    plan = Plan(recipe="r", phases=(), models={"critic": ModelSpec(), "policy": ModelSpec()})
    for path, value in (
        ("models.policy.source", str(tmp_path)),
        ("models.policy.lora-rank", "4"),
        ("models.critic.base", "policy"),
        ("models.critic.lora-rank", "2"),
        ("models.critic.heads", "value"),
    ):
        plan = override(plan, path, value)
    models = open_models(plan, 0)
    assert list(models) == ["critic", "policy"]
    assert models["critic"].base_id == models["policy"].base_id == "policy"
    assert models["critic"].heads == ("value",)
    assert rank_of(models["critic"].weights()) == 2


def test_bases_are_opened_first():
    specs = {
        "judge": ModelSpec(base="critic", lora_rank=2),
        "critic": ModelSpec(base="policy", lora_rank=2),
        "policy": ModelSpec(trainable=False),
    }
    assert opening_order(specs) == ["policy", "critic", "judge"]
