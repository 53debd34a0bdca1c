"""The majority of a model's own answers as a judge that needs no truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from askesis.errors import ConfigError
from askesis.formulas.pass_at_k import vote
from askesis.records import About, Attempt, Group, StopReason, Verdict, VerdictKind

LONGEST_ANSWER = 100_000  # characters; anything longer is no answer and abstains


@dataclass(frozen=True, kw_only=True)
class SelfConsistency:
    """Agreement with the most frequent answer of the group: 1, 0, or unknown.

    min_share: the majority must have at least this share of all attempts, in [0, 1]; below it,
        or where two answers tie for first place, the whole group is unknown. 0.3 keeps groups
        in which the majority is clearly more than chance for open answers.
    cut_off: whether attempts that we cut off may vote with what is there, as the verifier judges
        them; set it to false where unfinished work reads like an answer.

    An attempt's answer is what the world's `extract(text)` finds in it, where the world has
    that, and otherwise its whole text in plain form. Attempts that failed or have no answer
    abstain: they count in the share's denominator, are never part of the majority and
    get 0 where the group is decided. Neither the reference answer nor the verifier is touched.

    The verdict's `draws` are the votes (1 for the majority's answer, 0 for any other), so their
    mean is the confidence; all are signed "self-consistency-v1". Source: Wang et al. 2022
    (arXiv 2203.11171); as a training signal Huang et al. 2022 (arXiv 2210.11610).
    """

    min_share: float = 0.3
    cut_off: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.min_share <= 1:
            raise ConfigError(
                "SelfConsistency.min_share is out of range",
                expected="in [0, 1]",
                found=str(self.min_share),
            )

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        answers = [self._answer(ctx, attempt, self.cut_off) for attempt in group.attempts]
        winner, share, tied = vote(answers)
        enough = share >= self.min_share
        decided = enough and not tied
        draws = tuple(float(a == winner and a != "") for a in answers)
        shown = winner if len(winner) <= 80 else winner[:77] + "..."
        why = f"{shown!r} has {share:.0%} of {len(answers)} votes"
        if not decided:
            why += ", tied" if tied else f", fewer than the {self.min_share:.0%} asked for"
        return [
            Verdict(
                "self-consistency-v1",
                About(attempt.id),
                VerdictKind.OUTCOME,
                agrees if decided else None,
                draws=draws,
                rationale=why,
            )
            for attempt, agrees in zip(group.attempts, draws, strict=True)
        ]

    @staticmethod
    def _answer(ctx: Any, attempt: Attempt, cut_off: bool) -> str:
        text, stop = attempt.text, attempt.stop
        if stop is StopReason.FAILED or (stop.cut_off and not cut_off):
            return ""
        if len(text) > LONGEST_ANSWER:
            return ""
        extract = getattr(ctx.world_of(attempt.task), "extract", None)
        return extract(text) if extract is not None else " ".join(text.split())
