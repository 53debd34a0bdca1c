"""The learner: a round's samples become a few guarded updates of one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from askesis.errors import ConfigError, must_fit, nearest
from askesis.learn.batch import size_of
from askesis.learn.batching import order_of_prompts, steps_of_epoch
from askesis.learn.checks import check_atom, check_columns, fitting
from askesis.learn.columns import BY_LEARNER, lacking, with_own, with_reference
from askesis.learn.divergence import Watch
from askesis.learn.optimizer import num_made, open_optimizer
from askesis.learn.precision import PRECISIONS, Precision
from askesis.learn.rates import SCHEDULES, Schedule, factor_of
from askesis.learn.references import BESIDE, check_reference, frozen
from askesis.learn.several_processes import processes
from askesis.learn.step_report import StepReport, summary
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import Trainer
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
        after the first, fallen to `level` of it after the second, and stays there.
    anneal_after, anneal_updates, anneal_floor: of the infinite schedule: after so many updates of
        the optimiser's life the rate falls from `level` to `anneal_floor` of the peak within the
        second number of updates, and stays there (None: never). It makes weights to be used; card
        [13] goes on learning from those before it, as a phase does that starts from a kept tag.
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
    anneal_after: int | None = field(default=None, metadata=LAZY)
    anneal_updates: int = field(default=100, metadata=LAZY)
    anneal_floor: float = field(default=0.01, metadata=LAZY)
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
            "anneal_after": (
                self.anneal_after is None
                or (self.schedule == "infinite" and self.anneal_after >= self.cooldown_updates),
                "at least cooldown_updates, with the infinite schedule",
            ),
            "anneal_updates": (self.anneal_updates >= 1, "at least 1"),
            "anneal_floor": (0 < self.anneal_floor <= self.level, "above 0, at most level"),
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
        must_fit(self, limits)
        if self.schedule not in SCHEDULES:
            raise ConfigError(
                f"there is no schedule {self.schedule!r}", hint=nearest(self.schedule, SCHEDULES)
            )

    @property
    def needs(self) -> frozenset[str]:
        """Columns that must be there before the first update."""
        return frozenset().union(*(part.needs for part in (*self.objectives, *self.columns)))

    @property
    def _uses(self) -> frozenset[str]:
        return frozenset().union(*(objective.uses for objective in self.objectives))

    def check(self, model: str, selector: Any) -> None:
        """Raises ConfigError where a selector's samples cannot be learnt: a column that neither it
        nor this learner makes, or other atoms than an objective's."""
        made = set(selector.makes) | BY_LEARNER
        for maker in self.columns:
            check_columns(model, (maker,), maker.needs, made)
            made |= maker.makes
        for objective in self.objectives:
            check_columns(model, (objective,), objective.needs, made)
            check_atom(model, objective, selector)

    def on_phase_start(self, ctx: Any) -> None:
        """Raises ConfigError where the model cannot learn or its reference will not do."""
        model = ctx.models.get(ctx.slot.partition(".")[2])
        if model is None:
            return
        _check_trainable(model)
        if "logp_reference" in self.needs or self._uses & BESIDE:
            check_reference(ctx, model, self.reference)

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
        trainer.needs = self.needs
        if trainer.needs_reference:
            check_reference(ctx, model, self.reference)
            usable = with_reference(trainer, ctx, self.reference, usable)
        if trainer.uses & BESIDE:
            trainer.reference = frozen(ctx, model, self.reference)
        steps = list(self._steps(model, usable, ctx.generator("order")))
        if self.columns:
            usable = with_own(trainer, usable)
        else:  # the first update computes its own on the way
            trainer.fresh = lacking(trainer, usable)
            usable = with_own(trainer, usable, {int(i) for step in steps[1:] for i in step})
        for maker in self.columns:
            if hasattr(maker, "asks"):
                asked = with_reference(trainer, ctx, self.reference, maker.asks(model, usable))
                usable, found = maker(usable, with_own(trainer, asked))
            else:
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
        watch, reports = Watch(model.name, self.learning_rate), list[StepReport]()
        for index, chosen in enumerate(steps):
            factor = factor_of(self, index, len(steps), made + index)
            step = [usable[i] for i in chosen]
            report = trainer.update(optimizer, step, factor * self.learning_rate)
            trainer.fresh = frozenset()
            ctx.meter.trained(report.tokens, getattr(model, "num_parameters", 0))
            ctx.meter.add("updates", 0 if report.refused else 1)
            reports.append(report)
            watch.look(report)
        trainer.forget()
        trainer.check_sense([usable[i] for i in steps[-1]], self.learning_rate)
        model.version += 1
        return metrics | summary(reports)

    def _begin(self, ctx: Any, model: Any) -> None:
        """The weights and the optimiser that learning starts from."""
        _check_trainable(model)
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


def _check_trainable(model: Any) -> None:
    if not model.trainable:
        raise ConfigError(
            f"model {model.name!r} is frozen and cannot learn",
            hint=f"--models.{model.name}.trainable true"
            if model.module is not None
            else "a model behind an endpoint has no weights here",
        )


def _param_groups(hooks: Sequence[Any], model: Any) -> Sequence[dict[str, Any]]:
    """The groups of the retainer that makes any; two of them cannot both decide."""
    makers = [(hook, ctx) for hook, ctx in hooks if hasattr(hook, "param_groups")]
    if len(makers) > 1:
        names = " and ".join(type(hook).__name__ for hook, _ in makers)
        raise ConfigError(f"{names} both make parameter groups", hint="keep one of them")
    return makers[0][0].param_groups(makers[0][1], model) if makers else ()
