"""The benchmark of first errors: its figures on cases solved by hand, and its page."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from askesis.models.scripted import ScriptedModel
from askesis.requests import Checked
from benchmarks.first_errors import HEAD, WAYS, Found, figures, measured, page
from tests.search.test_first_errors import Count, slips


def whole(found):
    machine = {"processor": "one", "cores": 1, "torch": "2"}
    settings = {"world": "digits", "num_attempts": 4, "num_reference": 8}
    head = {"command": "python -m benchmarks.first_errors", "date": "2026-11-21"}
    return {**head, "machine": machine, "settings": settings, "figures": found}


def test_shares_are_of_answers_and_tokens_of_those_that_were_found():
    def found(way, step, tokens):  # wrong at 2, lost at 3
        return Found(way, 4, step, 2, 3, 6, tokens / 10, tokens)

    groups = [[found("every", 3, 100.0), found("halves", 3, 40.0)],
              [found("every", 3, 100.0), found("halves", 2, 60.0)], []]  # fmt: skip
    told = figures(groups)
    assert told["tasks"] == told["answers"] == 2 and told["no_return_behind"][0] == 1.0
    every, halves = told["rows"]
    assert (every["way"], halves["way"], halves["num_rollouts"]) == ("every", "halves", 4)
    assert (every["no_return"][0], every["first_wrong"][0]) == (1.0, 0.0)
    assert (halves["no_return"][0], halves["first_wrong"][0]) == (0.5, 0.5)
    assert halves["tokens"][0] == 50.0 and halves["rollouts"][0] == 5.0
    assert halves["tokens_per_hit"][0] == 100.0 == every["tokens_per_hit"][0]  # 40 + 60 for one
    assert halves["of_every"][0] == 0.5 and "of_every" not in every
    text = page(whole(told))
    assert text.startswith(HEAD.split("\n")[0]) and "| halves | 4 | 2 | 50 % " in text
    assert json.loads(json.dumps(told["rows"])) == told["rows"]


class Known(Count):
    """Digits, with the truth about each."""

    def verify(self, task, answer):
        pieces = [p for p in answer.split(",") if p]
        ends = np.cumsum([len(p) + 1 for p in pieces]) - 1
        spans = tuple((int(e) - len(p), int(e)) for e, p in zip(ends, pieces, strict=True))
        right = tuple(float(p == str(i + 1)) for i, p in enumerate(pieces))
        return Checked(super().verify(task, answer).score, "", answer, right, spans)


@pytest.mark.slow
def test_halves_find_what_a_scan_finds_with_fewer_completions():
    """Digits that are never mended: both truths are one, and with 16 completions of which a third
    is right hardly any prefix is taken for lost."""
    tasks = [replace(Known().make(), id=f"digits:{i}") for i in range(3)]
    told = measured(ScriptedModel("policy", slips), Known(), tasks, 6, 16, 0)
    rows = {(r["way"], r["num_rollouts"]): r for r in told["rows"]}
    assert {way for way, _ in rows} == set(WAYS) and told["answers"] > 5
    assert told["no_return_at"][0] == 1.0
    for way, num in [(way, 16) for way in WAYS[:3]] + [("tree", 8)]:
        best = rows[way, num]
        assert best["no_return"] == best["first_wrong"] and best["no_return"][0] > 0.8
    for num in (1, 4, 16):
        every, halves = rows["every", num], rows["halves", num]
        assert every["no_return"] == rows["linear", num]["no_return"]
        assert halves["rollouts"][0] == 3 * num < every["rollouts"][0] == 7 * num
        assert halves["of_every"][0] < 0.6
    assert "nan" not in page(whole(told))
