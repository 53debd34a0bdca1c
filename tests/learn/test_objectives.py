"""Objectives: what they read, that they equal their formulas, that micro-batches change nothing."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from askesis.config import Watch, from_tree, to_tree
from askesis.errors import ConfigError
from askesis.formulas.divergences import kl
from askesis.learn.batch import Batch, collate, step_norm
from askesis.learn.objectives.contrast import Triplet
from askesis.learn.objectives.leashes import EntropyBonus, KLToReference, ValueLoss
from askesis.learn.objectives.likelihood import (
    AnchoredLikelihood,
    LeftoverLunch,
    NegativeAware,
    SetLikelihood,
)
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient, Reinforce
from askesis.learn.objectives.preference import (
    KTO,
    ORPO,
    ContrastivePreference,
    Preference,
    SimPO,
)
from askesis.learn.objectives.regression import PairRegression
from askesis.learn.objectives.reward_models import (
    Distillation,
    ImplicitReward,
    LabelledReward,
    PairwiseReward,
    RankedReward,
)
from askesis.learn.objectives.step_values import StepValueLoss
from askesis.learn.trainer import Trainer
from askesis.records import Sample, Sequence
from tests.learn import fakes

torch.set_num_threads(1)
VOCAB = 6
TOKEN_COLUMNS = {  # what each per-token column is drawn from
    "advantage": lambda rng, n: rng.normal(size=n),
    "logp_old": lambda rng, n: -rng.uniform(0.5, 3, n),
    "logp_sampling": lambda rng, n: -rng.uniform(0.5, 3, n),
    "logp_reference": lambda rng, n: -rng.uniform(0.5, 3, n),
    "returns": lambda rng, n: rng.normal(size=n),
    "value_old": lambda rng, n: rng.normal(size=n),
    "step_value": lambda rng, n: rng.uniform(-1, 1, n),
    "value_weight": lambda rng, n: rng.uniform(0, 0.5, n),
    "side": lambda rng, n: np.r_[np.zeros(n - 1), rng.choice([1.0, 2.0, -1.0])],
}
SAMPLE_COLUMNS = {
    "correct": lambda rng: float(rng.random() < 0.5),
    "accuracy": lambda rng: float(rng.uniform(0.1, 0.9)),
    "priority": lambda rng: float(rng.uniform(0.5, 2)),
    "label": lambda rng: float(rng.random() < 0.5),
    "kl": lambda rng: float(rng.uniform(0, 1)),
    "beta": lambda rng: float(rng.uniform(0.05, 0.5)),
    "margin": lambda rng: float(rng.uniform(0, 1)),
    "advantage_gap": lambda rng: float(rng.uniform(0, 2)),
    "outcome": lambda rng: float(rng.integers(-1, 2)),
}
ROWS = {"token": (1, 1), "sequence": (1, 1), "pair": (2, 2), "set": (1, 4)}
CASES: dict[str, Any] = {
    "step values of a head": StepValueLoss(coef=1.0),
    "reinforce": Reinforce(),
    "reinforce, token mean": Reinforce(mean="token"),
    "grpo": ClippedPolicyGradient(),
    "dr_grpo": ClippedPolicyGradient(mean="constant", max_tokens=9),
    "dapo": ClippedPolicyGradient(clip_high=0.28, mean="token", dual_clip=3.0),
    "gspo": ClippedPolicyGradient(ratio="sequence", clip_low=3e-4, clip_high=4e-4),
    "corrected": ClippedPolicyGradient(importance_cap=2.0),
    "corrected by sequences": ClippedPolicyGradient(
        importance_cap=2.0, importance_level="sequence"
    ),
    "k1": KLToReference(kind="k1"),
    "k2": KLToReference(kind="k2", mean="token"),
    "k3": KLToReference(kind="k3", corrected=True),
    "kl": KLToReference(kind="exact"),
    "mirror step": KLToReference(to="old", corrected=True, mean="constant"),
    "entropy": EntropyBonus(),
    "value": ValueLoss(clip=0.0),
    "value, clipped": ValueLoss(),
    "nft": NegativeAware(),
    "nft by sequences": NegativeAware(ratio="sequence", mean="constant", max_tokens=1000),
    "a_lol": LeftoverLunch(),
    "a_lol kl": LeftoverLunch(importance="none", kl_coef=0.1),
    "reward gold": LeftoverLunch(importance="gold"),
    "mml": SetLikelihood(beta=1.0),
    "beta mml": SetLikelihood(),
    "mle augmented": SetLikelihood(beta=0.0),
    "triplet": Triplet(coef=1.0),
    "superhf": AnchoredLikelihood(),
    "dpo": Preference(),
    "dpo, everything": Preference(soft_labels=True, pair_beta=True, gap_coef=1.0, nll_coef=0.1),
    "ipo": Preference(loss="ipo"),
    "hinge": Preference(loss="hinge"),
    "robust": Preference(loss="robust", smoothing=0.1),
    "sharpening": PairRegression(),
    "xpo": PairRegression(bonus_coef=0.1),
    "kto": KTO(),
    "simpo": SimPO(),
    "orpo": ORPO(),
    "cpl": ContrastivePreference(),
    "cpl kl": ContrastivePreference(reference=True, gamma=0.9),
    "bradley_terry": PairwiseReward(margins=True, centre_coef=0.01),
    "rao_kupper": PairwiseReward(ties="rao_kupper"),
    "davidson": PairwiseReward(ties="davidson", tie_width=0.0),
    "plackett_luce": RankedReward(),
    "outcome head": LabelledReward(),
    "process head": LabelledReward(where="weight"),
    "implicit": ImplicitReward(),
    "distillation": Distillation(),
    "on-policy distillation": Distillation(beta=0.5, temperature=2.0, mean="sequence"),
}
each = pytest.mark.parametrize("objective", CASES.values(), ids=CASES.keys())


class Table:
    """A bigram model in float64 with a value table and a reference: logits by the last token."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(3)

        def drawn(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.logits = drawn(VOCAB, VOCAB).requires_grad_()
        self.value = drawn(VOCAB).requires_grad_()
        self.reference = drawn(VOCAB, VOCAB)
        self.hidden = drawn(VOCAB, 3).requires_grad_()

    def outputs(self, batch: Batch, uses: frozenset[str]) -> Any:
        """Only what was asked for, aligned as the conventions say."""
        tokens, found = batch.tokens, SimpleNamespace()
        logits, other = self.logits[tokens], self.reference[tokens]
        first = torch.zeros(len(tokens), 1, dtype=torch.float64)

        def aligned(x: torch.Tensor) -> torch.Tensor:
            return torch.cat([first, x[:, :-1]], 1)

        target = torch.cat([tokens[:, 1:], tokens[:, :1]], 1)[..., None]
        every = {
            "logp": lambda: aligned(torch.log_softmax(logits, -1).gather(-1, target)[..., 0]),
            "entropy": lambda: aligned(torch.distributions.Categorical(logits=logits).entropy()),
            "kl": lambda: aligned(kl(logits, other)),
            "value": lambda: self.value[tokens],
            "hidden": lambda: self.hidden[tokens],
            "logits": lambda: logits,
            "logits_reference": lambda: other,
        }
        for name in uses:
            setattr(found, name, every[name]())
        return found

    def gradient(self, loss: torch.Tensor) -> torch.Tensor:
        """Of all tables in one, 0 where the loss does not reach."""
        tables = [self.logits, self.value, self.hidden]
        pairs = zip(torch.autograd.grad(loss, tables, allow_unused=True), tables, strict=True)
        return torch.cat([(torch.zeros_like(t) if g is None else g).flatten() for g, t in pairs])


def drawn_samples(objective: Any, num: int = 7, seed: int = 0, columns: Any = None) -> list[Sample]:
    """Samples with the columns an objective needs and no others."""
    rng = np.random.default_rng(seed)
    columns = objective.needs if columns is None else columns
    low, high = ROWS[objective.atom]
    found = []
    for i in range(num):
        rows = []
        for _ in range(int(rng.integers(low, high + 1))):
            length = int(rng.integers(4, 12))
            made = {"weight": np.r_[0, 0, np.ones(length - 2)]}
            made |= {k: TOKEN_COLUMNS[k](rng, length) for k in TOKEN_COLUMNS if k in columns}
            tokens = rng.integers(0, VOCAB, length).astype(np.int32)
            rows.append(Sequence(tokens, {k: v.astype(np.float32) for k, v in made.items()}))
        scalars = {k: SAMPLE_COLUMNS[k](rng) for k in SAMPLE_COLUMNS if k in columns}
        found.append(Sample("policy", tuple(rows), scalars, (f"a{i}",)))
    return found


def double(batch: Batch) -> Batch:
    """The same batch with columns in float64."""
    return dataclasses.replace(
        batch,
        columns={k: v.double() for k, v in batch.columns.items()},
        sample_columns={k: v.double() for k, v in batch.sample_columns.items()},
    )


def step(objective: Any, pieces: list[list[Sample]], change: Callable[[Batch], Batch] = double):
    """Loss, metrics and gradient of a step cut into these pieces."""
    model, total, metrics = Table(), 0.0, {}
    norm = step_norm([s for piece in pieces for s in piece])
    for piece in pieces:
        batch = change(collate(piece))
        loss, found = objective(model.outputs(batch, objective.uses), batch, norm)
        total = total + loss
        for name, value in found.items():
            metrics[name] = metrics.get(name, 0.0) + float(value)
    return float(total.detach()), metrics, model.gradient(total)


# ---------------------------------------------------------------- laws of all objectives


@each
def test_micro_batches_of_any_sizes_give_the_same_step(objective):
    samples = drawn_samples(objective)
    loss, metrics, slope = step(objective, [samples])
    for cuts in ([3], [1, 2, 5]):
        ends = [0, *cuts, len(samples)]
        pieces = [samples[a:b] for a, b in pairwise(ends)]
        found, again, cut_slope = step(objective, pieces)
        assert found == pytest.approx(loss, rel=1e-12)
        assert again == pytest.approx(metrics, rel=1e-10)
        assert torch.allclose(cut_slope, slope, rtol=1e-10, atol=1e-14)
    assert math.isfinite(loss)
    assert all(math.isfinite(v) for v in metrics.values())
    assert slope.abs().max() > 0  # it learns


@each
def test_an_objective_reads_the_columns_it_says_and_no_others(objective):
    read: set[str] = set()

    class Watched(dict):
        def __getitem__(self, name):
            read.add(name)
            return super().__getitem__(name)

    def watched(batch: Batch) -> Batch:
        batch = double(batch)
        return dataclasses.replace(
            batch,
            columns=Watched(batch.columns),
            sample_columns=Watched(batch.sample_columns),
        )

    everything = {*TOKEN_COLUMNS, *SAMPLE_COLUMNS}
    step(objective, [drawn_samples(objective, columns=everything)], watched)
    assert read == set(objective.needs)


@each
def test_every_option_is_read_or_says_that_only_some_settings_read_it(objective):
    watch = Watch([("objective", objective)])
    step(objective, [drawn_samples(objective)])
    assert objective.coef == 1.0 or isinstance(objective, KLToReference | EntropyBonus)  # trainer's
    assert watch.stop() == []
    assert from_tree(to_tree(objective)) == objective


@each
def test_what_stands_on_context_and_padding_has_no_influence(objective):
    samples = drawn_samples(objective)
    loss, metrics, slope = step(objective, [samples])

    def spoilt(batch: Batch) -> Batch:
        batch = double(batch)
        dead = batch.columns["weight"] == 0
        wild = {k: torch.where(dead, torch.nan, v) for k, v in batch.columns.items()}
        return dataclasses.replace(batch, columns=wild | {"weight": batch.columns["weight"]})

    found, again, spoilt_slope = step(objective, [samples], spoilt)
    assert found == pytest.approx(loss)
    assert again == pytest.approx(metrics)
    assert torch.allclose(spoilt_slope, slope)


DETACHED = ("a_lol", "reward gold", "nft")  # on purpose: their losses are not what they descend


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith(DETACHED)])
def test_the_gradient_is_that_of_finite_differences_along_a_line(name):
    objective = CASES[name]
    samples, model = drawn_samples(objective), Table()
    batch, norm = double(collate(samples)), step_norm(samples)
    line = torch.randn(VOCAB, VOCAB, generator=torch.Generator().manual_seed(9)).double()
    level = torch.randn(VOCAB, generator=torch.Generator().manual_seed(8)).double()
    aside = torch.randn(VOCAB, 3, generator=torch.Generator().manual_seed(7)).double()

    @torch.no_grad()
    def at(h: float) -> float:
        moved = Table()
        moved.logits += h * line
        moved.value += h * level
        moved.hidden += h * aside
        return float(objective(moved.outputs(batch, objective.uses), batch, norm)[0])

    loss, _ = objective(model.outputs(batch, objective.uses), batch, norm)
    slope = float(model.gradient(loss) @ torch.cat([line.flatten(), level, aside.flatten()]))
    wanted = (at(1e-6) - at(-1e-6)) / 2e-6
    assert slope == pytest.approx(wanted, rel=1e-5, abs=1e-8)


