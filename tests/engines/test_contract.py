"""What every engine promises for what it declares, held against the model's own forward.

Which engines there are is the table in `cast.py`; which tests they take is chosen by what they
declare (`needs.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from askesis.engines.open import open_engine
from askesis.engines.table import ENGINES
from askesis.errors import ModelError
from askesis.records import StopReason
from askesis.requests import Act, ReadTokens, Sampling, SayTokens, ScoreTokens
from askesis.rng import key
from tests.engines.cast import CAST, array_model, ask, context, table_model
from tests.engines.needs import ELSEWHERE, TESTED, lacking, needs


def opened(name: str, **options) -> SimpleNamespace:
    part = CAST[name]
    model = part.model()
    return SimpleNamespace(
        part=part,
        model=model,
        engine=part.make(model, **options),
        make=lambda **options: part.make(model, **options),
        tolerance=part.tolerance,
        exact=part.tolerance < 0.01,
    )


@pytest.fixture(scope="module")
def cast(request) -> Iterator[SimpleNamespace]:
    """An engine with eight rows and its model, shared by tests that do not learn."""
    found = opened(request.param, max_rows=8)
    yield found
    found.engine.close()


@pytest.fixture
def fresh(request) -> Iterator[SimpleNamespace]:
    """The same, made anew, for tests that change weights."""
    found = opened(request.param)
    yield found
    found.engine.close()


def log_probabilities(model, ids: np.ndarray) -> np.ndarray:
    """(vocab,) after `ids`, by the model's own forward: what the engines are held against."""
    tokens = torch.from_numpy(np.append(ids, 0).astype(np.int64))[None]
    with torch.no_grad():
        out = model.outputs(SimpleNamespace(tokens=tokens), frozenset({"logits"}))
    return torch.log_softmax(out.logits[0, len(ids) - 1], -1).numpy()


def read(model, ids: np.ndarray, what: str) -> np.ndarray:
    """The value or the hidden state after `ids`, by the model's own forward."""
    tokens = torch.from_numpy(np.asarray(ids, np.int64))[None]
    if len(ids) == 1 and what == "value" and not hasattr(model, "read_head"):
        tokens = tokens.repeat(1, 2)
    with torch.no_grad():
        out = model.outputs(SimpleNamespace(tokens=tokens), frozenset({"logp", what}))
    return getattr(out, what)[0, -1].float().numpy()


def mixed_requests(num: int = 24, settings: bool = True) -> list[SayTokens]:
    """Different lengths, shared contexts, different allowances, settings and stop tokens."""
    found = []
    kinds = [{}, {"temperature": 0.7}, {"top_p": 0.8}, {"top_k": 5, "min_p": 0.01}]
    for i in range(num):
        ids = context(2 + (i * 7) % 40, seed=i % 4)
        stops = (10, 32, 101, 200) if i % 3 else tuple(range(0, 256, 9))
        kind = kinds[i % 4] if settings else {}
        found.append(ask(ids, key("row", i), stops, **({"max_tokens": 2 + i % 9} | kind)))
    return found


def same(a, b) -> bool:
    return (
        a.stop is b.stop
        and a.tokens.tobytes() == b.tokens.tobytes()
        and a.logp_sampling.tobytes() == b.logp_sampling.tobytes()
        and a.logp_model.tobytes() == b.logp_model.tobytes()
    )


def agree(a, b, cast) -> None:
    """The same tokens and log-probabilities, as far as rounding lets them be."""
    if cast.exact:
        assert a.tokens.tolist() == b.tokens.tolist()
        assert a.stop is b.stop
    # In bfloat16 a draw at an edge may fall on its other side; before that all agrees.
    n = min(len(a.tokens), len(b.tokens))
    n = int(np.cumprod(a.tokens[:n] == b.tokens[:n]).sum())
    np.testing.assert_allclose(a.logp_model[:n], b.logp_model[:n], atol=cast.tolerance)


def one_line(error, *words: str) -> None:
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


