"""Commands about the machine and the worlds, and the demonstration as a whole."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from askesis.cli.main import main

LETTERS = str(Path(__file__).parents[1] / "lab" / "letters.py")

BROKEN = """
from tests.lab.letters import Letters
from askesis.requests import Checked

class Generous(Letters):
    id = "generous-v1"
    def verify(self, task, answer):
        return Checked(1.0)
"""


def test_a_world_of_ones_own_is_checked(capsys):
    assert main(["check", "worlds", f"{LETTERS}:Letters", "--num", "20"]) == 0
    assert "ok" in capsys.readouterr().out


def test_a_world_whose_verifier_likes_everything_is_found_out(capsys, tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    assert main(["check", "worlds", f"{tmp_path / 'broken.py'}:Generous", "--num", "20"]) == 1
    assert "BAD" in capsys.readouterr().out


def test_the_doctor_looks_at_everything(capsys, monkeypatch):
    from askesis.lab import doctor

    monkeypatch.setattr(doctor, "tokens_per_second", lambda: 1234.0)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for part in ("python", "torch", "cores", "cache", "free", "1,234 tokens a second"):
        assert part in out
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {f["verdict"] for f in found} <= {"ok", "note"}


def test_the_doctor_says_what_is_missing_and_what_to_type(capsys, monkeypatch):
    from askesis.lab import doctor

    monkeypatch.setattr(doctor, "tokens_per_second", lambda: 1.0)
    monkeypatch.setattr(doctor, "EXTRAS", (("no-such-thing", "math", "nothing"),))
    assert main(["doctor"]) == 0
    assert "pip install 'askesis[math]'" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "REQUIRED", ("no-such-thing",))
    assert main(["doctor"]) == 1
    assert "BAD" in capsys.readouterr().out


def test_the_doctors_sampling_is_real():
    from askesis.lab.doctor import tokens_per_second

    assert tokens_per_second(0.05) > 10


@pytest.fixture
def little_demo(monkeypatch, tmp_path):
    """The demonstration on the world of letters."""
    from askesis.lab import demo

    monkeypatch.setattr(demo, "RECIPE", f"{LETTERS}:letters")
    monkeypatch.setattr(demo, "WORLD", f"{LETTERS}:Letters")
    monkeypatch.setattr(demo, "OPTIONS", (("rounds", "4"),))
    monkeypatch.setattr(demo, "NUM_TASKS", 24)
    monkeypatch.setattr(demo, "CONTROL", tmp_path / "control.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_demonstration_shows_both_ends_with_intervals_and_where_things_are(little_demo, capsys):
    assert main(["demo", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert out.count("\nround ") == 4 + 1  # a line a round, and the table's heading
    assert "24 claim tasks of letters-v1, 8 attempts each" in out
    for snapshot in ("policy@0", "policy@4"):
        pass_at = r"\d+\.\d % \(\d+\.\d - \d+\.\d\)"
        assert re.search(rf"{snapshot} +{pass_at} +{pass_at}", out)
    assert re.search(r"pass@1: policy@4 minus policy@0: \+\d+\.\d points .*higher", out)
    assert "pass@8: policy@4 minus policy@0" in out
    assert "not measured here" in out
    run = little_demo / "runs" / "demo-s3"
    assert (run / "snapshots" / "policy@4").is_dir()
    assert "policy@4" in (run / "report.html").read_text()


@pytest.mark.slow
def test_a_second_demonstration_takes_the_next_free_name(little_demo, capsys):
    assert main(["demo", "--seconds", "1"]) == 0
    assert main(["demo", "--seconds", "1"]) == 0
    capsys.readouterr()
    assert sorted(p.name for p in (little_demo / "runs").iterdir()) == ["demo-s0", "demo-s0-2"]


def test_the_control_arm_is_one_line_of_the_demonstration():
    from askesis.cli.demonstration import control_line

    line = control_line(
        {"pass@1": {"value": 0.17, "low": 0.15, "high": 0.19}, "pass@8": {"value": 0.4}}
    )
    assert "pass@1 17.0 % (15.0 - 19.0)" in line
    assert "pass@8 40.0 %" in line
    assert "\n" not in line


@pytest.mark.slow
def test_the_tiny_model_goes_the_whole_way(quick_warm_start, capsys, tmp_path):
    run, out = tmp_path / "r", tmp_path / "out"
    words = ["--world", "countdown", "--rounds", "1", "--tasks.num", "8", "--measure-every", "1"]
    few = ["--measure.ability.num-tasks", "4", "--explore.num-attempts", "2"]
    assert main(["run", "rft", *words, *few, "--out", str(run)]) == 0
    assert main(["eval", str(run), "--num", "8", "--attempts", "2"]) == 0
    assert main(["export", str(run), "--to", str(out)]) == 0
    assert "AutoModelForCausalLM" in capsys.readouterr().out
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(out / "model")
    tokenizer = AutoTokenizer.from_pretrained(out / "model")
    prompt = [{"role": "user", "content": "3 7 12 -> 33"}]
    ids = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    assert model.generate(ids, max_new_tokens=4).shape[1] > ids.shape[1]