@each
def test_a_step_in_which_nothing_is_learnt_has_no_gradient_and_is_finite(objective):
    silent = []
    for sample in drawn_samples(objective):
        rows = tuple(
            Sequence(r.tokens, {**r.columns, "weight": np.zeros(len(r.tokens), np.float32)})
            for r in sample.sequences
        )
        silent.append(dataclasses.replace(sample, sequences=rows))
    loss, metrics, slope = step(objective, [silent])
    assert math.isfinite(loss) or isinstance(objective, ORPO)  # the odds of nothing are infinite
    assert slope.nan_to_num().abs().max() == 0
    assert metrics.keys() == step(objective, [drawn_samples(objective)])[1].keys()


# ---------------------------------------------------------------- particular ones


def policy_samples(rewards, lengths) -> list[Sample]:
    """One attempt each, with its reward as advantage and old log-probabilities of -1."""
    found = []
    for reward, length in zip(rewards, lengths, strict=True):
        n = length + 1
        weight = np.r_[0, np.ones(length)].astype(np.float32)
        columns = {"weight": weight, "advantage": reward * weight, "logp_old": -weight}
        found.append(Sample("policy", (Sequence(np.zeros(n, np.int32), columns),)))
    return found


class Given:
    """Outputs with log-probabilities that a test writes down."""

    def __init__(self, logp: float) -> None:
        self.logp = logp

    def __call__(self, batch: Batch) -> Any:
        return SimpleNamespace(logp=torch.full(batch.tokens.shape, self.logp))


