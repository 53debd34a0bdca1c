"""Train until the held-out loss stops falling: the warm start, outside any loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from askesis.errors import ConfigError
from askesis.learn.batch import collate, size_of, step_norm
from askesis.learn.batching import steps_of_epoch
from askesis.learn.checks import fitting
from askesis.learn.optimizer import open_optimizer
from askesis.learn.supervised import Supervised
from askesis.learn.trainer import Trainer
from askesis.records import Sample
from askesis.rng import Streams

WORTH = 1e-3  # a fall of the held-out loss by a smaller share than this is no fall


def fit(
    model: Any,
    samples: Sequence[Sample],
    held_out: Sequence[Sample],
    *,
    learning_rate: float = 3e-3,
    batch_tokens: int = 8192,
    micro_batch_tokens: int = 1024,
    num_warmup: int = 50,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    max_grad_norm: float = 1.0,
    evaluate_every: int = 25,
    patience: int = 4,
    num_decays: int = 2,
    decay_factor: float = 0.3,
    max_updates: int = 4000,
    max_seconds: float | None = None,
    seed: int = 0,
    on_progress: Callable[[Mapping[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Supervised learning of `samples` until the loss on `held_out` stops falling.

    Every `evaluate_every` updates the held-out loss (nats a token, mean over weighted tokens) is
    taken. When it has not fallen for `patience` evaluations, the best weights come back and the
    learning rate is multiplied by `decay_factor`; after `num_decays` of that it is over. The
    model ends with the best weights seen and without an optimiser. With `max_seconds` the result
    depends on the machine's speed; without, on the arguments and versions alone.

    on_progress gets {"update", "max_updates", "loss", "held_out_loss", "best", "learning_rate",
    "seconds"} after each evaluation. Returns a report of plain values: held_out_loss,
    held_out_loss_before, train_loss, num_updates, num_tokens, num_epochs, seconds, stopped, curve
    (list of [update, held-out loss]). Raises ConfigError without samples on either side.
    """
    train, apart = fitting(model, samples), fitting(model, held_out)
    if not train or not apart:
        raise ConfigError(
            "fit needs samples to learn and others to hold out",
            found=f"{len(train)} and {len(apart)} that the model's context can hold",
        )
    trainer = Trainer(
        model, (Supervised(),), micro_batch_tokens=micro_batch_tokens, max_grad_norm=max_grad_norm
    )
    trainer.check(train[:1])
    model.load_optimizer(None)
    optimizer = open_optimizer(model, betas=betas, weight_decay=weight_decay)
    began = time.monotonic()
    best = before = held_out_loss(trainer, apart)
    best_weights = model.copy_weights()
    curve: list[list[float]] = [[0, before]]
    rate, decays, stale, num_tokens = learning_rate, 0, 0, 0
    losses: list[float] = []
    stopped = "max_updates"
    sizes = np.array([size_of(s) for s in train])
    for update, chosen in enumerate(_steps(sizes, batch_tokens, seed), start=1):
        report = trainer.update(
            optimizer, [train[i] for i in chosen], rate * min(1.0, update / max(1, num_warmup))
        )
        num_tokens += report.tokens
        losses.append(report.loss)
        late = max_seconds is not None and time.monotonic() - began >= max_seconds
        if update % evaluate_every == 0 or update >= max_updates or late:
            now = held_out_loss(trainer, apart)
            curve.append([update, now])
            if now < best * (1 - WORTH):
                stale = 0
            else:
                stale += 1
            if now < best:
                best, best_weights = now, model.copy_weights()
            if on_progress is not None:
                on_progress(
                    {
                        "update": update,
                        "max_updates": max_updates,
                        "loss": float(np.mean(losses[-evaluate_every:])),
                        "held_out_loss": now,
                        "best": best,
                        "learning_rate": rate,
                        "seconds": time.monotonic() - began,
                    }
                )
            if stale >= patience and decays == num_decays:
                stopped = "held_out_loss"
                break
            if stale >= patience:
                decays, stale, rate = decays + 1, 0, rate * decay_factor
                model.load(best_weights)
        if late:
            stopped = "max_seconds"
            break
        if update >= max_updates:
            break
    model.load(best_weights)
    model.load_optimizer(None)
    return {
        "held_out_loss": best,
        "held_out_loss_before": before,
        "train_loss": float(np.mean(losses[-evaluate_every:])),
        "num_updates": len(losses),
        "num_tokens": num_tokens,
        "num_epochs": num_tokens / int(sizes.sum()),
        "seconds": time.monotonic() - began,
        "stopped": stopped,
        "curve": curve,
    }


def held_out_loss(trainer: Trainer, samples: Sequence[Sample]) -> float:
    """Mean negative log-likelihood of the weighted tokens, in nats a token."""
    norm, objective = step_norm(samples), Supervised()

    @torch.no_grad()
    def one(piece: list[Sample]) -> float:
        batch = collate(piece, trainer.pad_token, trainer.device)
        with trainer.autocast():
            out = trainer.model.outputs(batch, objective.uses)
        return float(objective(out, batch, norm)[0])

    return sum(trainer.each(one, trainer.pieces(samples)))


def _steps(sizes: np.ndarray, batch_tokens: int, seed: int) -> Iterator[np.ndarray]:
    """Updates without end: every epoch in an order of its own."""
    streams, epoch = Streams(seed), 0
    while True:
        order = streams.generator("fit", epoch).permutation(len(sizes))
        yield from steps_of_epoch(sizes, batch_tokens, order)
        epoch += 1