# ---------------------------------------------------------------- what is declared


@pytest.mark.parametrize("name", [n for n, part in CAST.items() if not part.absent()])
def test_it_declares_what_it_has_and_no_more(name):
    found = opened(name)
    assert lacking(found.engine) == []
    assert found.engine.capabilities == found.part.capabilities
    assert found.engine.name == found.part.engine
    assert type(found.engine).refusal(found.model) == ""
    found.engine.close()


@pytest.mark.parametrize("name", CAST)
def test_every_capability_that_is_declared_is_tested(name):
    assert CAST[name].capabilities <= set(TESTED) | set(ELSEWHERE)


def test_a_capability_without_its_method_is_found_out():
    class Boaster(type(CAST["tabular"].make(table_model()))):
        capabilities = frozenset({"say", "hidden", "clairvoyance"})

    assert lacking(Boaster(table_model())) == [
        "unknown capability 'clairvoyance'",
        "declares 'hidden' without a method 'hidden'",
    ]


def test_every_engine_of_the_table_is_in_the_battery_and_those_that_cannot_run_are_named():
    assert {part.engine for part in CAST.values()} == set(ENGINES)
    for name, part in CAST.items():
        reason = part.absent()
        assert "\n" not in reason
        if reason:  # shown in the summary of the test run
            warnings.warn(f"engine {name!r} was not tested here: {reason}", stacklevel=1)


@pytest.mark.parametrize("name", [n for n, part in CAST.items() if not part.absent()])
def test_the_engine_is_opened_by_its_name_and_refuses_other_models(name):
    part = CAST[name]
    other = array_model() if part.engine != "array" else table_model()
    with pytest.raises(ModelError, match="does not cover") as error:
        open_engine(part.engine, other)
    one_line(error, "Use `--engine")


# ---------------------------------------------------------------- what is said


@needs("say", "exact_logp")
def test_temperature_zero_takes_the_most_likely_token(cast):
    ids = context(9)
    (said,) = cast.engine.say([ask(ids, temperature=0)])
    for i, token in enumerate(said.tokens):
        logp = log_probabilities(cast.model, np.append(ids, said.tokens[:i]))
        assert logp[token] > logp.max() - 2 * cast.tolerance
    assert (said.logp_sampling == 0).all()


@needs("say", "replayable")
def test_the_same_requests_give_the_same_bytes(cast):
    requests = mixed_requests(settings="min_p" in cast.part.capabilities)
    first = cast.engine.say(requests)
    cast.engine.clear()
    assert all(same(a, b) for a, b in zip(first, cast.engine.say(requests), strict=True))
    another = cast.make(max_rows=8)
    assert all(same(a, b) for a, b in zip(first, another.say(requests), strict=True))
    another.close()


@needs("say", "replayable")
def test_what_a_key_says_does_not_depend_on_the_order_or_the_number_of_rows(cast):
    requests = mixed_requests(12, settings="min_p" in cast.part.capabilities)
    expected = cast.engine.say(requests)
    order = np.random.default_rng(0).permutation(len(requests))
    shuffled = cast.make(max_rows=11).say([requests[i] for i in order])
    single = cast.make(max_rows=1)
    for place, i in enumerate(order):
        single.clear()
        agree(expected[i], shuffled[place], cast)
        agree(expected[i], single.say([requests[i]])[0], cast)


@needs("say")
def test_different_keys_say_different_things_and_equal_keys_the_same(cast):
    ids = context(6)
    said = cast.engine.say([ask(ids, k) for k in (1, 2, 3, 1)])
    texts = [tuple(s.tokens) for s in said]
    assert len(set(texts)) == 3
    assert texts[0] == texts[3]


@needs("say")
def test_nothing_asked_nothing_said(cast):
    assert cast.engine.say([]) == []


