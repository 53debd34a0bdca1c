"""From a model's name to advice, on models whose every answer is known."""

from __future__ import annotations

import json
import math
import shlex

import pytest

from askesis.cli import options
from askesis.cli.main import main
from askesis.errors import ConfigError, ModelError, RunError, TruthError, WorldError
from askesis.lab.begin import plan_for
from askesis.lab.diagnose.diagnosis import Diagnosis, diagnose, without_clock
from askesis.lab.diagnose.gains import FamilyGains, Gains
from askesis.lab.diagnose.probe import draw_tasks
from askesis.records import TaskRole
from askesis.worlds.views import RunView
from tests.lab.diagnose_cast import HERE, LETTERS, OneTask
from tests.lab.letters import Letters

RECIPES = ("rft", "grpo", "sft", "self_consistency", "dpo")


def found(model: str, world: str = LETTERS, **more) -> Diagnosis:
    usual = {"num_tasks": 24, "num_attempts": 16, "recipes": RECIPES, "gains": Gains()}
    return diagnose(f"{HERE}:{model}" if model.isalpha() else model, world, **(usual | more))


def verdicts(d: Diagnosis) -> dict[str, str]:
    return {a.recipe: a.verdict for a in d.advice}


@pytest.fixture(scope="module", autouse=True)
def _a_blink_of_learning():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("askesis.lab.estimate.LEARNING_S", 0.01)
        yield


@pytest.fixture(scope="module")
def tabular() -> Diagnosis:
    return found("skewed", num_attempts=64)


def test_a_tabular_models_figures_are_those_of_its_table(tabular):
    v = tabular.values
    assert tabular.figures["pass@1"].low < 0.7 < tabular.figures["pass@1"].high
    assert v["pass@64"] == 1
    # 1 - 0.7^8 - 0.3^8; a reference costs its letter (0.7) and an end that is certain
    assert tabular.figures["mixed@8"].value == pytest.approx(1 - 0.7**8 - 0.3**8, abs=0.03)
    assert v["reference/covered@1"] == pytest.approx(0.7, abs=1e-4)
    assert v["reference/log_coverage"] == pytest.approx(-math.log(0.7), abs=1e-4)
    assert v["reference/nats_per_token"] == pytest.approx(-math.log(0.7) / 2, abs=1e-4)
    assert v["reference/sharpened"] == v["majority"] == 1
    assert v["auroc/likelihood"] == v["auroc/votes"] == 1
    assert v["tokens_per_attempt"] == 2
    assert "auroc/asking" not in v  # its alphabet has no words to ask with
    assert tabular.reference == "demonstration"


def test_a_tabular_model_can_learn_and_the_line_to_type_names_it(tabular):
    assert verdicts(tabular)["rft"] == "can"
    advice = next(a for a in tabular.advice if a.recipe == "rft")
    assert advice.command == f"askesis run rft --world {LETTERS} --model {HERE}:skewed"
    assert advice.gain is None  # nobody has studied anything: no figure is made up
    assert advice.tokens == 256 * 8 * 2
    assert advice.seconds > 0


def test_the_same_seed_finds_the_same_and_another_does_not(tabular):
    again = found("skewed", num_attempts=64)
    assert json.dumps(without_clock(again).plain()) == json.dumps(without_clock(tabular).plain())
    other = found("skewed", num_tasks=12, seed=1, recipes=("rft",))
    assert (
        other.values["pass@1"] != found("skewed", num_tasks=12, recipes=("rft",)).values["pass@1"]
    )


def test_a_certain_model_that_is_right_half_the_time_has_no_headroom():
    d = found("half")
    v = d.values
    assert 0 < v["pass@1"] == v["pass@16"] < 1
    assert v["headroom"] == v["mixed@8"] == v["vote_gain"] == 0
    assert "auroc/votes" not in v  # no task has both right and wrong attempts
    assert "reference/covered@1" not in v  # a script has no likelihoods
    assert set(verdicts(d).values()) == {"cannot"}
    assert any("no weights" in w for w in d.advice[0].why)


def test_a_model_that_never_answers_is_told_apart_from_one_that_errs():
    d = found("silent")
    assert d.values["silent_fraction"] == 1
    assert d.values["pass@16"] == 0
    assert d.figures["pass@16"].high > 0  # few tasks: it might be right one day
    assert "vote_share" not in d.values


def test_a_model_without_room_for_an_answer_is_cut_off_and_nothing_else():
    d = found("cramped", num_tasks=6)
    assert d.values["truncated_fraction"] == 1
    assert d.values["tokens_per_attempt"] == 0
    assert verdicts(d)["rft"] == "cannot"


def test_a_model_that_is_always_right_has_nothing_to_learn():
    d = found("sure")
    assert d.values["pass@1"] == 1
    why = {a.recipe: a.why for a in d.advice}
    assert "no weights" in why["rft"][0]
    assert any("already 100.0%" in w for w in why["sft"])


def test_a_world_without_truth_leaves_what_needs_none():
    d = found("skewed", world=f"{HERE}:Tastes")
    assert "pass@1" not in d.values
    # the right letter has 0.7, the other one 0.1
    assert d.values["preference_accuracy"] == 1
    assert verdicts(d) == {
        "rft": "cannot", "grpo": "cannot", "sft": "cannot",
        "self_consistency": "doubtful", "dpo": "can",
    }  # fmt: skip


