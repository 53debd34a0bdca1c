"""What a run directory promises to writers, readers and those who come later."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from askesis.errors import RunError
from askesis.records import Purpose, StopReason
from askesis.store import rows, segment
from askesis.store.run_store import RunStore
from tests.store import house

THREE = {"rounds": 3, "closed_after": (0, 2)}


@pytest.fixture
def finished(tmp_path):
    """Three rounds in two segments, closed."""
    store = house.create(tmp_path / "run")
    house.play(store, **THREE)
    store.close()
    return tmp_path / "run"


# ------------------------------------------------------------ beginning


@pytest.mark.parametrize("kind", ["file", "used", "run", "below a file", "too long", "no right"])
def test_a_directory_that_cannot_hold_a_run_is_refused_in_one_line(tmp_path, finished, kind):
    path = tmp_path / "new"
    expected = "cannot be made"
    if kind == "file":
        path.write_text("x")
        expected = "found a file"
    elif kind == "used":
        path.mkdir()
        (path / "thesis.tex").write_text("x")
        expected = "already in use.*thesis.tex"
    elif kind == "run":
        path, expected = finished, "already holds a run.*askesis resume"
    elif kind == "below a file":
        (tmp_path / "new").write_text("x")
        path = tmp_path / "new/run"
    elif kind == "too long":
        path = tmp_path / ("x" * 300)
    else:
        path = Path("/proc/askesis")  # refuses even the superuser
    with pytest.raises(RunError, match=expected) as caught:
        RunStore.create(path, config={}, manifest={})
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    if kind == "used":
        assert [p.name for p in path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "killed"])
def test_what_is_no_run_is_refused_in_one_line(tmp_path, finished, kind):
    path, expected = tmp_path / "rum", "no run at .*Did you mean .*run"
    if kind == "file":
        path.write_text("x")
        expected = "is a file"
    elif kind != "missing":
        path.mkdir()
        expected = "holds no run"
        if kind == "killed":
            (path / "lock").touch()
            expected = "killed before its run began"
    with pytest.raises(RunError, match=expected):
        RunStore.open(path)


def test_configuration_and_manifest_come_back_and_are_guarded(tmp_path):
    config = {"seed": 1, "parts": {"rate": 1e-3, "none": None, "many": [1, 2.0, "a"]}}
    store = RunStore.create(tmp_path / "run", config=config, manifest={"machine": "two cores"})
    assert (store.config, store.manifest) == (config, {"machine": "two cores"})
    assert '"rate": 0.001' in (tmp_path / "run/config.json").read_text()
    assert store.resume_point() is None
    store.db.execute("update meta set value = replace(value, '0.001', '0.01') where key='config'")
    store.close()
    with pytest.raises(RunError, match="does not match its digest"):
        RunStore.open(tmp_path / "run")


def test_an_edited_configuration_file_is_noticed_but_does_not_count(finished):
    (finished / "config.json").write_text('{"rounds": 99}')
    store = RunStore.open(finished)
    assert store.config == {"rounds": house.NUM_ROUNDS}
    assert store.verify() == ["config.json: it differs from the ledger, which is what counts"]


def test_a_run_of_a_later_format_is_refused(finished):
    store = RunStore.open(finished, write=True)
    store.db.execute("update meta set value = '2' where key = 'format'")
    store.close()
    with pytest.raises(RunError, match=r"another version.*expected run format 1; found 2"):
        RunStore.open(finished)


# ------------------------------------------------------------ one writer, many readers


def test_a_second_writer_is_refused_and_named_in_this_process_and_in_another(finished):
    first = RunStore.open(finished, write=True)
    with pytest.raises(RunError, match="this process"):
        RunStore.open(finished, write=True)
    code = (
        "import sys; from askesis.store.run_store import RunStore; from askesis.errors import *\n"
        "try: RunStore.open(sys.argv[1], write=True)\n"
        "except RunError as error: print(error)\n"
        "print(len(RunStore.open(sys.argv[1]).rounds()))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(finished)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    ).stdout  # fmt: skip
    assert f"lock held by process {os.getpid()}" in out
    assert out.splitlines()[-1] == "3"  # reading works meanwhile
    first.close()
    RunStore.open(finished, write=True).close()


def test_readers_see_provisional_rounds_and_a_rollback_drops_them(tmp_path):
    store = house.create(tmp_path / "run")
    reader = RunStore.open(tmp_path / "run")
    house.play(store, 3, (0,))
    assert [r["round"] for r in reader.rounds()] == [0, 1, 2]
    assert [r["durable"] for r in reader.rounds()] == [True, False, False]
    assert [a.id for a in reader.read("attempts")] == ["0#0", "0#1"]  # bulk rows come later
    store.event("never committed", 3)
    store.close()
    again = RunStore.open(tmp_path / "run", write=True)
    again.rollback()
    for seen in (again, reader):
        assert [r["round"] for r in seen.rounds()] == [0]
        assert [e["round"] for e in seen.events()] == [0]
        assert [e["round"] for e in seen.errors()] == [0]
        assert {m["round"] for m in seen.metrics()} == {0}
    assert not (tmp_path / "run/aside").exists()
    house.play(again, 3, (0, 2))
    assert [a.id for a in reader.read("attempts")] == [f"{r}#{i}" for r in range(3) for i in (0, 1)]
    again.close()


def test_a_reopened_run_must_be_rolled_back_before_it_is_written(finished):
    store = RunStore.open(finished, write=True)
    with pytest.raises(AssertionError, match="rollback"):
        store.append("attempts", [house.attempt("x", house.task("1"))], round=3, phase="main")
    store.close()


def test_a_store_open_for_reading_takes_nothing(finished):
    store = RunStore.open(finished)
    with pytest.raises(RunError, match="not open for writing"):
        store.commit_round(3, "main", metrics={})


def test_a_rollback_leaves_what_is_not_the_stores_own(finished):
    for name in ("report.html", "notes/a.txt", "segments/000009/x", "snapshots/policy@9/y"):
        (finished / name).parent.mkdir(parents=True, exist_ok=True)
        (finished / name).write_text("x")
    before = house.fingerprint(finished)
    store = RunStore.open(finished, write=True)
    store.rollback()
    store.close()
    assert (finished / "report.html").exists()
    assert (finished / "notes/a.txt").exists()
    assert not (finished / "segments/000009").exists()
    assert not (finished / "snapshots/policy@9").exists()
    after = house.fingerprint(finished)
    assert set(before["files"]) - set(after["files"]) == {
        "segments/000009/x",
        "snapshots/policy@9/y",
    }
    assert {**before, "files": 0} == {**after, "files": 0}


# ------------------------------------------------------------ what is written


def test_ledger_rows_come_back_as_they_were(tmp_path):
    store = house.create(tmp_path / "run")
    store.event("phase_started", 0, name="warm", sizes=[1, 2.0])
    store.error(0, "judge", "judge", "t1", "bad \ud800 answer " + "9" * 10_000)
    store.commit_round(
        0, "warm", metrics={"learn/loss": float("nan"), "measure/pass@1": 1},
        costs={"generated/train": 10.0}, seconds={"learn": 0.25},
        note={"snapshots": {"policy": "policy@1", "judge": "judge@0"}, "why": ["x"]},
    )  # fmt: skip
    (row,) = store.rounds()
    assert row == {
        "round": 0, "phase": "warm", "snapshots": ["policy@1", "judge@0"],
        "costs": {"generated/train": 10.0}, "seconds": {"learn": 0.25},
        "note": {"snapshots": {"policy": "policy@1", "judge": "judge@0"}, "why": ["x"]},
        "durable": False,
    }  # fmt: skip
    loss, passed = store.metrics()
    assert math.isnan(loss["value"])
    assert passed["value"] == 1.0
    assert passed["snapshot"] == "policy@1 judge@0"
    assert store.metrics("measure/pass@1") == [passed]
    (event,) = store.events("phase_started")
    assert event["data"] == {"name": "warm", "sizes": [1, 2.0]}
    (error,) = store.errors()
    assert error["message"].startswith(r"bad \ud800 answer 999")
    assert error["message"].endswith("characters)")
    assert len(error["message"]) < 4100
    store.close()
    assert store.rounds() == [row]  # a closed store can still be read


def test_states_and_counters_come_back_from_the_last_segment(finished):
    point = RunStore.open(finished).resume_point()
    assert point.round == 2
    assert point.segment == 2
    assert point.counters["total"] == 3
    assert point.states["parts"]["rng"].tolist() == [0, 27, 54, 81]
    assert (point.models / "policy.bin").read_bytes() == bytes([3]) * 100


def test_snapshots_are_saved_once_and_keep_their_lineage(finished):
    store = RunStore.open(finished, write=True)
    store.rollback()
    found = {s["id"]: s for s in store.snapshots()}
    assert list(found) == ["policy@0", "policy@1", "policy@3"]
    assert found["policy@3"]["parents"] == ["policy@2"]
    assert found["policy@3"]["path"] == finished / "snapshots/policy@3"
    assert len(found["policy@3"]["digest"]) == 32

    def never(directory):
        raise AssertionError("saved before")

    store.close_segment(
        2, states={}, save_models=lambda d: None, snapshots={"policy@3": never},
        counters={"lineage": []}, tags={"best": "policy@1"},
    )  # fmt: skip
    assert store.tags() == {"best": "policy@1"}
    store.close()


def test_attempts_bring_their_task_along_and_share_it(tmp_path):
    store = house.create(tmp_path / "run")
    drawn, brought = house.task("drawn"), house.task("brought", numbers=(1, 2))
    store.append("tasks", [drawn], round=0, phase="main")
    some = [house.attempt("a", drawn), house.attempt("b", brought), house.attempt("c", brought)]
    store.append("attempts", some, round=0, phase="main")
    store.append("attempts", [house.attempt("d", drawn.without_truth())], round=0, phase="main")
    store.commit_round(0, "main", metrics={})
    house.close(store, 0, {"total": 1})
    back = list(store.read("attempts"))
    assert all(map(rows.same, some, back))
    assert back[3].task.answer is None
    assert back[1].task is back[2].task
    assert store.arrow("tasks").column("drawn").to_pylist() == [True, False, False]
    store.close()


def test_reading_chooses_by_column(finished):
    store = RunStore.open(finished)
    assert [a.id for a in store.read("attempts", {"round": 1})] == ["1#0", "1#1"]
    assert [a.id for a in store.read("attempts", {"round": range(1, 3), "id": ["2#1"]})] == ["2#1"]
    assert list(store.read("samples", {"model": "judge"})) == []
    table = store.arrow("verdicts", ["attempt", "value"], {"round": 0})
    assert table.to_pydict() == {"attempt": ["0#0", "0#1"], "value": [1.0, 1.0]}
    assert store.arrow("audits").num_rows == 0
    with pytest.raises(RunError, match=r"no table 'attempt'.*'attempts'"):
        store.arrow("attempt")
    with pytest.raises(RunError, match=r"no column 'valu'.*'value'"):
        store.arrow("verdicts", ["valu"])


def test_content_digests_do_not_depend_on_segments(tmp_path):
    digests = []
    for number, closed in enumerate([(0, 1, 2), (2,)]):
        store = house.create(tmp_path / str(number))
        house.play(store, 3, closed)
        tables = ("attempts", "verdicts", "samples", "tasks")
        digests.append([store.content_digest(t) for t in tables])
        store.close()
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 4


def test_many_rows_become_several_row_groups_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(segment, "MAX_ROWS", 10)
    store = house.create(tmp_path / "run")
    for index in range(4):
        some = [house.attempt(f"{index}#{i}", house.task("1")) for i in range(7)]
        store.append("attempts", some, round=index, phase="main")
        store.commit_round(index, "main", metrics={})
    house.close(store, 3, {"total": 4})
    assert [a.id for a in store.read("attempts")] == [
        f"{r}#{i}" for r in range(4) for i in range(7)
    ]
    assert [len(c) for c in store.arrow("attempts", ["id"]).column("id").chunks] == [10, 10, 8]
    assert len(list(store.read("attempts", {"round": 2}))) == 7
    store.close()


def test_rows_on_their_way_are_written_out_by_size_too(tmp_path, monkeypatch):
    monkeypatch.setattr(segment, "MAX_BYTES", 20_000)
    writer = segment.TableWriter("attempts", tmp_path / "attempts.parquet")
    one = house.attempt("a", house.task("1"), list(range(1000)))  # about 13 kB
    writer.add([(one, b"0" * 16, None)] * 5, 0, "main")
    assert len(writer._items) == 1
    writer.finish()


def test_records_of_another_kind_and_uncommitted_rows_are_programmer_errors(tmp_path):
    store = house.create(tmp_path / "run")
    with pytest.raises(TypeError, match="table verdicts takes Verdict records, not Task"):
        store.append("verdicts", [house.task("1")], round=0, phase="main")
    store.close()
    store = house.reopen(tmp_path / "run")
    store.append("tasks", [house.task("1")], round=0, phase="main")
    with pytest.raises(AssertionError, match="not committed"):
        house.close(store, -1, {"total": 0})
    store.close()


def test_a_world_state_that_is_no_plain_value_is_named_at_once(tmp_path):
    store = house.create(tmp_path / "run")
    one = house.attempt("a", house.task("1"))
    one = replace(one, start=replace(one.start, state={"board": {1, 2}}))
    with pytest.raises(
        TypeError, match=r"Start\.state of attempt a: the value at board is a .*set"
    ):
        store.append("attempts", [one], round=0, phase="main")
    store.close()


def test_looks_are_noted_at_once_while_a_writer_writes(tmp_path):
    store = house.create(tmp_path / "run")
    other = RunStore.open(tmp_path / "run")
    other.look("policy@0", "countdown-v1", "claim", 1000, {"pass@1": 0.2})
    store.close()
    store = house.reopen(tmp_path / "run")
    (look,) = store.looks()
    assert (look["num_tasks"], look["metrics"]) == (1000, {"pass@1": 0.2})
    store.close()


# ------------------------------------------------------------ queries


def test_queries_join_the_ledger_with_bulk_rows(finished):
    store = RunStore.open(finished)
    table = store.query(
        "select a.round, count(*) as n, max(m.value) as loss, any_value(a.text) as said "
        "from attempts a join metrics m on m.round = a.round and m.key = 'learn/loss' "
        "join verdicts v on v.attempt = a.id where v.value = 1 group by 1 order by 1"
    )
    assert table.to_pydict() == {
        "round": [0, 1, 2], "n": [2, 2, 2], "loss": [1.0, 0.5, 1 / 3], "said": ["it is 7"] * 3,
    }  # fmt: skip
    assert store.query("select sum(value) as s from costs").column("s").to_pylist() == [18.0]
    assert store.query("explain select 1").num_rows == 1
    assert store.query("select count(*) as n from audits").column("n").to_pylist() == [0]
    names = store.query("describe tasks").column("column_name").to_pylist()
    assert "difficulty" in names
    assert "attempts" in store.query("show tables").column("name").to_pylist()


@pytest.mark.parametrize("table", ["rounds", "metrics", "costs", "seconds", "events", "errors",
    "segments", "snapshots", "files", "looks", "attempts", "verdicts", "samples", "tasks",
    "audits", "trees"])  # fmt: skip
def test_every_table_can_be_asked_of_an_empty_run_too(tmp_path, finished, table):
    assert RunStore.open(finished).query(f"from {table}").num_columns > 1
    store = RunStore.create(tmp_path / "empty", config={}, manifest={})
    assert store.query(f"select * from {table}").num_rows == 0
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "selec 1",
        "select * from attempt",
        "delete from attempts",
        "copy attempts to 'out.csv'",
        "select 1; select 2",
        "",
        "select * from read_csv('/etc/passwd')",
        "set threads = 1",
        "select * from sql",  # no Python variable is a table
    ],
)
def test_a_query_that_cannot_be_answered_is_one_line_with_the_tables(finished, sql):
    with pytest.raises(RunError, match="Tables: attempts, audits") as caught:
        RunStore.open(finished).query(sql)
    assert "\n" not in str(caught.value)


def test_numbers_unknown_to_a_ledger_are_nan_in_queries(tmp_path):
    store = house.create(tmp_path / "run")
    store.commit_round(0, "main", metrics={"a": float("nan"), "b": float("inf")})
    found = store.query("select key from metrics where isnan(value) or isinf(value) order by key")
    assert found.column("key").to_pylist() == ["a", "b"]
    store.close()


# ------------------------------------------------------------ forking


def test_a_fork_continues_exactly_as_its_origin_did(finished, tmp_path):
    origin = RunStore.open(finished)
    origin.look("policy@1", "countdown-v1", "claim", 10, {})
    for at_round in (0, 1, 3):
        path = tmp_path / f"fork{at_round}"
        origin.fork(at_round, path)
        store = house.reopen(path)
        assert store.verify() == []
        assert store.resume_point().round == at_round - 1
        assert store.manifest["forked_from"] == {"run": str(finished), "round": at_round}
        assert len(store.looks()) == 1
        house.play(store, **THREE)
        store.close()
        ours, theirs = house.fingerprint(path), house.fingerprint(finished)
        ours["events"] = [e for e in ours["events"] if e["kind"] != "forked"]
        for found in (ours, theirs):
            found["events"] = [{**e, "seq": 0} for e in found["events"]]
            del found["seals"]  # a fork says where it comes from
        assert ours == theirs
    assert origin.verify() == []


def test_a_fork_takes_another_configuration_and_other_counters(finished, tmp_path):
    origin = RunStore.open(finished)
    origin.fork(1, tmp_path / "fork", config={"rounds": 9}, counters={"total": 5})
    fork = RunStore.open(tmp_path / "fork")
    assert fork.config == {"rounds": 9}
    assert fork.resume_point().counters["total"] == 5
    assert fork.verify() == []
    assert origin.config == {"rounds": house.NUM_ROUNDS}
    assert origin.resume_point().counters["total"] == 3


def test_a_fork_where_no_segment_begins_names_the_nearest(finished, tmp_path):
    store = RunStore.open(finished)
    with pytest.raises(RunError, match=r"at round 2; expected .*: 0, 1, 3; .*--at 3"):
        store.fork(2, tmp_path / "fork")
    assert not (tmp_path / "fork").exists()
    with pytest.raises(RunError, match="already holds a run"):
        store.fork(1, finished)


def test_a_run_with_a_damaged_end_can_be_forked_before_it(finished, tmp_path):
    os.truncate(finished / "segments/000002/attempts.parquet", 10)
    with pytest.raises(RunError, match=r"segments/000002/attempts\.parquet.*--at 1"):
        RunStore.open(finished)
    RunStore.open(finished, check=False).fork(1, tmp_path / "fork")
    assert RunStore.open(tmp_path / "fork").verify() == []


# ------------------------------------------------------------ cleaning up


def test_cleaning_up_keeps_first_last_two_best_looked_at_and_named(tmp_path):
    store = house.create(tmp_path / "run")
    house.play(store, 8, tuple(range(8)))
    store.look("policy@2", "countdown-v1", "claim", 10, {})
    house.close(store, 7, {"total": 8})
    expected = [f"snapshots/policy@{n}" for n in (1, 3, 5, 6)]
    assert store.gc(also=["policy@4"], dry=True) == expected
    assert (tmp_path / "run/snapshots/policy@1").exists()
    assert store.gc(also=["policy@4"]) == expected
    left = sorted(p.name for p in (tmp_path / "run/snapshots").iterdir())
    assert left == [f"policy@{n}" for n in (0, 2, 4, 7, 8)]
    by_id = {s["id"]: s for s in store.snapshots()}
    assert by_id["policy@3"]["path"] is None  # gone, but its row and its digest remain
    assert by_id["policy@3"]["digest"] != by_id["policy@4"]["digest"] != ""
    assert store.verify() == []
    assert store.gc(also=["policy@4"]) == []
    with pytest.raises(RunError, match="no snapshot 'policy@99'"):
        store.gc(also=["policy@99"])
    store.close()


def test_a_tagged_snapshot_is_kept(tmp_path):
    store = house.create(tmp_path / "run")
    house.play(store, 5, tuple(range(5)))
    store.close_segment(4, states={}, save_models=lambda d: None, snapshots={},
                        counters={}, tags={"best": "policy@2"})  # fmt: skip
    assert store.gc() == ["snapshots/policy@1", "snapshots/policy@3"]
    store.close()


def test_cleaning_up_training_states_is_asked_for_and_limits_forks(tmp_path):
    store = house.create(tmp_path / "run")
    house.play(store, 5, tuple(range(5)))
    gone = store.gc(training_states=True)
    assert [g for g in gone if "models" in g] == [f"segments/{n:06d}/models" for n in (1, 2, 3)]
    assert store.resume_point().round == 4
    with pytest.raises(RunError, match=r"expected .*: 0, 4, 5"):
        store.fork(2, tmp_path / "fork")
    store.fork(4, tmp_path / "fork")
    assert RunStore.open(tmp_path / "fork").verify() == []
    store.close()


def test_a_kill_while_cleaning_up_is_finished_by_a_rollback(tmp_path):
    store = house.create(tmp_path / "run")
    house.play(store, 5, tuple(range(5)))
    store.close()
    for number in range(1, 6):
        path = tmp_path / str(number)
        shutil.copytree(tmp_path / "run", path)
        store = RunStore.open(path, write=True)
        with house.heard(house.at(number, house.Killed())), pytest.raises(house.Killed):
            store.gc()
        store.close()
        store = RunStore.open(path, write=True)
        store.rollback()
        known = {p.name for p in (path / "snapshots").iterdir()}
        assert known == {s["id"] for s in store.snapshots() if s["path"]}
        assert store.verify() == []
        store.close()


# ------------------------------------------------------------ hostile text


@pytest.mark.slow
def test_megabytes_of_control_characters_are_stored_and_read(tmp_path):
    store = house.create(tmp_path / "run")
    text = "\x00\x07\u202e\ud800" * 400_000
    one = house.attempt("a", house.task("1"), purpose=Purpose.PROBE)
    one = replace(one, turns=(replace(one.turns[0], text=text, stop=StopReason.LENGTH),))
    store.append("attempts", [one], round=0, phase="main")
    store.commit_round(0, "main", metrics={})
    house.close(store, 0, {"total": 1})
    (back,) = store.read("attempts")
    assert rows.same(one, back)
    store.close()
