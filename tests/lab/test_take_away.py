"""Export, fork, overview: what is taken out of a run is what is in it."""

from __future__ import annotations

import json

import pytest

from askesis.errors import ConfigError, RunError
from askesis.lab.export import export
from askesis.lab.fork import fork
from askesis.lab.overview import overview
from askesis.lab.snapshots import kept, resolve
from askesis.store.run_store import RunStore


def test_the_exported_data_are_the_runs_attempts_with_their_verdicts(letters_run, tmp_path):
    import pyarrow.parquet as pq

    made = export(letters_run, tmp_path / "out")
    rows = pq.read_table(made.data / "attempts").to_pylist()
    learnt = pq.read_table(made.data / "samples").to_pylist()
    with RunStore.open(letters_run) as store:
        attempts = {a.id: a for a in store.read("attempts")}
        verdicts = {v.about.attempt: v.value for v in store.read("verdicts")}
        sources = {s for sample in store.read("samples") for s in sample.sources}
    assert {r["attempt"] for r in rows} == set(attempts)
    for row in rows:
        attempt = attempts[row["attempt"]]
        assert (row["prompt"], row["completion"]) == (attempt.task.prompt, attempt.text)
        assert row["score"] == verdicts[attempt.id]
        assert row["learnt"] == (attempt.id in sources)
        assert row["messages"] == [
            {"role": "user", "content": attempt.task.prompt},
            {"role": "assistant", "content": attempt.text},
        ]
    assert {r["attempt"] for r in learnt} == sources
    assert (made.num_samples, made.num_attempts) == (len(learnt), len(rows))
    about = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert about["snapshot"]["id"] == made.snapshot == "policy@3"


@pytest.mark.slow
def test_the_exported_data_load_as_a_hugging_face_data_set(letters_run, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    made = export(letters_run, tmp_path / "out")
    options = {"cache_dir": str(tmp_path / "cache")}
    loaded = datasets.load_dataset(str(made.data), "samples", **options)["train"]
    assert loaded.num_rows == made.num_samples
    assert set(loaded["score"]) == {1.0}
    assert datasets.load_dataset(str(made.data), "attempts", **options)["train"].num_rows == 96


def test_an_export_goes_nowhere_that_is_in_use_and_leaves_nothing_half_done(letters_run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="already in use"):
        export(letters_run, tmp_path / "out")
    with pytest.raises(RunError, match="does not exist"):
        export(letters_run, tmp_path / "new", snapshot="policy@9")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["letters", "out"]


def test_a_snapshot_is_found_by_every_name_it_has(letters_run):
    with RunStore.open(letters_run) as store:
        assert [s["id"] for s in kept(store)] == [f"policy@{n}" for n in range(4)]
        assert resolve(store, "first")["id"] == "policy@0"
        assert resolve(store, "last")["id"] == "policy@3"
        assert resolve(store, "2")["id"] == resolve(store, "policy@2")["id"] == "policy@2"
        with pytest.raises(RunError, match="of model 'critic'"):
            resolve(store, "last", "critic")


def test_a_fork_that_changes_an_unknown_option_writes_nothing(letters_run, tmp_path):
    with pytest.raises(ConfigError, match="no option"):
        fork(letters_run, 2, tmp_path / "f", [("exlpore.num-attempts", "2")])
    assert not (tmp_path / "f").exists()


def test_an_overview_adds_up(letters_run):
    found = overview(letters_run)
    assert (found.recipe, found.seed, found.state) == ("letters", 0, "finished")
    assert (len(found.lines), found.num_rounds) == (3, 3)
    assert found.costs["attempts"] == sum(line.costs["attempts"] for line in found.lines) == 96
    assert found.num_bytes > 0
    assert found.num_errors == 0
    assert any("askesis eval" in step for step in found.next_steps)


def test_a_run_that_is_being_written_is_running(letters_run):
    store = RunStore.open(letters_run, write=True)
    try:
        assert overview(letters_run).state == "running"
    finally:
        store.close()
    assert overview(letters_run).state == "finished"


@pytest.mark.parametrize(("accuracy", "advised"), [(0.0, True), (0.01, False)])
def test_a_run_that_solved_nothing_says_what_to_try(tmp_path, accuracy, advised):
    from askesis.config import to_tree
    from askesis.recipes.rft import rft

    store = RunStore.create(tmp_path / "r", config=to_tree(rft()), manifest={})
    store.commit_round(0, "main", metrics={"measure/train_accuracy": accuracy})
    store.close()
    found = overview(tmp_path / "r")
    assert any("try an easier world" in step for step in found.next_steps) is advised
    assert found.state == "interrupted"
    assert found.next_steps[0].startswith("askesis resume")
