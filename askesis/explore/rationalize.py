"""STaR's second chance: tasks that failed are attempted again with the answer shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from askesis.errors import ConfigError
from askesis.explore.sample import attempt_of, check_sampling
from askesis.records import Attempt, Start
from askesis.requests import All, Sampling


@dataclass(frozen=True, kw_only=True)
class Rationalize:
    """Plain attempts first; where none is right, attempts that may read the reference answer.

    num_attempts: plain attempts at each task, at least 1; 4 as in the `star` recipe.
    num_hinted: attempts with the answer shown where all plain ones failed, at least 1; 1 as in
        the paper.
    temperature: of both kinds, at least 0. top_p: in (0, 1].
    max_tokens: new tokens an attempt may have (None: the world's own allowance).
    hint: what is shown, with {answer} in it. It travels as the start's privileged text, so a
        selector strips it before learning and measuring refuses it.
    threshold: a verified score of at least this is right, in (0, 1].
    role: who speaks.

    Hinted attempts have the start tag "hint" and name the failed attempts as parents. Tasks
    without a reference answer get no hint. The world's verifier is asked inside, so this
    explorer needs train answers. Source: Zelikman et al. 2022 (STaR), section 3.3.
    """

    num_attempts: int = 4
    num_hinted: int = field(default=1, metadata={"lazy": True})
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int | None = None
    hint: str = field(default="The answer is {answer}.", metadata={"lazy": True})
    threshold: float = 1.0
    role: str = "policy"

    def __post_init__(self) -> None:
        check_sampling(self)
        if self.num_hinted < 1:
            raise ConfigError(
                "Rationalize.num_hinted is too small",
                expected="at least 1",
                found=str(self.num_hinted),
                hint="for no hints use the recipe with --hint false",
            )
        if "{answer}" not in self.hint:
            raise ConfigError(
                "Rationalize.hint does not show the answer", expected="text with {answer} in it",
                found=repr(self.hint),
            )  # fmt: skip

    async def explore(self, ctx: Any, start: Start) -> list[Attempt]:
        threshold = self.threshold
        plain = await self._attempts(ctx, start, self.num_attempts, ())
        checked = await All([ctx.check(a.task, a.text) for a in plain if a.text])
        if any(c.score >= threshold for c in checked) or start.task.answer is None:
            return plain
        shown = self.hint.replace("{answer}", start.task.answer)
        hinted = replace(start, tag="hint", privileged=shown)
        parents = tuple(a.id for a in plain)
        return plain + await self._attempts(ctx, hinted, self.num_hinted, parents)

    async def _attempts(
        self, ctx: Any, start: Start, num: int, parents: tuple[str, ...]
    ) -> list[Attempt]:
        sampling = Sampling(self.temperature, 0, self.top_p, 0.0, self.max_tokens)
        asked = [ctx.say(self.role, start, attempt=i, sampling=sampling) for i in range(num)]
        return [attempt_of(ctx, start, i, turn, parents) for i, turn in enumerate(await All(asked))]
