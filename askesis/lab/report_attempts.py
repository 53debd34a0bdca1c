"""Attempts as a page shows them: turns, verdicts and why, of a length that can be read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from askesis.store.run_store import RunStore

LONGEST = 3000  # characters of a text that are shown
MANY_TURNS = 24  # turns of one attempt that are shown
CUT = ("length", "context", "truncated", "budget", "cancelled")


@dataclass(frozen=True)
class Judged:
    """One verdict on an attempt. `value` is None where the judge did not know; `other` is the
    attempt it was compared with."""

    judge: str
    kind: str
    value: float | None
    why: str
    other: str = ""


@dataclass(frozen=True)
class Spoken:
    """One turn as it is shown."""

    role: str
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Said:
    """One attempt as it is shown. `verdict` is "right", "wrong", "partly", "scored" (a value that
    is no share of right) or "unknown"; rounds count from 1."""

    round: int
    id: str
    task: str
    prompt: str
    turns: tuple[Spoken, ...]
    verdict: str
    value: float | None
    judged: tuple[Judged, ...] = ()
    stop: str = "ended"
    num_tokens: int = 0
    num_turns: int = 0
    snapshot: str = ""
    reference: str = ""
    learnt: bool = False
    newly: bool = False
    tag: str = ""
    hint: str = ""
    purpose: str = "train"
    error: str = ""

    @property
    def cut_off(self) -> bool:
        """Whether we, not the speaker or the task, ended it."""
        return self.stop in CUT


_DETAILS = """
with chosen as (select round, id, task, task_digest, stop, num_tokens, num_turns, author, tag,
        privileged, purpose, error, list_transform(turns[1:{many}], lambda t: {{'role': t.role,
        'text': t.text, 'speaker': t.speaker, 'is_array': t.block is not null}}) as turns
    from attempts where id in ({ids})),
judged as (select attempt, list(struct_pack(judge := judge, kind := kind, value := value,
        why := rationale, other := other, whole := node < 0 and len(spans) = 0)) as verdicts
    from verdicts where attempt in ({ids}) group by attempt),
posed as (select digest, any_value(prompt) as prompt, any_value(answer) as answer from tasks
    where digest in (select task_digest from chosen) group by digest),
learnt as (select distinct unnest(sources) as id from samples)
select c.* exclude (task_digest), p.prompt, p.answer, j.verdicts, l.id is not null as learnt
from chosen c left join posed p on p.digest = c.task_digest
left join judged j on j.attempt = c.id left join learnt l on l.id = c.id
order by c.round, md5(c.id)
"""


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def details(
    store: RunStore, ids: Sequence[str], newly: Iterable[tuple[str, int]] = ()
) -> list[Said]:
    """Attempts by id, as they are shown, in the order of their rounds."""
    if not ids:
        return []
    listed = ", ".join(quoted(i) for i in dict.fromkeys(ids))
    fresh = set(newly)
    found = [
        _one(row) for row in store.query(_DETAILS.format(ids=listed, many=MANY_TURNS)).to_pylist()
    ]
    return [
        replace(s, newly=s.verdict == "right" and (s.task, s.round - 1) in fresh) for s in found
    ]


def _one(row: Mapping[str, Any]) -> Said:
    verdicts = row["verdicts"] or []
    judged = [
        Judged(v["judge"], v["kind"], v["value"], short(v["why"] or "", 300), v["other"])
        for v in verdicts
    ]
    value, verdict = None, "unknown"
    for v in verdicts:
        if v["value"] is None or not math.isfinite(v["value"]) or not v["whole"] or v["other"]:
            continue
        is_share = v["kind"] in ("outcome", "correctness")
        if is_share or verdict in ("unknown", "scored"):
            value, verdict = v["value"], _words(v["value"]) if is_share else "scored"
    return Said(
        round=row["round"] + 1,
        id=row["id"],
        task=row["task"],
        prompt=short(row["prompt"] or ""),
        turns=tuple(
            Spoken(t["role"], short(t["text"]) or "(arrays)" * t["is_array"], t["speaker"])
            for t in row["turns"] or ()
        ),
        verdict=verdict,
        value=value,
        judged=tuple(judged[:8]),
        stop=row["stop"],
        num_tokens=row["num_tokens"],
        num_turns=row["num_turns"],
        snapshot=row["author"],
        reference=short(row["answer"] or "", 300),
        learnt=bool(row["learnt"]),
        tag=row["tag"],
        hint=short(row["privileged"] or "", 300),
        purpose=row["purpose"],
        error=short(row["error"] or "", 300),
    )  # fmt: skip


def _words(value: float) -> str:
    if value >= 1:
        return "right"
    return "partly" if value > 0 else "wrong"


def short(text: str, longest: int = LONGEST) -> str:
    """Text that can be shown: no longer than `longest`, control characters made visible."""
    cut = text if len(text) <= longest else f"{text[:longest]} ... ({len(text):,} characters)"
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in cut)
