"""jsonl:PATH and parquet:PATH: good files, bad files, and what scores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from askesis.errors import WorldError
from askesis.records import TaskRole
from askesis.worlds import question_files
from askesis.worlds.check import check_world
from askesis.worlds.open import open_world

RNG = np.random.default_rng

# In the shape of GSM8K: worked answers with calculator annotations and the answer behind "####".
WORKED = "{again}{n} boxes of 12 hold {n} * 12 = <<{n}*12={m}>>{m} eggs.\n#### {m}"
AGAIN = "Count a box again.\n"


def rows(num: int) -> list[dict[str, str]]:
    """`num` questions, the later ones with longer answers."""
    answers = [WORKED.format(n=n, m=12 * n, again=AGAIN * (n // 20)) for n in range(num)]
    questions = [f"How many eggs are in {n} boxes?" for n in range(num)]
    return [{"question": q, "answer": a} for q, a in zip(questions, answers, strict=True)]


def write(path: Path, some: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(r) + "\n" for r in some), encoding="utf-8")
    return f"jsonl:{path}"


@pytest.fixture
def eggs(tmp_path):
    return open_world(write(tmp_path / "eggs.jsonl", rows(300)))


def test_a_question_world_passes_the_self_check(eggs):
    assert [str(f) for f in check_world(eggs, num=60) if not f.ok] == []


def test_the_marked_end_is_the_answer_and_the_whole_a_demonstration(eggs):
    task = eggs.draw(TaskRole.TRAIN, RNG(0), 1)[0]
    n = int(task.prompt.split()[5])
    assert task.answer == str(12 * n)
    assert task.origin == "data:eggs.jsonl"
    worked = eggs.demonstrate(task, RNG(0))
    assert worked.removeprefix(AGAIN * (n // 20)) == (
        f"{n} boxes of 12 hold {n} * 12 = {12 * n} eggs.\n#### {12 * n}"
    )
    assert eggs.verify(task, worked).score == 1
    assert eggs.demonstrate(task, RNG(0), "backtrack") is None
    assert eggs.truth == {"answer", "demonstration"}
    assert 0 <= task.difficulty <= 1


def test_bare_answers_have_no_demonstration(tmp_path):
    some = [{"question": f"{n}+1?", "answer": n + 1} for n in range(50)]  # numbers are answers too
    world = open_world(write(tmp_path / "q.jsonl", some))
    task = world.draw(TaskRole.TRAIN, RNG(0), 1)[0]
    assert world.truth == {"answer"}
    assert world.demonstrate(task, RNG(0)) is None
    assert world.verify(task, f"It is {task.answer}.").score == 1


def test_no_task_comes_twice_before_all_have_come_once(eggs):
    num = eggs.num_tasks["decide"]
    assert 0 < num < 60
    assert len({t.id for t in eggs.draw(TaskRole.DECIDE, RNG(0), num)}) == num
    assert len(eggs.draw(TaskRole.DECIDE, RNG(0), 2 * num + 1)) == 2 * num + 1
    with pytest.raises(WorldError, match=f"at most {num}"):
        eggs.draw_distinct(TaskRole.DECIDE, RNG(0), num + 1)


def test_the_same_question_has_the_same_role_in_every_file(tmp_path, eggs):
    some = [{"q": r["question"].upper() + " ", "a": "0"} for r in reversed(rows(300))]
    other = open_world(write(tmp_path / "other.jsonl", some) + "?question=q&answer=a")
    assert other.num_tasks == eggs.num_tasks
    ids = [{t.id for t in w.draw(TaskRole.CLAIM, RNG(0), 30)} for w in (eggs, other)]
    claim = {t.id for t in other.draw(TaskRole.CLAIM, RNG(1), other.num_tasks["claim"])}
    assert ids[0] <= claim


def test_repeated_questions_count_once(tmp_path):
    world = open_world(write(tmp_path / "q.jsonl", rows(40) + rows(60)))
    assert (world.num_canonical, world.num_duplicates) == (60, 40)


def test_a_changed_file_is_another_world(tmp_path):
    one = open_world(write(tmp_path / "q.jsonl", rows(40)))
    same = open_world(write(tmp_path / "q.jsonl", rows(40)))
    other = open_world(write(tmp_path / "q.jsonl", rows(41)))
    assert one.id == same.id != other.id
    assert one.id.startswith("jsonl:q-")
    assert one.id.endswith("-v1")


def test_a_folder_or_a_pattern_is_all_its_files(tmp_path):
    write(tmp_path / "a.jsonl", rows(20))
    write(tmp_path / "b.jsonl", rows(50)[20:])
    assert open_world(f"jsonl:{tmp_path}").num_canonical == 50
    assert open_world(f"jsonl:{tmp_path}/*.jsonl").num_canonical == 50


def test_parquet_gives_the_tasks_that_json_lines_give(tmp_path, eggs):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows(300)), tmp_path / "eggs.parquet")
    world = open_world(f"parquet:{tmp_path}/eggs.parquet")
    one, other = (w.draw(TaskRole.TRAIN, RNG(0), 20) for w in (eggs, world))
    assert [(t.id, t.prompt, t.answer) for t in one] == [(t.id, t.prompt, t.answer) for t in other]
    assert world.verify(other[0], world.demonstrate(other[0], RNG(0))).score == 1


def test_a_suffix_is_read_but_is_no_part_of_the_problem(tmp_path, eggs):
    world = open_world(write(tmp_path / "eggs.jsonl", rows(300)) + "?suffix= Think.")
    one, other = (w.draw(TaskRole.TRAIN, RNG(0), 1)[0] for w in (eggs, world))
    assert other.prompt == one.prompt + " Think."
    assert other.id == one.id
    assert world.canonical(other) == eggs.canonical(one)
    assert world.demonstrate(other, RNG(0)) == eggs.demonstrate(one, RNG(0))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no question"),
        (b"\n\n  \n", "holds no question"),
        (b'{"question": "a", "answer": "1"}\n{"question": \n', "line 2 of"),
        (b'{"question": "a", "answer": "1"}\n{"question": \n', "is not JSON"),
        (b'{"q": "a", "answer": "1"}\n', "has no column 'question'; found 'q', 'answer'"),
        (b'{"question": "a"}\n', "has no column 'answer'"),
        (b'["a", "1"]\n', "expected a JSON object; found list"),
        (b'{"question": "a", "answer": null}\n', "found nothing (null)"),
        (b'{"question": "a", "answer": ["1"]}\n', "expected text or a number; found list"),
        (b'{"question": "a", "answer": true}\n', "found bool"),
        (b'{"question": "", "answer": "1"}\n', "column 'question' in line 1"),
        ('{"question": "é", "answer": "1"}\n'.encode("latin1"), "is not UTF-8 (byte 0xe9)"),
        (b"[" * 100_000 + b"\n", "is not readable JSON"),
        (b'{"question": "' + b"x" * (1 << 20) + b'", "answer": "1"}\n', "longer than 1048576"),
        (b'{"question": "a", "answer": ' + b"9" * 5_000 + b"}\n", "is not readable JSON"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, content, said):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(WorldError) as caught:
        open_world(f"jsonl:{path}")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_missing_file_gets_the_nearest_name(tmp_path):
    write(tmp_path / "questions.jsonl", rows(3))
    with pytest.raises(WorldError, match=r"Did you mean 'questions\.jsonl'"):
        open_world(f"jsonl:{tmp_path}/question.jsonl")
    with pytest.raises(WorldError, match="There is no folder"):
        open_world(f"jsonl:{tmp_path}/nowhere/question.jsonl")
    with pytest.raises(WorldError, match=r"no \.parquet file"):
        open_world(f"parquet:{tmp_path}")


def test_bad_parquet_files_are_named_with_their_columns(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "q.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(WorldError, match="is not a Parquet file"):
        open_world(f"parquet:{path}")
    pq.write_table(pa.table({"prompt": ["a"], "answer": [1]}), path)
    with pytest.raises(WorldError, match="no column 'question'; found 'prompt', 'answer'"):
        open_world(f"parquet:{path}")
    pq.write_table(pa.table({"question": ["a"], "answer": [[1]]}), path)
    with pytest.raises(WorldError, match="expected text or a number; found list"):
        open_world(f"parquet:{path}")


def test_a_kind_that_an_answer_is_not_is_refused(tmp_path):
    spec = write(tmp_path / "q.jsonl", [{"question": "where?", "answer": "Paris"}])
    with pytest.raises(WorldError, match="expected kind numeric; found 'Paris'"):
        open_world(spec + "?kind=numeric")
    with pytest.raises(WorldError, match="Did you mean 'numeric'"):
        open_world(spec + "?kind=numerical")


def test_too_few_questions_for_a_role_are_said_so(tmp_path):
    world = open_world(write(tmp_path / "q.jsonl", rows(2)))
    empty = [role for role in TaskRole if not world.num_tasks[role.value]]
    assert empty
    with pytest.raises(WorldError, match="none of the 2 questions"):
        world.draw(empty[0], RNG(0), 1)


def test_memory_grows_by_places_and_not_by_text(tmp_path):
    import tracemalloc

    some = [{"question": f"{n} " + "x" * 2_000, "answer": "1"} for n in range(1_500)]
    spec = write(tmp_path / "q.jsonl", some)
    size = (tmp_path / "q.jsonl").stat().st_size
    tracemalloc.start()
    world = open_world(spec)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert world.num_canonical == 1_500
    assert held < size / 5


def test_a_line_is_never_read_beyond_the_limit(monkeypatch, tmp_path):
    monkeypatch.setattr(question_files, "MAX_LINE_BYTES", 100)
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'{"question": "a", "answer": "1"}\n' + b"z" * 1_000)
    with pytest.raises(WorldError, match="line 2 of"):
        open_world(f"jsonl:{path}")


# The 8,792 questions of GSM8K (Cobbe et al. 2021), where they lie beside the checkout.
_GIVEN = os.environ.get("ASKESIS_GSM8K")
GSM8K = Path(_GIVEN) if _GIVEN else Path(__file__).parents[2].parent / "shared/data/gsm8k"


@pytest.mark.slow
@pytest.mark.skipif(not GSM8K.exists(), reason="set ASKESIS_GSM8K to the folder of the questions")
def test_every_gold_answer_of_gsm8k_scores_1_against_itself():
    world = open_world(f"jsonl:{GSM8K}")
    tasks = [t for r in TaskRole for t in world.draw_distinct(r, RNG(0), world.num_tasks[r.value])]
    assert len(tasks) == 8_792
    assert {t.data["kind"] for t in tasks} == {"numeric"}
    assert all(c.score == 1 for c in world.verify_many([(t, t.answer) for t in tasks]))
    some = tasks[::10]
    worked = [(t, world.demonstrate(t, RNG(0))) for t in some]
    assert all(c.score == 1 for c in world.verify_many(worked))
    off = [(t, f"#### {t.answer}1") for t in some if t.answer]
    assert all(c.score == 0 for c in world.verify_many(off))
