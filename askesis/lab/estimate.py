"""What a run would take, before it begins: time, tokens, memory, disk, and why one thinks so.

Speeds are measured here and now, for a few seconds, on the plan's own model and worlds; nothing
is written. Counts follow from the plan. What cannot be known before (how many attempts will be
right, how long answers get once the model has changed) is said as a bound or an assumption.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ModelError
from askesis.lab.figures import count, duration, size
from askesis.plan import Phase, Plan
from askesis.records import Start, Task, TaskRole
from askesis.requests import Sampling
from askesis.rng import Streams

SAMPLING_S = 2.0
LEARNING_S = 1.5
BYTES_PER_TOKEN = 10  # on disk: token id and two log-probabilities, compressed
BYTES_PER_ATTEMPT = 60
SEGMENT_S = 60.0


@dataclass(frozen=True)
class Speeds:
    """What was measured. `answer_tokens` is the mean length of an answer, prompts excluded."""

    tokens_per_s: float
    trained_per_s: float
    answer_tokens: float
    prompt_tokens: float
    num_parameters: int
    memory_bytes: float
    based_on: str


@dataclass(frozen=True)
class Amounts:
    """What the plan asks for in one round of one phase."""

    name: str
    rounds: int | None
    attempts: float
    samples: float
    epochs: float
    sampled: bool


@dataclass(frozen=True)
class Estimate:
    """The answer of `--dry-run`."""

    amounts: tuple[Amounts, ...]
    speeds: Speeds
    rounds: int
    seconds: float
    tokens: float
    trained: float
    disk_bytes: float
    notes: tuple[str, ...]

    def rows(self) -> list[tuple[str, str, str]]:
        """(what, how much, why) for a table."""
        s = self.speeds
        each = ", ".join(f"{count(a.attempts)} attempts a round ({a.name})" for a in self.amounts)
        return [
            ("rounds", count(self.rounds), each),
            (
                "tokens",
                count(self.tokens),
                f"{s.answer_tokens:.0f} a try, {s.based_on}",
            ),
            ("time", duration(self.seconds),
             f"{count(s.tokens_per_s)} tokens/s sampled and {count(s.trained_per_s)} tokens/s "
             "learnt, measured just now"),
            ("memory", size(s.memory_bytes), f"{count(s.num_parameters)} parameters"),
            ("disk", size(self.disk_bytes), "attempts, snapshots and training states"),
        ]  # fmt: skip


def estimate(plan: Plan) -> Estimate:
    """Measure for a few seconds and multiply. Raises what opening worlds and models raises."""
    from askesis.lab.begin import open_worlds

    worlds = open_worlds(plan)
    world = worlds.get("main") or next(iter(worlds.values()))
    speeds = measure(plan, world)
    amounts = tuple(_amounts(phase) for phase in plan.phases)
    rounds = seconds = tokens = trained = attempts = 0.0
    notes: list[str] = []
    for a in amounts:
        num = float(a.rounds if a.rounds is not None else 1)
        if a.rounds is None:
            notes.append(f"phase {a.name} has no number of rounds; one was counted")
        generated = a.attempts * speeds.answer_tokens if a.sampled else 0.0
        learnt = a.samples * a.epochs * (speeds.answer_tokens + speeds.prompt_tokens)
        each = generated / speeds.tokens_per_s + learnt / speeds.trained_per_s
        num, cut = _within_budget(plan, num, generated, learnt, each)
        notes += [cut] if cut else []
        rounds, seconds = rounds + num, seconds + num * each
        tokens, trained = tokens + num * generated, trained + num * learnt
        attempts += num * a.attempts
    segments = 1 + min(rounds, seconds / SEGMENT_S)
    weights = 4.0 * speeds.num_parameters
    disk = attempts * BYTES_PER_ATTEMPT + tokens * BYTES_PER_TOKEN + segments * 4 * weights
    notes.append(
        "learning is counted as if every attempt were right (up to the cap a task), an upper "
        "bound; measuring adds up to a tenth of the tokens"
    )
    if plan.models and any(m.source == "tiny" for m in plan.models.values()) and not _warm(plan):
        notes.append("the warm start of the tiny model comes on top, once (then it is cached)")
    return Estimate(
        amounts, speeds, int(rounds), seconds, tokens, trained, disk, tuple(dict.fromkeys(notes))
    )


def _amounts(phase: Phase) -> Amounts:
    """Read the counts off a phase's parts; what a part does not say counts as one."""
    parts = phase.parts
    starts = _number(parts.get("tasks"), "num", 1)
    explore = parts.get("explore")
    each = _number(explore, "num_attempts", _number(explore, "num_simulations", 1))
    attempts = starts * each
    samples = epochs = 0.0
    selectors = parts.get("select", {})
    for model, learner in dict(parts.get("learn", {})).items():
        selector = selectors.get(model) if hasattr(selectors, "get") else selectors
        cap = _number(selector, "max_per_task", each)
        samples += starts * min(each, cap or each)
        epochs = max(epochs, _number(learner, "epochs", 1))
    return Amounts(
        phase.name, phase.until.rounds, attempts, samples, epochs or 1,
        sampled=hasattr(explore, "temperature") or hasattr(explore, "num_simulations"),
    )  # fmt: skip


def _number(part: Any, field: str, otherwise: float) -> float:
    value = getattr(part, field, None)
    return float(value) if isinstance(value, int | float) else float(otherwise)


