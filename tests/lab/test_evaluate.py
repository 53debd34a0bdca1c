"""Claims: the same tasks for everybody, tasks as units, every look written down."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError, RunError, WorldError
from askesis.lab.evaluate import Evaluation, Scores, draw_distinct, evaluate, shown_k
from askesis.records import TaskRole
from askesis.store.run_store import RunStore
from tests.lab.letters import Letters


def scores(name: str, task_scores: list[list[float]]) -> Scores:
    return Scores(
        name, 0, "w-v1", "claim", len(task_scores[0]), 1.0,
        tuple(map(tuple, task_scores)), 2.0, 0.0, 0, 10, 1.0,
    )  # fmt: skip


def test_pass_at_k_is_the_unbiased_one_and_tasks_are_the_units():
    # Chen et al. 2021, equation 1, by hand: n = 4, c = 1 and 2: 1 - C(3,2)/C(4,2) = 1/2 and
    # 1 - C(2,2)/C(4,2) = 5/6; half of a point counts as wrong.
    s = scores("a@0", [[1, 0, 0, 0.5], [1, 1, 0, 0]])
    assert s.per_task(1) == [0.25, 0.5]
    assert s.per_task(2) == pytest.approx([1 / 2, 5 / 6])
    wide = s.pass_at(1)
    narrow = scores("a@0", [[1, 0, 0, 0], [1, 1, 0, 0]] * 50).pass_at(1)
    assert narrow.value == wide.value == 0.375
    assert narrow.high - narrow.low < 0.1 < wide.high - wide.low


def test_a_difference_is_paired_and_may_show_nothing():
    first, last = [[0, 0], [1, 0]] * 20, [[1, 0], [1, 1]] * 20
    better = Evaluation((scores("a@0", first), scores("a@1", last)))
    # Every task gained exactly half, so the paired interval has no width although tasks differ.
    d = better.difference(1)
    assert (d.value, d.low, d.high) == (0.5, 0.5, 0.5)
    assert better.verdict(1) == "higher"
    assert Evaluation((scores("a@1", last), scores("a@0", first))).verdict(1) == "lower"
    same = Evaluation((scores("a@0", [[1, 0], [0, 0]] * 9), scores("a@1", [[0, 0], [1, 0]] * 9)))
    assert same.verdict(1) == "no difference shown"


def test_claim_tasks_are_distinct_of_their_role_and_always_the_same():
    world = Letters()
    tasks = draw_distinct(world, TaskRole.CLAIM, 20)
    assert len({world.canonical(t) for t in tasks}) == 20
    assert {t.role for t in tasks} == {TaskRole.CLAIM}
    assert [t.id for t in draw_distinct(Letters(), TaskRole.CLAIM, 20)] == [t.id for t in tasks]


def test_a_world_with_too_few_claim_tasks_says_so():
    with pytest.raises(WorldError, match="claim"):
        draw_distinct(Letters(), TaskRole.CLAIM, 1000)


def test_the_first_and_last_weights_meet_the_same_tasks_and_the_last_are_better(letters_run):
    seen: list[tuple[str, int, int]] = []
    found = evaluate(
        letters_run, num_tasks=24, num_attempts=8, by="a test",
        on_progress=lambda *place: seen.append(place),
    )  # fmt: skip
    first, last = found.scores
    assert (first.snapshot, last.snapshot) == ("policy@0", "policy@3")
    # the model begins with four equally likely answers: a quarter of its attempts are right
    assert 0.15 < first.pass_at(1).value < 0.35
    assert last.pass_at(1).value > first.pass_at(1).value
    assert seen[-1] == ("policy@3", 24, 24)
    with RunStore.open(letters_run) as store:
        looks = store.looks()
    assert [look["snapshot"] for look in looks] == ["policy@0", "policy@3"]
    assert looks[0]["note"]["by"] == "a test"
    assert looks[0]["metrics"]["pass@1"] == first.pass_at(1).value
    again = evaluate(letters_run, num_tasks=24, num_attempts=8)
    assert [s.task_scores for s in again.scores] == [s.task_scores for s in found.scores]


def test_looking_leaves_the_run_itself_as_it_was(letters_run):
    with RunStore.open(letters_run) as store:
        before = [store.content_digest(t) for t in ("attempts", "tasks")], store.rounds()
    evaluate(letters_run, num_tasks=8, num_attempts=2)
    with RunStore.open(letters_run) as store:
        assert ([store.content_digest(t) for t in ("attempts", "tasks")], store.rounds()) == before
        assert store.verify() == []


def test_no_claim_task_is_in_the_run(letters_run):
    claims = {t.prompt for t in draw_distinct(Letters(), TaskRole.CLAIM, 25)}
    with RunStore.open(letters_run) as store:
        assert not claims & {t.prompt for t in store.read("tasks")}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"role": "clam"}, "claim"),
        ({"num_tasks": 0}, "at least one task"),
        ({"world": "nowhere"}, "no world"),
        ({"snapshots": ("policy@77",)}, "does not exist"),
        ({"snapshots": ("best",)}, "marked best"),
    ],
)
def test_a_wrong_question_is_refused_before_anything_is_sampled(letters_run, options, says):
    with pytest.raises((ConfigError, WorldError, RunError), match=says):
        evaluate(letters_run, **options)
    with RunStore.open(letters_run) as store:
        assert store.looks() == []


def test_the_ks_that_are_shown():
    assert shown_k(1) == [1]
    assert shown_k(8) == [1, 4, 8]
    assert shown_k(16) == [1, 4, 16]


def test_nothing_inside_a_run_can_import_the_evaluation():
    from tests.core.test_architecture import FILES, imports, room_of

    stages = {"tasks", "explore", "judge", "select", "learn", "measure", "retain"}
    inside = stages | {"loop", "run", "context", "driver", "speakers", "recipes"}
    for path in FILES:
        if room_of(path) in inside:
            assert "lab" not in imports(path), path
