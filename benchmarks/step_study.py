"""What the studies of step judges share: a start, answers and what is said of them, heads that
learn it, pieces that workers finish and that stay finished, and verdicts over seeds."""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from askesis.context import Verdicts
from askesis.explore.sample import SampleAttempts
from askesis.formulas.intervals import detectable_difference, t_interval
from askesis.lab.arms import default_workers
from askesis.lab.outside import Outside
from askesis.lab.warm_start import WarmStart
from askesis.learn.learner import Learn
from askesis.models.load import open_model
from askesis.plan import ModelSpec
from askesis.records import Group, Sample, Start, Task, TaskRole
from askesis.rng import Streams
from askesis.worlds.open import open_world
from benchmarks.diagnose_study import Pair, start_of
from benchmarks.evidence import FAILS, HOLDS, UNDECIDED
from benchmarks.machine import commit, describe

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = (0, 1, 2, 3, 4)
THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Piece:
    """What one worker does at a time: a seed of a study, and everything that decides its figures.

    start: the folder of the model that writes the answers. learnt: tasks whose answers heads learn
    from, asked: claim tasks on which they are held against the truth, each answered num_attempts
    times. num_rollouts: completions of each step. num_updates: of each head, of batch_tokens.
    """

    study: str
    seed: int
    world: str
    start: str
    learnt: int
    asked: int
    num_attempts: int = 8
    num_rollouts: int = 8
    num_updates: int = 90
    batch_tokens: int = 2048
    learning_rate: float = 1e-3

    @property
    def name(self) -> str:
        """A file name of its own for every other setting."""
        told = json.dumps(asdict(self), sort_keys=True).encode()
        return f"{self.study}-{self.seed}-{hashlib.blake2b(told, digest_size=5).hexdigest()}"


# ---------------------------------------------------------------- commands


def arguments(study: str) -> argparse.ArgumentParser:
    """The options of every study's command."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{study}")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--folder", type=Path, default=Path("runs") / study)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--learnt", type=int, help="tasks whose answers are learnt from")
    parser.add_argument("--asked", type=int, help="claim tasks that are asked")
    parser.add_argument("--updates", type=int, help="of each head")
    parser.add_argument("--demonstrations", type=int, default=1500, help="of the start")
    return parser


def pieces(study: str, world: str, given: argparse.Namespace, **sizes: Any) -> list[Piece]:
    """A piece a seed, with the start made where it is not there yet. sizes: of a whole study,
    where the command line names no others."""
    named = {"learnt": given.learnt, "asked": given.asked, "num_updates": given.updates}
    chosen = {**sizes, **{k: v for k, v in named.items() if v is not None}}
    num = given.demonstrations
    start = WarmStart(demonstrations=num, held_out=min(300, num // 4))
    which = hashlib.blake2b(world.encode(), digest_size=3).hexdigest()
    place = start_of(Pair(f"{study}, {num}, {which}", world, start), given.folder)
    return [Piece(study, seed, world, str(place), **chosen) for seed in given.seeds]


def finish(
    work: Callable[[Piece], dict[str, Any]], todo: Sequence[Piece], folder: Path, workers: int
) -> list[dict[str, Any]]:
    """What `work` says of each piece, in order; pieces that are finished are read. One process a
    worker with one thread each; a killed command goes on with what was not finished."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [folder / f"{piece.name}.json" for piece in todo]
    left = [(piece, p) for piece, p in zip(todo, places, strict=True) if not p.exists()]
    if workers <= 1 or len(left) <= 1:
        for piece, place in left:
            _keep(place, work(piece))
    else:
        os.environ.update(dict.fromkeys(THREADS, "1"))
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context) as pool:
            asked = {pool.submit(work, piece): place for piece, place in left}
            for num, done in enumerate(as_completed(asked), start=1):
                _keep(asked[done], done.result())
                print(f"{num} of {len(left)} pieces", flush=True)
    return [json.loads(place.read_text()) for place in places]


def _keep(place: Path, found: Mapping[str, Any]) -> None:
    aside = place.with_suffix(f".{os.getpid()}")
    aside.write_text(json.dumps(found))
    aside.rename(place)


def write(
    study: str,
    piece: Piece,
    found: Mapping[str, Any],
    page: Callable[[Mapping[str, Any]], str],
    given: argparse.Namespace,
) -> None:
    """results/STUDY.json with every figure, and results/STUDY.md for people."""
    settings = asdict(piece)
    for own in ("study", "seed", "start"):
        del settings[own]
    whole = {
        "command": f"python -m benchmarks.{study}",
        "date": date.today().isoformat(),
        "commit": commit(),
        "machine": describe(),
        "seeds": given.seeds,
        "settings": {**settings, "demonstrations": given.demonstrations},
        **found,
    }
    given.results.mkdir(parents=True, exist_ok=True)
    (given.results / f"{study}.json").write_text(json.dumps(whole, indent=1) + "\n")
    (given.results / f"{study}.md").write_text(page(whole))
    print(f"written to {given.results / study}.md", flush=True)


