"""Every command, on a small finished run and on what people get wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from askesis.cli.main import main
from tests.lab.letters_run import RECIPE


def run(capsys, *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(w) for w in words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def one_line(err: str) -> bool:
    return err.startswith("askesis: ") and err.count("\n") == 1 and "Traceback" not in err


# ---------------------------------------------------------------- what there is


@pytest.mark.parametrize("kind", ["recipes", "worlds", "parts"])
def test_what_there_is_can_be_listed_and_read_by_programs(capsys, kind):
    code, out, _ = run(capsys, kind)
    assert code == 0
    code, plain, _ = run(capsys, kind, "--json")
    assert code == 0
    for name in json.loads(plain):
        assert name in out


def test_the_catalogue_has_the_recipes_of_the_readme(capsys):
    names = json.loads(run(capsys, "recipes", "--json")[1])
    assert {"sft", "star", "rest_em", "rft", "self_consistency"} <= set(names)


def test_version_is_one_line(capsys):
    from askesis import __version__

    assert run(capsys, "--version") == (0, f"{__version__}\n", "")


@pytest.mark.slow
def test_commands_without_a_model_start_without_heavy_libraries():
    heavy = ("torch", "transformers", "pyarrow", "duckdb", "plotly")
    code = (
        "import sys; import askesis.registry; from askesis.cli.main import main\n"
        "assert main(['recipes']) == 0 and main(['worlds', '--json']) == 0\n"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().splitlines()[-1] == "[]"


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("bogus",), "No such command 'bogus'"),
        (("run", "stra"), "Did you mean 'star'?"),
        (("run", "star", "--roundz", "3"), "Did you mean 'rounds'?"),
        (("run", "star", "--world", "countdwn", "--dry-run"), "countdown"),
        (("run", "star", "--seed", "x"), "expected int"),
        (("run", "star", "second"), "run takes one recipe"),
        (("run", "nowhere.py:recipe"), "there is no file"),
        (("run", "star", "--segment-s", "soon"), "--segment-s"),
        (("show", "no/such/run"), "no run at no/such/run"),
        (("resume", "no/such/run"), "no run at"),
        (("eval", "no/such/run"), "no run at"),
        (("eval", "x", "--rool", "claim"), "--role"),
        (("export", "no/such/run", "--to", "x"), "no run at"),
        (("fork", "x"), "--at ROUND"),
        (("fork", "x", "--at", "soon"), "whole number"),
        (("query", "no/such/run", "select 1"), "no run at"),
        (("check", "worlds", "nowhere"), "no world 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, words, says):
    code, _, err = run(capsys, *words)
    assert code == 2
    assert one_line(err)
    assert says in err


def test_a_used_directory_is_refused_with_the_line_to_type(capsys, letters_run, tmp_path):
    code, _, err = run(capsys, "run", RECIPE, "--out", letters_run)
    assert code == 2
    assert one_line(err)
    assert f"askesis resume {letters_run}" in err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    code, _, err = run(capsys, "run", RECIPE, "--out", tmp_path / "full")
    assert code == 2
    assert "empty directory" in err
    code, _, err = run(capsys, "run", RECIPE, "--out", tmp_path / "full" / "thesis.txt")
    assert code == 2
    assert "is a file" in err


def test_an_option_that_no_recipe_has_is_refused_before_anything_is_written(capsys, tmp_path):
    code, _, _ = run(capsys, "run", RECIPE, "--out", tmp_path / "r", "--exlpore.num-attempts", "2")
    assert code == 2
    assert not (tmp_path / "r").exists()


# ---------------------------------------------------------------- a run


def test_a_recipe_lists_its_own_options(capsys):
    code, out, _ = run(capsys, "run", RECIPE, "--help")
    assert code == 0
    assert "Learn from one's own right answers." in out
    assert "--rate" in out
    assert "0.3" in out
    assert "--explore.num-attempts" in out
    _, changed, _ = run(capsys, "run", RECIPE, "--explore.num-attempts", "77", "--help")
    assert "77" in changed


def test_a_run_prints_a_line_a_round_and_what_to_type_next(capsys, tmp_path):
    code, out, err = run(
        capsys,
        "run",
        RECIPE,
        "--tasks",
        "4",
        "--set",
        "rounds=2",
        "--seed",
        "5",
        "--out",
        tmp_path / "r",
    )
    assert (code, err) == (0, "")
    assert "round 1/2" in out
    assert "round 2/2" in out
    assert "16 attempts" in out
    assert "\x1b" not in out
    assert f"askesis eval {tmp_path / 'r'}" in out
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert config["seed"] == 5
    assert config["phases"][0]["parts"]["tasks"]["num"] == 4


@pytest.mark.slow
def test_the_same_command_twice_gives_the_same_run(capsys, tmp_path):
    from askesis.store.run_store import RunStore

    digests = []
    for name in ("a", "b"):
        assert run(capsys, "run", RECIPE, "--rounds", "2", "--out", tmp_path / name)[0] == 0
        with RunStore.open(tmp_path / name) as store:
            digests.append([store.content_digest(t) for t in ("attempts", "verdicts", "samples")])
    assert digests[0] == digests[1]


def test_show_tells_rounds_costs_and_what_next(capsys, finished):
    code, out, _ = run(capsys, "show", finished)
    assert code == 0
    assert "finished: the plan is done; 3 of 3 rounds" in out
    assert "policy@3" in out
    assert "attempts" in out
    assert "askesis eval" in out
    assert "select/kept_fraction" in out
    plain = json.loads(run(capsys, "show", finished, "--json")[1])
    assert len(plain["lines"]) == 3
    assert plain["costs"]["attempts"] == 96


def test_a_query_answers_in_three_forms(capsys, finished):
    sql = "select round, count(*) as n from attempts group by all order by all"
    assert "32" in run(capsys, "query", finished, sql)[1]
    assert run(capsys, "query", finished, sql, "--csv")[1].splitlines() == [
        "round,n", "0,32", "1,32", "2,32",
    ]  # fmt: skip
    assert json.loads(run(capsys, "query", finished, sql, "--json")[1])[2] == {"round": 2, "n": 32}
    code, _, err = run(capsys, "query", finished, "select * from nothing")
    assert code == 2
    assert one_line(err)


def test_resuming_a_finished_run_says_how_to_go_on(capsys, letters_run):
    code, out, _ = run(capsys, "resume", letters_run)
    assert code == 0
    assert f"askesis fork {letters_run} --at 3 --set rounds=6" in out


def test_a_fork_goes_on_from_its_round_and_may_differ(capsys, letters_run, tmp_path):
    code, out, _ = run(
        capsys, "fork", letters_run, "--at", "2", "--set", "explore.num-attempts=2",
        "--rounds", "4", "--out", tmp_path / "f",
    )  # fmt: skip
    assert code == 0
    assert "(4 -> 2)" in out
    assert "(3 -> 4)" in out
    counts = json.loads(
        run(
            capsys, "query", tmp_path / "f", "--json",
            "select round, count(*) as n from attempts group by all order by all",
        )[1]
    )  # fmt: skip
    assert [c["n"] for c in counts] == [32, 32, 16, 16]


@pytest.mark.slow
def test_a_finished_run_goes_on_in_a_fork_with_more_rounds(capsys, letters_run, tmp_path):
    forked = ("--at", "3", "--rounds", "5", "--out", tmp_path / "f")
    code, _, _ = run(capsys, "fork", letters_run, *forked)
    assert code == 0
    whole = tmp_path / "whole"
    assert run(capsys, "run", RECIPE, "--rounds", "5", "--out", whole)[0] == 0
    from askesis.store.run_store import RunStore

    with RunStore.open(tmp_path / "f") as forked, RunStore.open(whole) as straight:
        assert forked.content_digest("attempts") == straight.content_digest("attempts")


def test_eval_gives_intervals_and_counts_the_looks(capsys, letters_run):
    words = ("eval", letters_run, "--num", "20", "--attempts", "4")
    code, out, _ = run(capsys, *words)
    assert code == 0
    assert "20 claim tasks of letters-v1" in out
    assert "policy@0" in out
    assert "policy@3" in out
    assert "looked at 2 times" in out
    plain = json.loads(run(capsys, *words, "--snapshot", "policy@1", "--json")[1])
    assert [s["snapshot"] for s in plain["scores"]] == ["policy@1"]
    assert "looked at 3 times" in run(capsys, "show", letters_run)[1]


def test_try_answers_typed_prompts_side_by_side(capsys, letters_run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("abcd\n\nabca\n"))
    code, out, _ = run(capsys, "try", letters_run)
    assert code == 0
    assert "> abcd" in out
    assert "> abca" in out
    assert "policy@0 (before)" in out
    assert "policy@3 (after)" in out


def test_try_on_tasks_of_the_world_knows_what_is_right(capsys, letters_run):
    code, out, _ = run(capsys, "try", letters_run, "--task", "--num", "3")
    assert code == 0
    assert out.count("policy@3 (after)") == 3
    assert "(right)" in out or "(wrong)" in out


def test_gc_says_what_would_go_and_then_does_it(capsys, letters_run):
    code, out, _ = run(capsys, "gc", letters_run, "--dry-run")
    assert code == 0
    assert "snapshots/policy@1" in out
    assert "would go" in out
    assert (letters_run / "snapshots" / "policy@1").exists()
    assert run(capsys, "gc", letters_run)[0] == 0
    assert not (letters_run / "snapshots" / "policy@1").exists()
    assert (letters_run / "snapshots" / "policy@0").exists()
    code, _, err = run(capsys, "eval", letters_run, "--snapshot", "policy@1", "--num", "8")
    assert code == 2
    assert "was not kept" in err


def test_a_dry_run_writes_nothing_and_says_what_it_takes(capsys, tmp_path, monkeypatch):
    from askesis.lab import estimate

    monkeypatch.setattr(estimate, "SAMPLING_S", 0.05)
    monkeypatch.setattr(estimate, "LEARNING_S", 0.05)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "run", RECIPE, "--dry-run", "--rounds", "5")
    assert code == 0
    for word in ("rounds", "tokens", "time", "memory", "disk", "measured just now"):
        assert word in out
    assert list(tmp_path.iterdir()) == []
