"""Take the result away: a Hugging Face checkpoint, and the self-made data as a dataset.

DIR/model/               config, weights, tokeniser: AutoModelForCausalLM.from_pretrained
DIR/data/samples/        what the model learnt from, as Parquet
DIR/data/attempts/       everything it tried, with verdicts, as Parquet
DIR/data/README.md       the dataset card: datasets.load_dataset("DIR/data", "samples")
DIR/provenance.json      recipe, configuration, versions, the snapshot and its parents
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from askesis.config import from_tree
from askesis.errors import RunError
from askesis.lab.snapshots import resolve, speaking_model
from askesis.plan import Plan
from askesis.store.run_store import RunStore

ATTEMPTS_AT_ONCE = 100_000

_ROWS = """
with learnt as (
    select distinct unnest(sources) as id from samples
    where round between {first} and {last}),
judged as (
    select attempt, arg_max(value, ordinal) as score, arg_max(judge, ordinal) as judge from (
        select attempt, value, judge, row_number() over () as ordinal from verdicts
        where round between {first} and {last} and other = '' and node < 0 and value is not null)
    group by attempt),
posed as (select digest, any_value(prompt) as prompt, any_value(answer) as answer,
    any_value(family) as world, any_value(difficulty) as difficulty from tasks
    where round between {first} and {last} group by digest)
select p.prompt, a.text as completion,
    list_concat([{{'role': 'user', 'content': p.prompt}}],
        list_transform(a.turns, lambda t: {{'role': case when t.role = 'world' then 'user'
            else 'assistant' end, 'content': t.text}})) as messages,
    j.score, j.judge, l.id is not null as learnt, a.round, a.phase,
    a.author as snapshot, a.stop, a.num_tokens, a.tag, a.privileged, p.world, p.difficulty,
    p.answer as reference, a.task, a.id as attempt
from attempts a join posed p on p.digest = a.task_digest
left join judged j on j.attempt = a.id left join learnt l on l.id = a.id
where a.round between {first} and {last} order by a.round, a.id
"""

_CARD = """---
configs:
- config_name: samples
  default: true
  data_files: samples/*.parquet
- config_name: attempts
  data_files: attempts/*.parquet
tags:
- askesis
- self-improvement
- synthetic
---
# Data that a model made for itself

Made by the recipe `{recipe}` on {worlds} with askesis {version}; {rounds} rounds, seed {seed}.

| configuration | rows | what |
| --- | --- | --- |
| `samples` | {num_samples:,} | attempts that were learnt from |
| `attempts` | {num_attempts:,} | everything that was tried |

`load_dataset("path/to/this/folder", "samples")` reads it.

| column | meaning |
| --- | --- |
| prompt, completion | the task and the last thing the model said |
| messages | the whole conversation; the world speaks as `user` |
| score, judge | the last known verdict about the whole attempt, and who said it |
| learnt | whether the attempt became training data |
| round, phase, snapshot | when (rounds count from 0), and which weights said it |
| stop | why it ended (`ended`: by itself; `length`, `context`: cut off) |
| num_tokens | tokens the model generated |
| tag, privileged | what kind of start it was; help it could read that is not in the prompt |
| world, difficulty, reference, task, attempt | where it came from |

No *claim* task is in here: those are kept from runs.
"""


@dataclass(frozen=True)
class Exported:
    """What was written where."""

    snapshot: str
    model: Path
    data: Path
    num_samples: int
    num_attempts: int


def export(path: Path, to: Path, *, snapshot: str = "last") -> Exported:
    """Write a kept snapshot and the data of a run to `to`, whole or not at all.

    Raises RunError where `to` is in use, the snapshot was not kept, or the disk refuses.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise RunError(
            f"{to} is already in use", expected="a directory that does not exist",
            hint=f"askesis export {path} --to {to}-2",
        )  # fmt: skip
    store = RunStore.open(path)
    aside = to.with_name(f"{to.name}.partial-{os.getpid()}")
    try:
        plan: Plan = from_tree(store.config)
        row = resolve(store, snapshot, speaking_model(plan))
        try:
            aside.mkdir(parents=True)
            shutil.copytree(row["path"], aside / "model")
            samples, attempts = _write_data(store, aside / "data")
            _write_card(store, plan, aside / "data", samples, attempts)
            _write_provenance(store, row, aside / "provenance.json")
            if to.exists():
                to.rmdir()
            aside.rename(to)
        except OSError as error:
            raise RunError(
                f"the export cannot be written to {to} ({error.strerror or error})",
                hint="make room or choose another directory with --to",
            ) from error
    finally:
        store.close()
        shutil.rmtree(aside, ignore_errors=True)
    return Exported(row["id"], to / "model", to / "data", samples, attempts)


def _write_data(store: RunStore, directory: Path) -> tuple[int, int]:
    """Both configurations, some rounds at a time; how many rows each got."""
    writers: dict[str, pq.ParquetWriter] = {}
    counts = {"samples": 0, "attempts": 0}
    try:
        for chunk in _chunks(store):
            learnt = chunk.filter(chunk["learnt"])
            for name, rows in (("samples", learnt), ("attempts", chunk)):
                if name not in writers:
                    (directory / name).mkdir(parents=True)
                    place = directory / name / "part-00000.parquet"
                    writers[name] = pq.ParquetWriter(place, rows.schema, compression="zstd")
                writers[name].write_table(rows)
                counts[name] += rows.num_rows
    finally:
        for writer in writers.values():
            writer.close()
    return counts["samples"], counts["attempts"]


def _chunks(store: RunStore) -> Iterator[pa.Table]:
    """All attempts in the order of their rounds; at least one (perhaps empty) table."""
    rounds = [(r["round"], r["costs"].get("attempts", 0)) for r in store.rounds() if r["durable"]]
    first, waiting = 0, 0.0
    spans = []
    for index, num in rounds:
        waiting += num
        if waiting >= ATTEMPTS_AT_ONCE:
            spans.append((first, index))
            first, waiting = index + 1, 0.0
    last = rounds[-1][0] if rounds else -1
    if not spans or spans[-1][1] < last:
        spans.append((first, last))
    for begin, end in spans:
        yield store.query(_ROWS.format(first=begin, last=end))


def _write_card(store: RunStore, plan: Plan, directory: Path, samples: int, attempts: int) -> None:
    text = _CARD.format(
        recipe=plan.recipe,
        worlds=", ".join(f"`{w}`" for w in plan.worlds.values()),
        version=store.manifest.get("askesis", "?"),
        rounds=store.last_round + 1,
        seed=plan.seed,
        num_samples=samples,
        num_attempts=attempts,
    )
    (directory / "README.md").write_text(text, encoding="utf-8")


def _write_provenance(store: RunStore, row: dict[str, Any], path: Path) -> None:
    about = {
        "snapshot": {k: row[k] for k in ("id", "model", "round", "parents", "digest")},
        "config": store.config,
        "manifest": store.manifest,
        "looks": store.looks(),
    }
    path.write_text(json.dumps(about, indent=1, default=str) + "\n", encoding="utf-8")
