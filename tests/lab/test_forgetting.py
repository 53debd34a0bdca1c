"""The matrix of a run that learns two worlds which contradict each other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from askesis.cli.main import main
from askesis.errors import RunError, WorldError
from askesis.lab.evaluate import Evaluation, Scores
from askesis.lab.forgetting import Life, against_experts, learning_blocks, life
from askesis.store.run_store import RunStore

HERE = Path(__file__).with_name("two_worlds.py")


def run(recipe: str, path: Path) -> Path:
    assert main(["run", f"{HERE}:{recipe}", "--out", str(path), "--segment-s", "0"]) == 0
    return path


@pytest.fixture(scope="module")
def twice(tmp_path_factory) -> Path:
    return run("one_then_the_other", tmp_path_factory.mktemp("lives") / "twice")


@pytest.mark.slow
def test_what_was_learnt_is_forgotten_while_its_opposite_is_learnt(twice):
    found = life(twice, num_tasks=24, num_attempts=8)
    assert found.stages == ("start", "main0", "turned1", "main2")
    assert found.learnt == (0, 1, 0)
    matrix = found.matrix
    assert matrix.shape == (4, 2)
    assert matrix[1, 0] > matrix[0, 0] + 0.2  # learnt
    assert matrix[2, 0] < matrix[1, 0] - 0.2  # and lost
    lost = found.change(0, 1, 2)
    assert lost.high < 0 and lost.value == pytest.approx(matrix[2, 0] - matrix[1, 0])
    assert found.kept(1).value == pytest.approx(matrix[3, 1] - matrix[2, 1])
    assert found.kept(0) is None  # learnt last
    figures = found.figures()
    assert figures["worlds"]["main"]["maintenance"] == pytest.approx(lost.value)
    assert figures["worlds"]["turned"]["forgetting"] == pytest.approx(
        matrix[:3, 1].max() - matrix[3, 1]
    )
    assert figures["forward_transfer"] < 0 > figures["backward_transfer"]
    assert [row[:3] for row in figures["forward_transfers"]] == [["main0", "main", "turned"]]
    assert found.cell(1, 0).low < matrix[1, 0] < found.cell(1, 0).high


@pytest.mark.slow
def test_every_cell_is_a_look_and_one_world_alone_is_possible(twice):
    with RunStore.open(twice) as store:
        before = len(store.looks())
    found = life(twice, ("turned",), num_tasks=10, num_attempts=2)
    assert found.learnt == (-1, 0, -1)
    assert found.matrix.shape == (4, 1)
    with RunStore.open(twice) as store:
        looks = store.looks()[before:]
    assert len(looks) == 4
    assert {look["role"] for look in looks} == {"claim"}
    with pytest.raises(WorldError, match="Did you mean 'turned'"):
        life(twice, ("turnd",))


@pytest.mark.slow
def test_a_run_is_compared_with_one_who_learnt_nothing_else(twice, tmp_path):
    expert = run("only_main", tmp_path / "expert")
    assert [world for world, _ in learning_blocks(twice)] == ["main", "turned", "main"]
    found = against_experts(twice, {"main": expert})["main"]
    # the expert's only phase has the same seed and the same first rounds
    assert found.relative_performance == pytest.approx(1.0)
    assert len(found.recovery_times) == 1 and found.recovery is None
    with pytest.raises(RunError, match="never learnt"):
        against_experts(expert, {"turned": twice})
    with pytest.raises(RunError, match="no metric"):
        learning_blocks(twice, "measure/nothing")


@pytest.mark.slow
def test_other_worlds_are_measured_while_learning(twice):
    with RunStore.open(twice) as store:
        rows = store.metrics("measure/world/main/pass@1", "measure/world/turned/pass@1")
    curve = {key: [r["value"] for r in rows if r["key"] == key] for key in {r["key"] for r in rows}}
    main_curve = np.array(curve["measure/world/main/pass@1"])
    assert len(main_curve) == 9
    assert main_curve[5] < main_curve[2]  # after the second world, and after the first


def scores(snapshot: str, *right: int) -> Scores:
    """Four attempts at each of some tasks, so many of them right."""
    each = tuple(tuple([1.0] * n + [0.0] * (4 - n)) for n in right)
    return Scores(snapshot, 0, "w-v1", "claim", 4, 1.0, each, 2.0, 0.0, 0, 8, 1.0)


def test_figures_follow_from_the_cells_by_definition():
    first = Evaluation((scores("p@0", 0, 1, 1), scores("p@3", 4, 3, 4), scores("p@5", 3, 2, 2)))
    second = Evaluation((scores("p@0", 2, 2, 2), scores("p@3", 1, 1, 1), scores("p@5", 4, 4, 4)))
    found = Life(
        ("one", "two"), ("start", "a", "b"), (0, 1), ("p@0", "p@3", "p@5"), (first, second)
    )
    assert found.matrix == pytest.approx(np.array([[2, 6], [11, 3], [7, 12]]) / 12)
    figures = found.figures()
    assert figures["worlds"]["one"]["maintenance"] == pytest.approx(-1 / 3)
    assert figures["worlds"]["two"]["maintenance"] is None  # learnt last
    assert figures["worlds"]["one"]["forgetting"] == pytest.approx(1 / 3)
    assert figures["performance_maintenance"] == pytest.approx(-1 / 3)
    assert figures["forward_transfer"] == pytest.approx(-1 / 3)  # (3 - 6) / 9
    assert figures["backward_transfers"] == [["b", "two", "one", pytest.approx(-4 / 18)]]
    kept = found.kept(0)
    assert kept is not None and kept.value == pytest.approx(-1 / 3) and kept.low < kept.value
    assert found.kept(1) is None


def test_a_phase_in_which_nothing_was_learnt_has_the_snapshot_of_the_one_before():
    world = Evaluation((scores("p@0", 1, 1), scores("p@1", 2, 2)))
    found = Life(("one",), ("start", "a", "b"), (0, -1), ("p@0", "p@1", "p@1"), (world,))
    assert found.matrix[:, 0].tolist() == [0.25, 0.5, 0.5]
    kept = found.kept(0)
    assert kept is not None and (kept.value, kept.low, kept.high) == (0, 0, 0)


def test_a_run_without_a_finished_round_says_so(tmp_path):
    with pytest.raises(RunError, match="there is no run"):
        life(tmp_path / "nothing")


@pytest.mark.slow
def test_the_command_shows_the_matrix_and_what_follows_from_it(twice, capsys):
    words = ["forgetting", str(twice), "--num", "24", "--attempts", "8"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "turned1" in told and "backward transfer" in told and "turned: " in told
    assert main([*words, "--world", "turned", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["columns"] == ["turned"] and len(found["pass@1"]) == 4
    assert found["stages"] == ["start", "main0", "turned1", "main2"]


def test_what_is_shown_says_whether_a_difference_was_seen():
    from rich.console import Console

    from askesis.cli.retaining import show_life

    first = Evaluation((scores("p@0", 0, 1, 1), scores("p@3", 4, 4, 4), scores("p@5", 1, 1, 2)))
    found = Life(("one",), ("start", "a", "b"), (0, -1), ("p@0", "p@3", "p@5"), (first,))
    out = Console(record=True, width=120)
    show_life(out, found, 3, 4)
    told = out.export_text()
    assert "100.0 %" in told and "*" in told
    assert "since it was last learnt: forgotten" in told
