"""Memory of old samples."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.records import Sample, Sequence
from askesis.retain.packing import pack, unpack
from askesis.retain.replay import Replay
from askesis.store.codec import dumps, loads
from tests.explore.host import Host, says, view

HOST = Host(says({}))


def sample(name: str, length: int = 4) -> Sample:
    tokens = np.arange(length, dtype=np.int32)
    return Sample("policy", (Sequence(tokens, {"weight": np.ones(length, np.float32)}),),
                  sources=(name,))  # fmt: skip


def after(part: Replay, rounds: list[list[Sample]]):
    state = part.init(HOST.context())
    for i, made in enumerate(rounds):
        state = part.observe(HOST.context(), state, view([], index=i, samples={"policy": made}))
    return state


def mixed(part: Replay, state, new: list[Sample], round: int = 9):
    ctx = HOST.context("retain", round, state=state)
    return part.mix(ctx, "policy", new), ctx.metrics


def test_old_samples_are_mixed_in_by_share_of_tokens():
    part = Replay(fraction=0.25)
    state = after(part, [[sample(f"old{i}") for i in range(100)]])
    found, metrics = mixed(part, state, [sample(f"new{i}") for i in range(30)])
    assert [s.sources[0] for s in found[:30]] == [f"new{i}" for i in range(30)]
    old = [s.sources[0] for s in found[30:]]
    assert len(old) == len(set(old)) == 10
    assert metrics["retain/replay/policy/fraction"] == pytest.approx(0.25)
    again, _ = mixed(part, state, [sample(f"new{i}") for i in range(30)])
    assert [s.sources for s in again] == [s.sources for s in found]
    other, _ = mixed(part, state, [sample(f"new{i}") for i in range(30)], round=10)
    assert [s.sources for s in other] != [s.sources for s in found]


def test_rounds_and_tokens_are_forgotten_oldest_first():
    rounds = [[sample(f"r{i}")] for i in range(6)]
    kept = [m["round"] for m in after(Replay(rounds=3), rounds)["policy"]]
    assert kept == [3, 4, 5]
    kept = [m["round"] for m in after(Replay(rounds=6, max_tokens=8), rounds)["policy"]]
    assert kept == [4, 5]
    assert len(after(Replay(max_tokens=1), rounds)["policy"]) == 1  # the last round always


def test_an_empty_memory_and_an_empty_round_mix_nothing():
    part = Replay()
    new = [sample("new")]
    assert mixed(part, after(part, []), new)[0] == new
    assert mixed(part, after(part, [[sample("old")]]), [])[0] == []


def test_a_state_survives_the_disk_and_gives_the_same_samples():
    part = Replay(fraction=0.5)
    state = after(part, [[sample(f"old{i}", 3 + i) for i in range(5)]])
    stored = loads(dumps(state))
    one, _ = mixed(part, state, [sample("new", 30)])
    two, _ = mixed(part, stored, [sample("new", 30)])
    assert [s.sources for s in one] == [s.sources for s in two]


def test_packing_gives_back_every_kind_of_sample_bit_for_bit():
    rng = np.random.default_rng(0)

    def row(length: int, *names: str) -> Sequence:
        columns = {n: rng.random(length).astype(np.float32) for n in names}
        return Sequence(rng.integers(0, 9, length).astype(np.int32), columns)

    made = [
        Sample("m", (row(3, "weight"),), sources=("a",)),
        Sample("m", (row(4, "weight"), row(2, "weight", "reference")), {"margin": 0.1}, ("b", "c")),
        Sample("m", (row(5, "weight"),)),
        Sample("m", (), {"label": 1.0}, (), {"action": np.arange(3), "seen": rng.random((3, 2))}),
        Sample("m", (row(1, "weight"), row(2, "weight"), row(0, "weight")), sources=("e",)),
        Sample("m", (), {"label": 2.0}, (), {"action": np.arange(5), "seen": rng.random((5, 2))}),
    ]  # fmt: skip
    found = unpack(loads(dumps(pack(made))), "m")
    assert len(found) == len(made)
    for a, b in zip(found, made, strict=True):
        assert (a.model, dict(a.columns), a.sources) == (b.model, dict(b.columns), b.sources)
        for r, s in zip(a.sequences, b.sequences, strict=True):
            assert r.tokens.tolist() == s.tokens.tolist()
            assert {k: v.tolist() for k, v in r.columns.items()} == {
                k: v.tolist() for k, v in s.columns.items()
            }
        assert list(a.arrays) == list(b.arrays)
        for name in a.arrays:
            assert a.arrays[name].dtype == b.arrays[name].dtype
            assert np.array_equal(a.arrays[name], b.arrays[name])
    assert unpack(pack([]), "m") == []


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"fraction": 1.0}, {"max_tokens": 0}], ids=str)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="Replay"):
        Replay(**wrong)


def test_what_only_some_phases_taught_can_be_kept():
    part = Replay(rounds=1000, phases=("first",))
    state = part.init(HOST.context())
    for index, phase in enumerate(("first", "later", "later")):
        seen = view([], index=index, samples={"policy": [sample(phase)]})
        seen.phase = phase
        state = part.observe(HOST.context(), state, seen)
    assert [m["round"] for m in state["policy"]] == [0]
    found, _ = mixed(Replay(fraction=0.5, phases=("first",)), state, [sample("new")])
    assert [s.sources[0] for s in found] == ["new", "first"]
