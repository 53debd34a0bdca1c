"""partial_credit: exact on tables, killed and resumed, and by name on the worlds that have states."""

from __future__ import annotations

import pytest

from askesis.errors import WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.models.tabular import TabularModel
from askesis.models.tiny import tiny_model
from askesis.records import TokenOrigin
from askesis.requests import Checked
from askesis.run import Run
from askesis.store import files
from askesis.store.run_store import RunStore
from tests.engines.cast import SMALL
from tests.probes.house import LetterWorld, probability, run_plan
from tests.recipes.letters import metrics_of
from tests.runs.test_kill_and_resume import Killed, outcome


class Both(LetterWorld):
    """Say x or say y; the reference says x. Every letter is a step to a state of its own."""

    truth = frozenset({"answer", "states", "demonstration"})

    def verify(self, task, answer):
        return Checked(float(answer in ("x", "y")))

    def states(self, task, answer):
        return [(i + 1, answer[: i + 1]) for i in range(len(answer))]

    def demonstrate(self, task, rng, habit="plain"):
        return "x"


FEW = [("tasks.num", "4"), ("tasks.pool-size", "2"), ("rounds", "4"), ("measure-every", "9"),
       ("num-attempts", "12"), ("explore.max-tokens", "2"), ("learn.policy.learning-rate", "1")]  # fmt: skip


def both(path, *options: tuple[str, str]) -> Run:
    plan = plan_for("partial_credit", [*FEW, *options])
    return run_plan(plan, {"main": Both()}, {"policy": TabularModel("policy", "abxy")}, path)


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Run:
    return both(tmp_path_factory.mktemp("partial") / "run")


def test_it_learns_ways_that_nobody_showed_beside_the_one_that_was(tmp_path, found):
    control = both(tmp_path / "reference", ("credit", "reference"))
    shown, own = (probability(r.models["policy"], "a", "y") for r in (control, found))
    assert own > 2 * shown
    kept = found.store.resume_point().states["parts"]["select.policy"]
    assert {t for task in kept.values() for t, is_right, *_ in task if is_right} == {"x", "y"}
    attempts = list(found.store.read("attempts"))
    assert sum(a.author == "demonstrator" for a in attempts) <= 4  # in the first round alone
    assert not [a for a in control.store.read("attempts") if a.author != "demonstrator"]


def test_samples_name_the_attempts_of_earlier_rounds_that_they_come_from(found):
    names = {a.id for a in found.store.read("attempts")}
    last = list(found.store.read("samples", {"round": 3}))
    assert last and all(source in names for s in last for source in s.sources)
    assert any(source.startswith("0.") for s in last for source in s.sources)
    noted = metrics_of(found, 3)
    assert noted["select/pool/tasks"] == 2 and noted["select/pool/right"] == 1


def test_attempts_of_a_later_round_go_on_from_a_beginning(tmp_path):
    class Split(Both):
        """Places are the states, so that anything is as good a beginning as the reference's."""

        def demonstrate(self, task, rng, habit="plain"):
            return "xyx"

        def states(self, task, answer):
            return [(i + 1, "abxy"[i]) for i in range(min(len(answer), 4))]

        def verify(self, task, answer):
            return Checked(0.0)

    plan = plan_for("partial_credit", [*FEW, ("rounds", "2")])
    run = run_plan(plan, {"main": Split()}, {"policy": TabularModel("policy", "abxy")}, tmp_path / "run")  # fmt: skip
    assert metrics_of(run, 0)["select/pool/beginnings"] > 0
    later = [t for a in run.store.read("attempts", {"round": 1}) for t in a.turns]
    forced = [t for t in later if t.origin is not None and TokenOrigin.FORCED in t.origin]
    assert forced
    for turn in forced:
        sampled = turn.origin == TokenOrigin.SAMPLED
        assert not sampled[0] and sampled[-1]


def finish(path) -> Run:
    """Begin or continue a run of three rounds, to its end."""
    things = {"main": Both()}, {"policy": TabularModel("policy", "abxy")}
    if (path / "ledger.sqlite").exists():
        run = Run.resume(path, *things, segment_s=0)
    else:
        plan = plan_for("partial_credit", [*FEW, ("rounds", "3")])
        run = Run.create(plan, path, *things, segment_s=0)
    try:
        run.improve()
    finally:
        run.close()
    return run


def killed_after(path, num_points: int) -> bool:
    """Whether a run was still at work after so many writes, flushes and renames."""

    def hook(point: str) -> None:
        nonlocal num_points
        num_points -= 1
        if num_points < 0:
            raise Killed(point)

    files.on_point = hook
    try:
        finish(path)
    except Killed:
        return True
    finally:
        files.on_point = None
    return False


@pytest.mark.slow
def test_a_killed_run_keeps_what_it_found(tmp_path):
    whole = outcome(tmp_path / "whole", finish(tmp_path / "whole"))
    assert "'y', True, False" in str(whole["states"])
    path = tmp_path / "run"
    assert killed_after(path, 90) and killed_after(path, 40)
    assert outcome(path, finish(path)) == whole


def test_a_world_that_does_not_know_states_is_refused_before_the_first_round(tmp_path):
    plan = plan_for("partial_credit", [("world", "addition")])
    with pytest.raises(WorldError, match=r"states .* --world countdown or --world maze"):
        open_worlds(plan)
    model = TabularModel("policy", "abxy")
    run = Run.create(plan, tmp_path / "run", {"main": LetterWorld()}, {"policy": model})
    with pytest.raises(WorldError, match="--world countdown or --world maze"):
        run.improve()
    run.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("world", "loss", "tokens"),
    [("countdown", 136.12665, 260), ("maze?difficulty=0", 26.75166, 136)],
)
def test_it_runs_by_name_on_the_worlds_that_know_states(tmp_path, world, loss, tokens):
    """Golden: this test on the machine of the first version (x86-64, torch 2.13.0, one thread)."""
    options = [("world", world), ("tasks.num", "8"), ("tasks.pool-size", "8"), ("rounds", "2"),
               ("num-attempts", "2"), ("explore.max-tokens", "12"), ("measure.ability.num-tasks", "4"),
               ("measure.ability.max-tokens", "4"), ("measure.ability.num-attempts", "2")]  # fmt: skip
    plan = plan_for("partial_credit", options)
    model = tiny_model("policy", 0, **SMALL | {"max_position_embeddings": 256})
    run = run_plan(plan, open_worlds(plan), {"policy": model}, tmp_path / "run")
    noted = metrics_of(run, 1)
    assert noted["select/samples"] == 8 and noted["select/pool/tasks"] == 8
    assert noted["select/tokens"] == tokens
    assert noted["learn/policy/loss"] == pytest.approx(loss, rel=1e-3)
    store = RunStore.open(tmp_path / "run")
    assert store.verify() == []
    store.close()
