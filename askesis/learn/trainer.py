"""One trainer for all objectives: gradients of a whole step in pieces, and guarded updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from askesis.errors import ConfigError, ModelError
from askesis.learn.batching import collate, is_learnt, micro_batches, size_of, step_norm
from askesis.learn.optimizer import set_learning_rate
from askesis.learn.precision import Precision, product_dtype
from askesis.records import Sample

T = TypeVar("T")
SMALL = 20_000_000  # trained parameters; larger ones fill all cores with one product, and a copy
# of their gradient per thread would be memory worth having
OWN = {"logp_old": "logp", "value_old": "value"}  # column -> what it is of the model's outputs
ATOM_SIZES = {"pair": 2}  # how many sequences an atom must have, where that is fixed


@dataclass(slots=True)
class StepReport:
    """What one optimiser step did.

    tokens: real tokens learnt from, contexts included. positions: those that were computed, of
    which `padding` were padding; fewer than `tokens` where beginnings were shared. refused: why
    the update was not applied ("" where it was).
    """

    loss: float = 0.0
    grad_norm: float = 0.0
    tokens: int = 0
    positions: int = 0
    padding: int = 0
    refused: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one micro-batch adds to a step."""

    loss: Tensor
    metrics: Mapping[str, Tensor]
    tokens: int
    positions: int
    padding: int