@pytest.mark.parametrize(
    ("objective", "wanted"),
    [
        # hand: ratio e^0.1 = 1.10517, below the clip. Advantages 1 (2 tokens), -1 (4 tokens).
        # sequence mean: -(1.10517 - 1.10517) / 2; token: -(2 - 4) * 1.10517 / 6; constant: / 20
        (ClippedPolicyGradient(), 0.0),
        (ClippedPolicyGradient(mean="token"), 2 * math.exp(0.1) / 6),
        (ClippedPolicyGradient(mean="constant", max_tokens=10), 2 * math.exp(0.1) / 20),
        (ClippedPolicyGradient(ratio="sequence", mean="token"), 2 * math.exp(0.1) / 6),
        # clipped above at 1.05 where the advantage is good: -(2 * 1.05 - 4 * 1.10517) / 6
        (ClippedPolicyGradient(clip_high=0.05, mean="token"), (4 * math.exp(0.1) - 2.1) / 6),
        # sum over tokens, mean over sequences: -(2 * -0.9 - 4 * -0.9) / 2
        (Reinforce(), -0.9),
        (Reinforce(mean="token"), -0.3),
    ],
)
def test_policy_gradients_by_hand(objective, wanted):
    samples = policy_samples([1.0, -1.0], [2, 4])
    batch = collate(samples)
    loss, metrics = objective(Given(-0.9)(batch), batch, step_norm(samples))
    assert float(loss) == pytest.approx(wanted, abs=1e-6)
    if isinstance(objective, ClippedPolicyGradient):
        assert float(metrics["ratio"]) == pytest.approx(math.exp(0.1), rel=1e-6)
        clipped = 2 / 6 if objective.clip_high == 0.05 else 0.0
        assert float(metrics["clip_fraction"]) == pytest.approx(clipped)
        # KL(old || new) estimate: e^0.1 - 1 - 0.1
        assert float(metrics["kl_old"]) == pytest.approx(math.exp(0.1) - 1.1, rel=1e-3)


