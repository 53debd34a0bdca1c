"""Looks that see more than right and wrong: one number a task, by hand, with scripted models."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from askesis.errors import ConfigError, WorldError
from askesis.lab.arm import Arm, Look, Point, read_result
from askesis.lab.arm_scores import _point
from askesis.lab.looks.answers import habits, turns
from askesis.lab.looks.kinds import check_look, figure_names, look_at
from askesis.lab.looks.sharpness import sharpness
from askesis.lab.looks.walks import walks
from askesis.lab.outside import Outside
from askesis.models.scripted import ScriptedModel
from askesis.records import TaskRole
from askesis.store.run_store import RunStore
from askesis.worlds.countdown import Countdown
from askesis.worlds.maze import Maze
from tests.explore.host import Sums, eval_sum
from tests.measure.test_sharpness import Listed, table
from tests.measure.test_walked_measures import knows_the_way

SUMS = Sums()
TASKS = [SUMS.make(a, b) for a, b in ((1, 2), (3, 4), (5, 6), (7, 8))]


def outside(script, world=SUMS) -> Outside:
    return Outside({"policy": ScriptedModel("policy", script)}, world, seed=1)


def seen_in_turns(script, num_attempts=4, **options):
    look = Look(kind="turns", num_tasks=4, num_attempts=num_attempts)
    return turns(outside(script), TASKS, look, **options)


def mends_and_spoils(text: str, u: float) -> str:
    """1+2 is mended, 3+4 is spoilt, 5+6 always right, 7+8 always wrong."""
    prompt, asked = text.split("\n")[0], "again" in text
    is_right = {"1+2": asked, "3+4": not asked, "5+6": True, "7+8": False}[prompt]
    return str(eval_sum(prompt)) if is_right else "99"


def test_turns_say_of_every_task_what_was_mended_and_what_was_spoilt():
    found = seen_in_turns(mends_and_spoils, instruction="again").figures
    assert found["turn1"] == [0, 1, 1, 0] and found["turn2"] == [1, 0, 1, 0]
    assert found["gain"] == [1, -1, 0, 0]
    assert found["wrong_to_right"] == [1, 0, 0, 0] and found["right_to_wrong"] == [0, 1, 0, 0]
    assert found["unchanged"] == [0, 0, 1, 1]
    assert set(figure_names(Look(kind="turns"))) | {"tokens"} == set(found)


def test_a_vote_of_first_answers_costs_what_two_turns_cost():
    """First answers take 2 tokens ("9", the end), later ones 4: three first answers an attempt."""
    seen = seen_in_turns(lambda text, u: "999" if "again" in text else "9", instruction="again")
    assert seen.figures["votes"] == [3.0] * 4
    assert seen.figures["tokens"] == [6.0] * 4
    assert seen.tokens == 6 * 16 and seen.plain()["mean_tokens"] == 6.0
    # the first answer of 5+6 is right in 3 of 4 attempts: so is a vote of three
    rare = iter(range(10**6))
    seen = seen_in_turns(
        lambda text, u: "x" if "again" in text else "11" if next(rare) % 4 else "12",
        instruction="again",
    )
    assert seen.figures["turn1"] == [0, 0, 0.75, 0]
    (m,) = set(seen.figures["votes"])
    assert 1 < m < 2  # of one answer 0.75, of two 0.75 as well: a tie is broken evenly
    assert seen.figures["vote"] == [0, 0, 0.75, 0]
    assert seen.figures["over_vote"] == [0, 0, -0.75, 0]


def test_a_vote_has_no_more_answers_than_there_are_attempts():
    seen = seen_in_turns(lambda text, u: "9" * 15 if "again" in text else "3", num_attempts=2)
    assert seen.figures["votes"] == [9.0] * 4 and seen.figures["vote"] == [1, 0, 0, 0]


def test_more_turns_than_two_and_a_window():
    reads = []

    def script(text: str, u: float) -> str:
        reads.append(text.count("again"))
        return str(eval_sum(text.split("\n")[0])) if len(text) > 12 else "99"

    seen = seen_in_turns(script, num_turns=3, window=1, instruction="again")
    assert {"turn1", "turn2", "turn3"} <= set(seen.figures)
    assert max(reads) == 1  # a revision sees the last answer alone
    assert seen.figures["majority"] == [float(t > 0.5) for t in seen.figures["turn2"]]


def test_a_task_that_fails_counts_as_wrong_and_stays_in_its_place():
    class Breaks(Sums):
        def verify(self, task, answer):
            if task.prompt == "3+4":
                raise RuntimeError("the verifier broke")
            return super().verify(task, answer)

    look = Look(kind="turns", num_tasks=4, num_attempts=2)
    right = lambda text, u: str(eval_sum(text.split("\n")[0]))
    seen = turns(outside(right, Breaks()), TASKS, look, instruction="again")
    assert seen.figures["turn2"] == [1, 0, 1, 1]
    assert seen.scores == [[1, 1], [0, 0], [1, 1], [1, 1]]


# ---------------------------------------------------------------- walks


def seen_in_mazes(script, **options):
    world = Maze(difficulty=0.0)
    tasks = world.draw(TaskRole.TRAIN, np.random.default_rng(0), 8)
    look = Look(kind="walks", num_tasks=8, num_attempts=2)
    return walks(outside(script, world), tasks, look, **options)


def test_who_knows_the_way_arrives_from_everywhere_and_needs_more_moves_after_slips():
    found = seen_in_mazes(knows_the_way).figures
    assert found["success"] == [1.0] * 8 and set(found["illegal"]) == {0.0}
    assert 0 < len(found["after_slips"]) <= 8 and set(found["after_slips"]) == {1.0}
    assert np.mean(found["slips_moves"]) > np.mean(found["moves"])
    assert set(figure_names(Look(kind="walks"))) | {"tokens"} == set(found)


def test_who_stands_still_never_arrives():
    seen = seen_in_mazes(lambda text, u: "wait")
    assert seen.figures["success"] == [0.0] * 8 and seen.figures["illegal"] == [1.0] * 8
    assert seen.figures["moves"] == [9.0] * 8  # as many as the maze has places
    assert seen.plain()["cut_off_fraction"] == 1.0
    assert set(seen.figures["after_slips"]) == {0.0}


# ---------------------------------------------------------------- listed answers


def test_the_exact_probabilities_by_hand():
    """At first x with 0.6 after a and 0.7 after b, where y is right; now 0.9 and 0.2."""
    world = Listed()
    now, first = table((0.9, 0.1), (0.2, 0.8)), table((0.6, 0.4), (0.7, 0.3))
    here = Outside({"policy": now, "first": first}, world)
    look = Look(kind="sharpness", num_tasks=2, num_attempts=4)
    found = sharpness(here, [world.task("a"), world.task("b")], look).figures
    close = {k: pytest.approx(v, abs=1e-5) for k, v in found.items()}
    assert close["favourite_mass"] == [0.9, 0.2] and close["right_mass"] == [0.9, 0.8]
    assert close["log_favourite"] == [math.log(0.9), math.log(0.2)]
    assert found["sharpened"] == [1, 0] and found["favourite_right"] == [1, 0]
    assert found["greedy_finds_favourite"] == [1, 0] and found["greedy_right"] == [1, 1]
    assert close["mass_where_favourite_right"] == [0.9]
    assert close["mass_where_favourite_wrong"] == [0.8]
    assert close["coverage_cost"] == [math.log10(1 / 0.6), math.log10(1 / 0.7)]
    assert close["pass@4"] == [1 - 0.1**4, 1 - 0.2**4] and found["pass@1"] == found["right_mass"]
    entropy = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in (0.9, 0.2)]
    assert close["entropy"] == entropy and close["listed_mass"] == [1, 1]
    assert set(figure_names(look)) | {"tokens", "pass@1", "pass@4"} == set(found)


# ---------------------------------------------------------------- habits


def test_habits_are_counted_answer_by_answer():
    world = Countdown()
    rng = np.random.default_rng(0)
    tasks = world.draw(TaskRole.TRAIN, rng, 3)
    told = {
        task.prompt: world.demonstrate(task, rng, habit)
        for task, habit in zip(tasks, ("plain", "backtrack", "verify"), strict=True)
    }
    look = Look(kind="habits", num_tasks=3, num_attempts=2)
    seen = habits(outside(told, world), tasks, look, max_tokens=200)
    assert seen.figures["backtracking"] == [0, 1, 0]
    assert seen.figures["verification"] == [0, 0, 1]
    assert seen.figures["any_habit"] == [0, 1, 1]
    assert seen.scores == [[1.0] * 2] * 3
    assert seen.figures["tokens"] == [len(told[t.prompt]) + 1 for t in tasks]
    cut = habits(outside(told, world), tasks, look, max_tokens=4)
    assert cut.plain()["cut_off_fraction"] == 1.0 and cut.plain()["mean_tokens"] == 4.0


# ---------------------------------------------------------------- of runs and arms


def test_a_look_at_a_run_is_written_down_and_the_same_again(letters_run):
    look = Look(kind="turns", num_tasks=12, num_attempts=2, options=(("instruction", "a"),))
    found = look_at(letters_run, "last", look)
    assert found == look_at(letters_run, "last", look) == json.loads(json.dumps(found))
    assert len(found["figures"]["gain"]) == len(found["scores"]) == 12
    with RunStore.open(letters_run) as store:
        (first, _) = store.looks()
    assert (first["snapshot"], first["role"], first["num_tasks"]) == ("policy@3", "claim", 12)
    assert first["note"]["kind"] == "turns"
    assert first["metrics"]["turn1"] == np.mean(found["figures"]["turn1"])


def test_looks_that_a_world_cannot_give_are_refused(letters_run):
    with pytest.raises(WorldError, match="is not walked"):
        look_at(letters_run, "last", Look(kind="walks"))
    with pytest.raises(WorldError, match="does not list its answers"):
        look_at(letters_run, "last", Look(kind="sharpness"))


def test_kinds_and_options_that_there_are_not_are_refused():
    with pytest.raises(ConfigError, match=r"no look 'turn'.*turns"):
        check_look(Look(kind="turn"))
    with pytest.raises(ConfigError, match=r"no option 'num_turn'.*num_turns"):
        check_look(Look(kind="turns", options=(("num_turn", "3"),)))
    check_look(Look(kind="turns", options=(("num_turns", "3"),)))


def test_looks_as_they_were_keep_the_names_of_their_arms():
    """Keys as commit a2ccfee made them, before looks had options."""
    options = (("world", "chain_arithmetic"), ("tasks.num", "16"),
               ("learn.policy.learning-rate", "2e-4"))  # fmt: skip
    arm = Arm("x", "grpo", options, 0, {"tokens": 300000.0}, Look("claim", 1000, 4))
    assert arm.key == "grpo-0-7faba3325839"
    look = Look("decide", 500, 4, kind="pairs")
    arm = Arm("y", "reward_model", (("world", "preferences"),), 3, {"trained_tokens": 4e5}, look)
    assert arm.key == "reward_model-3-10bc774b5f82"
    other = Arm("x", "grpo", options, 0, {"tokens": 300000.0}, Look(options=(("window", "1"),)))
    assert other.key != "grpo-0-7faba3325839"


def test_a_point_with_figures_comes_back_from_its_cache_and_its_result(letters_run, tmp_path):
    from dataclasses import asdict

    from askesis.lab.arm import ArmResult
    from askesis.lab.snapshots import kept

    folder = tmp_path / "arms" / "one"
    folder.mkdir(parents=True)
    letters_run.rename(folder / "run")
    with RunStore.open(folder / "run") as store:
        *_, last = kept(store)
    look = Look(kind="turns", num_tasks=6, num_attempts=2, options=(("instruction", "a"),))
    arm = Arm("a", "letters", (), 0, {"tokens": 1.0}, look)
    point = _point(arm, folder, last, {"tokens": 3.0}, [])
    assert isinstance(point, Point) and len(point.figures["gain"]) == 6
    (cached,) = (folder.parent / "scores").iterdir()
    cached.write_text(cached.read_text().replace('"mean_tokens": ', '"mean_tokens": 1'))
    assert _point(arm, folder, last, {}, []).mean_tokens != point.mean_tokens  # it was read
    whole = ArmResult(arm, "done", {}, (point,), ())
    (folder / "result.json").write_text(json.dumps(asdict(whole)))
    back = read_result(folder)
    assert back.arm == arm and back.points == (point,)
    assert Path(folder / "result.json").exists()
