"""Snapshots of models within a run: which weights are current, and which are kept by name.

A snapshot id is `model@n`, n counting the learnings of that model over the run; a reverted model
speaks under its old id again and its next learning gets a fresh number. Only tags that somebody
asked for (`keep`) or pinned cost memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from askesis.errors import ConfigError, nearest
from askesis.records import Snapshot

MOVING_TAGS = ("base", "previous", "phase_start")


class Shelf:
    """Current ids and pinned snapshots of every model of a run.

    `keep` holds (model, tag) pairs among base, previous and phase_start that roles or phases
    refer to. `log` collects new snapshots until the run commits them.
    """

    def __init__(self, models: Mapping[str, Any], keep: Iterable[tuple[str, str]] = ()) -> None:
        self.models = models
        self.keep = set(keep)
        self.num_learnt = dict.fromkeys(models, 0)
        self.ids = {name: f"{name}@0" for name in models}
        self.pins: dict[tuple[str, str], tuple[str, dict[str, Any], Any]] = {}
        self.averages: set[tuple[str, str]] = set()  # pins that follow a model's learning
        self.log = [Snapshot(f"{name}@0", name, 0, (), ("base",)) for name in models]
        for model in models:
            for tag in MOVING_TAGS:
                self._move(model, tag)

    def current(self, model: str) -> str:
        """The id of the weights a model has now."""
        return self.ids[model]

    def pin(self, model: str, tag: str, *, optimizer: bool = False) -> str:
        """Keep a copy of a model's present weights under a tag; returns their id."""
        entry = self.models[model]
        kept = entry.copy_optimizer() if optimizer else None
        self.pins[model, tag] = (self.ids[model], entry.copy_weights(), kept)
        return self.ids[model]

    def unpin(self, model: str, tag: str) -> None:
        self.pins.pop((model, tag), None)

    def find(self, model: str, tag: str) -> str:
        """The id behind a tag ("" is the current weights); ids may be used as tags too."""
        if not tag or tag == self.ids[model]:
            return self.ids[model]
        return self._pin(model, tag)[0]

    def weights(self, model: str, tag: str) -> Mapping[str, Any]:
        """The pinned weights behind a tag or an id."""
        return self._pin(model, tag)[1]

    def restore(self, entry: Any, tag: str) -> None:
        """Give a model the weights (and optimiser, where kept) behind a tag."""
        snapshot, weights, optimizer = self._pin(entry.name, tag)
        entry.load(weights)
        entry.load_optimizer(optimizer)
        self.ids[entry.name] = snapshot

    def follow(self, model: str, tag: str) -> None:
        """Say that the pin behind a tag follows the model's learning, so that a model which goes
        back takes it along."""
        self.averages.add((model, tag))

    def mark(self, models: Iterable[str], tag: str) -> None:
        """Keep the present state of models: weights, optimisers and the averages beside them."""
        for model in models:
            self.pin(model, tag, optimizer=True)
            for name in self._averages(model):
                self.pins[model, f"{tag}/{name}"] = self.pins[model, name]

    def go_back(self, models: Iterable[str], tag: str) -> None:
        """Give models the state that `mark` kept. An average that began after it begins anew."""
        for model in models:
            self.restore(self.models[model], tag)
            snapshot, weights, _ = self._pin(model, tag)
            for name in self._averages(model):
                there = self.pins.get((model, f"{tag}/{name}"))
                self.pins[model, name] = there or (snapshot, weights, None)

    def _averages(self, model: str) -> list[str]:
        return sorted(tag for of, tag in self.averages if of == model and (of, tag) in self.pins)

    def save_pinned(self, model: str, tag: str, directory: Path) -> None:
        """Write pinned weights as the model writes its own (`Model.save`)."""
        entry = self.models[model]
        version, own = entry.version, entry.copy_weights()
        entry.load(self._pin(model, tag)[1])
        try:
            entry.save(directory)
        finally:
            entry.load(own)
            entry.version = version  # nothing changed

    def learning(self, entry: Any) -> None:
        """Called before a model learns."""
        self._move(entry.name, "previous")

    def learnt(self, entry: Any, round_index: int) -> None:
        """Called after a model learnt: its weights get the next id."""
        parent = self.ids[entry.name]
        self.num_learnt[entry.name] += 1
        snapshot = f"{entry.name}@{self.num_learnt[entry.name]}"
        self.ids[entry.name] = snapshot
        self.log.append(Snapshot(snapshot, entry.name, round_index + 1, (parent,)))

    def phase_started(self) -> None:
        for model in self.models:
            self._move(model, "phase_start")

    def _move(self, model: str, tag: str) -> None:
        if (model, tag) in self.keep:
            self.pin(model, tag)

    def _pin(self, model: str, tag: str) -> tuple[str, dict[str, Any], Any]:
        if (model, tag) in self.pins:
            return self.pins[model, tag]
        for (name, _), pin in self.pins.items():
            if name == model and pin[0] == tag:
                return pin
        known = [t for m, t in self.pins if m == model]
        raise ConfigError(
            f"no snapshot {tag!r} of model {model!r} is kept in this run",
            hint=nearest(tag, known),
        )

    def save(self, directory: Path) -> None:
        """Write ids, counters and pinned weights."""
        directory.mkdir(parents=True, exist_ok=True)
        pins = []
        for number, ((model, tag), (snapshot, weights, optimizer)) in enumerate(self.pins.items()):
            entry = self.models[model]
            save_file(
                {k: v.contiguous() for k, v in weights.items()}, directory / f"{number}.safetensors"
            )
            entry.save_optimizer_state(optimizer, directory / f"{number}.optimizer")
            pins.append([model, tag, snapshot])
        plain = {
            "ids": self.ids,
            "num_learnt": self.num_learnt,
            "pins": pins,
            "averages": sorted(map(list, self.averages)),
        }
        (directory / "shelf.json").write_text(json.dumps(plain))

    def load(self, directory: Path) -> None:
        """Continue from `save`."""
        plain = json.loads((directory / "shelf.json").read_text())
        self.ids, self.num_learnt, self.log = plain["ids"], plain["num_learnt"], []
        self.averages = {(model, tag) for model, tag in plain.get("averages", ())}
        self.pins = {}
        for number, (model, tag, snapshot) in enumerate(plain["pins"]):
            weights = load_file(directory / f"{number}.safetensors")
            optimizer = self.models[model].load_optimizer_state(directory / f"{number}.optimizer")
            self.pins[model, tag] = (snapshot, weights, optimizer)
