"""All alarms of a run: fed with every committed round, they say what is newly raised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from askesis.config import coerce
from askesis.errors import ConfigError
from askesis.measure.alarms.alarm import Alarm
from askesis.measure.alarms.history import History
from askesis.registry import ALARMS, look_up
from askesis.specs import make, split_options

REST = 5  # rounds an alarm must have been silent before it is raised again


def open_alarms(specs: Sequence[str]) -> tuple[Any, ...]:
    """The alarms behind names, in the order of the registry's table; outsiders last.

    "all" is every registered one, "none" is none of them; `name?option=value&other=value`
    sets thresholds ("all,forgetting?z=4" is all, one of them changed), and the items of
    a list are joined by "+". Outsiders' are `my_file.py:MyAlarm`.

    Raises ConfigError for names and options there are none of.
    """
    if "none" in specs and len(specs) > 1:
        raise ConfigError(
            "alarms: none stands alone", expected="none, or names", found=",".join(specs)
        )
    chosen: dict[str, Any] = {}
    for spec in specs:
        if spec == "none":
            continue
        for name in ALARMS if spec == "all" else (spec,):
            made = _open(name)
            chosen[made.name] = made
    places = {name: i for i, name in enumerate(ALARMS)}
    return tuple(chosen[n] for n in sorted(chosen, key=lambda n: places.get(n, len(places))))


def _open(spec: str) -> Any:
    plain, options = split_options(spec, "alarm", ConfigError)
    maker = look_up("alarm", plain)
    lists = {
        f.name: coerce(maker, f.name, options.pop(f.name).split("+"))
        for f in (fields(maker) if is_dataclass(maker) else ())
        if f.name in options and "tuple" in str(f.type)
    }
    made = make(spec, "alarm", ConfigError, maker, (), options)
    return replace(made, **lists) if lists else made


class Monitor:
    """The history so far and which alarms are up. Nothing in it is a run's state: it is made
    again from the ledger's rows when a run is resumed."""

    def __init__(self, alarms: Sequence[Any]) -> None:
        self.alarms = tuple(alarms)
        self.history = History()
        self._up: dict[str, int] = {}  # name -> the last look at which it was up

    def add(self, round: int, phase: str, metrics: Mapping[str, float]) -> list[Alarm]:
        """Take in a round; the alarms that were not up in the last rounds and are now."""
        self.history.add(round, phase, metrics)
        looks, raised = self.history.num_rounds, []
        for alarm in self.alarms:
            found = alarm.look(self.history)
            if found is None:
                continue
            if looks - self._up.get(found.name, -looks - REST) > REST:
                raised.append(found)
            self._up[found.name] = looks
        return raised

    def resume(self, rows: Sequence[tuple[int, str, Mapping[str, float]]]) -> None:
        """Take in what a run had before, as `add` had left it: only what is up now matters."""
        for row in rows[:-REST]:
            self.history.add(*row)
        self.replay(rows[-REST:])

    def replay(self, rows: Iterable[tuple[int, str, Mapping[str, float]]]) -> list[Alarm]:
        """Take in many rounds; everything that was raised on the way."""
        return [alarm for row in rows for alarm in self.add(*row)]


def rows_of(
    metrics: Iterable[Mapping[str, Any]], rounds: Iterable[Mapping[str, Any]]
) -> list[tuple[int, str, dict[str, float]]]:
    """The ledger's rows (`store.metrics()`, `store.rounds()`) as a history takes them."""
    found: dict[int, tuple[int, str, dict[str, float]]] = {
        r["round"]: (r["round"], r["phase"], {}) for r in rounds
    }
    for row in metrics:
        found[row["round"]][2][row["key"]] = row["value"]
    return list(found.values())
