"""The learner: a round's samples become a few guarded updates of one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError, nearest
from askesis.learn.batching import order_of_prompts, size_of, steps_of_epoch
from askesis.learn.columns import (
    check_reference,
    frozen_module,
    lacking,
    with_own,
    with_reference,
)
from askesis.learn.divergence import Watch
from askesis.learn.optimizer import num_made, open_optimizer
from askesis.learn.precision import PRECISIONS, Precision
from askesis.learn.rates import SCHEDULES, Schedule, factor_of
from askesis.learn.several_processes import processes
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import StepReport, Trainer, fitting
from askesis.protocols import Metrics
from askesis.records import Sample

Keep = Literal["keep", "reset"]
Together = Literal["sample", "prompt"]
LAZY = {"lazy": True}  # matters only in rounds in which something was selected


@dataclass(frozen=True, kw_only=True)
class Learn:
    """Minimise objectives on the selected samples with AdamW.

    objectives: what is minimised, their sum weighted by each one's `coef`.
    columns: what makes further columns of the samples before the first update, in this order
        (`askesis.learn.credit`); they may read logp_old, value_old and logp_reference.
    epochs: passes over the round's samples, at least 1; more than one or two on few samples
        memorises them.
    num_updates: exactly so many updates instead, passing over the samples as often as needed
        (None: `epochs` decides).
    batch_tokens: tokens an update learns from, at least the largest sample; updates of one pass
        are made equally large, so this is a target. 4096 gives a small model several updates a
        round.
    num_batches: exactly so many updates a pass instead, as far as there are samples (None:
        `batch_tokens` decides). 1 learns from the whole round at once, which is on-policy.
    together: sample | prompt: what is drawn into an update as one. Single samples make the least
        noisy updates; whole groups of samples with one prompt share its computation, which for
        attempts as long as their prompt halves the time.
    micro_batch_tokens: positions a forward pass holds; changes speed and memory only. Small ones
        stay in the cache of a processor core; a GPU wants 16384 and more.
    precision: float32 | bfloat16 | auto: of the matrix products; weights, log-probabilities and
        losses stay as they are. auto is bfloat16 where the machine is faster at it, and so not
        the same on every machine.
    recompute: compute activations again in the backward pass instead of keeping them: a third
        more arithmetic, memory that hardly grows with depth.
    learning_rate: peak, above 0. 1e-3 fits models of about a million parameters; a billion wants
        about 1e-5.
    schedule: constant | linear | cosine | refined, over the updates of this call, or infinite,
        over all updates of the optimiser. Constant by default: rounds that continue would
        otherwise end every round at zero. refined is linear, bent by `grad_norms`.
    warmup_fraction: share of the updates in which the rate rises, in [0, 1); the first steps of
        a new optimiser are large in every coordinate. refined has its own warm-up.
    warmup_updates, cooldown_updates, level: the infinite schedule: the rate has risen to the peak
        after the first, fallen to `level` of it after the second, and stays there for ever.
    grad_norms: of the refined schedule: the gradient norms of an earlier call, in order, each
        above 0; any number of them, they are stretched over this call's updates.
    betas: decay of Adam's two averages, each in [0, 1); 0.95 forgets the last round soon enough.
    weight_decay: decoupled, on matrices only, at least 0; 0 because rounds are short.
    max_grad_norm: longer gradients are scaled down to this (0: never).
    reference: base | previous | phase_start | any kept tag, or another model of the run: what the
        column logp_reference and divergences are taken from, where an objective needs them.
    start: continue | base | any kept tag: the weights learning begins from.
    optimizer: keep | reset: whether Adam's averages survive from the last round.
    """

    objectives: tuple[Any, ...] = field(default=(Supervised(),), metadata=LAZY)
    columns: tuple[Any, ...] = field(default=(), metadata=LAZY)
    epochs: int = field(default=1, metadata=LAZY)
    num_updates: int | None = field(default=None, metadata=LAZY)
    batch_tokens: int = field(default=4096, metadata=LAZY)
    num_batches: int | None = field(default=None, metadata=LAZY)
    together: Together = field(default="sample", metadata=LAZY)
    micro_batch_tokens: int = field(default=1024, metadata=LAZY)
    precision: Precision = field(default="float32", metadata=LAZY)
    recompute: bool = field(default=False, metadata=LAZY)
    learning_rate: float = field(default=1e-3, metadata=LAZY)
    schedule: Schedule = field(default="constant", metadata=LAZY)
    warmup_fraction: float = field(default=0.1, metadata=LAZY)
    warmup_updates: int = field(default=50, metadata=LAZY)
    cooldown_updates: int = field(default=150, metadata=LAZY)
    level: float = field(default=0.1, metadata=LAZY)
    grad_norms: tuple[float, ...] = field(default=(), metadata=LAZY)
    betas: tuple[float, float] = field(default=(0.9, 0.95), metadata=LAZY)
    weight_decay: float = field(default=0.0, metadata=LAZY)
    max_grad_norm: float = field(default=1.0, metadata=LAZY)
    reference: str = field(default="", metadata=LAZY)
    start: str = "continue"
    optimizer: Keep = "keep"

    def __post_init__(self) -> None:
        limits = {
            "objectives": (bool(self.objectives), "at least one objective"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "num_updates": (self.num_updates is None or self.num_updates >= 1, "at least 1"),
            "batch_tokens": (self.batch_tokens >= 1, "at least 1"),
            "num_batches": (self.num_batches is None or self.num_batches >= 1, "at least 1"),
            "micro_batch_tokens": (self.micro_batch_tokens >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < float("inf"), "a number above 0"),
            "together": (self.together in get_args(Together), "sample or prompt"),
            "precision": (self.precision in PRECISIONS, " or ".join(PRECISIONS)),
            "warmup_updates": (
                0 <= self.warmup_updates <= self.cooldown_updates,
                "at least 0 and at most cooldown_updates",
            ),
            "level": (0 < self.level <= 1, "in (0, 1]"),
            "grad_norms": (
                all(0 < g < float("inf") for g in self.grad_norms)
                and (len(self.grad_norms) > 1 or self.schedule != "refined"),
                "at least two numbers above 0",
            ),
            "warmup_fraction": (0 <= self.warmup_fraction < 1, "in [0, 1)"),
            "betas": (len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas), "in [0, 1)"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "max_grad_norm": (self.max_grad_norm >= 0, "at least 0"),
            "optimizer": (self.optimizer in get_args(Keep), "keep or reset"),
            "start": (bool(self.start), "continue, base, or a kept tag"),
        }
        for name, (fits, expected) in limits.items():
            if not fits:
                raise ConfigError(
                    f"Learn.{name} is out of range",
                    expected=expected,
                    found=repr(getattr(self, name)),
                )
        if self.schedule not in SCHEDULES:
            raise ConfigError(
                f"there is no schedule {self.schedule!r}", hint=nearest(self.schedule, SCHEDULES)
            )

    def learn(
        self, ctx: Any, model: Any, samples: Sequence[Sample], hooks: Sequence[Any]
    ) -> Metrics:
        """Metrics: see docs/metrics.md. Without samples nothing is updated, and it says so.

        Raises ConfigError for samples that do not fit the model, the objectives or the budget of
        an update, LearningDiverged or ModelError where learning diverged.
        """
        self._begin(ctx, model)
        usable = fitting(model, samples)
        metrics: Metrics = {
            "num_samples": len(usable),
            "num_skipped": len(samples) - len(usable),
            "num_updates": 0,
            "num_refused": 0,
            "tokens": 0,
        }
        if not usable:
            return metrics
        trainer = Trainer(
            model,
            self.objectives,
            micro_batch_tokens=self.micro_batch_tokens,
            max_grad_norm=self.max_grad_norm,
            hooks=hooks,
            precision=self.precision,
            recompute=self.recompute,
            processes=processes(),
        )
        for maker in self.columns:
            trainer.needs |= maker.needs
        if trainer.needs_reference:
            check_reference(ctx, model, self.reference)
            usable = with_reference(trainer, ctx, self.reference, usable)
        if trainer.uses & {"kl", "logits_reference"}:
            trainer.reference = frozen_module(ctx, model, self.reference)
        steps = list(self._steps(model, usable, ctx.generator("order")))
        if self.columns:
            usable = with_own(trainer, usable)
        else:  # the first update computes its own on the way
            trainer.fresh = lacking(trainer, usable)
            usable = with_own(trainer, usable, {int(i) for step in steps[1:] for i in step})
        for maker in self.columns:
            usable, found = maker(usable)
            metrics |= found
        trainer.check(usable)
        optimizer = open_optimizer(
            model,
            betas=self.betas,
            weight_decay=self.weight_decay,
            groups=_param_groups(hooks, model),
        )
        made = num_made(optimizer)
        watch, reports = Watch(model.name, self.learning_rate), []
        for index, chosen in enumerate(steps):
            factor = factor_of(self, index, len(steps), made + index)
            step = [usable[i] for i in chosen]
            report = trainer.update(optimizer, step, factor * self.learning_rate)
            trainer.fresh = frozenset()
            ctx.meter.add("trained", report.tokens)
            ctx.meter.add("updates", 0 if report.refused else 1)
            reports.append(report)
            watch.look(report)
        trainer.forget()
        model.version += 1
        return metrics | summary(reports)

    def _begin(self, ctx: Any, model: Any) -> None:
        """The weights and the optimiser that learning starts from."""
        if not model.trainable:
            raise ConfigError(
                f"model {model.name!r} is frozen and cannot learn",
                hint=f"--models.{model.name}.trainable true"
                if model.module is not None
                else "a model behind an endpoint has no weights here",
            )
        if self.start != "continue":
            kept = model.copy_optimizer()
            ctx.shelf.restore(model, self.start)
            model.load_optimizer(kept)
        if self.optimizer == "reset":
            model.load_optimizer(None)

    def _steps(
        self, model: Any, samples: Sequence[Sample], rng: np.random.Generator
    ) -> Iterator[np.ndarray]:
        """Which samples make each update, all epochs one after another."""
        sizes = np.array([size_of(s) for s in samples])
        batch_tokens: float = self.batch_tokens
        if self.num_batches is not None:
            batch_tokens = int(sizes.sum()) / self.num_batches
        elif sizes.max() > self.batch_tokens:
            raise ConfigError(
                f"an update of model {model.name!r} cannot hold the largest sample",
                expected=f"samples of at most {self.batch_tokens} tokens, which is batch_tokens",
                found=f"one of {sizes.max()}",
                hint=f"--learn.{model.name}.batch-tokens {sizes.max()} or more",
            )
        made, epoch = 0, 0
        while epoch < self.epochs if self.num_updates is None else made < self.num_updates:
            if self.together == "prompt":
                order = order_of_prompts(samples, rng)
            else:
                order = rng.permutation(len(sizes))
            for chosen in steps_of_epoch(sizes, batch_tokens, order):
                if self.num_updates is not None and made == self.num_updates:
                    return
                made += 1
                yield chosen
            epoch += 1


def summary(reports: Sequence[StepReport]) -> Metrics:
    """The metrics of a call's updates: means over those that were applied."""
    applied = [r for r in reports if not r.refused]
    tokens, positions = sum(r.tokens for r in reports), sum(r.positions for r in reports)
    padding = sum(r.padding for r in reports)
    found: Metrics = {
        "num_updates": len(applied),
        "num_refused": len(reports) - len(applied),
        "tokens": tokens,
        "padding_fraction": padding / positions if positions else 0.0,
        "shared_fraction": 1 - (positions - padding) / tokens if tokens else 0.0,
    }
    if applied:
        found["loss"] = float(np.mean([r.loss for r in applied]))
        found["loss/first"], found["loss/last"] = applied[0].loss, applied[-1].loss
        found["grad_norm"] = float(np.mean([r.grad_norm for r in applied]))
        found["grad_norm/max"] = max(r.grad_norm for r in applied)
        for name in dict.fromkeys(k for r in applied for k in r.metrics):
            found[name] = float(np.mean([r.metrics[name] for r in applied if name in r.metrics]))
    return found


def _param_groups(hooks: Sequence[Any], model: Any) -> Sequence[dict[str, Any]]:
    """The groups of the retainer that makes any; two of them cannot both decide."""
    makers = [(hook, ctx) for hook, ctx in hooks if hasattr(hook, "param_groups")]
    if len(makers) > 1:
        names = " and ".join(type(hook).__name__ for hook, _ in makers)
        raise ConfigError(f"{names} both make parameter groups", hint="keep one of them")
    return makers[0][0].param_groups(makers[0][1], model) if makers else ()
