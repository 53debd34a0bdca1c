"""What samples must be for a model and its objectives, said before anything is learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

import numpy as np

from askesis.errors import ConfigError
from askesis.learn.batch import size_of
from askesis.records import Sample

ATOM_SIZES = {"pair": 2}  # how many sequences an atom must have, where that is fixed
SEVERAL = frozenset({"pair", "set"})  # atoms of several sequences; an array sample is one episode


def fitting(model: Any, samples: Sequence[Sample]) -> list[Sample]:
    """Samples that the model can read at all: not empty, and within its context length."""
    limit = model.renderer.context_length if model.renderer is not None else None
    return [
        s
        for s in samples
        if size_of(s) and (limit is None or all(len(r.tokens) <= limit for r in s.sequences))
    ]


def check_samples(
    model: Any, objectives: Sequence[Any], needs: frozenset[str], samples: Sequence[Sample]
) -> None:
    """Raises ConfigError for samples that are not for this model or these objectives.

    needs: columns that must be there. What an earlier or a foreign round made is looked at too, so
    every number is: NaN and infinity are named with the attempts they were made from.
    """
    for sample in samples[:1]:
        if sample.model != model.name:
            raise ConfigError(
                f"samples for model {sample.model!r} were handed to the learner of {model.name!r}",
                hint="select and learn need the same model name in the recipe",
            )
        rows = [r.columns for r in sample.sequences] or [sample.arrays]
        made = set(sample.columns).union(*rows)
        check_columns(model.name, objectives, needs, made)
    for sample in samples:
        for name, values in _columns(sample):
            if not np.isfinite(values).all():
                raise ConfigError(
                    f"the column {name!r} of a sample for model {model.name!r} is not finite",
                    found=f"NaN or infinity, made from {', '.join(sample.sources)}",
                    hint="let the selector leave out what has no finite reward",
                )
    for objective in objectives:
        _check_atoms(objective, samples)


def check_columns(model: str, objectives: Sequence[Any], needs: Set[str], made: Set[str]) -> None:
    """Raises ConfigError where objectives (or makers of columns) need what nobody makes."""
    if not (missing := needs - made):
        return
    who = ", ".join(type(o).__name__ for o in objectives if missing & o.needs)
    raise ConfigError(
        f"{who or 'a learner'} of model {model!r} needs the columns {', '.join(sorted(missing))}",
        expected=f"a selector that makes them, or a part that does in learn.{model}.columns",
        found=", ".join(sorted(made)) or "none",
        hint="docs/formulas.md says who makes which column",
    )


def check_atom(model: str, objective: Any, selector: Any) -> None:
    """Raises ConfigError where a selector says that it makes other atoms than an objective wants.

    A pair is a set of two; an objective of single sequences takes the rows of either.
    """
    made = getattr(selector, "atom", objective.atom)
    if objective.atom in SEVERAL and made not in (objective.atom, "pair"):
        raise ConfigError(
            f"{type(objective).__name__} of model {model!r} learns from {objective.atom}s of "
            "sequences",
            found=f"{type(selector).__name__}, which makes a {made} a sample",
            hint=f"choose a selector that makes {objective.atom}s: `askesis parts`",
        )


def _check_atoms(objective: Any, samples: Sequence[Sample]) -> None:
    kind = type(objective).__name__
    if objective.atom in SEVERAL and any(not s.sequences for s in samples):
        raise ConfigError(
            f"{kind} learns from several sequences of tokens in a sample",
            found="samples of array steps, which are single episodes",
            hint="take an objective of single sequences for array roles: "
            "Supervised, Reinforce, ClippedPolicyGradient",
        )
    wanted = ATOM_SIZES.get(objective.atom)
    wrong = [s for s in samples if wanted and len(s.sequences) != wanted]
    if wrong:
        raise ConfigError(
            f"{kind} learns from atoms of {wanted} sequences",
            found=f"a sample with {len(wrong[0].sequences)}",
            hint="choose a selector that makes pairs, like select.best_and_worst",
        )


def _columns(sample: Sample) -> Iterator[tuple[str, Any]]:
    """All numbers of a sample by the names of their columns."""
    yield from sample.columns.items()
    for row in sample.sequences:
        yield from row.columns.items()
    yield from ((n, a) for n, a in sample.arrays.items() if np.asarray(a).dtype.kind == "f")