@needs("say")
def test_what_was_said_and_read_is_counted_and_nothing_runs_afterwards(cast):
    gauge = cast.engine.gauge
    before = (gauge.num_said, gauge.num_read + gauge.num_reused)
    said = cast.engine.say([ask(context(5 + i), i) for i in range(12)])
    gauge = cast.engine.gauge
    assert gauge.num_said - before[0] == sum(len(s.tokens) for s in said)
    read = gauge.num_read + gauge.num_reused - before[1]
    assert read >= sum(5 + i for i in range(12))
    assert gauge.running == gauge.waiting == 0


# ---------------------------------------------------------------- log-probabilities


@needs("say", "score", "logp", "exact_logp")
def test_log_probabilities_said_agree_with_scores_and_with_the_model(cast):
    requests = mixed_requests()
    said = cast.engine.say(requests)
    rows = [ScoreTokens(r.context, s.tokens) for r, s in zip(requests, said, strict=True)]
    for request, answer, score in zip(requests, said, cast.engine.score(rows), strict=True):
        assert score.dtype == answer.logp_model.dtype == np.float32
        np.testing.assert_allclose(answer.logp_model, score, atol=cast.tolerance)
        whole = torch.from_numpy(np.concatenate([request.context, answer.tokens]).astype(np.int64))
        with torch.no_grad():
            own = cast.model.outputs(SimpleNamespace(tokens=whole[None])).logp[0].numpy()
        np.testing.assert_allclose(score, own[len(request.context) :], atol=cast.tolerance)


@needs("score")
def test_scores_come_in_the_order_of_the_requests_and_may_be_empty(cast):
    assert cast.engine.score([]) == []
    rows = [ScoreTokens(context(n), context(m, 5)) for n, m in ((9, 4), (3, 0), (20, 30), (1, 1))]
    together = cast.engine.score(rows)
    assert [len(s) for s in together] == [4, 0, 30, 1]
    for row, scores in zip(rows, together, strict=True):
        np.testing.assert_allclose(cast.engine.score([row])[0], scores, atol=cast.tolerance)


SETTINGS = [
    {"temperature": 0.5},
    {"temperature": 1.7, "top_k": 4},
    {"top_p": 0.6},
    {"min_p": 0.2},
    {"top_k": 20, "top_p": 0.7, "min_p": 0.1, "temperature": 0.8},
    {"allowed": (3, 50, 99, 120)},
    {"bias": {7: 30.0, 8: 29.0}},
]


@needs("say", "exact_logp", "allowed", "bias", "min_p")
def test_the_sampling_distribution_is_the_one_that_was_asked_for(cast):
    """Support and log-probabilities against a plain numpy reading of the settings."""
    ids = context(11)
    logp = log_probabilities(cast.model, ids)
    asked = [settings for settings in SETTINGS if settings not in cast.part.refuses]
    requests = [(s, ask(ids, k, max_tokens=1, **s)) for s in asked for k in range(24)]
    answers = cast.engine.say([request for _, request in requests])
    for (settings, _), said in zip(requests, answers, strict=True):
        expected = reference_distribution(logp, **settings)
        token = said.tokens[0]
        if "allowed" in settings or cast.exact:  # rounding may move the edge of the others
            assert expected[token] > 0, settings
        if cast.exact:
            found = said.logp_sampling[0]
            assert found == pytest.approx(np.log(expected[token]), abs=1e-3), settings
    for settings in cast.part.refuses:
        with pytest.raises(ModelError, match="cannot sample with") as error:
            cast.engine.say([ask(ids, **settings)])
        one_line(error)


def reference_distribution(
    logp, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, allowed=None, bias=None
) -> np.ndarray:
    z = logp.astype(np.float64).copy()
    for token, value in (bias or {}).items():
        z[token] += value
    if allowed is not None:
        z[[t for t in range(len(z)) if t not in allowed]] = -np.inf
    z /= temperature
    order = np.argsort(-z, kind="stable")
    if top_k:
        z[order[top_k:]] = -np.inf
    p = np.exp(z - z.max())
    p /= p.sum()
    if top_p < 1:
        num = int(np.searchsorted(np.cumsum(p[order]), top_p) + 1)
        p[order[num:]] = 0
    p[p < min_p * p.max()] = 0
    return p / p.sum()


