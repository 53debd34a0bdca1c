"""What every engine promises for what it declares, held against the model's own forward."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from askesis.errors import ModelError
from askesis.records import StopReason
from askesis.requests import Sampling, SayTokens, ScoreTokens
from askesis.rng import key
from tests.engines.cast import ENGINES, ask, context


@pytest.fixture(scope="module", params=ENGINES)
def cast(request):
    """(model, engine with eight rows, tolerance), shared by tests that do not learn."""
    make_model, make_engine, tolerance = ENGINES[request.param]
    model = make_model()
    return SimpleNamespace(
        model=model,
        engine=make_engine(model, max_rows=8),
        make=lambda **options: make_engine(model, **options),
        tolerance=tolerance,
        exact=tolerance < 0.01,
    )


@pytest.fixture(params=ENGINES)
def fresh(request):
    """The same, made anew, for tests that change weights."""
    make_model, make_engine, tolerance = ENGINES[request.param]
    model = make_model()
    return SimpleNamespace(model=model, engine=make_engine(model), tolerance=tolerance)


def log_probabilities(model, ids: np.ndarray) -> np.ndarray:
    """(vocab,) after `ids`, by the model's own forward: what the engines are held against."""
    tokens = torch.from_numpy(np.append(ids, 0).astype(np.int64))[None]
    with torch.no_grad():
        out = model.outputs(SimpleNamespace(tokens=tokens), frozenset({"logits"}))
    return torch.log_softmax(out.logits[0, len(ids) - 1], -1).numpy()


def mixed_requests(num: int = 30) -> list[SayTokens]:
    """Different lengths, shared contexts, different allowances, settings and stop tokens."""
    found = []
    for i in range(num):
        ids = context(2 + (i * 7) % 40, seed=i % 4)
        settings = [{}, {"temperature": 0.7}, {"top_p": 0.8}, {"top_k": 5, "min_p": 0.01}][i % 4]
        stops = (10, 32, 101, 200) if i % 3 else tuple(range(0, 256, 9))
        found.append(ask(ids, key("row", i), stops, **({"max_tokens": 3 + i % 17} | settings)))
    return found


def same(a, b) -> bool:
    return (
        a.stop is b.stop
        and a.tokens.tobytes() == b.tokens.tobytes()
        and a.logp_sampling.tobytes() == b.logp_sampling.tobytes()
        and a.logp_model.tobytes() == b.logp_model.tobytes()
    )


def common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    n = min(len(a), len(b))
    return int(np.cumprod(a[:n] == b[:n]).sum())


# ---------------------------------------------------------------- what is said


def test_it_declares_what_this_battery_tests(cast):
    assert {"say", "score", "allowed", "bias", "stop_strings"} <= cast.engine.capabilities
    assert {"exact_logp", "replayable"} <= cast.engine.capabilities


def test_temperature_zero_takes_the_most_likely_token(cast):
    ids = context(9)
    (said,) = cast.engine.say([ask(ids, temperature=0)])
    for i, token in enumerate(said.tokens):
        logp = log_probabilities(cast.model, np.append(ids, said.tokens[:i]))
        assert logp[token] > logp.max() - 2 * cast.tolerance
    assert (said.logp_sampling == 0).all()


def test_the_same_requests_give_the_same_bytes(cast):
    requests = mixed_requests()
    first = cast.engine.say(requests)
    cast.engine.clear()
    assert all(same(a, b) for a, b in zip(first, cast.engine.say(requests), strict=True))
    another = cast.make(max_rows=8)
    assert all(same(a, b) for a, b in zip(first, another.say(requests), strict=True))


def test_what_a_key_says_does_not_depend_on_the_order_or_the_number_of_rows(cast):
    requests = mixed_requests()
    expected = cast.engine.say(requests)
    order = np.random.default_rng(0).permutation(len(requests))
    shuffled = cast.make(max_rows=11).say([requests[i] for i in order])
    alone = [cast.make(max_rows=1).say([r])[0] for r in requests]
    for place, i in enumerate(order):
        for other in (shuffled[place], alone[i]):
            a, b = expected[i], other
            if cast.exact:
                assert a.tokens.tolist() == b.tokens.tolist()
                assert a.stop is b.stop
            # In bfloat16 a draw at an edge may fall on its other side; before that all agrees.
            n = common_prefix(a.tokens, b.tokens)
            np.testing.assert_allclose(a.logp_model[:n], b.logp_model[:n], atol=cast.tolerance)


def test_different_keys_say_different_things_and_equal_keys_the_same(cast):
    ids = context(6)
    said = cast.engine.say([ask(ids, k) for k in (1, 2, 3, 1)])
    texts = [tuple(s.tokens) for s in said]
    assert len(set(texts)) == 3
    assert texts[0] == texts[3]


def test_nothing_asked_nothing_said(cast):
    assert cast.engine.say([]) == []
    assert cast.engine.score([]) == []


