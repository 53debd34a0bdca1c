"""What of repaired attempts is learnt, by whom, and what is kept out of it."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.repair import Repair
from askesis.models.scripted import ScriptedModel
from askesis.records import About, Group, Start, Verdict, VerdictKind
from askesis.select.repaired import AsOwn, RepairedPairs, RepairLessons
from askesis.select.threshold import Threshold
from tests.explore.host import Host, Sums

TASK = Sums().make(3, 4)
END = 0x110000


def spoken(policy, reflector, num_attempts=4, num_repairs=1):
    """One group of attempts and repairs, with what the verifier says of each."""
    models = {
        "policy": ScriptedModel("policy", policy),
        "reflector": ScriptedModel("reflector", reflector),
    }
    host = Host(models)
    part = Repair(num_attempts=num_attempts, num_repairs=num_repairs)
    attempts = host.explore(part, Start(TASK))
    verdicts = [
        Verdict(
            "v", About(a.id), VerdictKind.OUTCOME, Sums().verify(TASK, a.text.split("|")[-1]).score
        )
        for a in attempts
    ]
    return host, [Group(TASK.id, tuple(attempts))], Verdicts(verdicts)


def learnt(row) -> tuple[str, str]:
    """What is read and what is learnt of a row."""
    text = [chr(t) if t < END else "." for t in row.tokens.tolist()]
    weight = row.columns["weight"]
    assert set(np.unique(weight)) <= {0.0, 1.0}
    first = int(np.argmax(weight))
    assert weight[first:].all()
    return "".join(text[:first]), "".join(text[first:])


def select(part, said, model):
    host, groups, verdicts = said
    ctx = host.context("select", slot=f"select.{model}")
    samples = part.select(ctx, groups, verdicts)
    assert {s.model for s in samples} <= {model}
    return samples, ctx.metrics


def test_the_agent_learns_repairs_from_the_task_alone():
    said = spoken(lambda text, u: "8" if u < 0.5 else "2+5=7", lambda text, u: "7", num_attempts=12)
    samples, noted = select(AsOwn(), said, "policy")
    assert sorted(learnt(s.sequences[0]) for s in samples) == [("3+4", "2+5=7."), ("3+4", "7.")]
    assert noted["select/repaired_fraction"] == 0.5 and noted["select/repair_success"] == 1.0


def test_a_reflection_is_cut_off():
    said = spoken(lambda text, u: "8", lambda text, u: "I should add|7")
    samples, _ = select(AsOwn(reflection_end="|"), said, "policy")
    assert [learnt(s.sequences[0]) for s in samples] == [("3+4", "7.")]


def test_the_inner_selector_keeps_as_it_is_told():
    said = spoken(lambda text, u: "8" if u < 0.5 else "2+5=7", lambda text, u: "7", num_attempts=12)
    samples, _ = select(AsOwn(keep=Threshold(max_per_task=1)), said, "policy")
    assert len(samples) == 1


def test_the_reflector_learns_to_repair_with_the_failed_attempt_in_sight():
    said = spoken(lambda text, u: "8", lambda text, u: "7")
    samples, _ = select(RepairLessons(), said, "reflector")
    assert [learnt(s.sequences[0]) for s in samples] == [("3+4\n8\nread '8'", "7.")]
    attempts = said[1][0].attempts
    assert samples[0].sources == (attempts[0].id, attempts[4].id)


def test_a_sibling_stands_in_for_a_repair_that_failed_unless_it_shall_not():
    said = spoken(lambda text, u: "8" if u < 0.5 else "7", lambda text, u: "9", num_attempts=12)
    samples, _ = select(RepairLessons(), said, "reflector")
    assert [learnt(s.sequences[0]) for s in samples] == [("3+4\n8\nread '8'", "7.")]
    assert select(RepairLessons(siblings=False), said, "reflector")[0] == []


def test_lessons_of_a_task_are_limited_and_nothing_right_teaches_nothing():
    said = spoken(lambda text, u: str(10 + int(50 * u)), lambda text, u: "7", num_attempts=8)
    assert len(select(RepairLessons(max_per_task=3), said, "reflector")[0]) == 3
    never = spoken(lambda text, u: "8", lambda text, u: "9")
    for part, model in (
        (RepairLessons(), "reflector"),
        (AsOwn(), "policy"),
        (RepairedPairs(), "policy"),
    ):
        assert select(part, never, model)[0] == []


def test_pairs_are_a_repair_against_what_it_mends_both_at_the_plain_task():
    said = spoken(lambda text, u: "8", lambda text, u: "7")
    (pair,), noted = select(RepairedPairs(), said, "policy")
    assert [learnt(row) for row in pair.sequences] == [("3+4", "7."), ("3+4", "8.")]
    assert dict(pair.columns) == {"margin": 1.0, "outcome": 1.0} and noted["select/pairs"] == 1


def test_limits_that_cannot_be_are_refused():
    for part in (RepairLessons, RepairedPairs):
        with pytest.raises(ConfigError, match="max_per_task"):
            part(max_per_task=0)
