"""reasoning_gym:NAME: the library's items and scorers, and what stands between."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.protocols import World
from askesis.records import TaskRole
from askesis.worlds import gym_gate
from askesis.worlds.check import check_world
from askesis.worlds.hostile import HOSTILE
from askesis.worlds.open import open_world

pytest.importorskip("reasoning_gym")

RNG = np.random.default_rng


def drawn(name: str, num: int = 4, **options):
    world = open_world(f"reasoning_gym:{name}")
    return world, world.draw(TaskRole.TRAIN, RNG(0), num, **options)


@pytest.mark.parametrize("name", ["basic_arithmetic", "leg_counting", "spiral_matrix"])
def test_a_family_passes_the_self_check(name):
    world = open_world(f"reasoning_gym:{name}")
    assert isinstance(world, World)
    assert [str(f) for f in check_world(world, num=30) if not f.ok] == []


# Every family whose scorer evaluates text: its own answers pass the gate, attacks do not.
@pytest.mark.parametrize("name", sorted(gym_gate.EVALUATE_LISTS))
def test_scorers_that_call_eval_never_see_code(name, tmp_path):
    world, tasks = drawn(name)
    assert [c.score for c in world.verify_many([(t, t.answer) for t in tasks])] == [1.0] * 4
    trace = tmp_path / "was here"
    attacks = [
        f"__import__('pathlib').Path({str(trace)!r}).touch()",
        f"[open({str(trace)!r}, 'w')]",
    ]
    attacks += ["9**9**9**9", "[x for x in 'a' for y in 'a']", "(lambda: 1)()", "'a'*9999999999"]
    for attack in attacks:
        for text in (attack, f"<answer>{attack}</answer>", f"thinking\n{attack}"):
            assert world.verify(tasks[0], text).score == 0
    assert not trace.exists()


def test_what_an_unguarded_scorer_would_do(tmp_path):
    # the reason for the gate: the library's own scorer runs the answer
    import reasoning_gym

    trace = tmp_path / "was here"
    dataset = reasoning_gym.create_dataset("spiral_matrix", seed=1, size=1)
    dataset.score_answer(f"__import__('pathlib').Path({str(trace)!r}).touch()", dataset[0])
    assert trace.exists()


def test_the_tables_of_evaluating_scorers_are_complete():
    from reasoning_gym.factory import DATASETS

    known = gym_gate.EVALUATE_LISTS | gym_gate.SYMPY_ARITHMETIC | gym_gate.SYMPY_FUNCTIONS
    assert {name for name in DATASETS if gym_gate.evaluates(name)} == known


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simple_integration", "polynomial_multiplication"])
def test_symbolic_scorers_work_in_another_process(name):
    world, tasks = drawn(name, 3)
    assert [c.score for c in world.verify_many([(t, t.answer) for t in tasks])] == [1.0] * 3
    for attack, text in HOSTILE.items():
        assert world.verify(tasks[0], text).score == 0, attack


@pytest.mark.parametrize(
    ("name", "answer", "passes"),
    [
        ("countdown", "(3+4)*5-6/2", True),
        ("countdown", "3**4", False),
        ("countdown", "sin(3)", False),
        ("simple_integration", "3*X**8/5 - X/2 + C", True),
        ("simple_integration", "-2*x**3*y - x**(3/2)", True),
        ("simple_integration", "x**9999", False),
        ("simple_integration", "2**999", False),
        ("simple_integration", "x.__class__", False),
        ("simple_integration", "exec(x)", False),
        ("polynomial_multiplication", "(((2**99)**99)**99)**99", False),
        ("n_queens", "_ Q\nQ _", True),
        ("n_queens", "[['_', 'Q'], ['Q', '_']]", True),
        ("n_queens", "[print]()", False),
        ("basic_arithmetic", "-17", True),
        ("coin_flip", "1e9999999", False),
        ("basic_arithmetic", "\u0663", False),
    ],
)
def test_the_gate(name, answer, passes):
    assert (gym_gate.refused(name, answer, 2_000) == "") is passes


@pytest.mark.parametrize("name", ["graph_color", "propositional_logic", "boxnet", "rush_hour"])
def test_families_without_reference_answers_say_so(name):
    world, tasks = drawn(name, 2)
    assert [t.answer for t in tasks] == [None, None]
    assert world.num_without_answer >= 2
    assert world.verify(tasks[0], "no idea").score == 0


@pytest.mark.parametrize("name", ["game_of_life_halting", "complex_arithmetic"])
def test_scorers_that_accept_nonsense_are_not_believed(name):
    # in 0.1.25 the first accepts any text that is not empty, and the second accepts nan
    world, tasks = drawn(name, 6)
    for task in tasks:
        assert world.verify(task, task.answer).score == 1
        for nonsense in ("nan", "nan+nanj", "anything else", "-inf"):
            assert world.verify(task, nonsense).score == 0


@pytest.mark.slow
def test_part_of_a_point_for_the_format_is_none_unless_asked_for():
    world, tasks = drawn("countdown", 1)
    wrong = "+".join(str(n) for n in (1, 2, 3))
    assert world.verify(tasks[0], wrong).score == 0
    generous = open_world("reasoning_gym:countdown?partial=true")
    assert 0 < generous.verify(tasks[0], wrong).score < 0.5


_PROMPTS = """
import numpy as np
from askesis.records import TaskRole
from askesis.worlds.open import open_world
for name in ("ransom_note", "basic_arithmetic"):
    tasks = open_world("reasoning_gym:" + name).draw(TaskRole.TRAIN, np.random.default_rng(0), 3)
    print([(t.id, t.prompt, t.answer) for t in tasks])
