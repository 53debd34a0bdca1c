"""Mathematical equality in worker processes, and the processes themselves."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.records import TaskRole
from askesis.worlds import mathematics
from askesis.worlds.hostile import HOSTILE
from askesis.worlds.mathematics import gate, same_mathematics
from askesis.worlds.open import open_world
from askesis.worlds.workers import Job, Workers


@pytest.fixture(scope="module")
def workers():
    made = Workers(num=2, cpu_s=1)
    yield made
    made.close()


@pytest.mark.slow
def test_equal_mathematics_is_equal_however_it_is_written():
    pairs = [
        ("\\frac{1}{2}", "0.5"),
        ("x^2+2x+1", "so \\boxed{(x+1)^2}"),
        ("\\sqrt{8}", "#### 2\\sqrt{2}"),
        ("(1,2)", "(1, 2)"),
        ("e^{x^2}", "e^{x^{2}}"),
        ("x+1", "x+2"),
        ("(1,2)", "(2,1)"),
        ("3", "three or so"),
    ]
    assert [o.value for o in same_mathematics(pairs)] == [True] * 5 + [False] * 3


@pytest.mark.slow
def test_a_math_world_asks_the_workers_only_where_it_must(tmp_path):
    path = tmp_path / "q.jsonl"
    row = {"question": "expand", "answer": "x^2+2x+1"}
    some = [row] + [{"question": f"q{n}", "answer": "1/2"} for n in range(40)]
    path.write_text("".join(json.dumps(r) + "\n" for r in some))
    world = open_world(f"jsonl:{path}?kind=math")
    halves = world.draw(TaskRole.TRAIN, np.random.default_rng(0), 30)
    halves = [t for t in halves if t.answer == "1/2"]
    cheap = world.verify_many([(t, "0.5") for t in halves] + [(halves[0], "0.25")])
    assert [c.score for c in cheap] == [1.0] * len(halves) + [0.0]
    expand = next(t for r in TaskRole for t in _all(world, r) if t.prompt == "expand")
    checked = world.verify_many([(expand, "(x+1)^2"), (expand, "(x-1)^2"), (expand, "9^9^9^9")])
    assert [c.score for c in checked] == [1.0, 0.0, 0.0]
    for name, answer in HOSTILE.items():
        before = time.perf_counter()
        assert world.verify(expand, answer).score == 0, name
        assert time.perf_counter() - before < 2, name  # some reach the workers


def _all(world, role):
    num = world.num_tasks[role.value]
    return world.draw(role, np.random.default_rng(0), num) if num else []


@pytest.mark.parametrize(
    "answer",
    [
        "9^9^9^9",
        "10^{10^{10}}",
        "(2^{99})^{99}",
        "2**(3**99999)",
        "99999999!",
        "3!!",
        "2^{123456}",
        "1" * 60,
        "(" * 30 + "x" + ")" * 30,
        "x" * 400,
        "",
    ],
)
def test_what_only_costs_time_never_reaches_the_library(answer):
    assert gate(answer)


@pytest.mark.parametrize("answer", ["x^{2023}", "e^{x^2}", "5!", "\\frac{1}{2^{10}}", "x^2+y^2=1"])
def test_what_people_write_does(answer):
    assert gate(answer) == ""


FINE = Job("askesis.worlds.gym_gate:nesting", ("((1))",))


@pytest.mark.slow
def test_a_job_that_takes_too_long_is_interrupted_and_its_neighbours_are_not(workers):
    endless = Job("askesis.worlds.countdown:reachable", (list(range(2, 14)), "+-*/"))
    raises = Job("askesis.worlds.gym_gate:nesting", (7,))  # a number cannot be walked
    outcomes = workers.run([FINE, raises, endless, FINE, FINE])
    assert [o.value for o in outcomes] == [2, None, None, 2, 2]
    assert outcomes[1].why.startswith("TypeError")
    assert outcomes[2].why == "the check took more than 1 processor seconds"


@pytest.mark.slow
def test_a_job_that_wants_too_much_memory_fails_alone(workers):
    greedy = Job("askesis.worlds.chain_arithmetic:apply", ("x", "*", 10**11))
    outcomes = workers.run([greedy, FINE])
    assert outcomes[0].why.startswith("MemoryError")
    assert outcomes[1].value == 2


@pytest.mark.slow
def test_a_long_computation_in_c_is_stopped_too(workers):
    # ten to a thousand million is one call that takes hours
    outcomes = workers.run([Job("askesis.worlds.countdown:Fraction", ("1e999999999",)), FINE])
    assert outcomes[0].value is None
    assert outcomes[1].value == 2


def test_only_functions_of_the_worlds_may_be_called(workers):
    outcome = workers.run([Job("os:getcwd", ())])[0]
    assert outcome.value is None
    assert outcome.why.startswith("PermissionError")


@pytest.mark.slow
def test_a_worker_that_died_is_replaced(workers):
    workers.run([FINE, FINE])
    for worker in workers._idle:
        os.kill(worker.pid, 9)
        worker.wait()
    outcomes = workers.run([FINE] * 4)
    assert [o.value for o in outcomes].count(2) >= 2  # at most the two that were dead are lost


def test_the_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(mathematics, "find_spec", lambda name: None)
    with pytest.raises(WorldError, match=r"pip install 'askesis\[math\]'"):
        same_mathematics([("x", "y")])
