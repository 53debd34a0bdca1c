"""The trainer through the packed forward: no cut, no sharing and no process changes a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError
from askesis.learn.batching import micro_batches, order_of_prompts, prompt_of
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import Trainer
from askesis.models.tiny import tiny_model
from askesis.records import Sample, Sequence

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "head_dim": 4}


@dataclass(frozen=True)
class Pairs:
    """Minus log sigmoid of the margin between the two rows of a pair."""

    coef: float = 1.0
    needs = frozenset({"weight"})
    uses = frozenset({"logp"})
    atom = "pair"

    def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
        total = (out.logp * batch.column("weight") * batch.sign[:, None]).sum(1)
        margin = torch.zeros(batch.num_samples, dtype=total.dtype)
        margin = margin.index_add(0, batch.sample, total)
        loss = -torch.nn.functional.logsigmoid(margin).sum() / norm["samples"]
        return loss, {"accuracy": (margin > 0).float().sum() / norm["samples"]}


@dataclass(frozen=True)
class Sets(Pairs):
    """Minus log of the summed probabilities of a set's rows."""

    atom = "set"

    def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
        total = (out.logp * batch.column("weight")).sum(1)
        each = [torch.logsumexp(total[batch.sample == i], 0) for i in range(batch.num_samples)]
        return -torch.stack(each).sum() / norm["samples"], {}


@dataclass(frozen=True)
class Uncertain(Pairs):
    """Token by token: entropy against likelihood."""

    uses = frozenset({"logp", "entropy"})
    atom = "token"

    def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
        weight = batch.column("weight")
        return ((out.logp - 0.3 * out.entropy) * weight).sum() / norm["tokens"], {}