def test_a_samples_scalar_advantage_goes_to_all_its_tokens():
    column, scalar = policy_samples([1.0, -1.0], [2, 4]), []
    for sample, value in zip(column, (1.0, -1.0), strict=True):
        row = sample.sequences[0]
        kept = {k: v for k, v in row.columns.items() if k != "advantage"}
        scalar.append(Sample("policy", (Sequence(row.tokens, kept),), {"advantage": value}))
    for objective in (Reinforce(), ClippedPolicyGradient(), LeftoverLunch(importance="none")):
        losses = []
        for samples in (column, scalar):
            batch = collate(samples)
            losses.append(float(objective(Given(-0.9)(batch), batch, step_norm(samples))[0]))
        assert losses[0] == losses[1]


def test_array_samples_count_steps_and_episodes():
    def episode(num: int, advantage: float) -> Sample:
        ones = np.ones(num, np.float32)
        arrays = {"weight": ones, "advantage": advantage * ones, "logp_old": -ones,
                  "returns": 2 * ones, "logp_reference": -ones}  # fmt: skip
        return Sample("policy", (), arrays=arrays)

    samples = [episode(2, 1.0), episode(4, -1.0)]
    batch = collate(samples)
    out = SimpleNamespace(logp=torch.full((6,), -0.9), value=torch.ones(6), entropy=torch.ones(6))
    norm, ratio = step_norm(samples), math.exp(0.1)
    wanted = {
        ClippedPolicyGradient(): 0.0,
        ClippedPolicyGradient(mean="token"): 2 * ratio / 6,
        ClippedPolicyGradient(mean="constant", max_tokens=4): 2 * ratio / 8,
        ValueLoss(clip=0.0): 0.5,
        EntropyBonus(mean="sequence"): -1.0,
        KLToReference(kind="k1", mean="token"): 0.1,
    }
    for objective, value in wanted.items():
        assert float(objective(out, batch, norm)[0]) == pytest.approx(value, abs=1e-6)