# ---------------------------------------------------------------- log-probabilities


def test_log_probabilities_said_agree_with_scores_and_with_the_model(cast):
    requests = [r for r in mixed_requests() if r.sampling.temperature]
    said = cast.engine.say(requests)
    rows = [ScoreTokens(r.context, s.tokens) for r, s in zip(requests, said, strict=True)]
    for request, answer, score in zip(requests, said, cast.engine.score(rows), strict=True):
        assert score.dtype == answer.logp_model.dtype == np.float32
        np.testing.assert_allclose(answer.logp_model, score, atol=cast.tolerance)
        whole = torch.from_numpy(np.concatenate([request.context, answer.tokens]).astype(np.int64))
        with torch.no_grad():
            own = cast.model.outputs(SimpleNamespace(tokens=whole[None])).logp[0].numpy()
        np.testing.assert_allclose(score, own[len(request.context) :], atol=cast.tolerance)


def test_scores_come_in_the_order_of_the_requests_and_may_be_empty(cast):
    rows = [ScoreTokens(context(n), context(m, 5)) for n, m in ((9, 4), (3, 0), (20, 30), (1, 1))]
    together = cast.engine.score(rows)
    assert [len(s) for s in together] == [4, 0, 30, 1]
    for row, scores in zip(rows, together, strict=True):
        np.testing.assert_allclose(cast.engine.score([row])[0], scores, atol=cast.tolerance)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.5},
        {"temperature": 1.7, "top_k": 4},
        {"top_p": 0.6},
        {"min_p": 0.2},
        {"top_k": 20, "top_p": 0.7, "min_p": 0.1, "temperature": 0.8},
        {"allowed": (3, 50, 99, 120)},
        {"bias": {7: 30.0, 8: 29.0}},
    ],
    ids=str,
)
def test_the_sampling_distribution_is_the_one_that_was_asked_for(cast, settings):
    """Support and log-probabilities against a plain numpy reading of the settings."""
    ids = context(11)
    expected = reference_distribution(log_probabilities(cast.model, ids), **settings)
    requests = [ask(ids, k, max_tokens=1, **settings) for k in range(40)]
    for said in cast.engine.say(requests):
        token = said.tokens[0]
        if "allowed" in settings or cast.exact:  # rounding may move the edge of the others
            assert expected[token] > 0
        if cast.exact:
            np.testing.assert_allclose(said.logp_sampling[0], np.log(expected[token]), atol=1e-3)


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


def test_frequencies_match_probabilities(cast):
    ids, num = context(5), 4000
    requests = [ask(ids, key("chi", i), max_tokens=1) for i in range(num)]
    said = cast.make(max_rows=512).say(requests)
    counts = np.bincount([s.tokens[0] for s in said], minlength=264)
    p = np.exp(log_probabilities(cast.model, ids).astype(np.float64))
    common = p * num >= 5
    observed = np.append(counts[common], counts[~common].sum())
    expected = np.append(p[common], p[~common].sum()) / p.sum() * num
    # One fixed set of keys: either it passes for ever or the sampler is wrong.
    assert chisquare(observed, expected).pvalue > 0.001


# ---------------------------------------------------------------- stopping


def test_a_stop_token_ends_the_turn_and_belongs_to_it(cast):
    (free,) = cast.engine.say([ask(context(4), 7)])
    stop = int(free.tokens[5])
    first = int(np.nonzero(free.tokens == stop)[0][0])
    (said,) = cast.engine.say([ask(context(4), 7, (stop,))])
    assert said.stop is StopReason.ENDED
    assert said.tokens.tolist() == free.tokens[: first + 1].tolist()


def test_the_allowance_ends_it_otherwise(cast):
    for allowance in (1, 2, 9):
        (said,) = cast.engine.say([ask(context(4), max_tokens=allowance)])
        assert said.stop is StopReason.LENGTH
        assert len(said.tokens) == len(said.logp_model) == len(said.logp_sampling) == allowance
    (said,) = cast.engine.say([ask(context(4), max_tokens=0)])
    assert said.stop is StopReason.LENGTH
    assert len(said.tokens) == 0


def test_a_stop_string_ends_the_turn_however_it_was_cut_into_tokens(cast):
    letters = tuple(range(97, 105))  # a..h
    plain = ask(context(4), 7, max_tokens=50, allowed=letters)
    (free,) = cast.engine.say([plain])
    text = cast.model.renderer.decode(free.tokens)
    string = text[20:23]
    end = text.index(string) + 3
    stopped = replace(plain, sampling=replace(plain.sampling, stop=("zzz", string)))
    said, never = cast.engine.say(
        [stopped, replace(plain, sampling=replace(plain.sampling, stop=("zzz", "\u00e9")))]
    )
    assert said.stop is StopReason.STOP_STRING
    assert said.tokens.tolist() == free.tokens[:end].tolist()
    assert never.stop is StopReason.LENGTH
    assert never.tokens.tolist() == free.tokens.tolist()


