"""What the transformers engine promises beyond the contract: several adapters on one base."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from askesis.engines.open import open_engine
from askesis.engines.transformers import TransformersEngine
from askesis.errors import ModelError
from askesis.models.load import open_model
from askesis.models.shelf import Shelf
from askesis.plan import ModelSpec, RoleSpec
from askesis.records import Start, Task
from askesis.requests import Hidden, Sampling, Say, Value
from askesis.speakers import Speakers
from tests.engines.cast import adapted_over, ask, context, small_model, uncovered_model, with_head

NAMES = ("", "critic", "judge")


@pytest.fixture
def base():
    return small_model(num_hidden_layers=1)


@pytest.fixture
def three(base):
    """(base, two entries with adapters on it, the engine that speaks for all)."""
    critic, judge = adapted_over(base, 1), adapted_over(base, 2)
    engine = TransformersEngine(base)
    engine.attach(critic, "critic")
    engine.attach(judge, "judge")
    return base, critic, judge, engine


def requests(num: int = 9, **settings):
    return [ask(context(4 + i % 3), i, weights=NAMES[i % 3], **settings) for i in range(num)]


def test_rows_of_several_adapters_and_of_the_base_fit_in_one_batch(three):
    *_, engine = three
    engine.say(requests(3))
    calls = []
    hook = engine._sets._many.register_forward_hook(lambda *call: calls.append(call[1][0].shape))
    engine.say(requests(9, max_tokens=4))
    hook.remove()
    assert len(calls) == 4  # the contexts, and one pass for every further token
    assert calls[1][0] == 9


def test_the_base_is_in_memory_once_however_many_speak(three):
    base, critic, judge, engine = three
    engine.load(critic.copy_weights(), "pinned")
    engine.say([*requests(3), ask(context(4), weights="pinned")])
    held = {t.data_ptr() for m in (base, critic, judge) for t in m.module.parameters()}
    own = [p for p in engine._sets._many.parameters() if p.data_ptr() not in held]
    assert sum(p.numel() for p in own) == sum(t.numel() for t in critic.weights().values())


def test_what_an_entry_learns_is_said_at_once_and_its_gradients_are_its_own(three):
    _, critic, _, engine = three
    before = [s.tokens.tolist() for s in engine.say(requests())]
    flags = {n: p.requires_grad for n, p in critic.module.named_parameters()}
    trained = [p for p in critic.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 0.03)
    for _ in range(5):
        tokens = torch.from_numpy(context(30).astype(np.int64))[None]
        critic.outputs(SimpleNamespace(tokens=tokens)).logp.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    after = [s.tokens.tolist() for s in engine.say(requests())]
    alone = TransformersEngine(critic).say([ask(r.context, r.key) for r in requests()[1::3]])
    assert after[1::3] == [s.tokens.tolist() for s in alone]
    assert after[1::3] != before[1::3]
    assert after[0::3] == before[0::3]
    assert after[2::3] == before[2::3]
    assert {n: p.requires_grad for n, p in critic.module.named_parameters()} == flags


def test_adapters_of_several_ranks_share_an_engine(base):
    model = open_model("wide", ModelSpec(base="policy", lora_rank=5), base=frozen(base))
    with torch.no_grad():
        for name, tensor in model.weights().items():
            if "lora_B" in name:
                tensor.fill_(0.05)
    narrow = adapted_over(base, 1)
    engine = TransformersEngine(base)
    engine.attach(model, "wide")
    engine.attach(narrow, "narrow")
    mixed = [ask(context(5), 3, weights=name) for name in ("wide", "narrow", "")]
    for request, said in zip(mixed, engine.say(mixed), strict=True):
        own = {"wide": model, "narrow": narrow, "": base}[request.weights]
        (alone,) = TransformersEngine(own).say([ask(context(5), 3)])
        assert said.tokens.tolist() == alone.tokens.tolist()


def frozen(model):
    model.trainable = False
    model.module.requires_grad_(False)
    return model


def test_an_entry_over_another_base_speaks_with_its_own_module(base):
    stranger = adapted_over(small_model(9, num_hidden_layers=1), 1)
    stranger.base_id = "stranger"
    engine = TransformersEngine(base)
    engine.attach(stranger, "stranger")
    rows = [ask(context(5), 3, weights="stranger"), ask(context(5), 3)]
    found = [s.tokens.tolist() for s in engine.say(rows)]
    for tokens, model in zip(found, (stranger, base), strict=True):
        assert tokens == TransformersEngine(model).say([ask(context(5), 3)])[0].tokens.tolist()


@pytest.mark.slow
def test_close_lets_go_of_everything_but_the_model(three):
    _, critic, _, engine = three
    engine.load(critic.copy_weights(), "pinned")
    engine.say([*requests(3), ask(context(4), weights="pinned")])
    gone = weakref.ref(engine._sets._many)
    engine.close()
    gc.collect()
    assert gone() is None
    assert len(engine.say([ask(context(4))])) == 1
    with pytest.raises(ModelError, match="no weights 'pinned'"):
        engine.say([ask(context(4), weights="pinned")])


def test_the_capability_of_values_comes_and_goes_with_a_head(base):
    engine = TransformersEngine(base)
    assert "value" not in engine.capabilities
    engine.attach(with_head(adapted_over(base, 1), 1), "critic")
    assert "value" in engine.capabilities
    engine.drop("critic")
    assert "value" not in engine.capabilities


def test_a_model_that_native_does_not_cover_is_opened_with_transformers():
    model = uncovered_model()
    assert open_engine("auto", model).name == "transformers"
    with pytest.raises(ModelError, match="--engine transformers") as error:
        open_engine("native", model)
    assert "\n" not in str(error.value)


# ---------------------------------------------------------------- through roles


@pytest.mark.parametrize("engine", ["native", "transformers"])
def test_roles_over_one_base_share_an_engine_and_each_hears_its_own(engine):
    """A policy, a critic with a value head on its base, and a pinned snapshot of the critic."""
    policy = frozen(small_model(num_hidden_layers=1))
    spec = ModelSpec(base="policy", lora_rank=2, heads=("value",))
    critic = with_head(open_model("critic", spec, base=policy), 3)
    models = {"policy": policy, "critic": critic}
    shelf = Shelf(models, keep=[("critic", "base")])
    roles = {
        "policy": RoleSpec(model="policy", engine=engine),
        "critic": RoleSpec(model="critic", engine=engine),
        "old critic": RoleSpec(model="critic", snapshot="base", engine=engine),
    }
    counted = SimpleNamespace(said=lambda *_: None, scored=lambda *_: None)
    speakers = Speakers(roles, models, shelf, counted, open_engine)
    start = Start(Task("t", "w-v1", "1+1="))
    assert "value" in speakers.capabilities("critic")
    old = speakers.value([Value("critic", start, ())])
    with torch.no_grad():  # the critic learns
        for tensor in critic.weights().values():
            tensor.add_(0.3)
    critic.version += 1
    shelf.learnt(critic, 0)
    sampling = Sampling(max_tokens=6)
    says = [Say(role, start, (), sampling, 5) for role in roles]
    said = {turn.role: turn for turn in speakers.say(says)}
    assert len(speakers.engines) == 1
    assert said["policy"].tokens.tolist() == said["old critic"].tokens.tolist()  # B was zero
    assert said["critic"].tokens.tolist() != said["policy"].tokens.tolist()
    new, kept = speakers.value([Value(role, start, ()) for role in ("critic", "old critic")])
    assert [kept] == pytest.approx(old, abs=1e-5)
    tokens = torch.from_numpy(policy.renderer.render(start).astype(np.int64))[None]
    with torch.no_grad():
        out = critic.outputs(SimpleNamespace(tokens=tokens), frozenset({"value", "hidden"}))
    assert new == pytest.approx(float(out.value[0, -1]), abs=1e-4)
    (state,) = speakers.hidden([Hidden("critic", start, ())])
    np.testing.assert_allclose(state, out.hidden[0, -1].numpy(), atol=1e-4)
    speakers.close()