def attempts(num_prompts: int = 5, rows: tuple[int, ...] = (1,), seed: int = 0) -> list[Sample]:
    """Samples of so many rows each, four a prompt, with skewed lengths."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(num_prompts):
        prompt = rng.integers(0, 256, int(rng.integers(6, 20)))
        for k in range(4):
            sequences = []
            for _ in range(rows[k % len(rows)]):
                answer = rng.integers(0, 256, int(min(24, rng.geometric(0.12))))
                tokens = np.concatenate([prompt, answer]).astype(np.int32)
                weight = np.r_[np.zeros(len(prompt)), np.ones(len(answer))].astype(np.float32)
                sequences.append(Sequence(tokens, {"weight": weight}))
            found.append(Sample("policy", tuple(sequences)))
    return [found[i] for i in rng.permutation(len(found))]


def small(dtype: torch.dtype = torch.float64) -> Any:
    model = tiny_model("policy", **SMALL)
    model.module.to(dtype)
    return model


def trainer(model: Any, objective: Any, limit: int = 10**6, **options: Any) -> Trainer:
    options = {"max_grad_norm": 0.0, **options}
    return Trainer(model, (objective,), micro_batch_tokens=limit, **options)


def flat(model: Any) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in model.module.parameters()])


def gradient(model: Any, objective: Any, made: list[Sample], limit: int, **options: Any) -> Any:
    train = trainer(model, objective, limit, **options)
    train.forget()
    report = train.gradient(made)
    return flat(model), report


KINDS = [
    (Supervised(), (1,)),
    (Supervised(mean="sequence"), (1,)),
    (Uncertain(), (1,)),
    (Pairs(), (2,)),
    (Sets(), (3, 1, 2)),
]


def limits(made: list[Sample], wanted: tuple[int, ...]) -> list[int]:
    found = {}
    for limit in range(800, 80, -20):
        found.setdefault(len(list(micro_batches(made, limit, packs=True))), limit)
    return [found[n] for n in wanted]


@pytest.mark.parametrize(
    ("objective", "rows"), KINDS, ids=["token mean", "sequence mean", "entropy", "pairs", "sets"]
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_one_two_or_four_uneven_pieces_give_the_same_gradient(objective, rows, dtype, tolerance):
    made, model = attempts(rows=rows), small(dtype)
    whole, first = gradient(model, objective, made, 10**6)
    for limit in limits(made, (2, 4)):
        part, report = gradient(model, objective, made, limit)
        assert (part - whole).norm() <= tolerance * whole.norm()
        assert report.loss == pytest.approx(first.loss, rel=tolerance)
        assert report.metrics == pytest.approx(first.metrics, rel=1e-5)


@pytest.mark.parametrize(
    ("objective", "rows"), KINDS, ids=["token mean", "sequence mean", "entropy", "pairs", "sets"]
)
def test_the_packed_gradient_is_that_of_the_plain_forward(objective, rows):
    made, model = attempts(rows=rows), small()
    packed, report = gradient(model, objective, made, 300)

    class Plain(type(model)):
        """The same weights through `Decoder.forward`, padded, all positions, all logits."""

        packs = False

        def outputs(self, batch, uses):
            logits = torch.log_softmax(self.module(batch.tokens) @ self.module.head.T, -1)[:, :-1]
            logp = logits.gather(-1, batch.tokens[:, 1:, None])[..., 0]
            entropy = -(logits.exp() * logits).sum(-1)
            pad = lambda x: torch.nn.functional.pad(x, (1, 0))
            return SimpleNamespace(logp=pad(logp), entropy=pad(entropy))

    model.__class__ = Plain
    plain, padded = gradient(model, objective, made, 300)
    assert (packed - plain).norm() <= 1e-10 * plain.norm()
    assert report.loss == pytest.approx(padded.loss, rel=1e-10)
    assert report.tokens == padded.tokens == sum(s.num_tokens for s in made)


def test_what_is_computed_is_neither_padding_nor_a_prompt_again():
    made = attempts(8)
    prompts = sum(len(p) // 4 for p in {prompt_of(s) for s in made})
    answers = sum(np.count_nonzero(s.sequences[0].columns["weight"]) for s in made)
    _, report = gradient(small(), Supervised(), made, 10**6)
    assert report.padding == 0
    # An answer may begin like its neighbour's by chance; prompts are shared in whole groups.
    assert report.positions <= prompts + answers
    assert report.positions > 0.95 * (prompts + answers)
    assert report.tokens > 1.4 * report.positions


def test_several_threads_give_the_same_bits_as_one():
    made = attempts(8)
    found = [
        gradient(small(torch.float32), Supervised(), made, 100, num_workers=n) for n in (1, 2, 3)
    ]
    for vector, report in found[1:]:
        assert torch.equal(vector, found[0][0])
        assert report == found[0][1]


def test_samples_that_nothing_is_learnt_from_count_and_are_not_computed():
    made = attempts()
    silent = [
        Sample(
            "policy",
            (Sequence(s.sequences[0].tokens, {"weight": 0 * s.sequences[0].columns["weight"]}),),
        )
        for s in attempts(seed=1)
    ]
    sets = Sets()  # divides by the number of samples
    with_them, report = gradient(small(), sets, made + silent, 10**6)
    without, alone = gradient(small(), sets, made, 10**6)
    torch.testing.assert_close(with_them * 2, without, rtol=1e-10, atol=0)
    assert report.tokens == alone.tokens


@pytest.mark.parametrize("precision", ["bfloat16", "auto"])
def test_low_precision_keeps_weights_and_sums_in_float32(precision):
    made = attempts()
    exact, first = gradient(small(torch.float32), Supervised(), made, 200)
    model = small(torch.float32)
    rounded, report = gradient(model, Supervised(), made, 200, precision=precision)
    assert rounded.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in model.module.parameters())
    assert float((rounded - exact).norm() / exact.norm()) < 0.03
    assert report.loss == pytest.approx(first.loss, rel=1e-2)
    if precision == "bfloat16":
        assert not torch.equal(rounded, exact)


def test_a_wrong_precision_is_refused_in_one_line():
    with pytest.raises(ConfigError, match="float32 or bfloat16 or auto"):
        trainer(small(), Supervised(), precision="int4")


def test_recomputing_activations_changes_no_bit():
    made = attempts()
    kept, _ = gradient(small(), Supervised(), made, 200)
    again, _ = gradient(small(), Supervised(), made, 200, recompute=True)
    assert torch.equal(kept, again)


def test_groups_of_attempts_stay_together_where_asked():
    made = attempts(6)
    order = order_of_prompts(made, np.random.default_rng(0))
    assert sorted(order) == list(range(len(made)))
    names = [prompt_of(made[i]) for i in order]
    changes = sum(a != b for a, b in pairwise(names))
    assert changes == 5
    other = order_of_prompts(made, np.random.default_rng(1))
    assert not np.array_equal(order, other)


def test_the_share_of_two_processes_adds_up_to_the_whole():
    made = attempts()
    whole, expected = gradient(small(), Supervised(), made, 60)
    parts = []
    for rank in (0, 1):
        half = SimpleNamespace(share=lambda p, r=rank: p[r::2], add_up=lambda *_: None)
        parts.append(gradient(small(), Supervised(), made, 60, processes=half))
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole, rtol=1e-10, atol=1e-12)
    assert parts[0][1].loss + parts[1][1].loss == pytest.approx(expected.loss)


def through_transformers(kind: str) -> Any:
    """A model whose module is one of transformers', in float64."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from askesis.models.language_model import LanguageModel

    torch.manual_seed(0)
    sizes = {
        "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64},
        "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    }
    config = AutoConfig.for_model(kind, vocab_size=260, **sizes[kind])
    module = AutoModelForCausalLM.from_config(config).double()
    renderer = SimpleNamespace(pad_token=256, context_length=64, vocab_size=260)
    return LanguageModel("policy", module, renderer, config, None)


@pytest.mark.parametrize("kind", ["gpt2", "bloom"])
def test_no_cut_changes_a_gradient_through_transformers(kind):
    model, made = through_transformers(kind), attempts(3)
    whole, first = gradient(model, Supervised(), made, 10**6)
    for limit in (60, 150):
        part, report = gradient(model, Supervised(), made, limit)
        assert (part - whole).norm() <= 1e-6 * whole.norm()  # its own masks are float32
        assert report.loss == pytest.approx(first.loss, rel=1e-6)
    if kind == "gpt2":  # several sequences in a row
        assert first.padding <= 0.05 * first.positions


def test_numbers_that_are_not_finite_are_named_before_they_are_learnt():
    made = attempts(1)
    row = made[0].sequences[0]
    broken = Sample(
        "policy",
        (Sequence(row.tokens, {"weight": row.columns["weight"] * np.nan}),),
        sources=("a7",),
    )
    with pytest.raises(ConfigError, match=r"column 'weight'.*not finite.*made from a7"):
        trainer(small(), Supervised()).check([*made, broken])
