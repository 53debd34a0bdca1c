"""Snapshots that a run kept, by the names people use for them, and models opened from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from askesis.errors import RunError, nearest
from askesis.plan import ModelSpec, Plan

WORDS = ("first", "last", "best")


def kept(store: Any, model: str = "policy") -> list[dict[str, Any]]:
    """The snapshots of a model whose weights are still there, oldest first."""
    rows = [s for s in store.snapshots() if s["model"] == model and s["path"] is not None]
    return sorted(rows, key=lambda s: (s["round"], number(s["id"])))


def number(snapshot: str) -> int:
    """How many learnings a snapshot has behind it: 3 for "policy@3"."""
    return int(snapshot.rpartition("@")[2])


def resolve(store: Any, name: str, model: str = "policy") -> dict[str, Any]:
    """The kept snapshot behind "first", "last", "best", an id, or a bare number of learnings.

    Raises RunError with the ones there are.
    """
    there = kept(store, model)
    if not there:
        raise RunError(
            f"{store.path} has no snapshot of model {model!r} yet",
            hint="wait for its first segment to close, or name a model with --model",
        )
    if name == "first":
        return there[0]
    if name == "last":
        return _last(store, there, model)
    tagged = dict(store.tags())
    wanted = tagged.get(name) or tagged.get(f"{model}:{name}") or name
    if wanted.isdigit():
        wanted = f"{model}@{wanted}"
    for row in there:
        if row["id"] == wanted or name in row["tags"]:
            return row
    if name == "best":
        raise RunError(
            f"no snapshot of {store.path} is marked best",
            expected="a recipe that keeps its best (retain: keep-or-revert)",
            hint="use --snapshot last or an id such as " + there[-1]["id"],
        )
    ids = [row["id"] for row in there]
    hint = f"Kept are first, last and {', '.join(ids[:8])}{', ...' if len(ids) > 8 else ''}"
    gone = any(row["id"] == wanted for row in store.snapshots())
    raise RunError(
        f"snapshot {wanted!r} of {store.path} " + ("was not kept" if gone else "does not exist"),
        hint=f"{hint}. {nearest(wanted, ids) if not gone and len(ids) > 8 else ''}",
    )


def _last(store: Any, there: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """What the last durable round ended with: after a revert it is not the youngest snapshot."""
    durable = [r for r in store.rounds() if r["durable"]]
    ends = durable[-1]["snapshots"] if durable else ()
    return next((row for row in reversed(there) if row["id"] in ends), there[-1])


def speaking_model(plan: Plan) -> str:
    """The model behind role "policy", or behind the first role where there is no such role."""
    roles = plan.roles
    spec = roles["policy"] if "policy" in roles else next(iter(roles.values()))
    return spec.model


def open_snapshot(plan: Plan, row: dict[str, Any]) -> Any:
    """A model with the weights of a kept snapshot, ready to speak.

    A directory in Hugging Face layout is opened as it is; for a model that came from a user's
    function the function is called again and the weights are put in.
    """
    from askesis.models.load import open_model

    name, path = row["model"], Path(row["path"])
    spec = plan.models[name]
    if (path / "config.json").exists():
        there = ModelSpec(
            source=str(path),
            trainable=False,
            heads=spec.heads,
            dtype=spec.dtype,
            device=spec.device,
        )
        return open_model(name, there)
    model = open_model(name, spec)
    if (path / "model.safetensors").exists():
        from safetensors.torch import load_file

        model.load(load_file(path / "model.safetensors"))
    return model