class Trainer:
    """Trains one model on steps of samples.

    objectives: what is minimised, the sum of coef * loss. micro_batch_tokens: padded positions a
    forward pass may have. max_grad_norm: gradients longer than this are scaled down to it (0:
    never). hooks: (retainer, its Context) pairs. num_workers: micro-batches computed at once
    (None: as many as torch has threads for a small model on a CPU, else 1). precision: of the
    matrix products (`askesis.learn.precision`); weights, log-probabilities, losses and sums stay
    as they are. recompute: keep little for the backward pass and compute the rest again there.
    reference: another module of the same vocabulary, for objectives that use "kl". processes:
    several processes that each compute a part of every step (`askesis.learn.several_processes`).
    """

    def __init__(
        self,
        model: Any,
        objectives: Sequence[Any],
        *,
        micro_batch_tokens: int,
        max_grad_norm: float,
        hooks: Sequence[tuple[Any, Any]] = (),
        num_workers: int | None = None,
        precision: Precision = "float32",
        recompute: bool = False,
        reference: Any = None,
        processes: Any = None,
    ) -> None:
        self.model, self.objectives = model, tuple(objectives)
        self.micro_batch_tokens, self.max_grad_norm = micro_batch_tokens, max_grad_norm
        self.uses = frozenset().union(*(o.uses for o in self.objectives))
        self.needs = frozenset().union(*(o.needs for o in self.objectives))
        self.extra = [pair for pair in hooks if hasattr(pair[0], "extra_loss")]
        self.transform = [pair for pair in hooks if hasattr(pair[0], "transform_step")]
        self.after = [pair for pair in hooks if hasattr(pair[0], "on_step_end")]
        self.trained = [p for p in model.module.parameters() if p.requires_grad]
        self.device = self.trained[0].device if self.trained else None
        if num_workers is None:
            small = sum(p.numel() for p in self.trained) <= SMALL
            on_cpu = self.device is not None and self.device.type == "cpu"
            num_workers = torch.get_num_threads() if small and on_cpu else 1
        self.num_workers = num_workers
        self.pad_token = model.renderer.pad_token if model.renderer is not None else 0
        self.packs = bool(getattr(model, "packs", False))
        self.dtype = product_dtype(precision, self.device)
        self.reference, self.processes = reference, processes
        self.fresh: frozenset[str] = frozenset()  # columns of `OWN` to take from the forward pass
        _set_recompute(model, recompute)

    @property
    def needs_reference(self) -> bool:
        """Whether an objective compares with another snapshot."""
        return "logp_reference" in self.needs or bool(self.uses & {"kl", "logits_reference"})

    def check(self, samples: Sequence[Sample]) -> None:
        """Raises ConfigError for samples that are not for this model or these objectives."""
        for sample in samples[:1]:
            if sample.model != self.model.name:
                raise ConfigError(
                    f"samples for model {sample.model!r} were handed to the learner of "
                    f"{self.model.name!r}",
                    hint="select and learn need the same model name in the recipe",
                )
            rows = [r.columns for r in sample.sequences] or [sample.arrays]
            made = set(sample.columns).union(*rows)
            if missing := self.needs - made - self.fresh:
                raise ConfigError(
                    f"the objectives of model {self.model.name!r} need the columns "
                    f"{', '.join(sorted(missing))}",
                    found=", ".join(sorted(made)) or "none",
                    hint="choose a selector that makes them",
                )
        for sample in samples:
            for name, values in _columns(sample):
                if not np.isfinite(values).all():
                    raise ConfigError(
                        f"the column {name!r} of a sample for model {self.model.name!r} is not "
                        "finite",
                        found=f"NaN or infinity, made from {', '.join(sample.sources)}",
                        hint="let the selector leave out what has no finite reward",
                    )
        for objective in self.objectives:
            wanted = ATOM_SIZES.get(objective.atom)
            wrong = [s for s in samples if wanted and len(s.sequences) != wanted]
            if wrong:
                raise ConfigError(
                    f"{type(objective).__name__} learns from atoms of {wanted} sequences",
                    found=f"a sample with {len(wrong[0].sequences)}",
                    hint="choose a selector that makes pairs",
                )

    def gradient(self, samples: Sequence[Sample]) -> StepReport:
        """Add the gradient of one whole step to the parameters' `.grad`.

        The step is cut into micro-batches, each divided by the step's own counts, so the cut
        changes rounding and nothing else. Samples that nothing is learnt from count in the step
        and are not computed. Several processes each compute every n-th micro-batch; what they
        found is added up before the retainers' losses, which every process computes.
        """
        report = StepReport()
        norm = step_norm(samples)
        pieces = self.pieces([s for s in samples if is_learnt(s)])
        if self.processes is not None:
            pieces = self.processes.share(pieces)
        losses: list[Tensor] = []
        metrics: dict[str, list[Tensor]] = {}
        for piece in self._served(pieces, norm):
            losses.append(piece.loss)
            for name, value in piece.metrics.items():
                metrics.setdefault(name, []).append(value)
            report.tokens += piece.tokens
            report.positions += piece.positions
            report.padding += piece.padding
        report.loss = _sum(losses)
        report.metrics = {k: _sum(v) for k, v in metrics.items()}
        if self.processes is not None:
            self.processes.add_up(report, self.trained)
        for hook, ctx in self.extra:
            extra = hook.extra_loss(ctx, self.model)
            if extra.requires_grad:
                extra.backward()
            report.loss += float(extra.detach())
        return report

    def pieces(self, samples: Sequence[Sample]) -> list[list[Sample]]:
        """The micro-batches of a step for this model."""
        return list(micro_batches(samples, self.micro_batch_tokens, self.packs))

    def autocast(self) -> AbstractContextManager[Any]:
        """Products in the trainer's precision, for the thread that enters it."""
        if self.dtype is None or self.device is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def _served(self, pieces: list[list[Sample]], norm: Mapping[str, float]) -> Iterator[_Piece]:
        """The pieces' losses, in order, their gradients added to `.grad` in the same order."""

        def one(samples: list[Sample]) -> tuple[_Piece, tuple[Tensor | None, ...]]:
            piece, total = self._forward(samples, norm)
            if self.num_workers == 1:  # large models add to `.grad` in place
                total.backward()
                return piece, ()
            return piece, torch.autograd.grad(total, self.trained, allow_unused=True)

        for piece, gradients in self.each(one, pieces):
            for parameter, gradient in zip(self.trained, gradients, strict=False):
                if gradient is not None:
                    _add(parameter, gradient)
            yield piece

    def each(
        self, function: Callable[[list[Sample]], T], pieces: list[list[Sample]]
    ) -> Iterator[T]:
        """`function` of every micro-batch, in order.

        Small models on a CPU work on several pieces at once, one thread each: their products are
        too small to be worth splitting, and threads that split them wait for each other at every
        one (on a busy machine for seconds). Every piece is computed by one thread and results
        keep their order, so the bits do not depend on how many work at once.
        """
        if self.num_workers == 1:
            yield from map(function, pieces)
            return
        whole = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            if len(pieces) == 1:
                yield function(pieces[0])
                return
            with ThreadPoolExecutor(
                self.num_workers, initializer=lambda: torch.set_num_threads(1)
            ) as workers:
                yield from workers.map(function, pieces)
        finally:
            torch.set_num_threads(whole)

    def _forward(self, samples: list[Sample], norm: Mapping[str, float]) -> tuple[_Piece, Tensor]:
        batch = collate(samples, self.pad_token, self.device)
        if self.reference is not None:
            batch = replace(batch, reference=self.reference)
        with self.autocast():
            out = self.model.outputs(batch, self.uses | {OWN[name] for name in self.fresh})
        if self.fresh:
            own = {name: _own(out, name) for name in self.fresh}
            batch = replace(batch, columns={**batch.columns, **own})
        total: Any = 0.0
        metrics: dict[str, Tensor] = {}
        for objective in self.objectives:
            loss, found = objective(out, batch, norm)
            total = total + objective.coef * loss
            metrics |= {name: torch.as_tensor(value).detach() for name, value in found.items()}
        positions = getattr(out, "positions", max(batch.tokens.numel(), batch.num_tokens))
        padding = max(0, positions - batch.num_tokens)
        return _Piece(total.detach(), metrics, batch.num_tokens, positions, padding), total

    def update(
        self, optimizer: torch.optim.Optimizer, samples: Sequence[Sample], learning_rate: float
    ) -> StepReport:
        """One guarded update: never applied where the loss or the gradient is not finite.

        Raises ModelError where the weights themselves are no longer finite.
        """
        self.forget()
        report = self.gradient(samples)
        gradients = [p.grad for p in self.trained if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
        report.grad_norm = float(norm)
        report.refused = self._refusal(report)
        if report.refused:
            self.forget()
            return report
        if self.max_grad_norm and report.grad_norm > self.max_grad_norm:
            torch._foreach_mul_(gradients, self.max_grad_norm / report.grad_norm)
        before = None
        if self.transform:
            before = {k: v.detach().clone() for k, v in self.model.weights().items()}
        set_learning_rate(optimizer, learning_rate)
        optimizer.step()
        for hook, ctx in self.transform:
            hook.transform_step(ctx, self.model, before)
        for hook, ctx in self.after:
            hook.on_step_end(ctx, self.model)
        return report

    def forget(self) -> None:
        """Drop the gradients."""
        for parameter in self.trained:
            parameter.grad = None

    def _refusal(self, report: StepReport) -> str:
        finite = torch.isfinite(torch.tensor([report.loss, report.grad_norm]))
        if bool(finite.all()):
            return ""
        if not all(bool(torch.isfinite(p).all()) for p in self.trained):
            raise ModelError(
                f"the weights of model {self.model.name!r} are no longer finite",
                hint="the learning diverged: lower learning-rate, then fork from an earlier round",
            )
        return "loss" if not bool(finite[0]) else "gradient"


def _own(out: Any, name: str) -> Tensor:
    found = getattr(out, OWN[name]).detach()
    return before_each_token(found) if name == "value_old" else found


def before_each_token(values: Tensor) -> Tensor:
    """(B, T) values after reading each token as values before it, 0 at position 0.

    Those of array samples, (N,), are already of the moment before acting.
    """
    if values.ndim == 1:
        return values
    return torch.cat([torch.zeros_like(values[:, :1]), values[:, :-1]], 1)


def _columns(sample: Sample) -> Iterator[tuple[str, Any]]:
    """All numbers of a sample by the names of their columns."""
    yield from sample.columns.items()
    for row in sample.sequences:
        yield from row.columns.items()
    yield from ((n, a) for n, a in sample.arrays.items() if np.asarray(a).dtype.kind == "f")


def _sum(values: Sequence[Tensor]) -> float:
    return float(torch.stack([x.double().reshape(()) for x in values]).sum()) if values else 0.0


def _set_recompute(model: Any, recompute: bool) -> None:
    """Switch activation checkpointing on or off, where the model has it."""
    if hasattr(model, "set_recompute"):
        model.set_recompute(recompute)
    elif recompute:
        raise ConfigError(
            f"model {model.name!r} cannot compute activations again in the backward pass",
            hint=f"--learn.{model.name}.recompute false",
        )


def _add(parameter: Tensor, gradient: Tensor) -> None:
    """Add to `.grad`. The first is copied: what autograd returns may be shared or expanded."""
    if parameter.grad is None:
        parameter.grad = gradient.clone(memory_format=torch.contiguous_format)
    else:
        parameter.grad += gradient


def fitting(model: Any, samples: Sequence[Sample]) -> list[Sample]:
    """Samples that the model can read at all: not empty, and within its context length."""
    limit = model.renderer.context_length if model.renderer is not None else None
    return [
        s
        for s in samples
        if size_of(s) and (limit is None or all(len(r.tokens) <= limit for r in s.sequences))
    ]