"""


@pytest.mark.slow
def test_a_seed_gives_the_same_items_whatever_the_order_of_sets():
    # ransom_note gives other items under other hash seeds when the library is used directly
    said = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        out = subprocess.run(
            [sys.executable, "-c", _PROMPTS], capture_output=True, text=True, env=environment
        )
        assert out.returncode == 0, out.stderr
        said.add(out.stdout)
    assert len(said) == 1


def test_difficulty_goes_through_the_curriculum_in_tenths():
    _, easy = drawn("basic_arithmetic", 5, difficulty=0.0)
    _, hard = drawn("leg_counting", 5, difficulty=1.0)
    assert all(len(t.prompt) < 25 for t in easy)  # two terms of one digit
    assert {t.difficulty for t in hard} == {1.0}
    with pytest.raises(WorldError, match="has no curriculum"):
        drawn("acre", 1, difficulty=0.5)
    with pytest.raises(WorldError, match="refuses its own curriculum at difficulty 1"):
        drawn("caesar_cipher", 1, difficulty=1.0)


def test_the_same_problem_in_other_words_has_the_same_role():
    world, tasks = drawn("countdown", 1)
    entry = tasks[0].data["canonical"]
    assert entry.startswith("[[")  # the sorted numbers and the target, not the wording
    assert world.canonical(tasks[0].without_truth()) == entry


def test_an_item_that_is_no_longer_made_is_not_scored_against_another():
    world, tasks = drawn("basic_arithmetic", 1)
    stale = replace(tasks[0], prompt="Calculate 1 + 1.")
    with pytest.raises(WorldError, match="no longer makes the item"):
        world.verify(stale, "2")


def test_unknown_families_get_the_nearest_name(monkeypatch):
    with pytest.raises(WorldError, match="Did you mean 'basic_arithmetic'"):
        open_world("reasoning_gym:basic_arithmetics")
    with pytest.raises(WorldError, match="composite mixes other families"):
        open_world("reasoning_gym:composite")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WorldError, match=r"pip install 'askesis\[gym\]'"):
        open_world("reasoning_gym:basic_arithmetic")
