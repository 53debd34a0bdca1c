"""The start that every recipe shares: a tiny model that has read a world's demonstrations.

A model of random weights never succeeds, and what never succeeds cannot improve itself. So the
tiny default is built from a fixed seed and learns demonstrations of the run's worlds until its
held-out loss stops falling. The result is a function of the worlds, the number of demonstrations
and the versions below alone; it is made once and cached, and every recipe, arm and seed starts
from the same weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from askesis.errors import WorldError
from askesis.learn.fit import fit
from askesis.models.load import open_model
from askesis.models.tiny import tiny_model
from askesis.plan import ModelSpec
from askesis.records import Sample, Sequence, Start
from askesis.rng import Streams
from askesis.tasks.uniform import distinct_tasks, pool_key
from askesis.worlds.open import open_world

WARM_VERSION = 1  # rises when the same settings would give other weights
# Fields of WarmStart that every key holds. One that is added later stands in a key only where it
# is not at its default: else every start there is would be made again, and none would be the one
# that earlier results began with.
_ALWAYS = frozenset(
    {
        *("demonstrations", "held_out", "habit", "seed", "max_updates", "learning_rate"),
        *("batch_tokens", "micro_batch_tokens", "patience", "num_decays"),
    }
)


@dataclass(frozen=True)
class WarmStart:
    """How a warm start is made. Per world, `demonstrations` are learnt and `held_out` others tell
    when to stop; all are of different tasks."""

    demonstrations: int = 1500
    held_out: int = 300
    habit: str = "plain"
    seed: int = 0
    max_updates: int = 4000
    learning_rate: float = 3e-3
    batch_tokens: int = 2048
    micro_batch_tokens: int = 1024
    patience: int = 3
    num_decays: int = 1


DEFAULT = WarmStart()


def cache_root() -> Path:
    """Where warm starts are kept: $ASKESIS_CACHE, else the user's cache folder."""
    given = os.environ.get("ASKESIS_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "askesis"


def warm_model(
    name: str,
    spec: ModelSpec,
    worlds: Mapping[str, str],
    settings: WarmStart | None = None,
    say: Callable[[str], None] = print,
    on_progress: Callable[[Mapping[str, float]], None] | None = None,
) -> Any:
    """The tiny model warm-started on `worlds` (name -> spec), from the cache where it is there.

    Raises WorldError where a world has neither a demonstrator nor reference answers.
    """
    settings = settings or DEFAULT
    opened = [open_world(world) for world in dict.fromkeys(worlds.values())]
    place = cache_root() / "warm" / start_key(opened, settings)
    if not (place / "warm.json").exists():
        say(f"Warm start on {', '.join(w.id for w in opened)} (made once, then cached)")
        model = tiny_model(name, seed=settings.seed)
        learnt, held_out = _samples(model, opened, settings)
        with _progress(say) as show:
            report = fit(
                model,
                learnt,
                held_out,
                learning_rate=settings.learning_rate,
                batch_tokens=settings.batch_tokens,
                micro_batch_tokens=settings.micro_batch_tokens,
                patience=settings.patience,
                num_decays=settings.num_decays,
                max_updates=settings.max_updates,
                seed=settings.seed,
                on_progress=on_progress or show,
            )
        _keep(model, place, {"settings": asdict(settings), "report": report})
        say(f"Warm start done: held-out loss {report['held_out_loss']:.3f} a token")
    return open_model(name, replace(spec, source=str(place)))


@contextmanager
def _progress(say: Callable[[str], None]) -> Iterator[Callable[[Mapping[str, float]], None]]:
    """A bar on a terminal; elsewhere a line every fifteen seconds. When the held-out loss will
    stop falling nobody knows, so the bar shows the loss and counts updates."""
    if not sys.stdout.isatty():
        yield _lines(say)
        return
    columns = (TextColumn("Warm start"), BarColumn(pulse_style="cyan"), TimeElapsedColumn(),
               TextColumn("{task.description}"))  # fmt: skip
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("reading demonstrations", total=None)
        yield lambda seen: bar.update(task, description=_told(seen))


def _lines(say: Callable[[str], None]) -> Callable[[Mapping[str, float]], None]:
    last = 0.0

    def line(seen: Mapping[str, float]) -> None:
        nonlocal last
        if seen["seconds"] - last >= 15:
            last = seen["seconds"]
            say(f"  {seen['seconds']:.0f} s: {_told(seen)}")

    return line


def _told(seen: Mapping[str, float]) -> str:
    return (
        f"update {seen['update']:.0f}, held-out loss {seen['held_out_loss']:.3f} "
        f"(best {seen['best']:.3f}; it ends when this no longer falls)"
    )


def _samples(model: Any, worlds: list[Any], settings: WarmStart) -> tuple[list[Any], list[Any]]:
    """Demonstrations as training samples; the held-out ones are of other tasks."""
    streams = Streams(settings.seed)
    learnt: list[Sample] = []
    held_out: list[Sample] = []
    for world in worlds:
        rng = streams.generator("warm start", world.id)
        num = settings.demonstrations + settings.held_out
        tasks = distinct_tasks(world, pool_key(settings.seed), num, None)
        for i, task in enumerate(tasks):
            text = world.demonstrate(task, rng, settings.habit)
            text = task.answer if text is None else text
            if text is None:
                raise WorldError(
                    f"world {world.id!r} has neither a demonstrator nor answers to start from",
                    hint="give a model that can already speak: --model PATH_OR_HUB_NAME",
                )
            sample = _sample(model, Start(task), text)
            (learnt if i < settings.demonstrations else held_out).append(sample)
    return learnt, held_out


def _sample(model: Any, start: Start, text: str) -> Sample:
    renderer = model.renderer
    context = renderer.render(start)
    answer = np.append(renderer.encode(text), renderer.end_token)
    tokens = np.concatenate([context, answer]).astype(np.int32)
    weight = np.concatenate([np.zeros(len(context)), np.ones(len(answer))]).astype(np.float32)
    return Sample(model.name, (Sequence(tokens, {"weight": weight}),))


def start_key(worlds: list[Any], settings: WarmStart) -> str:
    """Names a warm start: the worlds with their versions and options, what is demonstrated and how
    it is learnt. Worlds from a user's file stand with the file's contents."""
    told = {
        f.name: value
        for f in fields(settings)
        if (value := getattr(settings, f.name)) != f.default or f.name in _ALWAYS
    }
    ids = [world.id for world in worlds]
    what: list[Any] = [WARM_VERSION, sorted(ids), told]
    if own := sorted(digest for world in worlds if (digest := _own_file(world))):
        what.append(own)
    text = json.dumps(what, sort_keys=True)
    return f"{'+'.join(ids)[:60].replace(':', '-').replace('/', '-')}-" + (
        hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
    )


def _own_file(world: Any) -> str:
    """Digest of the user's file that a world comes from; "" for the package's own worlds."""
    module = sys.modules.get(type(world).__module__)
    source = getattr(module, "__askesis_file__", None)
    if source is None or not Path(source).is_file():
        return ""
    return hashlib.blake2b(Path(source).read_bytes(), digest_size=8).hexdigest()


def _keep(model: Any, place: Path, about: Mapping[str, Any]) -> None:
    """Into the cache whole or not at all: two runs may make the same start at once."""
    aside = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    model.save(aside)
    (aside / "warm.json").write_text(json.dumps(about, indent=1))
    try:
        aside.rename(place)
    except OSError:  # somebody else was faster
        shutil.rmtree(aside)
