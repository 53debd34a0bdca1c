"""A run at a glance: what it is, how far it got, what it cost, what went wrong, what to do next.

Reads the run directory and nothing else, and works while the run is going. The command `show`
and the page are two ways of showing this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from askesis.measure.alarms.alarm import Alarm
from askesis.records import NOTHING
from askesis.store import codec
from askesis.store.lock import is_held
from askesis.store.run_store import RunStore


@dataclass(frozen=True)
class Line:
    """One round: metrics, costs and seconds by key."""

    round: int
    phase: str
    snapshots: tuple[str, ...]
    metrics: Mapping[str, float]
    costs: Mapping[str, float]
    seconds: Mapping[str, float]
    durable: bool

    @property
    def total_s(self) -> float:
        return sum(self.seconds.values())

    @property
    def num_tokens(self) -> float:
        """Tokens generated for anything but measuring."""
        return sum(
            n
            for k, n in self.costs.items()
            if k.startswith("generated/") and not k.endswith("/measure")
        )


@dataclass(frozen=True)
class Overview:
    """Everything `show` says. `state` is "running", "finished" or "interrupted"; `why` says how
    it ended. `failures` are (stage, message, how often), the most frequent first."""

    path: Path
    recipe: str
    worlds: Mapping[str, str]
    models: Mapping[str, str]
    seed: int
    state: str
    why: str
    num_rounds: int | None
    lines: tuple[Line, ...]
    costs: Mapping[str, float]
    seconds: Mapping[str, float]
    num_errors: int
    failures: tuple[tuple[str, str, int], ...]
    looks: tuple[Mapping[str, Any], ...]
    snapshots: tuple[Mapping[str, Any], ...]
    num_bytes: int
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...] = ()
    alarms: tuple[Alarm, ...] = ()
    next_steps: tuple[str, ...] = field(default=())

    @property
    def last_metrics(self) -> dict[str, float]:
        """The newest value of every metric."""
        found: dict[str, float] = {}
        for line in self.lines:
            found |= line.metrics
        return found


def overview(path: Path, store: RunStore | None = None) -> Overview:
    """Read a run directory. Raises RunError where there is no readable run."""
    opened = store or RunStore.open(path, check=False)
    try:
        return _read(path, opened)
    finally:
        if store is None:
            opened.close()


def _read(path: Path, store: RunStore) -> Overview:
    config = store.config
    by_round: dict[int, dict[str, float]] = {}
    for row in store.metrics():
        by_round.setdefault(row["round"], {})[row["key"]] = row["value"]
    lines = tuple(
        Line(
            r["round"], r["phase"], tuple(r["snapshots"]), by_round.get(r["round"], {}),
            r["costs"], r["seconds"], r["durable"],
        )
        for r in store.rounds()
    )  # fmt: skip
    costs: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for line in lines:
        costs.update(line.costs)
        seconds.update(line.seconds)
    errors = store.errors()
    failures = Counter((e["stage"], e["message"]) for e in errors)
    why = _why_stopped(store)
    state = "running" if is_held(path) else "finished" if why else "interrupted"
    made = Overview(
        path=path,
        recipe=config.get("recipe", ""),
        worlds=_plain_of(config.get("worlds", NOTHING)),
        models={k: v.get("source", "") for k, v in _plain_of(config.get("models", {})).items()},
        seed=int(config.get("seed", 0)),
        state=state,
        why=why,
        num_rounds=_num_rounds(config),
        lines=lines,
        costs=dict(costs),
        seconds=dict(seconds),
        num_errors=len(errors),
        failures=tuple((s, m, n) for (s, m), n in failures.most_common(10)),
        looks=tuple(store.looks()),
        snapshots=tuple(store.snapshots()),
        num_bytes=_num_bytes(store),
        manifest=store.manifest,
        config=config,
        events=tuple(store.events()),
        alarms=alarms_of(store),
    )
    return _with_next_steps(made)


def alarms_of(store: RunStore) -> tuple[Alarm, ...]:
    """What was raised while the run went on, in order; an alarm may be raised more than once."""
    return tuple(Alarm.from_event(row["round"], row["data"]) for row in store.events("alarm"))


def _plain_of(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in tree.items() if k != "is"}


def _why_stopped(store: RunStore) -> str:
    """Why the run ended, as of its last closed segment; "" where it is not at its end."""
    row = store.db.execute("select counters from segments order by number desc limit 1").fetchone()
    if row is None:
        return ""
    counters = codec.from_text(row[0])
    if counters.get("stopped"):
        return str(counters["stopped"])
    at_end = counters["position"]["phase"] >= len(store.config.get("phases", ()))
    return "the plan is done" if at_end else ""


def _num_bytes(store: RunStore) -> int:
    query = "select coalesce(sum(size), 0) from files where removed = 0"
    return int(store.db.execute(query).fetchone()[0])


def _num_rounds(config: Mapping[str, Any]) -> int | None:
    """Rounds of all phases; None where a phase has no fixed number."""
    found = [p.get("until", {}).get("rounds") for p in config.get("phases", ())]
    return sum(found) if found and all(n is not None for n in found) else None


def _with_next_steps(o: Overview) -> Overview:
    """What a person would type next, most useful first."""
    from dataclasses import replace

    steps: list[str] = []
    run = o.path
    found = o.last_metrics
    if o.state == "interrupted":
        steps.append(f"askesis resume {run}    (it was interrupted; nothing committed is lost)")
    right = found.get("measure/train_accuracy")
    if o.lines and right == 0:
        steps.append(
            "the model solved nothing it tried, so there was nothing to learn from: try an easier "
            "world or difficulty, more attempts (--explore.num-attempts), a stronger model "
            "(--model), or hints (recipe star --hint true)"
        )
    if o.lines and not o.looks:
        steps.append(f"askesis eval {run}    (did it really improve? on tasks it never saw)")
    if o.lines:
        steps.append(f"askesis report {run}    (one page with curves and what the model said)")
        steps.append(f"askesis try {run}    (the same prompts before and after, side by side)")
    if o.num_errors:
        sql = "select stage, message, count(*) from errors group by all"
        steps.append(f'askesis query {run} "{sql}"')
    if o.state == "finished":
        steps.append(f"askesis export {run} --to DIR    (checkpoint and self-made data)")
    return replace(o, next_steps=tuple(steps))