def test_values_are_compared_before_the_token_and_scores_read_after_it():
    tokens = np.array([1, 2, 3], np.int32)
    columns = {
        "weight": np.array([0, 0, 1], np.float32),
        "returns": np.array([0, 0, 7], np.float32),
    }
    samples = [Sample("policy", (Sequence(tokens, columns),), {"label": 1.0})]
    batch, norm = collate(samples), step_norm(samples)
    out = SimpleNamespace(value=torch.tensor([[10.0, 20.0, 30.0]]))
    _, metrics = ValueLoss(clip=0.0)(out, batch, norm)
    assert float(metrics["value"]) == 20.0  # after reading token 1, before choosing token 2
    _, metrics = LabelledReward()(out, batch, norm)
    assert float(metrics["score"]) == 30.0  # after the whole answer


def test_two_rows_of_a_ranking_are_bradley_terry():
    pairs = drawn_samples(PairwiseReward())
    one, _, slope = step(PairwiseReward(), [pairs])
    other, _, same = step(RankedReward(), [pairs])
    assert one == pytest.approx(other)
    assert torch.allclose(slope, same)


def test_preferences_turn_round_with_their_rows_and_labels():
    samples = drawn_samples(Preference(soft_labels=True))
    turned = [
        dataclasses.replace(
            s, sequences=s.sequences[::-1], columns={"label": 1 - s.columns["label"]}
        )
        for s in samples
    ]
    one, metrics, _ = step(Preference(soft_labels=True), [samples])
    other, turned_metrics, _ = step(Preference(soft_labels=True), [turned])
    assert one == pytest.approx(other)
    assert turned_metrics["margin"] == pytest.approx(-metrics["margin"])
    assert turned_metrics["accuracy"] == pytest.approx(1 - metrics["accuracy"])


def test_dpo_at_its_reference_has_margin_zero_and_loss_log_two():
    samples = drawn_samples(Preference())
    batch = double(collate(samples))
    reference = Table().outputs(batch, frozenset({"logp"})).logp.detach()
    batch = dataclasses.replace(batch, columns={**batch.columns, "logp_reference": reference})
    out = Table().outputs(batch, frozenset({"logp"}))
    loss, metrics = Preference()(out, batch, step_norm(samples))
    assert loss.item() == pytest.approx(math.log(2))
    assert (float(metrics["margin"]), float(metrics["accuracy"])) == (0.0, 0.0)


def test_superhf_with_the_exact_divergence_anchors_to_the_reference():
    objective = AnchoredLikelihood(kl="exact", kl_coef=0.5)
    assert objective.uses == {"logp", "logits", "logits_reference"}
    samples = drawn_samples(objective)
    loss, metrics, slope = step(objective, [samples])
    batch, model = double(collate(samples)), Table()
    weight = batch.columns["weight"][:, 1:]
    forward = kl(model.reference[batch.tokens], model.logits[batch.tokens])[:, :-1]
    wanted = ((weight * forward).sum() / weight.sum()).item()
    assert metrics["kl_reference"] == pytest.approx(wanted)
    assert loss == pytest.approx(metrics["nll"] + 0.5 * wanted)
    found, _, cut = step(objective, [samples[:2], samples[2:]])
    assert found == pytest.approx(loss)
    assert torch.allclose(cut, slope)


