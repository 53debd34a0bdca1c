"""One trainer for all objectives: gradients of a whole step in pieces, and guarded updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from askesis.errors import ConfigError
from askesis.learn.batch import collate, size_of, step_norm
from askesis.learn.batching import is_learnt, micro_batches
from askesis.learn.checks import check_samples
from askesis.learn.divergence import LearningDiverged
from askesis.learn.optimizer import set_learning_rate
from askesis.learn.precision import Precision, product_dtype
from askesis.learn.references import BESIDE, outputs_beside
from askesis.learn.step_report import StepReport, prefixes
from askesis.learn.threads import each, workers_for
from askesis.records import Sample

T = TypeVar("T")
SENSELESS = 300.0  # nats a token; no honest learning makes what it reads so unlikely
OWN = {"logp_old": "logp", "value_old": "value"}  # column -> what it is of the model's outputs


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
    reference: another model of the same vocabulary, for objectives that use "kl" or
    "logits_reference". processes: several processes that each compute a part of every step
    (`askesis.learn.several_processes`).

    Metrics of one objective have the names that it gives them; those of several stand below the
    objective's name, beside its share of the loss: `kl_to_reference/kl_reference`.
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
        self.prefixes = prefixes(objectives)
        self.micro_batch_tokens, self.max_grad_norm = micro_batch_tokens, max_grad_norm
        self.uses = frozenset().union(*(o.uses for o in self.objectives))
        self.needs = frozenset().union(*(o.needs for o in self.objectives))
        self.extra = [pair for pair in hooks if hasattr(pair[0], "extra_loss")]
        self.transform = [pair for pair in hooks if hasattr(pair[0], "transform_step")]
        self.after = [pair for pair in hooks if hasattr(pair[0], "on_step_end")]
        self.trained = [p for p in model.module.parameters() if p.requires_grad]
        self.device = self.trained[0].device if self.trained else None
        self.num_workers = workers_for(self.trained) if num_workers is None else num_workers
        self.pad_token = model.renderer.pad_token if model.renderer is not None else 0
        self.packs = bool(getattr(model, "packs", False))
        self.dtype = product_dtype(precision, self.device)
        self.reference, self.processes = reference, processes
        self.fresh: frozenset[str] = frozenset()  # columns of `OWN` to take from the forward pass
        _set_recompute(model, recompute)

    @property
    def needs_reference(self) -> bool:
        """Whether an objective compares with another snapshot."""
        return "logp_reference" in self.needs or bool(self.uses & BESIDE)

    def check(self, samples: Sequence[Sample]) -> None:
        """Raises ConfigError for samples that are not for this model or these objectives."""
        check_samples(self.model, self.objectives, self.needs - self.fresh, samples)

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
        """`function` of every micro-batch, in order (`askesis.learn.threads`)."""
        return each(function, pieces, self.num_workers)

    def _forward(self, samples: list[Sample], norm: Mapping[str, float]) -> tuple[_Piece, Tensor]:
        batch = collate(samples, self.pad_token, self.device)
        out = self._outputs(batch)
        if self.fresh:
            own = {name: _own(out, name) for name in self.fresh}
            batch = replace(batch, columns={**batch.columns, **own})
        total: Any = 0.0
        metrics: dict[str, Tensor] = {}
        for prefix, objective in zip(self.prefixes, self.objectives, strict=True):
            loss, found = objective(out, batch, norm)
            share = objective.coef * loss
            total = total + share
            if prefix:
                metrics[f"{prefix}loss_share"] = share.detach()
            for name, value in found.items():
                metrics[prefix + name] = torch.as_tensor(value).detach()
        positions = getattr(out, "positions", max(batch.tokens.numel(), batch.num_tokens))
        padding = max(0, positions - batch.num_tokens)
        return _Piece(total.detach(), metrics, batch.num_tokens, positions, padding), total

    def _outputs(self, batch: Any) -> Any:
        """The forward pass of one micro-batch: all that objectives and `fresh` columns ask for."""
        uses = self.uses | {OWN[name] for name in self.fresh}
        with self.autocast():
            if not uses & BESIDE:
                return self.model.outputs(batch, uses)
            batch = replace(batch, reference=self.reference.module)
            return outputs_beside(self.model, self.reference, batch, uses)

    def update(
        self, optimizer: torch.optim.Optimizer, samples: Sequence[Sample], learning_rate: float
    ) -> StepReport:
        """One guarded update: never applied where the loss or the gradient is not finite.

        Raises LearningDiverged where the weights themselves are no longer finite.
        """
        self.forget()
        report = self.gradient(samples)
        gradients = [p.grad for p in self.trained if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
        report.grad_norm = float(norm)
        report.refused = self._refusal(report, learning_rate)
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

    @torch.no_grad()
    def check_sense(self, samples: Sequence[Sample], learning_rate: float) -> None:
        """Raises LearningDiverged where the model can no longer read what it has learnt from.

        Looks at the shortest of `samples` alone; what an update did is otherwise seen by the next
        one, which may be in a round that is never made.
        """
        sample = min((s for s in samples if is_learnt(s)), key=size_of, default=None)
        if sample is None:
            return
        batch = collate([sample], self.pad_token, self.device)
        with self.autocast():
            out = self.model.outputs(batch, frozenset({"logp"} | (self.uses & {"value"})))
        found = ""
        numbers = [out.logp] + ([out.value] if "value" in self.uses else [])
        logp = out.logp[batch.mask].float()
        if not all(bool(torch.isfinite(x[batch.mask]).all()) for x in numbers):
            found = "what it says after the last update is not finite"
        elif len(logp) and float(logp.mean()) < -SENSELESS:
            found = f"{float(logp.mean()):.3g} nats for a token that it has just learnt from"
        if found:
            raise LearningDiverged(self.model.name, found, learning_rate / 3)

    def forget(self) -> None:
        """Drop the gradients."""
        for parameter in self.trained:
            parameter.grad = None

    def _refusal(self, report: StepReport, learning_rate: float) -> str:
        finite = torch.isfinite(torch.tensor([report.loss, report.grad_norm]))
        if bool(finite.all()):
            return ""
        if not all(bool(torch.isfinite(p).all()) for p in self.trained):
            found = "weights that are no longer finite"
            raise LearningDiverged(self.model.name, found, learning_rate / 3)
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