def _within_budget(
    plan: Plan, rounds: float, generated: float, learnt: float, seconds: float
) -> tuple[float, str]:
    """Rounds until a limit of the budget is reached, and which one."""
    limits = (
        ("tokens", plan.budget.tokens, generated),
        ("trained_tokens", plan.budget.trained_tokens, learnt),
        ("seconds", plan.budget.seconds, seconds),
    )
    cut = ""
    for name, limit, each in limits:
        if limit is not None and each > 0 and np.ceil(limit / each) < rounds:
            rounds, cut = float(np.ceil(limit / each)), f"budget.{name} ends it after that"
    return rounds, cut


def _warm(plan: Plan) -> bool:
    """Whether the tiny model's warm start on these worlds is already in the cache."""
    from askesis.lab import warm_start
    from askesis.worlds.open import open_world

    worlds = [open_world(w) for w in dict.fromkeys(plan.worlds.values())]
    key = warm_start.start_key(worlds, warm_start.DEFAULT)
    return (warm_start.cache_root() / "warm" / key / "warm.json").exists()


# ---------------------------------------------------------------- measuring


def measure(plan: Plan, world: Any) -> Speeds:
    """A few seconds of sampling and learning with the plan's first model. Nothing is kept."""
    from askesis.lab.begin import open_models
    from askesis.lab.speech import Answerer
    from askesis.models.load import open_model

    name, spec = next(iter(plan.models.items()))
    if spec.source.startswith("openai:"):
        raise ModelError(
            f"what a run with model {name!r} will cost cannot be estimated without paying for it",
            hint="Bind it to a limit, --budget.tokens, and begin",
        )
    tiny = spec.source == "tiny"
    if tiny and _warm(plan):
        model = open_models(plan, plan.seed, lambda message: None)[name]
    else:
        model = open_model(name, spec)
    rng = Streams(plan.seed).generator("estimate")
    tasks = world.draw(TaskRole.TRAIN, rng, 64)
    demonstrated = _demonstrations(world, tasks, rng)
    allowance = int(world.max_answer_tokens)
    first = next(iter(plan.phases[0].parts.values()), None)
    explore = plan.phases[0].parts.get("explore", first)
    temperature = _number(explore, "temperature", 1.0)
    roles = [r for r in plan.roles.values() if r.model == name]
    engine = roles[0].engine if roles else "auto"
    answerer = Answerer(model, engine=engine, allowance=allowance)
    try:
        tokens, attempts, seconds = _sample(answerer, tasks, temperature, allowance)
    finally:
        answerer.close()
    lengths = [len(model.renderer.encode(text)) + 1 for text in demonstrated.values()]
    if tiny and not _warm(plan) and lengths:
        length, based_on = float(np.mean(lengths)), "as long as the world's demonstrations"
    else:
        length, based_on = tokens / max(1, attempts), "as the model answers now"
    prompt = float(np.mean([len(model.renderer.render(Start(t))) for t in tasks]))
    trained_per_s = _learn(model, tasks, demonstrated, length) if model.trainable else float("inf")
    num = sum(int(w.numel()) for w in model.weights().values())
    return Speeds(tokens / seconds, trained_per_s, length, prompt, num, _peak_bytes(), based_on)


def _demonstrations(world: Any, tasks: list[Task], rng: Any) -> dict[str, str]:
    """Worked answers (or plain ones) by task id, where the world may show them."""
    found: dict[str, str] = {}
    for task in tasks:
        try:
            text = world.demonstrate(task, rng) or task.answer
        except Exception:
            return {}
        if text:
            found[task.id] = text
    return found


def _sample(
    answerer: Any, tasks: list[Task], temperature: float, allowance: int
) -> tuple[int, int, float]:
    """(tokens, attempts, seconds) of sampling as the plan would, after a warm-up."""
    sampling = Sampling(temperature=temperature, max_tokens=allowance)
    list(answerer.answers(None, tasks[:8], num_attempts=1, sampling=sampling, seed=0))
    began, tokens, attempts, seed = time.perf_counter(), 0, 0, 1
    while time.perf_counter() - began < SAMPLING_S:
        for _, said in answerer.answers(None, tasks, num_attempts=4, sampling=sampling, seed=seed):
            tokens += sum(s.num_tokens for s in said)
            attempts += len(said)
        seed += 1
    return max(1, tokens), attempts, time.perf_counter() - began


def _learn(model: Any, tasks: list[Task], texts: dict[str, str], length: float) -> float:
    """Tokens a second through forward, backward and optimiser. The model is thrown away."""
    from askesis.learn.optimizer import open_optimizer
    from askesis.learn.supervised import Supervised
    from askesis.learn.trainer import Trainer
    from askesis.records import Sample, Sequence

    samples = []
    for task in tasks:
        context = model.renderer.render(Start(task))
        answer = model.renderer.encode(texts.get(task.id, "0" * max(1, int(length) - 1)))
        tokens = np.concatenate([context, answer]).astype(np.int32)
        weight = np.r_[np.zeros(len(context)), np.ones(len(answer))].astype(np.float32)
        if len(tokens) <= model.renderer.context_length:
            samples.append(Sample(model.name, (Sequence(tokens, {"weight": weight}),)))
    if not samples:
        return float("inf")
    trainer = Trainer(model, (Supervised(),), micro_batch_tokens=2048, max_grad_norm=1.0)
    optimizer = open_optimizer(model, betas=(0.9, 0.95), weight_decay=0.0)
    trainer.update(optimizer, samples, 1e-6)
    began, num_tokens = time.perf_counter(), 0
    while time.perf_counter() - began < LEARNING_S:
        num_tokens += trainer.update(optimizer, samples, 1e-6).tokens
    return num_tokens / (time.perf_counter() - began)


def _peak_bytes() -> float:
    """The most memory this process has used so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)
