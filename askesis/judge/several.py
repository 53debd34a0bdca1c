"""Several judges of the same attempts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from askesis.errors import ConfigError
from askesis.judge.verifier import Verifier
from askesis.records import Group, Verdict


@dataclass(frozen=True, kw_only=True)
class Several:
    """All verdicts of several judges, in their order; the last one that knows is what selectors
    take where they are not told whose to take.

    judges: at least one. A judge of steps says nothing of an attempt's worth, so it can stand
        anywhere.
    """

    judges: tuple[Any, ...] = field(default=(Verifier(),))

    def __post_init__(self) -> None:
        if not self.judges:
            raise ConfigError("Several.judges is empty", expected="at least one judge")

    @property
    def snapshots(self) -> tuple[str, ...]:
        """The kept weights that its judges ask for."""
        return tuple(tag for judge in self.judges for tag in tags_of(judge))

    def on_phase_start(self, ctx: Any) -> None:
        """What each judge checks before its first round."""
        for judge in self.judges:
            begin(judge, ctx)

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        found: list[Verdict] = []
        for judge in self.judges:
            found += await judge.judge(ctx, group)
        return found


class Around:
    """A judge around another one, `inner`, which hears and asks for what it would alone."""

    inner: Any

    @property
    def snapshots(self) -> tuple[str, ...]:
        """The kept weights that the judge inside asks for."""
        return tuple(tags_of(self.inner))

    def on_phase_start(self, ctx: Any) -> None:
        """What the judge inside checks before its first round."""
        begin(self.inner, ctx)


def tags_of(judge: Any) -> Iterator[str]:
    """The kept weights that a judge asks for, and those inside it."""
    for name in ("snapshot", "reference"):
        if getattr(judge, name, ""):
            yield getattr(judge, name)
    yield from getattr(judge, "snapshots", ())


def begin(judge: Any, ctx: Any) -> None:
    """Let a judge inside another one check what it needs."""
    if hasattr(judge, "on_phase_start"):
        judge.on_phase_start(ctx)
