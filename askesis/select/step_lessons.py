"""Answers with their first wrong step named: what a critic of steps learns to say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from askesis.errors import ConfigError, must_fit
from askesis.formulas.judging import first_error
from askesis.records import Group, Sample, StopReason, VerdictKind
from askesis.records import Sequence as Row
from askesis.select.judged import model_of
from askesis.steps import SEPARATORS, critic_start, step_scores, steps_of, were_judged
from askesis.text.critique import naming


@dataclass(frozen=True, kw_only=True)
class StepLessons:
    """One sample an attempt: its numbered steps as the critic reads them, and as its answer the
    number of the first wrong one, or "ok".

    judge: whose correctness says which that is (id, with or without version); "" takes the last.
    threshold: correctness below this is an error, in (0, 1].
    balance: of answers with and without a wrong step as many are learnt, drawn at random, so that
        a critic does not learn to say what is usual (card [207]).
    critic: the role that learns; separators, role: of the steps, as the critic's judge has them.

    For `Supervised`, and `StepCritic` then asks what was learnt. Answers of one turn; those that
    nobody knows are left out. Notes good_fraction, the answers without a wrong step.
    """

    judge: str = ""
    threshold: float = 0.5
    balance: bool = True
    critic: str = "critic"
    separators: str = SEPARATORS
    role: str = "policy"

    makes = frozenset({"weight"})
    atom = "sequence"

    def __post_init__(self) -> None:
        must_fit(self, {"threshold": (0 < self.threshold <= 1, "in (0, 1]")})

    def select(self, ctx: Any, groups: Sequence[Group], verdicts: Any) -> list[Sample]:
        """Samples in the order of groups and attempts."""
        model, judge, balance = model_of(ctx), self.judge, self.balance
        attempts = [a for g in groups for a in g.attempts if a.stop is not StopReason.FAILED]

        def decode(tokens: np.ndarray) -> str:
            return str(ctx.decode(self.role, tokens))

        lessons: list[tuple[bool, Sample]] = []
        for attempt in attempts:
            scores = step_scores(verdicts, attempt, judge, VerdictKind.CORRECTNESS)
            spans = steps_of(attempt, decode, self.separators, self.role)
            if scores is None or len({turn for turn, _, _ in spans}) != 1:
                continue
            if scores.spans != spans[: len(scores.spans)]:
                raise ConfigError(
                    f"the steps of attempt {attempt.id} were judged as others than a critic reads",
                    expected=f"{len(spans)} steps",
                    found=f"{len(scores.spans)}, cut elsewhere",
                    hint="give judge and selector the same separators",
                )
            wrong = first_error(scores.values.tolist(), self.threshold)
            if wrong < 0 and len(scores.spans) < len(spans):
                continue  # what lies behind is not known to be right
            read = ctx.render(self.critic, critic_start(attempt, spans, decode))
            said = [*ctx.encode(self.critic, naming(wrong)), ctx.end_token(self.critic)]
            tokens = np.array([*read, *said], np.int32)
            weight = np.array([0.0] * len(read) + [1.0] * len(said), np.float32)
            sample = Sample(model, (Row(tokens, {"weight": weight}),), sources=(attempt.id,))
            lessons.append((wrong < 0, sample))
        meaning = VerdictKind.CORRECTNESS
        if attempts and not lessons and not were_judged(verdicts, attempts, judge, meaning):
            raise ConfigError(
                "a critic learns from steps that somebody called right or wrong",
                found="no verdict of correctness",
                hint="let judge.steps.truth, rollouts (label any) or consensus judge",
            )
        samples = _balanced(ctx, lessons) if balance else [sample for _, sample in lessons]
        if lessons:
            ctx.note("good_fraction", float(np.mean([good for good, _ in lessons])))
        ctx.note("samples", len(samples))
        ctx.note("tokens", sum(s.num_tokens for s in samples))
        return samples


def _balanced(ctx: Any, lessons: list[tuple[bool, Sample]]) -> list[Sample]:
    """As many of one kind as of the other; all where there is only one kind."""
    places = [[i for i, (good, _) in enumerate(lessons) if good is kind] for kind in (True, False)]
    if all(places):
        few, rng = min(map(len, places)), ctx.generator("balance")
        places = [[p[i] for i in rng.permutation(len(p))[:few]] for p in places]
    return [lessons[i][1] for i in sorted([*places[0], *places[1]])]