def test_a_stop_string_of_several_bytes_a_character_is_seen(cast):
    first, second = "\u00e9".encode()
    request = ask(context(4), 3, max_tokens=40, allowed=(first, second), stop=("\u00e9",))
    (said,) = cast.engine.say([request])
    assert said.stop is StopReason.STOP_STRING
    assert cast.model.renderer.decode(said.tokens).endswith("\u00e9")


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


# ---------------------------------------------------------------- many rows


def test_rows_that_share_a_context_say_what_they_would_say_apart(cast):
    ids = context(13)
    requests = [ask(ids, k, (40, 41, 42)) for k in range(20)]
    together = cast.engine.say(requests)
    apart = [cast.engine.say([r])[0] for r in requests]
    for a, b in zip(together, apart, strict=True):
        if cast.exact:
            assert a.tokens.tolist() == b.tokens.tolist()
        n = common_prefix(a.tokens, b.tokens)
        np.testing.assert_allclose(a.logp_model[:n], b.logp_model[:n], atol=cast.tolerance)


def test_a_shared_context_is_read_once(cast):
    engine = cast.make(max_rows=32)
    engine.say([ask(context(13), k) for k in range(20)] + [ask(context(7))])
    assert engine.gauge.num_read == 13 + 7


def test_more_rows_than_slots_are_all_answered(cast):
    requests = [ask(context(2 + i % 5, i), i, (1, 2, 3), max_tokens=1 + i % 7) for i in range(101)]
    said = cast.engine.say(requests)
    assert len(said) == 101
    assert all(1 <= len(s.tokens) <= r.sampling.max_tokens
               for s, r in zip(said, requests, strict=True))  # fmt: skip


# ---------------------------------------------------------------- weights


def greedy(engine, num: int = 8):
    return [s.tokens.tolist() for s in engine.say([ask(context(6, i), temperature=0)
                                                   for i in range(num)])]  # fmt: skip


def test_new_weights_in_place_are_used_by_the_next_request(fresh):
    before = greedy(fresh.engine)
    row = [ScoreTokens(context(6), context(9, 1))]
    (score_before,) = fresh.engine.score(row)
    optimizer = torch.optim.SGD([p for p in fresh.model.module.parameters() if p.requires_grad], 1)
    for _ in range(3):
        optimizer.zero_grad()
        tokens = torch.from_numpy(context(30).astype(np.int64))[None]
        fresh.model.outputs(SimpleNamespace(tokens=tokens)).logp.sum().backward()
        torch.nn.utils.clip_grad_norm_(fresh.model.module.parameters(), 1.0)
        optimizer.step()  # no version is raised: an engine must see it all the same
    (score_after,) = fresh.engine.score(row)
    assert greedy(fresh.engine) != before
    assert np.abs(score_after - score_before).max() > 10 * fresh.tolerance
    expected = fresh.model.outputs(
        SimpleNamespace(tokens=torch.from_numpy(np.concatenate([context(6), context(9, 1)]))[None]
                        .long())
    ).logp[0, 6:]  # fmt: skip
    np.testing.assert_allclose(score_after, expected.detach().numpy(), atol=fresh.tolerance)


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
    fresh.engine.close()


# ---------------------------------------------------------------- what cannot be done


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
def test_settings_that_mean_nothing_are_refused_in_one_line(cast, settings):
    with pytest.raises(ModelError, match="cannot sample with") as error:
        cast.engine.say([ask(context(3), **settings)])
    assert "\n" not in str(error.value)


def test_a_row_that_cannot_be_scored_is_refused_in_one_line(cast):
    with pytest.raises(ModelError, match="fit"):
        cast.engine.score([ScoreTokens(context(60), context(5))])
    with pytest.raises(ModelError, match="empty context"):
        cast.engine.score([ScoreTokens(context(0), context(5))])


def test_weights_that_are_not_numbers_are_noticed_and_not_spoken_with(fresh):
    with torch.no_grad():
        for parameter in fresh.model.module.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(ModelError, match="not numbers"):
        fresh.engine.say([ask(context(3))])
    with pytest.raises(ModelError, match="not numbers"):
        fresh.engine.say([ask(context(3), temperature=0)])


def test_sampling_leaves_the_global_generators_alone(cast):
    before = torch.random.get_rng_state()
    numpy_before = np.random.get_state()[1].tolist()
    cast.engine.say([ask(context(3), 1), ask(context(5), 2, top_p=0.5)])
    assert torch.equal(before, torch.random.get_rng_state())
    assert numpy_before == np.random.get_state()[1].tolist()


def test_the_default_allowance_is_the_rest_of_the_context(cast):
    request = SayTokens(context(50), Sampling(max_tokens=None), 1, ())
    (said,) = cast.engine.say([request])
    assert said.stop is StopReason.CONTEXT
    assert len(said.tokens) == cast.model.renderer.context_length - 50