def test_one_task_is_enough_to_say_something_and_not_to_be_sure():
    d = found("skewed", world=f"{HERE}:OneTask")
    assert (d.num_tasks, d.role) == (1, "train")
    assert any("too few decide tasks" in note for note in d.notes)
    assert d.figures["pass@1"].high - d.figures["pass@1"].low > 0.3
    assert d.advice


def test_claim_tasks_cannot_be_asked():
    tasks, role = draw_tasks(RunView(Letters()), 12)
    assert {t.role for t in tasks} == {role} == {TaskRole.DECIDE}
    assert len({t.prompt for t in tasks}) == 12
    with pytest.raises(TruthError, match="claim"):
        RunView(Letters()).draw_distinct(TaskRole.CLAIM, None, 1)
    many, role = draw_tasks(RunView(Letters()), 64)  # there are about twenty decide tasks
    assert role is TaskRole.TRAIN
    assert len({t.prompt for t in many}) == len(many) >= 50
    assert draw_tasks(RunView(OneTask()), 5)[1] is TaskRole.TRAIN


def test_time_that_is_short_asks_fewer_tasks_and_says_so():
    d = found("skewed", seconds=1e-9)
    assert d.num_tasks == 2
    assert any("2 of 24 tasks" in note for note in d.notes)


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"world": "nowhere"}, WorldError, "no world"),
        ({"world": ""}, ConfigError, "needs a world"),
        ({"model": "no/such/model/here"}, ModelError, "no model directory"),
        ({"model": "broken"}, ModelError, "no attempt could be made"),
        ({"num_tasks": 0}, ConfigError, "at least one task"),
        ({"engine": "warp"}, ModelError, "warp"),
    ],
)
def test_wrong_questions_are_refused_in_one_line(asked, error, says):
    with pytest.raises(error, match=says) as caught:
        found(**({"model": "skewed"} | asked))
    assert "\n" not in str(caught.value)


def test_a_snapshot_of_a_run_is_a_model_too_and_brings_its_world(finished):
    first, last = found(f"{finished}@first", ""), found(str(finished), "")
    assert first.world == "letters-v1"
    assert (first.model, last.model) == (f"policy@0 of {finished}", f"policy@3 of {finished}")
    assert last.values["pass@1"] > first.values["pass@1"]
    # this model is a table, so its snapshots are no directories that --model opens
    assert "cannot learn" in first.advice[0].why[0]
    with pytest.raises(RunError, match="does not exist"):
        found(f"{finished}@77", "")


def test_the_command_shows_figures_reasons_and_what_to_type(capsys, tmp_path):
    out = tmp_path / "d.json"
    words = ["diagnose", "--model", f"{HERE}:skewed", "--world", LETTERS, "--num-tasks", "12",
             "--attempts", "16", "--out", str(out)]  # fmt: skip
    assert main(words) == 0
    shown = capsys.readouterr().out
    for word in ("12 decide tasks", "headroom", "carry a gradient", "by likelihood", "rft",
                 "has no preferences", "askesis run "):  # fmt: skip
        assert word in shown
    written = json.loads(out.read_text())
    assert set(written["figures"]["pass@1"]) == {"value", "low", "high"}
    assert {a["verdict"] for a in written["advice"]} <= {"can", "doubtful", "cannot"}
    assert main([*words[:-2], "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)  # nothing but JSON
    assert plain["figures"]["pass@1"] == written["figures"]["pass@1"]


def test_with_a_study_gains_are_expected_and_every_line_can_be_typed(capsys):
    from askesis.cli.diagnosing import show
    from askesis.cli.main import console

    family = FamilyGains(("mixed@8",), 0.1, (0.2,), {"rft": (0.3,)}, 0.02, 0.01, 8)
    gains = Gains(
        {"own right answers": family}, {"mixed@8": (0.0, 0.5)}, 2e5, 1e5,
        {"rft": {"tasks.num": "64"}}, {"num_pairs": 8, "date": "2026-11-21"},
    )  # fmt: skip
    d = found("skewed", gains=gains, recipes=())
    best = d.advice[0]
    assert best.recipe == "rft"
    assert best.gain.value == pytest.approx(min(0.3 * d.values["mixed@8"], 1 - d.values["pass@1"]))
    assert best.extrapolated  # most of its groups are mixed, fewer were in the study
    show(console(), d)
    shown = capsys.readouterr().out
    assert "points (" in shown
    assert "from 8 pairs" in shown
    assert "guess by extrapolation" in shown
    lines = [shlex.split(a.command) for a in d.advice if a.command]
    assert len(lines) > 10
    for _, _, recipe, *words in lines:
        plan = plan_for(recipe, options.split(words)[1])
        assert plan.models["policy"].source == f"{HERE}:skewed"
        limit = plan.budget.trained_tokens if recipe == "sft" else plan.budget.tokens
        assert limit == 2e5


def test_the_command_refuses_a_place_it_cannot_write_to_before_it_asks(capsys, tmp_path):
    words = ["diagnose", "--model", f"{HERE}:skewed", "--world", LETTERS]
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert "cannot write" in capsys.readouterr().err
    assert main(["diagnose", "--model", f"{HERE}:skewed"]) == 2
    assert "--world" in capsys.readouterr().err
