"""What the verbs promise: failures are data, calls are named, states and phases are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from askesis.errors import ConfigError, RunError, StageError, TruthError
from askesis.explore.sample import SampleAttempts
from askesis.judge.verifier import Verifier
from askesis.learn.learner import Learn
from askesis.models.scripted import ScriptedModel
from askesis.models.tabular import TabularModel
from askesis.plan import Budget, ModelSpec, Parts, Phase, Plan, RoleSpec, Until
from askesis.records import Attempt, Group, StopReason, TaskRole
from askesis.run import Run
from askesis.select.threshold import Threshold
from askesis.store.run_store import RunStore
from askesis.worlds.views import RunView
from tests.probes.house import Draw, LetterWorld, run_plan


def plan(**changes: Any) -> Plan:
    parts = {
        "tasks": Draw(num=8),
        "explore": SampleAttempts(num_attempts=2, max_tokens=1),
        "judge": Verifier(),
        "select": {"policy": Threshold(cut_off=True)},
        "learn": {"policy": Learn()},
    }
    phase = {k: changes.pop(k) for k in ("until", "round", "measure", "retain") if k in changes}
    own = {k: changes.pop(k) for k in list(changes) if k not in ("budget", "truth", "seed")}
    main = Phase(**{"parts": Parts(**(parts | own)), "until": Until(rounds=2)} | phase)
    return Plan(recipe="loop", phases=(main,), **changes)


def run(path: Any, chosen: Plan) -> Run:
    return run_plan(
        chosen, {"main": LetterWorld()}, {"policy": TabularModel("policy", "abxy")}, path
    )


@dataclass(frozen=True, kw_only=True)
class Stumble:
    """Fails on every task whose prompt is in `on`."""

    on: str = "a"

    async def explore(self, ctx: Any, start: Any) -> list[Attempt]:
        if start.task.prompt in self.on:
            raise RuntimeError(f"stumbled over {start.task.prompt}")
        turn = await ctx.say("policy", start, max_tokens=1)
        return [Attempt(ctx.attempt_id(start, 0), start, (turn,), turn.stop)]


def test_a_failed_start_is_a_failed_attempt_and_its_siblings_go_on(tmp_path):
    done = run(tmp_path / "run", plan(explore=Stumble()))
    attempts = list(done.store.read("attempts"))
    failed = [a for a in attempts if a.stop is StopReason.FAILED]
    assert failed and len(failed) < len(attempts)
    assert {a.error for a in failed} == {"RuntimeError: stumbled over a"}
    assert {a.task.prompt for a in failed} == {"a"}
    assert len(done.store.errors()) == len(failed)
    assert done.store.errors()[0]["stage"] == "explore"


def test_when_every_start_fails_the_run_stops_with_stage_part_round_and_task(tmp_path):
    with pytest.raises(StageError, match=r"explore \(explore\) failed in round 0 on task letters"):
        run(tmp_path / "run", plan(explore=Stumble(on="ab")))


def test_a_judge_that_fails_leaves_unknown_verdicts(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Moody:
        async def judge(self, ctx: Any, group: Group) -> list[Any]:
            if group.attempts[0].task.prompt == "a":
                raise ValueError("not today")
            return []

    done = run(tmp_path / "run", plan(judge=Moody()))
    unknown = list(done.store.read("verdicts"))
    assert unknown and all(v.value is None for v in unknown)
    assert {v.rationale for v in unknown} == {"ValueError: not today"}


def test_a_stage_that_breaks_is_wrapped_once_with_its_place(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Broken:
        def select(self, ctx: Any, groups: Any, verdicts: Any) -> list[Any]:
            raise KeyError("gone")

    with pytest.raises(StageError, match=r"select \(select.policy\) failed in round 0") as error:
        run(tmp_path / "run", plan(select={"policy": Broken()}))
    assert isinstance(error.value.cause, KeyError)


def test_an_option_that_nothing_reads_is_an_error_after_the_first_round(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Forgetful(Draw):
        wanted: int = 3

    with pytest.raises(ConfigError, match=r"tasks\.wanted"):
        run(tmp_path / "run", plan(tasks=Forgetful(num=64)))


def test_the_second_call_of_a_slot_in_a_round_has_noise_of_its_own(tmp_path):
    texts: list[list[str]] = []

    def twice(rd: Any, p: Parts) -> None:
        starts = rd.tasks(p.tasks)
        for _ in range(2):
            groups = rd.explore(p.explore, starts)
            texts.append([a.text for g in groups for a in g.attempts])

    done = run(tmp_path / "run", plan(round=twice, tasks=Draw(num=32), until=Until(rounds=1)))
    assert texts[0] != texts[1]
    ids = [a.id for a in done.store.read("attempts")]
    assert len(set(ids)) == len(ids)


def test_a_task_drawn_twice_is_attempted_twice_with_different_noise(tmp_path):
    chosen = plan(tasks=Draw(num=32), until=Until(rounds=1))
    done = run(tmp_path / "run", chosen)
    attempts = [a for a in done.store.read("attempts") if a.task.prompt == "a"]
    assert len({a.id for a in attempts}) == len(attempts) > 8
    assert len({a.text for a in attempts}) > 1


def test_rounds_end_with_the_budget_and_say_which(tmp_path):
    done = run(tmp_path / "run", plan(until=Until(rounds=None), budget=Budget(tokens=40)))
    assert done.stopped.startswith("budget.tokens of 40 reached")
    assert len(done.store.rounds()) == 3  # 16 attempts of one token a round
    assert done.store.events("stopped")[0]["data"]["why"] == done.stopped


def test_measuring_is_outside_the_budget_and_kept_below_its_share(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Probe:
        def measure(self, ctx: Any, view: Any) -> dict[str, float]:
            start = view.starts[0]

            async def one() -> Any:
                return await ctx.say("policy", start, max_tokens=1)

            ctx.run([one] * 4)
            return {"probed": 4.0}

    done = run(tmp_path / "run", plan(measure=(Probe(),), until=Until(rounds=30)))
    counts = done.meter.counts
    assert 0 < counts["generated/measure"] <= 0.1 * counts["generated/train"] + 4
    assert done.meter.budget_tokens == counts["generated/train"]


def test_no_part_of_a_run_can_draw_a_claim_task(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Curious(Draw):
        def draw(self, ctx: Any) -> list[Any]:
            return ctx.draw(TaskRole.CLAIM, self.num)

    models = {"policy": TabularModel("policy", "abxy")}
    with pytest.raises(TruthError):
        run_plan(plan(tasks=Curious()), {"main": RunView(LetterWorld())}, models, tmp_path / "run")


def test_a_plateau_ends_a_phase(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Flat:
        def measure(self, ctx: Any, view: Any) -> dict[str, float]:
            return {"level": 1.0}

    until = Until(rounds=50, plateau="measure/level", patience=3)
    chosen = plan(until=until, measure=(Flat(),))
    phase = chosen.phases[0]
    object.__setattr__(phase, "measure_every", 1)
    done = run(tmp_path / "run", chosen)
    assert len(done.store.rounds()) == 4


def test_a_recipe_that_needs_more_than_the_engine_has_is_refused_before_round_0(tmp_path):
    chosen = Plan(recipe="hungry", phases=plan().phases, needs=("say", "hidden"))
    with pytest.raises(ConfigError, match="needs hidden, which engine 'tabular'"):
        run(tmp_path / "run", chosen)


def test_a_model_that_learnt_nothing_keeps_its_snapshot(tmp_path):
    @dataclass(frozen=True, kw_only=True)
    class Nothing:
        def select(self, ctx: Any, groups: Any, verdicts: Any) -> list[Any]:
            return []

    done = run(tmp_path / "run", plan(select={"policy": Nothing()}))
    assert done.shelf.current("policy") == "policy@0"


def test_resuming_with_another_configuration_is_refused_with_what_differs(tmp_path):
    run(tmp_path / "run", plan())
    models = {"policy": TabularModel("policy", "abxy")}
    other = plan(explore=SampleAttempts(num_attempts=5, max_tokens=1))
    with pytest.raises(RunError, match=r"num_attempts \(2 -> 5\).*askesis fork"):
        Run.resume(tmp_path / "run", {"main": LetterWorld()}, models, other)


def test_every_row_of_a_run_can_be_followed_from_sample_to_task(tmp_path):
    run(tmp_path / "run", plan(tasks=Draw(num=32)))
    store = RunStore.open(tmp_path / "run")
    attempts = {a.id: a for a in store.read("attempts")}
    samples = list(store.read("samples"))
    assert samples
    snapshots = {s["id"] for s in store.snapshots()}
    for sample in samples:
        attempt = attempts[sample.sources[0]]
        assert attempt.task.role is TaskRole.TRAIN
        assert attempt.turns[0].speaker in snapshots
    store.close()


def test_needs_are_of_every_role_or_of_one(tmp_path):
    def plan_of(*needs: str) -> Plan:
        roles = {"policy": RoleSpec(), "script": RoleSpec(model="script")}
        models = {"policy": ModelSpec(), "script": ModelSpec(trainable=False)}
        return replace(plan(), needs=needs, models=models, roles=roles)

    models = {
        "policy": TabularModel("policy", "abxy"),
        "script": ScriptedModel("script", lambda text, noise: "x"),
    }
    worlds = {"main": LetterWorld()}
    run_plan(plan_of("say", "policy.value"), worlds, models, tmp_path / "fine")
    for needs in (("say", "value"), ("script.value",)):
        with pytest.raises(ConfigError, match=r"needs value, .* of role 'script'"):
            run_plan(plan_of(*needs), worlds, models, tmp_path / needs[-1])
