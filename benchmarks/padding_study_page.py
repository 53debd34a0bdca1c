"""The page of `benchmarks.padding_study`, generated from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.step_study import heading

WORDS = {
    "remark": "a remark that says nothing (`#ok`)",
    "sum": "the last value plus nothing (`27+0=27`)",
}


def page(whole: Mapping[str, Any]) -> str:
    """results/padding_study.md."""
    s, table = whole["settings"], whole["table"]
    pads = list(dict.fromkeys(row["pad"] for row in table))
    neutral = all(row["is_neutral"] for row in table)
    lines = [
        *heading("Does it pay to append steps that do nothing?", whole),
        f"Heads and critics learn from two answers each to {s['learnt']} tasks, in "
        f"{s['num_updates']} updates of {s['batch_tokens']} tokens. Then",
        f"{', '.join(map(str, whole['counts'][1:]))} steps are appended to "
        f"{whole['num_attempts']} finished answers to claim tasks"
        + (
            ", which changes the verifier's score of none."
            if neutral
            else "; the verifier's score of some changed."
        ),
        "",
        "Growth: what a step more adds to what is learnt of the first step, the sum of all rewards "
        "from there on (of",
        "min, product, last, mean and sum: to that one number), over seeds with its 95 % t "
        "interval. It **pays** where that is above 0.",
        "",
        "| judge | reward | " + " | ".join(WORDS[pad] for pad in pads) + " | answers |",
        "| --- | --- |" + " --- |" * (len(pads) + 1),
    ]
    for judge, paid in dict.fromkeys((row["judge"], row["paid"]) for row in table):
        found = {r["pad"]: r for r in table if (r["judge"], r["paid"]) == (judge, paid)}
        cells = [_cell(found[pad]) for pad in pads]
        num = min(r["num_attempts"] for r in found.values())
        lines.append(f"| {judge} | {paid} | {' | '.join(cells)} | {num} |")
    lines += [
        "",
        f"Clipped at {whole['eta']:g}. Answers: those of which the judge knows every padded form.",
        "",
        *_sentences(table),
    ]
    return "\n".join(lines) + "\n"


def _cell(row: Mapping[str, Any]) -> str:
    growth = row["growth"]
    if not row["num_attempts"]:
        return "unknown"
    said = f"{growth['value']:+.3f} ({growth['low']:+.3f} to {growth['high']:+.3f})"
    return f"**pays** {said}" if row["pays"] else said


def _sentences(table: list[Mapping[str, Any]]) -> list[str]:
    """Of each reward, how many judges pay for padding by it."""
    lines = ["| reward | judges that pay for either | of |", "| --- | --- | --- |"]
    for paid in dict.fromkeys(row["paid"] for row in table):
        rows = [row for row in table if row["paid"] == paid]
        asked = list(dict.fromkeys(row["judge"] for row in rows))
        pay = [j for j in asked if any(r["pays"] for r in rows if r["judge"] == j)]
        lines.append(f"| {paid} | {'; '.join(pay) or 'none'} | {len(asked)} |")
    return lines
