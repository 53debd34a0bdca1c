"""Divergences to a reference through every kind of model, and students that reach their teacher."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.errors import ConfigError, ModelError
from askesis.formulas.divergences import kl
from askesis.learn.batch import collate
from askesis.learn.learner import Learn
from askesis.learn.objectives.leashes import KLToReference
from askesis.learn.objectives.likelihood import AnchoredLikelihood
from askesis.learn.objectives.reward_models import Distillation
from askesis.learn.references import BESIDE, frozen, outputs_beside
from askesis.models.array_policy import ArrayPolicy
from askesis.models.language_model import LanguageModel
from askesis.models.shelf import Shelf
from askesis.models.tabular import TabularModel
from askesis.records import Sample, Sequence
from tests.learn.fakes import Learning
from tests.learn.test_packed_learning import attempts, small
from tests.models.test_module_outputs import gpt2

ALPHABET = "abxy"
SIZE = len(ALPHABET) + 1  # tokens that can be said: the letters and the end
EXACT = (KLToReference(kind="exact", mean="token", coef=1.0),)


def context(*models: Any) -> Any:
    named = {m.name: m for m in models}
    ctx = Learning(shelf=Shelf(named, [(name, "base") for name in named]))
    ctx.models = named
    return ctx


def table(name: str, seed: int | None = None) -> TabularModel:
    """A bigram model; without a seed all its rows are uniform."""
    logits = None
    if seed is not None:
        logits = np.random.default_rng(seed).normal(size=(SIZE + 1, SIZE + 1)).astype(np.float32)
    return TabularModel(name, ALPHABET, logits)


def probabilities(model: TabularModel) -> np.ndarray:
    """P(token | last letter), (4, 5)."""
    logits = model.module.logits.detach()[: len(ALPHABET), :SIZE].double()
    return logits.softmax(-1).numpy()


def transitions() -> list[Sample]:
    """Every pair of a letter and what follows it once: all rows of a table count alike."""
    weight = np.array([0.0, 1.0], np.float32)
    return [
        Sample("policy", (Sequence(np.array([a, b], np.int32), {"weight": weight}),))
        for a in range(len(ALPHABET))
        for b in range(SIZE)
    ]


# ---------------------------------------------------------------- every kind of model


def module_model(name: str = "policy") -> LanguageModel:
    module = gpt2()
    renderer = SimpleNamespace(pad_token=0, context_length=64, vocab_size=97)
    renderer.decode = lambda tokens: str(tokens)
    return LanguageModel(name, module, renderer, module.config, None)


def array_samples(num: int = 4) -> list[Sample]:
    rng = np.random.default_rng(0)
    found = []
    for length in range(2, 2 + num):
        arrays = {
            "observation": rng.normal(size=(length, 3)).astype(np.float32),
            "action": rng.integers(0, 4, length),
            "weight": np.ones(length, np.float32),
        }
        found.append(Sample("policy", (), arrays=arrays))
    return found


def made(kind: str) -> tuple[Any, list[Sample]]:
    """A model of some kind, and samples that it can learn."""
    tokens = np.random.default_rng(1).integers(1, 97, (5, 12)).astype(np.int32)
    weight = (np.arange(12) > 3).astype(np.float32)
    texts = [Sample("policy", (Sequence(row, {"weight": weight}),)) for row in tokens]
    makers: dict[str, Any] = {
        "tabular": lambda: (table("policy", 0), transitions()),
        "native": lambda: (small(torch.float32), attempts(2)),
        "transformers": lambda: (module_model(), texts),
        "array": lambda: (ArrayPolicy("policy", 3, 4), array_samples()),
    }
    return makers[kind]()


@pytest.mark.parametrize("kind", ["tabular", "native", "transformers", "array"])
@pytest.mark.parametrize(
    ("objective", "metric"),
    [
        (EXACT[0], "kl_reference"),
        (Distillation(beta=0.5), "divergence"),
        (AnchoredLikelihood(kl="exact", kl_coef=0.0), "kl_reference"),
    ],
)
def test_every_model_knows_its_divergence_from_its_own_past(kind, objective, metric):
    model, samples = made(kind)
    ctx = context(model)
    push = AnchoredLikelihood(kl="exact", kl_coef=0.0)  # away from where it was
    metrics = []
    for objectives in ((push,), (objective,)):
        learn = Learn(
            objectives=objectives, reference="base", num_updates=2, batch_tokens=10**6,
            learning_rate=0.01, micro_batch_tokens=64, optimizer="reset",
        )  # fmt: skip
        metrics.append(learn.learn(ctx, model, samples, []))
        ctx.shelf.learnt(model, 0)
    assert metrics[0]["kl_reference"] >= 0 and metrics[1][metric] > 1e-5
    if objective is not push and not isinstance(objective, AnchoredLikelihood):
        first, last = metrics[1]["loss/first"], metrics[1]["loss/last"]
        assert last < first  # it comes back
    assert all(p.requires_grad for p in model.module.parameters())


def test_native_decoders_and_logits_give_the_same_divergence():
    model, other = small(torch.float64), small(torch.float64)
    other.name = "teacher"
    with torch.no_grad():
        for p in other.module.parameters():
            p += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)).double()
    batch = collate(attempts(3))
    batch = type(batch)(**{f: getattr(batch, f) for f in batch.__slots__} | {"reference": other.module})  # fmt: skip
    uses = frozenset({"logp", "logits"}) | BESIDE
    packed = outputs_beside(model, other, batch, uses)

    def plain(entry: Any) -> Any:
        return SimpleNamespace(name=entry.name, outputs=entry.outputs)

    asked = outputs_beside(plain(model), plain(other), batch, uses)
    torch.testing.assert_close(asked.kl.double(), packed.kl.double(), atol=1e-5, rtol=1e-4)
    real = torch.arange(batch.tokens.shape[1]) < batch.lengths[:, None]
    torch.testing.assert_close(
        asked.logits_reference[real].double(), packed.logits_reference[real].double(),
        atol=1e-5, rtol=1e-4,
    )  # fmt: skip
    assert not asked.logits_reference.requires_grad


def test_a_model_that_says_no_distribution_is_refused_by_name():
    model = SimpleNamespace(name="policy", outputs=lambda batch, uses: SimpleNamespace(logits=None))
    with pytest.raises(ModelError, match=r"'policy' does not say its whole distribution.*k3"):
        outputs_beside(model, model, collate(transitions()), BESIDE)
    small_one = TabularModel("teacher", "ab")
    batch = collate(transitions()[:2])  # a after a, b after a: both models know these
    with pytest.raises(ConfigError, match="expected 6 logits; found 4"):
        outputs_beside(table("policy"), small_one, batch, BESIDE)


def test_a_frozen_reference_stays_what_it_was_while_the_model_learns():
    model = table("policy", 0)
    ctx = context(model)
    before = probabilities(model)
    reference = frozen(ctx, model, "base")
    model.module.logits.data.zero_()
    assert np.array_equal(probabilities(reference), before)
    assert not any(p.requires_grad for p in reference.module.parameters())
    assert model.module.logits.requires_grad and frozen(ctx, model, "policy") is model


# ---------------------------------------------------------------- exact, on tables


def gradient_of(objective: Any, student: TabularModel, teacher: TabularModel) -> np.ndarray:
    """The gradient by each logit of what can be said, (4, 5), times the number of tokens."""
    batch, samples = collate(transitions()), transitions()
    out = outputs_beside(student, teacher, batch, objective.uses)
    loss, _ = objective(out, batch, {"tokens": float(len(samples)), "sequences": 1.0})
    loss.backward()
    found = student.module.logits.grad[: len(ALPHABET), :SIZE] * len(ALPHABET)
    student.module.logits.grad = None
    return found.double().numpy()


def test_gradients_are_those_of_the_divergences_written_out_by_hand():
    student, teacher = table("policy", 1), table("teacher", 2)
    p, q = probabilities(student), probabilities(teacher)
    # d KL(q || p) / d logits = p - q
    forward = gradient_of(Distillation(beta=0.0), student, teacher)
    np.testing.assert_allclose(forward, p - q, atol=1e-6)
    # d KL(p || q) / d logits = p * (log p / q - KL)
    gap = np.log(p / q)
    expected = p * (gap - (p * gap).sum(-1, keepdims=True))
    reverse = gradient_of(Distillation(beta=1.0), student, teacher)
    np.testing.assert_allclose(reverse, expected, atol=1e-6)
    np.testing.assert_allclose(gradient_of(EXACT[0], student, teacher), expected, atol=1e-6)
    # d [ b KL(q || m) + (1 - b) KL(p || m) ] / d logits, m = b q + (1 - b) p, is
    # (1 - b) * p * (log p / m - KL(p || m))
    m = 0.25 * q + 0.75 * p
    gap = np.log(p / m)
    expected = 0.75 * p * (gap - (p * gap).sum(-1, keepdims=True))
    mixed = gradient_of(Distillation(beta=0.25), student, teacher)
    np.testing.assert_allclose(mixed, expected, atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param(Distillation(beta=0.0), id="forward"),
        pytest.param(Distillation(beta=1.0), id="reverse"),
        pytest.param(Distillation(beta=0.5), id="between"),
        pytest.param(EXACT[0], id="leash", marks=pytest.mark.slow),
        pytest.param(Distillation(beta=0.0, temperature=2.0), id="warm", marks=pytest.mark.slow),
    ],
)
def test_a_student_reaches_its_teacher(objective):
    student, teacher = table("policy", 1), table("teacher", 2)
    learn = Learn(
        objectives=(objective,), reference="teacher", num_updates=100, batch_tokens=1000,
        learning_rate=0.15, schedule="cosine", max_grad_norm=0.0,
    )  # fmt: skip
    before = np.abs(probabilities(student) - probabilities(teacher)).max()
    learn.learn(context(student, teacher), student, transitions(), [])
    assert before > 0.2
    np.testing.assert_allclose(probabilities(student), probabilities(teacher), atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [pytest.param(0.0, id="forward"), pytest.param(1.0, id="reverse")])
def test_on_policy_the_student_reaches_the_teacher_wherever_it_goes_itself(tmp_path, beta):
    """A run in which nothing but the student's own attempts is read, by whoever they were right."""
    from askesis.explore.sample import SampleAttempts
    from askesis.judge.verifier import Verifier
    from askesis.plan import Parts, Phase, Plan, Until
    from askesis.run import Run
    from askesis.select.threshold import Threshold
    from tests.probes.house import Draw, LetterWorld

    student, teacher = table("policy"), table("teacher", 2)
    teacher.trainable = False
    everything = Threshold(threshold=0.0, cut_off=True, distinct="none")
    learn = Learn(
        objectives=(Distillation(beta=beta),), reference="teacher", num_updates=12,
        batch_tokens=10**6, learning_rate=0.15, max_grad_norm=0.0,
    )  # fmt: skip
    parts = Parts(
        tasks=Draw(num=16),
        explore=SampleAttempts(num_attempts=4, max_tokens=3),
        judge=Verifier(),
        select={"policy": everything},
        learn={"policy": learn},
    )
    plan = Plan(recipe="distil", phases=(Phase(parts=parts, until=Until(rounds=5)),))
    models = {"policy": student, "teacher": teacher}
    run = Run.create(plan, tmp_path / "run", {"main": LetterWorld()}, models)
    run.improve()
    run.close()
    np.testing.assert_allclose(probabilities(student), probabilities(teacher), atol=0.03)


def test_a_leash_holds_a_policy_at_the_point_that_mirror_descent_gives():
    """max E_p[r] - KL(p || ref) has its maximum where p is proportional to ref * exp(r)."""
    reference = table("teacher", 2)
    reward = np.random.default_rng(4).normal(size=(len(ALPHABET), SIZE))
    wanted = probabilities(reference) * np.exp(reward)
    wanted /= wanted.sum(-1, keepdims=True)
    student = table("policy")
    logits = student.module.logits
    optimizer = torch.optim.Adam([logits], lr=0.1, betas=(0.8, 0.95))
    batch = collate(transitions())
    for _ in range(90):
        out = outputs_beside(student, reference, batch, EXACT[0].uses)
        leash, _ = EXACT[0](out, batch, {"tokens": float(len(batch.tokens)), "sequences": 1.0})
        own = logits[: len(ALPHABET), :SIZE].softmax(-1)
        loss = leash - (own * torch.tensor(reward).float()).sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(probabilities(student), wanted, atol=5e-3)
    apart = kl(student.module.logits[:4, :SIZE], reference.module.logits[:4, :SIZE])
    assert apart.mean() > 0.05  # the reward did pull