def heading(title: str, whole: Mapping[str, Any]) -> list[str]:
    """The first lines of a study's page."""
    machine, settings = whole["machine"], whole["settings"]
    return [
        f"# {title}",
        "",
        f"Generated by `{whole['command']}`; do not edit. Every figure is in the JSON beside it.",
        "",
        f"{whole['date']}, commit {whole['commit']}, {machine['processor']}, {machine['cores']} "
        f"cores, torch {machine['torch']}, one thread a worker.",
        f"`{settings['world']}`, a tiny model after {settings['demonstrations']} demonstrations of "
        f"its careless writers; {len(whole['seeds'])} seeds.",
    ]


# ---------------------------------------------------------------- asking and learning


def opened(piece: Piece, name: str, *heads: str) -> Any:
    """The start of a piece as a model of that name."""
    return open_model(name, ModelSpec(source=piece.start, heads=heads))


def tasks_of(piece: Piece, role: TaskRole, num: int) -> list[Task]:
    """Tasks of a role, no two the same, others for every seed."""
    rng = Streams(piece.seed).generator(piece.study, role.value)
    return list(open_world(piece.world).draw_distinct(role, rng, num))


def explored(outside: Outside, explorer: Any, tasks: Sequence[Task], slot: str) -> list[Group]:
    """What an explorer makes of each task; raises what the first failed one raised."""
    ctx = outside.context(slot)
    found = ctx.run([partial(explorer.explore, ctx, Start(task)) for task in tasks])
    made = _values(found)
    return [
        g if isinstance(g, Group) else Group(t.id, tuple(g))
        for g, t in zip(made, tasks, strict=True)
    ]


def answered(outside: Outside, tasks: Sequence[Task], num: int, slot: str) -> list[Group]:
    """Answers of the role "policy" at temperature 1, a group a task."""
    return explored(outside, SampleAttempts(num_attempts=num), tasks, slot)


def verdicts_of(outside: Outside, judge: Any, groups: Sequence[Group], slot: str) -> Verdicts:
    """What a judge says of groups; raises what the first failed one raised."""
    ctx = outside.context(slot)
    said = _values(ctx.run([partial(judge.judge, ctx, group) for group in groups]))
    return Verdicts(v for some in said for v in some)


def _values(outcomes: Sequence[Any]) -> list[Any]:
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.value for outcome in outcomes]


def learnt(piece: Piece, model: Any, objective: Any, samples: Sequence[Sample], **own: Any) -> Any:
    """The model, after the piece's number of updates on samples."""
    outside = Outside({model.name: model}, open_world(piece.world), seed=piece.seed)
    learn = Learn(
        objectives=(objective,),
        num_updates=piece.num_updates,
        batch_tokens=piece.batch_tokens,
        learning_rate=piece.learning_rate,
        **own,
    )
    if learn.reference:
        outside.shelf.pin(model.name, learn.reference)
    learn.learn(outside.context(f"learn.{model.name}"), model, samples, ())
    outside.close()
    return model


# ---------------------------------------------------------------- over seeds


def over_seeds(values: Sequence[float]) -> dict[str, float]:
    """A figure's mean over seeds with its t interval; seeds in which it is unknown are left out."""
    found = t_interval([v for v in values if not np.isnan(v)])
    return {"value": found.value, "low": found.low, "high": found.high}


def claimed(
    what: str, first: Sequence[float], second: Sequence[float], smallest_effect: float
) -> dict[str, Any]:
    """Is `second` above `first`? Paired by seed: holds where the interval is above 0, does not hold
    where it is below the smallest effect of interest, else undecided."""
    differences = [b - a for a, b in zip(first, second, strict=True)]
    found = over_seeds(differences)
    verdict = UNDECIDED
    if found["low"] > 0:
        verdict = HOLDS
    elif found["high"] < smallest_effect:
        verdict = FAILS
    known = [d for d in differences if not np.isnan(d)]
    error = float(np.std(known, ddof=1) / np.sqrt(len(known))) if len(known) > 1 else np.inf
    return {
        "what": what,
        **found,
        "verdict": verdict,
        "smallest_effect": smallest_effect,
        "differences": differences,
        "could_have_seen": detectable_difference(error),
    }


def claims_table(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """The claims of a page with their verdicts; differences in points."""
    lines = [
        "| claim | difference, points | 95 % over seeds | smallest of interest | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    for c in claims:
        lines.append(
            f"| {c['what']} | {100 * c['value']:+.1f} | {100 * c['low']:+.1f} to "
            f"{100 * c['high']:+.1f} | {100 * c['smallest_effect']:.0f} | {c['verdict']} |"
        )
    return lines


def percent(found: Mapping[str, float]) -> str:
    """A share with half the width of its interval, in percent."""
    half = (found["high"] - found["low"]) / 2
    return f"{100 * found['value']:.1f} ± {100 * half:.1f}"