@needs("say", "exact_logp")
def test_frequencies_match_probabilities(cast):
    ids, num = context(5), 2000
    requests = [ask(ids, key("chi", i), max_tokens=1) for i in range(num)]
    said = cast.make(max_rows=512).say(requests)
    counts = np.bincount([s.tokens[0] for s in said], minlength=264)
    p = np.exp(log_probabilities(cast.model, ids).astype(np.float64))
    counts = counts[: len(p)]
    common = p * num >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(p[common], p[~common].sum()) / p.sum() * num
    # One fixed set of keys: either it passes for ever or the sampler is wrong.
    assert chisquare(observed, expected).pvalue > 0.001


# ---------------------------------------------------------------- stopping


@needs("say")
def test_a_stop_token_ends_the_turn_and_belongs_to_it(cast):
    (free,) = cast.engine.say([ask(context(4), 7)])
    stop = int(free.tokens[5])
    first = int(np.nonzero(free.tokens == stop)[0][0])
    (said,) = cast.engine.say([ask(context(4), 7, (stop,))])
    assert said.stop is StopReason.ENDED
    assert said.tokens.tolist() == free.tokens[: first + 1].tolist()


@needs("say")
def test_the_allowance_ends_it_otherwise(cast):
    for allowance in (1, 2, 9):
        (said,) = cast.engine.say([ask(context(4), max_tokens=allowance)])
        assert said.stop is StopReason.LENGTH
        assert len(said.tokens) == len(said.logp_model) == len(said.logp_sampling) == allowance
    (said,) = cast.engine.say([ask(context(4), max_tokens=0)])
    assert said.stop is StopReason.LENGTH
    assert len(said.tokens) == 0


@needs("say", "stop_strings")
def test_a_stop_string_ends_the_turn_however_it_was_cut_into_tokens(cast):
    letters = {"allowed": tuple(range(97, 105))} if "allowed" in cast.part.capabilities else {}
    plain = ask(context(4), 7, max_tokens=50, **letters)
    (free,) = cast.engine.say([plain])
    text = cast.model.renderer.decode(free.tokens)
    string = text[20:23]
    end = text.index(string) + 3
    stopped = replace(plain, sampling=replace(plain.sampling, stop=("???", string)))
    said, never = cast.engine.say(
        [stopped, replace(plain, sampling=replace(plain.sampling, stop=("???", "\u00e9")))]
    )
    assert said.stop is StopReason.STOP_STRING
    assert said.tokens.tolist() == free.tokens[:end].tolist()
    assert never.stop is StopReason.LENGTH  # what never comes ends nothing
    assert never.tokens.tolist() == free.tokens.tolist()


@needs("say", "stop_strings", "allowed", bytes=True)
def test_a_stop_string_of_several_bytes_a_character_is_seen(cast):
    first, second = "\u00e9".encode()
    request = ask(context(4), 3, max_tokens=40, allowed=(first, second), stop=("\u00e9",))
    (said,) = cast.engine.say([request])
    assert said.stop is StopReason.STOP_STRING
    assert cast.model.renderer.decode(said.tokens).endswith("\u00e9")


@needs("say")
def test_a_context_without_room_says_nothing_and_one_with_little_is_cut(cast):
    limit = cast.model.renderer.context_length
    none, over, little, exact = cast.engine.say(
        [ask(context(limit)), ask(context(limit + 20)), ask(context(limit - 3)),
         ask(context(limit - 3), max_tokens=3)]
    )  # fmt: skip
    for said in (none, over):
        assert said.stop is StopReason.CONTEXT
        assert len(said.tokens) == 0
    assert little.stop is StopReason.CONTEXT
    assert len(little.tokens) == 3
    assert exact.stop is StopReason.LENGTH