def test_the_mismatch_of_a_sampler_is_reported():
    samples = policy_samples([1.0, -1.0], [2, 4])
    for sample in samples:
        row = sample.sequences[0]
        row.columns["logp_sampling"] = -1.5 * row.columns["weight"]  # type: ignore[index]
    batch = collate(samples)
    objective = ClippedPolicyGradient(importance_cap=1.2, mean="token")
    loss, metrics = objective(Given(-1.0)(batch), batch, step_norm(samples))
    # hand: l = 0.5, weight e^0.5 = 1.6487 cut off at 1.2; loss -(2 - 4) * 1.2 / 6
    assert float(loss) == pytest.approx(0.4)
    assert float(metrics["mismatch/gap"]) == pytest.approx(0.5)
    assert float(metrics["mismatch/kl"]) == pytest.approx(math.exp(0.5) - 1.5, rel=1e-5)
    assert float(metrics["importance/capped"]) == 1.0


# ---------------------------------------------------------------- with the trainer


@pytest.mark.parametrize(
    "objectives",
    [
        (ClippedPolicyGradient(), KLToReference()),
        (Preference(),),
        (SetLikelihood(),),
        (NegativeAware(),),
    ],
    ids=["grpo", "dpo", "sets", "nft"],
)
def test_the_trainer_gives_the_same_gradient_for_one_two_and_four_pieces(objectives):
    columns = frozenset().union(*(o.needs for o in objectives))
    samples = drawn_samples(objectives[0], num=12, columns=columns)
    found = []
    for size in (10_000, 60, 25):
        model = fakes.Net(torch.float64)
        trainer = Trainer(model, objectives, micro_batch_tokens=size, max_grad_norm=0.0)
        trainer.check(samples)
        trainer.gradient(samples)
        found.append((fakes.gradients(model), model.num_batches))
    assert found[0][1] == 1 and found[2][1] >= 4
    for slope, _ in found[1:]:
        assert torch.allclose(slope, found[0][0], rtol=1e-10, atol=1e-15)


def test_a_column_that_no_selector_made_is_named_before_anything_is_learnt():
    trainer = Trainer(fakes.Net(), (Preference(),), micro_batch_tokens=99, max_grad_norm=0.0)
    with pytest.raises(ConfigError, match="logp_reference"):
        trainer.check(drawn_samples(Preference(), columns=frozenset({"weight"})))
    with pytest.raises(ConfigError, match="learns from atoms of 2 sequences"):
        trainer.check(drawn_samples(Reinforce(), columns={"weight", "logp_reference"}))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Reinforce(mean="median"), "Reinforce.mean"),
        (lambda: Reinforce(max_tokens=0), "Reinforce.max_tokens"),
        (lambda: ClippedPolicyGradient(clip_low=0.0), "clip_low"),
        (lambda: ClippedPolicyGradient(dual_clip=0.5), "dual_clip"),
        (lambda: ClippedPolicyGradient(importance_cap=0.5), "importance_cap"),
        (lambda: KLToReference(kind="k4"), "kind"),
        (lambda: KLToReference(kind="exact", corrected=True), "corrected"),
        (lambda: ValueLoss(clip=-1.0), "clip"),
        (lambda: NegativeAware(least=0.6), "least"),
        (lambda: LeftoverLunch(kl_coef=0.1), "kl_coef"),
        (lambda: SetLikelihood(beta=2.0), "beta"),
        (lambda: AnchoredLikelihood(kl="k9"), "kl"),
        (lambda: Preference(beta=0.0), "beta"),
        (lambda: Preference(loss="ipo", smoothing=0.1), "smoothing"),
        (lambda: Preference(loss="hinge", soft_labels=True), "soft_labels"),
        (lambda: Preference(loss="ipo", pair_beta=True), "pair_beta"),
        (lambda: KTO(beta=-1.0), "beta"),
        (lambda: ContrastivePreference(bias=0.0), "bias"),
        (lambda: PairwiseReward(ties="davidson", margins=True), "margins"),
        (lambda: PairwiseReward(ties="rao_kupper", tie_width=0.0), "tie_width"),
        (lambda: Distillation(beta=-0.1), "beta"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(make, field):
    with pytest.raises(ConfigError, match=rf"{field} is out of range; expected .*; found"):
        make()
