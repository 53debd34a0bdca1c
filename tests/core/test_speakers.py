"""Roles, models, snapshots and engines: who speaks with which weights, in which batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.budget import Meter
from askesis.engines.open import open_engine
from askesis.errors import AskesisError, ConfigError, ModelError
from askesis.models.shelf import Shelf
from askesis.models.tabular import TabularModel
from askesis.plan import RoleSpec
from askesis.protocols import Gauge
from askesis.records import NO_LOGP, Purpose, Start, StopReason, Task, TaskRole, Turn
from askesis.requests import Hidden, Said, Sampling, Say, Score, Usage, Value
from askesis.speakers import KEPT, Speakers
from tests.engines.cast import small_model

TASK = Task("t", "letters-v1", "what?", "x", 0.0, TaskRole.TRAIN)
START = Start(TASK)


def speakers(models: Any, roles: Any, keep: Any = (), engines: Any = open_engine) -> Speakers:
    table = {m.name: m for m in models}
    return Speakers(roles, table, Shelf(table, keep), Meter(), engines, lambda start: 8)


def say(role: str, key: int = 1, snapshot: str = "", temperature: float = 1.0) -> Say:
    return Say(role, START, (), Sampling(temperature=temperature), key, Purpose.TRAIN, snapshot)


def texts(speaking: Speakers, *requests: Say) -> list[str]:
    return [turn.text for turn in speaking.say(list(requests))]


def learn(model: Any, speaking: Speakers) -> None:
    """Change the weights as a learner would."""
    speaking.shelf.learning(model)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.mul_(-0.7)
    model.version += 1
    speaking.shelf.learnt(model, 0)


def test_two_roles_of_one_model_share_one_engine():
    roles = {"policy": RoleSpec(), "critic": RoleSpec()}
    speaking = speakers([small_model()], roles)
    turns = speaking.say([say("policy"), say("critic")])
    assert [t.role for t in turns] == ["policy", "critic"]
    assert len(speaking.engines) == 1


def test_pinned_and_current_weights_speak_in_one_batch_of_one_engine():
    model = small_model()
    roles = {"policy": RoleSpec(), "reference": RoleSpec(snapshot="base")}
    speaking = speakers([model], roles, keep={("policy", "base")})
    (before,) = texts(speaking, say("policy"))
    learn(model, speaking)
    policy, reference = speaking.say([say("policy"), say("reference")])
    assert reference.text == before != policy.text
    assert (policy.speaker, reference.speaker) == ("policy@1", "policy@0")
    assert len(speaking.engines) == 1
    own = speakers([model], {"policy": RoleSpec()})
    assert texts(own, say("policy")) == [policy.text]


def test_pinned_weights_are_followed_when_the_pin_moves_and_forgotten_when_there_are_many():
    model = small_model()
    roles = {"policy": RoleSpec(), "before": RoleSpec(snapshot="previous")}
    speaking = speakers([model], roles, keep={("policy", "previous")})
    last = texts(speaking, say("policy"))
    for _ in range(KEPT + 3):
        learn(model, speaking)
        assert texts(speaking, say("before")) == last
        last = texts(speaking, say("policy"))
    (engine,) = speaking.engines.values()
    assert len(engine._sources) == 1 + KEPT


def test_engines_that_hold_one_set_of_weights_are_opened_once_for_each():
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    model = TabularModel("policy", "abxy", logits)
    roles = {"policy": RoleSpec(), "reference": RoleSpec(snapshot="base")}
    speaking = speakers([model], roles, keep={("policy", "base")})
    start = Start(Task("t", "letters-v1", "ab", "x", 0.0, TaskRole.TRAIN))
    asked = [Say(role, start, (), Sampling(), 5) for role in ("policy", "reference")]
    before, _ = speaking.say(asked)
    with torch.no_grad():
        model.module.logits.copy_(logits.flip(1))
    speaking.shelf.learnt(model, 0)
    _, reference = speaking.say(asked)
    assert reference.tokens.tolist() == before.tokens.tolist()


def test_a_mixture_role_speaks_with_both_models_and_says_so():
    policy, other = small_model(1), small_model(2)
    other.name = "other"
    roles = {
        "policy": RoleSpec(),
        "reference": RoleSpec(model="other"),
        "mixed": RoleSpec(mixture={"policy": 0.5, "reference": 0.5}),
    }
    speaking = speakers([policy, other], roles)
    (turn,) = speaking.say([say("mixed")])
    assert turn.speaker == "0.5*policy@0+0.5*other@0"
    whole = torch.from_numpy(np.append(turn.context, turn.tokens).astype(np.int64))[None]
    total: Any = 0.0
    for model in (policy, other):
        with torch.no_grad():
            out = model.outputs(SimpleNamespace(tokens=whole), frozenset({"logits"}))
        total = total + 0.5 * torch.log_softmax(out.logits[0], -1)
    logp = torch.log_softmax(total, -1)
    first = len(turn.context) - 1
    for i, token in enumerate(turn.tokens):
        np.testing.assert_allclose(turn.logp_model[i], logp[first + i, token], atol=1e-4)
    learn(policy, speaking)
    (after,) = speaking.say([say("mixed")])
    assert after.speaker == "0.5*policy@1+0.5*other@0"
    assert len(speaking.engines) == 1


def test_mixtures_that_cannot_be_are_refused_in_one_line():
    model = small_model()
    mixed = RoleSpec(mixture={"policy": 1.0})
    with pytest.raises(ConfigError, match="mixes role 'polcy'"):
        speakers([model], {"policy": RoleSpec(), "m": RoleSpec(mixture={"polcy": 1.0})})
    speaking = speakers(
        [model], {"policy": RoleSpec(), "m": mixed, "n": RoleSpec(mixture={"m": 1.0})}
    )
    with pytest.raises(ConfigError, match="a mixture itself"):
        speaking.say([say("n")])
    scripted = speakers(
        [TabularModel("policy", "abxy")],
        {
            "policy": RoleSpec(engine="tabular"),
            "m": RoleSpec(engine="tabular", mixture={"policy": 1.0}),
        },
    )
    if "mixture" not in scripted.voice("policy").engine.capabilities:
        with pytest.raises(ConfigError, match="mixture"):
            scripted.voice("m")


def test_a_request_that_cannot_be_served_is_an_error_in_its_place():
    model = small_model()
    speaking = speakers([model], {"policy": RoleSpec()})
    long = Start(Task("long", "letters-v1", "x" * 100, None, 0.0, TaskRole.TRAIN))
    asked = [say("policy"), Say("policy", long, (), Sampling(), 1), say("policy", 2)]
    first, error, last = speaking.say(asked)
    assert isinstance(error, AskesisError)
    assert first.stop and last.stop
    target = Turn("policy", "x")
    scores = speaking.score([Score("policy", START, (), target), Score("policy", long, (), target)])
    assert scores[0].shape == (2,)
    assert isinstance(scores[1], AskesisError)


class Paid:
    """An engine that is paid for: its first answer is new, its second from the disk."""

    name, capabilities = "paid", frozenset({"say"})

    def __init__(self) -> None:
        self.gauge = Gauge()

    def say(self, requests: Any) -> list[Any]:
        tokens = np.array([104, 105], np.int32)
        answers: list[Any] = [
            Said(tokens, NO_LOGP, NO_LOGP, StopReason.LENGTH, Usage(9, 1, 0.25)),
            Said(tokens, NO_LOGP, NO_LOGP, StopReason.LENGTH, Usage(9, 1, 0.0, cached=True)),
            ModelError("the endpoint gave up"),
        ]
        return answers[: len(requests)]


def test_paid_answers_count_once_in_the_tokens_of_who_counted_them():
    speaking = speakers([small_model()], {"policy": RoleSpec()}, engines=lambda name, model: Paid())
    turns = speaking.say([say("policy"), say("policy", 2), say("policy", 3)])
    assert [getattr(t, "text", None) for t in turns] == ["hi", "hi", None]
    assert isinstance(turns[2], ModelError)
    assert speaking.meter.counts["generated/train"] == 1
    assert len(turns[0].logp_model) == 0


def test_hidden_states_and_scores_come_from_the_engine():
    model = small_model()
    speaking = speakers([model], {"policy": RoleSpec()})
    (hidden,) = speaking.hidden([Hidden("policy", START, ())])
    tokens = torch.from_numpy(speaking.render("policy", START).astype(np.int64))[None]
    with torch.no_grad():
        own = model.outputs(SimpleNamespace(tokens=tokens), frozenset({"hidden"})).hidden[0, -1]
    np.testing.assert_allclose(hidden, own.numpy(), atol=1e-4)
    assert {Hidden, Value, Score, Say} <= set(speaking.servers())