@needs("say")
def test_the_default_allowance_is_the_rest_of_the_context(cast):
    request = SayTokens(context(50), Sampling(max_tokens=None), 1, ())
    (said,) = cast.engine.say([request])
    assert said.stop is StopReason.CONTEXT
    assert len(said.tokens) == cast.model.renderer.context_length - 50


# ---------------------------------------------------------------- many rows


@needs("say", "score")
def test_rows_that_share_a_context_say_what_they_would_say_apart(cast):
    ids = context(13)
    requests = [ask(ids, k, (40, 41, 42)) for k in range(6)]
    together = cast.engine.say(requests)
    for request, expected in zip(requests, together, strict=True):
        agree(expected, cast.engine.say([request])[0], cast)


@needs("say", "hidden")
def test_a_shared_context_is_read_once(cast):
    engine = cast.make(max_rows=32)
    engine.say([ask(context(13), k) for k in range(20)] + [ask(context(7))])
    assert engine.gauge.num_read == 13 + 7


@needs("say")
def test_more_rows_than_slots_are_all_answered(cast):
    requests = [ask(context(2 + i % 5, i), i, (1, 2, 3), max_tokens=1 + i % 7) for i in range(41)]
    said = cast.engine.say(requests)
    assert len(said) == 41
    assert all(1 <= len(s.tokens) <= r.sampling.max_tokens
               for s, r in zip(said, requests, strict=True))  # fmt: skip


# ---------------------------------------------------------------- value and hidden


def check_read(cast, what: str) -> None:
    rows = [ReadTokens(context(n, 3)) for n in (9, 1, 30, 9, 64)]
    found = getattr(cast.engine, what)(rows)
    assert len(found) == 5
    for row, one in zip(rows, found, strict=True):
        expected = read(cast.model, row.context, what)
        assert np.shape(one) == np.shape(expected)
        scale = 1 + np.abs(expected).max()
        np.testing.assert_allclose(one, expected, atol=cast.tolerance * scale)
    for length, says in ((70, "fit"), (0, "empty context")):
        with pytest.raises(ModelError, match=says) as error:
            getattr(cast.engine, what)([ReadTokens(context(5)), ReadTokens(context(length))])
        one_line(error)


@needs("value")
def test_values_are_those_of_the_models_own_forward(cast):
    check_read(cast, "value")


@needs("hidden")
def test_hidden_states_are_those_of_the_models_own_forward(cast):
    check_read(cast, "hidden")


@needs("hidden", without="value")
def test_a_value_without_a_head_is_refused_in_one_line(cast):
    with pytest.raises(ModelError, match="no value head") as error:
        cast.engine.value([ReadTokens(context(3))])
    one_line(error, "--models")


@needs("value")
def test_a_value_is_one_number(cast):
    assert cast.engine.value([]) == []
    assert all(type(v) is float for v in cast.engine.value([ReadTokens(context(4))]))


@needs("hidden")
def test_a_hidden_state_is_a_vector_of_float32(cast):
    assert cast.engine.hidden([]) == []
    (state,) = cast.engine.hidden([ReadTokens(context(4))])
    assert state.dtype == np.float32
    assert state.ndim == 1


# ---------------------------------------------------------------- weights


def greedy(engine, num: int = 6, weights: str = ""):
    requests = [ask(context(6, i), temperature=0, weights=weights) for i in range(num)]
    return [s.tokens.tolist() for s in engine.say(requests)]


def learn(model) -> None:
    """Move every weight that is trained, as an optimiser does: in place, no version raised."""
    optimizer = torch.optim.SGD([p for p in model.module.parameters() if p.requires_grad], 1)
    for _ in range(3):
        optimizer.zero_grad()
        tokens = torch.from_numpy(context(30).astype(np.int64))[None]
        model.outputs(SimpleNamespace(tokens=tokens)).logp.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.module.parameters(), 1.0)
        optimizer.step()


