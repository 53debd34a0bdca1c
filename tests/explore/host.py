"""A run without a store: real speakers, driver, meter and shelf around small models and worlds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from askesis.budget import Meter
from askesis.context import Context, RoundView, Verdicts
from askesis.driver import Driver
from askesis.engines.open import open_engine
from askesis.errors import TruthError
from askesis.models.scripted import ScriptedModel
from askesis.models.shelf import Shelf
from askesis.plan import RoleSpec
from askesis.records import Attempt, Group, Purpose, Start, StopReason, Task, TaskRole, Turn
from askesis.requests import Checked, Transition
from askesis.rng import Streams
from askesis.speakers import Speakers


class Sums:
    """a+b for digits; difficulty scales a. The answer may stand after "="."""

    id, truth, max_answer_tokens = "sums-v1", frozenset({"answer", "demonstration"}), 16
    num_canonical = 55

    def make(self, a: int, b: int, role: TaskRole = TaskRole.TRAIN) -> Task:
        prompt, answer = f"{a}+{b}", str(a + b)
        return Task(f"{self.id}:{prompt}", self.id, prompt, answer, a / 9, role)

    def draw(self, role: Any, rng: np.random.Generator, num: int, difficulty: Any = None) -> Any:
        high = 10 if difficulty is None else max(1, round(10 * difficulty))
        pairs = [(int(rng.integers(high)), int(rng.integers(10))) for _ in range(num)]
        return [self.make(a, b, role) for a, b in pairs]

    def canonical(self, task: Task) -> str:
        return "+".join(sorted(task.prompt.split("+")))

    def verify(self, task: Task, answer: str) -> Checked:
        read = self.extract(answer)
        return Checked(float(read == str(eval_sum(task.prompt))), f"read {read!r}", read)

    def extract(self, answer: str) -> str:
        return answer.rpartition("=")[2].strip()

    def demonstrate(self, task: Task, rng: np.random.Generator, habit: str = "plain") -> str | None:
        return {"plain": "", "steps": f"{task.prompt}="}[habit] + str(eval_sum(task.prompt))


def eval_sum(prompt: str) -> int:
    return sum(int(x) for x in prompt.split("+"))


class NoTruth(Sums):
    """The same without answers: whoever reads the truth, raises."""

    def draw(self, *options: Any) -> Any:
        return [t.without_truth() for t in super().draw(*options)]

    def verify(self, task: Task, answer: str) -> Checked:
        raise TruthError("no truth here")


class Corridor:
    """Walk from 0 to `goal` by "r" and "l"; anything else is illegal; ten steps at most."""

    id, truth, max_answer_tokens, num_canonical = "corridor-v1", frozenset({"turns"}), 4, 1

    def make(self, goal: int = 2) -> Task:
        return Task("corridor:0", self.id, f"to {goal}", data={"goal": goal})

    def initial(self, task: Task) -> list[int]:
        return [0, 0]

    def observe(self, task: Task, state: list[int], seat: int = 0) -> str:
        return f"at {state[0]}"

    def step(self, task: Task, state: list[int], action: str, seat: int = 0) -> Transition:
        if action not in ("l", "r"):
            return Transition(state, "no such move", {"policy": -1.0}, legal=False)
        new = [state[0] + (1 if action == "r" else -1), state[1] + 1]
        done = new[0] == task.data["goal"]
        reward = {"policy": 1.0 if done else -0.1}
        return Transition(new, self.observe(task, new), reward, done, not done and new[1] >= 10)


class Host:
    """What contexts need of a run. `world` is "main"; models by name speak for themselves."""

    def __init__(
        self, models: Mapping[str, Any], world: Any = None, seed: int = 0, keep: Any = ()
    ) -> None:
        self.worlds = {"main": world or Sums()}
        self.models, self.streams, self.meter = dict(models), Streams(seed), Meter()
        self.shelf = Shelf(self.models, keep)
        roles = {name: RoleSpec(model=name) for name in models}
        self.speakers = Speakers(
            roles, self.models, self.shelf, self.meter, open_engine,
            lambda start: self.worlds["main"].max_answer_tokens,
        )  # fmt: skip
        self.driver = Driver(self.speakers.servers())

    def drive(self, makers: Any) -> Any:
        return self.driver.run(makers)

    def context(self, stage: str = "explore", round: int = 0, **options: Any) -> Context:
        slot = options.pop("slot", stage)
        purpose = options.pop("purpose", Purpose.TRAIN)
        return Context(
            self, round=round, phase="main", stage=stage, slot=slot, purpose=purpose, **options
        )

    def call(self, ctx: Context, method: Any, item: Any) -> Any:
        """One coroutine to its end; raises what it raised."""
        (outcome,) = self.drive([lambda: method(ctx, item)])
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def explore(self, part: Any, start: Start, **options: Any) -> Any:
        return self.call(self.context("explore", **options), part.explore, start)

    def judge(self, part: Any, group: Group, **options: Any) -> Any:
        return self.call(self.context("judge", **options), part.judge, group)


def says(script: Any, name: str = "policy") -> dict[str, Any]:
    """A table of one model that says what a function or a mapping says."""
    return {name: ScriptedModel(name, script)}


def attempt(task: Task, text: str, index: int = 0, **options: Any) -> Attempt:
    """An attempt of one turn, as an engine would have made it on code points."""
    start = options.pop("start", Start(task))
    stop = options.pop("stop", StopReason.ENDED)
    read = task.prompt + ("\n" + start.privileged if start.privileged else "")
    tokens = [ord(c) for c in text] + ([0x110000] if stop is StopReason.ENDED else [])
    turn = Turn(
        "policy", text, "policy@0", np.array([ord(c) for c in read], np.int32),
        np.array(tokens, np.int32), stop=stop,
    )  # fmt: skip
    return Attempt(f"{start.key}#{index}", start, (turn,), stop, "policy@0", **options)


def view(groups: list[Group], verdicts: list[Any] = (), index: int = 0, **rest: Any) -> RoundView:
    return RoundView(index, "main", groups={"explore": groups}, verdicts=Verdicts(verdicts), **rest)
