"""docs/alarms.md says of every alarm what the code says, and what was counted."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import numpy as np
import pytest

from askesis.measure.alarms.monitor import open_alarms
from askesis.registry import ALARMS
from benchmarks.alarms import PROVOKED, damage_round
from benchmarks.alarms_page import DOCS, JSON, NOT_COUNTED, PAGE, counted, documented, page, table

EVERY = open_alarms(("all",))


def sections() -> dict[str, str]:
    parts = re.split(r"^## ", DOCS.read_text(), flags=re.MULTILINE)
    return {p.partition("\n")[0]: " ".join(p.split()) for p in parts[1:]}


@pytest.mark.parametrize("alarm", EVERY, ids=lambda a: a.name)
def test_every_alarm_has_its_section_with_meaning_advice_and_defaults(alarm):
    text = sections()[alarm.name]
    for sentence in (alarm.meaning, alarm.advice):
        assert sentence[0].upper() + sentence[1:] + "." in text
    for field in fields(alarm):
        value = getattr(alarm, field.name)
        names = value if isinstance(value, tuple) else (value,)
        shown = ", ".join(f"`{n}`" if isinstance(n, str) else f"{n:g}" for n in names)
        assert f"| `{field.name}` | {shown} |" in text


def test_the_page_names_no_alarm_there_is_none_of():
    named = {name for name in sections() if re.fullmatch("[a-z_]+", name)}
    assert named == set(ALARMS)
    assert {row.page for row in ALARMS.values()} == {f"docs/alarms.md#{name}" for name in ALARMS}


def test_the_table_is_what_was_counted():
    whole = json.loads(JSON.read_text()) if JSON.exists() else None
    assert documented(DOCS.read_text(), whole) == DOCS.read_text()
    assert (table(None) == NOT_COUNTED) and (whole is None) == (NOT_COUNTED in DOCS.read_text())
    if whole is not None:
        assert page(whole) == PAGE.read_text()
        assert whole["clean"]["num"] >= 60, "EVIDENCE: at least 60 clean runs"
        assert all(v["num"] >= 20 for v in whole["provoked"].values())


def test_delay_and_lead_are_counted_in_rounds():
    runs = [
        {"raised": {"x": 4}, "damage": 9},  # five rounds early
        {"raised": {"x": 6}, "damage": 5},  # too late
        {"raised": {}, "damage": 7},  # missed
        {"raised": {"x": 1}, "damage": None},  # before anything was wrong
        {"raised": {"x": 3}, "damage": None},  # no damage came of it
    ]
    found = counted(runs, "x", began=2)
    assert found["found"] == 3
    assert found["delay"] == [2.0, 3.0, 5.0]
    assert found["lead"] == [-1.0, 2.0, 5.0]
    assert (found["in_time"], found["missed_damage"]) == (1, 1)


def test_damage_is_the_first_snapshot_clearly_below_the_best_earlier_one(tmp_path):
    rng = np.random.default_rng(0)
    truths = [(0, 0.5), (2, 0.6), (4, 0.6), (6, 0.56), (8, 0.4), (10, 0.2)]
    points = [
        {"round": r, "scores": (rng.random((400, 4)) < p).astype(float).tolist()} for r, p in truths
    ]
    (tmp_path / "result.json").write_text(json.dumps({"points": points}))
    at, change = damage_round(tmp_path, 1)
    assert at == 7, "after round 8 of people, the one of 0.4; 0.56 is not clearly lower"
    assert change == pytest.approx(-0.3, abs=0.05)
    (tmp_path / "result.json").write_text(json.dumps({"points": points[:4]}))
    assert damage_round(tmp_path, 1)[0] is None


def test_the_table_shows_every_alarm_with_its_rate_and_its_lead():
    run = {"raised": dict.fromkeys(ALARMS, 3), "damage": 8}
    whole = {
        "clean": {"num": 60, "raised": dict.fromkeys(ALARMS, 0) | {"forgetting": 3}},
        "provoked": {
            k.plan: {
                "num": 20, "damaged": 20, "pass_at": k.k, "others": {},
                "alarms": {n: counted([run] * 20, n, 0) for n in k.expected},
            }
            for k in PROVOKED
        },
    }  # fmt: skip
    rows = table(whole).splitlines()
    assert len(rows) == 2 + len(ALARMS)
    (forgetting,) = [r for r in rows if "`forgetting`" in r]
    # Wilson 95 % for 3 of 60: 0.0171 to 0.1370
    assert "3 of 60 (2 to 14 %)" in forgetting
    assert (
        "a run that forgets | 20 of 20 | 4 (4 to 4) | 5 (5 to 5); in time in 20 of 20" in forgetting
    )