@needs("say", "score", "exact_logp", fresh=True)
def test_new_weights_in_place_are_used_by_the_next_request(fresh):
    row = [ScoreTokens(context(6), context(9, 1))]
    (before,) = fresh.engine.score(row)
    said = fresh.engine.say([ask(context(6), 5)])[0]
    learn(fresh.model)
    (after,) = fresh.engine.score(row)
    assert np.abs(after - before).max() > 10 * fresh.tolerance
    ids = np.concatenate([context(6), context(9, 1)]).astype(np.int64)
    expected = fresh.model.outputs(SimpleNamespace(tokens=torch.from_numpy(ids)[None])).logp[0, 6:]
    np.testing.assert_allclose(after, expected.detach().numpy(), atol=fresh.tolerance)
    again = fresh.engine.say([ask(context(6), 5)])[0]
    assert again.logp_model.tolist() != said.logp_model.tolist()


@needs("say", "exact_logp", fresh=True)
def test_pinned_weights_stay_when_the_model_learns_on(fresh):
    pinned = fresh.model.copy_weights()
    before = greedy(fresh.engine)
    fresh.engine.load(pinned)
    with torch.no_grad():
        for parameter in fresh.model.module.parameters():
            if parameter.requires_grad:
                parameter.neg_()
    fresh.model.version += 1
    for tensor in pinned.values():
        tensor.zero_()  # the engine has a copy of its own
    assert greedy(fresh.engine) == before
    fresh.engine.clear()
    assert greedy(fresh.engine) == before


@needs("say", "score", "named_weights", fresh=True)
def test_sets_of_weights_in_one_batch_say_what_engines_of_their_own_say(fresh):
    part, other, pinned = fresh.part, fresh.part.model(1), fresh.part.model(2)
    apart = {"": fresh.engine, "other": part.make(other), "pinned": part.make(pinned)}
    engine = part.make(fresh.model)
    engine.attach(other, "other")
    engine.load(pinned.copy_weights(), "pinned")
    names = ["", "other", "pinned"]
    assert len({tuple(map(tuple, greedy(apart[name]))) for name in names}) == 3
    requests = [
        replace(r, weights=names[i % 3]) for i, r in enumerate(mixed_requests(9))
    ]  # several of each, and equal contexts under different weights
    requests += [replace(r, weights=n) for r in mixed_requests(2) for n in names]
    for request, said in zip(requests, engine.say(requests), strict=True):
        alone = apart[request.weights].say([replace(request, weights="")])[0]
        agree(alone, said, fresh)
    rows = [ScoreTokens(context(5, i), context(4, 9), names[i % 3]) for i in range(7)]
    for row, score in zip(rows, engine.score(rows), strict=True):
        (alone,) = apart[row.weights].score([replace(row, weights="")])
        np.testing.assert_allclose(score, alone, atol=fresh.tolerance)
    for what in {"value", "hidden"} & part.capabilities:
        rows = [ReadTokens(context(5, i), names[i % 3]) for i in range(7)]
        for row, one in zip(rows, getattr(engine, what)(rows), strict=True):
            (alone,) = getattr(apart[row.weights], what)([replace(row, weights="")])
            scale = 1 + np.abs(alone).max()
            np.testing.assert_allclose(one, alone, atol=fresh.tolerance * scale)
    engine.close()


@needs("say", "named_weights", fresh=True)
def test_an_attached_model_is_followed_and_pinned_weights_are_not(fresh):
    other = fresh.part.model(1)
    fresh.engine.attach(other, "other")
    pinned = other.copy_weights()
    fresh.engine.load(pinned, "pinned")
    first = greedy(fresh.engine, weights="other")
    assert greedy(fresh.engine, weights="pinned") == first
    own = greedy(fresh.engine)
    other.load({name: tensor.flip(0) for name, tensor in pinned.items()})
    for tensor in pinned.values():
        tensor.zero_()
    assert greedy(fresh.engine, weights="other") != first
    assert greedy(fresh.engine, weights="pinned") == first
    assert greedy(fresh.engine) == own
    assert all(p.requires_grad for n, p in other.module.named_parameters() if n in pinned)


