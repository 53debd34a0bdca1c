"""The self-check finds what is wrong with a world (and so can fail)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from askesis.requests import Checked
from askesis.worlds.addition import Addition
from askesis.worlds.check import check_world
from askesis.worlds.maze import Maze


class AcceptsAnything(Addition):
    def verify(self, task, answer):
        return Checked(1.0)


class Rejects(Addition):
    def verify(self, task, answer):
        return Checked(0.0)


class Leaks(Addition):
    def generate(self, rng, difficulty):
        task = super().generate(rng, 1.0)
        return replace(task, data={**task.data, "sum": task.answer})


class NoKnob(Addition):
    def generate(self, rng, difficulty):
        return super().generate(rng, 0.5)


class Forgets(Addition):
    """Its canonical form depends on something besides the task."""

    num = 0

    def canonical(self, task):
        self.num += 1
        return f"{super().canonical(task)} {self.num}"


class OwnRandomness(Addition):
    def draw(self, role, rng, num, difficulty=None):
        import numpy as np

        return super().draw(role, np.random.default_rng(), num, difficulty)


class Overlaps(Addition):
    def draw(self, role, rng, num, difficulty=None):
        tasks = [self.generate(rng, 0.05) for _ in range(num)]
        return [replace(self.named(t), role=role) for t in tasks]


class BadDemonstrations(Addition):
    def demonstrate(self, task, rng, habit="plain", *, wrong=False):
        return super().demonstrate(task, rng, habit, wrong=habit == "backtrack" or not wrong)


class ChangesStates(Maze):
    def step(self, task, state, action, seat=0):
        after = super().step(task, state, action, seat)
        state["moves"] += 1
        return after


class Breaks(Addition):
    def verify(self, task, answer):
        return Checked(float(int(answer) == int(task.answer)))


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (AcceptsAnything, "corrupted answers score 0"),
        (AcceptsAnything, "hostile answers score 0 quickly"),
        (AcceptsAnything, "wrong demonstrations score 0"),
        (Rejects, "the reference answer scores 1"),
        (Rejects, "demonstrations score 1"),
        (Leaks, "tasks without truth tell no answer"),
        (NoKnob, "harder is harder"),
        (Forgets, "canonical forms are stable"),
        (OwnRandomness, "the same generator gives the same tasks"),
        (Overlaps, "roles do not overlap"),
        (BadDemonstrations, "demonstrations score 1"),
        (BadDemonstrations, "wrong demonstrations score 0"),
        (ChangesStates, "walking reaches the end"),
        (Breaks, "hostile answers score 0 quickly"),
    ],
)
def test_a_broken_world_is_found_out(kind, check):
    failed = {f.check for f in check_world(kind(), num=40) if not f.ok}
    assert check in failed


def test_a_world_that_cannot_draw_gives_one_finding():
    class Nothing(Addition):
        def draw(self, *_):
            raise ValueError("no")

    findings = check_world(Nothing())
    assert [str(f) for f in findings] == ["addition-v1: draws tasks: FAILED (ValueError: no)"]