@needs("say", "named_weights", fresh=True)
def test_weights_that_were_dropped_are_forgotten_and_the_others_stay(fresh):
    one, two = fresh.part.model(1), fresh.part.model(2)
    own = greedy(fresh.engine)
    fresh.engine.load(one.copy_weights(), "one")
    fresh.engine.load(two.copy_weights(), "two")
    first, second = greedy(fresh.engine, weights="one"), greedy(fresh.engine, weights="two")
    assert first != second
    fresh.engine.drop("one")
    for ask_for in (lambda: greedy(fresh.engine, weights="one"),
                    lambda: fresh.engine.score([ScoreTokens(context(3), context(2), "one")])):  # fmt: skip
        with pytest.raises(ModelError, match="no weights 'one'") as error:
            ask_for()
        one_line(error)
    assert greedy(fresh.engine, weights="two") == second
    fresh.engine.load(two.copy_weights(), "one")  # the name may be used for others
    assert greedy(fresh.engine, weights="one") == second
    fresh.engine.drop("one")
    fresh.engine.drop("two")
    assert greedy(fresh.engine) == own


# ---------------------------------------------------------------- what cannot be done


@needs("say")
def test_settings_that_are_not_honoured_are_refused_in_one_line_never_ignored(cast):
    asked = {
        "allowed": {"allowed": (97, 98)},
        "bias": {"bias": {97: 5.0}},
        "min_p": {"min_p": 0.5},
        "stop_strings": {"stop": ("a",)},
    }
    for capability, settings in asked.items():
        if capability not in cast.part.capabilities:
            with pytest.raises(ModelError, match="does not honour") as error:
                cast.engine.say([ask(context(3)), ask(context(3), **settings)])
            one_line(error, repr(cast.engine.name), capability.replace("_", " "))
    with pytest.raises(ModelError) as error:
        cast.engine.say([ask(context(3), weights="nobody's")])
    one_line(error, "weights")


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_k": -1},
        {"min_p": 2.0},
        {"allowed": ()},
        {"allowed": (5, 264)},
        {"bias": {-1: 1.0}},
    ],
    ids=str,
)
@needs("say", "allowed", "bias", "min_p")
def test_settings_that_mean_nothing_are_refused_in_one_line(cast, settings):
    with pytest.raises(ModelError, match="cannot sample with") as error:
        cast.engine.say([ask(context(3), **settings)])
    one_line(error)


@needs("score")
def test_a_row_that_cannot_be_scored_is_refused_in_one_line(cast):
    with pytest.raises(ModelError, match="fit") as error:
        cast.engine.score([ScoreTokens(context(60), context(5))])
    one_line(error)
    with pytest.raises(ModelError, match="empty context") as error:
        cast.engine.score([ScoreTokens(context(0), context(5))])
    one_line(error)


@needs("say", "score")
def test_a_row_that_has_nothing_to_go_on_from_is_refused_in_one_line(cast):
    with pytest.raises(ModelError, match="empty context") as error:
        cast.engine.say([ask(context(4)), ask(context(0))])
    one_line(error)
    assert len(cast.engine.say([ask(context(4))])) == 1


@needs("say", "exact_logp", fresh=True)
def test_weights_that_are_not_numbers_are_noticed_and_not_spoken_with(fresh):
    with torch.no_grad():
        for parameter in fresh.model.module.parameters():
            parameter.fill_(float("nan"))
    for settings in ({}, {"temperature": 0}, {"top_k": 3}, {"temperature": 0.5}):
        with pytest.raises(ModelError, match="not numbers") as error:
            fresh.engine.say([ask(context(3), **settings)])
        one_line(error)


@needs("say")
def test_sampling_leaves_the_global_generators_alone(cast):
    before = torch.random.get_rng_state()
    numpy_before = np.random.get_state()[1].tolist()
    cast.engine.say([ask(context(3), 1), ask(context(5), 2, top_p=0.5)])
    if "named_weights" in cast.part.capabilities:
        cast.engine.load(cast.model.copy_weights(), "copy")
        cast.engine.say([ask(context(3), 1), ask(context(5), 2, weights="copy")])
        cast.engine.drop("copy")
    assert torch.equal(before, torch.random.get_rng_state())
    assert numpy_before == np.random.get_state()[1].tolist()


# ---------------------------------------------------------------- acting


OBSERVATIONS = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)


@needs("act", "logp", "exact_logp")
def test_actions_are_drawn_from_the_models_own_distribution(cast):
    logp, values = cast.model.act(OBSERVATIONS)
    found = cast.engine.act([Act("policy", o, i) for i, o in enumerate(OBSERVATIONS)])
    for i, action in enumerate(found):
        assert action.logp == pytest.approx(logp[i, action.action], abs=1e-5)
        assert action.value == pytest.approx(values[i], abs=1e-5)
    many = cast.engine.act([Act("policy", OBSERVATIONS[0], key("chi", i)) for i in range(3000)])
    counts = np.bincount([a.action for a in many], minlength=5)
    p = np.exp(logp[0].astype(np.float64))
    assert chisquare(counts, p / p.sum() * 3000).pvalue > 0.001


@needs("act", "exact_logp")
def test_actions_are_legal_and_warmer_or_colder_as_asked(cast):
    legal = np.array([False, True, False, True, True])
    logp, _ = cast.model.act(OBSERVATIONS)
    for temperature in (0.0, 0.3, 2.0):
        requests = [Act("policy", o, i, legal, temperature) for i, o in enumerate(OBSERVATIONS)]
        for i, action in enumerate(cast.engine.act(requests)):
            z = np.where(legal, logp[i], -np.inf).astype(np.float64)
            if temperature == 0:
                assert (action.action, action.logp) == (int(z.argmax()), 0.0)
                continue
            z = z / temperature
            expected = z[action.action] - np.logaddexp.reduce(z)
            assert action.logp == pytest.approx(expected, abs=1e-5)


@needs("act", "replayable")
def test_what_a_key_does_does_not_depend_on_its_batch(cast):
    requests = [Act("policy", o, i) for i, o in enumerate(OBSERVATIONS)]
    together = cast.engine.act(requests)
    for request, action in zip(requests, together, strict=True):
        (alone,) = cast.engine.act([request])
        assert alone.action == action.action
        assert alone.logp == pytest.approx(action.logp, abs=1e-5)
    assert cast.engine.act(requests) == together
    assert cast.engine.act([]) == []


@needs("act", fresh=True)
def test_an_actor_follows_its_model_until_weights_are_pinned(fresh):
    requests = [Act("policy", o, i) for i, o in enumerate(OBSERVATIONS)]
    before = fresh.engine.act(requests)
    pinned = fresh.model.copy_weights()
    with torch.no_grad():
        for parameter in fresh.model.module.parameters():
            parameter.neg_()
    assert fresh.engine.act(requests) != before
    fresh.engine.load(pinned)
    for tensor in pinned.values():
        tensor.zero_()
    assert fresh.engine.act(requests) == before


@needs("act", fresh=True)
def test_an_actor_refuses_what_means_nothing_in_one_line(fresh):
    observation = OBSERVATIONS[0]
    for request in (
        Act("policy", observation, 1, temperature=-1.0),
        Act("policy", observation, 1, temperature=float("nan")),
        Act("policy", observation, 1, np.zeros(5, bool)),
        Act("policy", observation, 1, np.ones(3, bool)),
    ):
        with pytest.raises(ModelError, match="cannot act with") as error:
            fresh.engine.act([request])
        one_line(error)
    with torch.no_grad():
        next(fresh.model.module.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="not numbers") as error:
        fresh.engine.act([Act("policy", observation, 1)])
    one_line(error)
