"""What a person may get wrong about learning, through the real path: a run of a recipe.

Every message is one line that says what is wrong, what was found and what to type.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from askesis.errors import AskesisError, ConfigError, WorldError
from askesis.lab.begin import open_worlds, plan_for
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import KTO, Preference
from askesis.models.tabular import TabularModel
from askesis.requests import Checked
from askesis.run import Run
from tests.probes.house import LetterWorld
from tests.recipes.matrix_game import ANSWERS, MatrixGame

GAME = {"spo": "a" + ANSWERS, "online_dpo": "a" + ANSWERS}


def refusal(path: Path, recipe: str, *options: tuple[str, str], world: Any = None) -> str:
    """The line that a run of a recipe ends with, and that it learnt nothing before."""
    plan = plan_for(recipe, [("tasks.num", "8"), ("rounds", "1"), *options])
    models = {name: TabularModel(name, GAME.get(recipe, "abxy")) for name in plan.models}

    def whole() -> None:
        worlds = {"main": world} if world is not None else open_worlds(plan)
        run = Run.create(plan, path / "run", worlds, models)
        try:
            run.improve()
        finally:
            run.close()

    with pytest.raises(AskesisError) as error:
        whole()
    assert "\n" not in str(error.value)
    if "policy" in models:
        assert not models["policy"].module.logits.any()
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('"chosen": "x", "rejected": "x "', r"pair 2 of .* prefers an answer to itself; expected"),
        ('"chosen": "x", "rejected": ""', r"column 'rejected' in line 2 of .* is empty"),
        ('"chosen": " ", "rejected": "y"', r"column 'chosen' in line 2 of .* is empty"),
    ],
)
def test_a_preference_file_with_answers_that_are_identical_or_empty(tmp_path, line, expected):
    good = '{"prompt": "a", "chosen": "x", "rejected": "y"}'
    (tmp_path / "mine.jsonl").write_text(f'{good}\n{{"prompt": "b", {line}}}\n')
    said = refusal(tmp_path, "dpo", ("world", f"pairs:{tmp_path}/mine.jsonl"))
    with pytest.raises(WorldError, match=expected):
        raise WorldError(said)
    assert "found" in said


@pytest.mark.parametrize("recipe", ["rloo", "grpo", "dapo", "nft", "spo", "online_dpo"])
def test_a_group_of_one_attempt_where_attempts_are_compared(tmp_path, recipe):
    world = MatrixGame() if recipe in GAME else LetterWorld()
    options = [("num-attempts", "1")]
    if recipe == "online_dpo":
        options.append(("phases.reward.until.rounds", "0"))
    said = refusal(tmp_path, recipe, *options, world=world)
    assert "attempts are compared within their group" in said
    assert said.endswith("--explore.num-attempts 2 or more")


class Broken(LetterWorld):
    """A verifier whose score is no number."""

    def __init__(self, score: float) -> None:
        super().__init__()
        object.__setattr__(self, "score", score)

    def verify(self, task: Any, answer: str) -> Checked:
        return Checked(self.score)


@pytest.mark.parametrize(
    ("recipe", "score"),
    [("rft", "nan"), ("grpo", "nan"), ("nft", "inf"), ("ppo", "inf"), ("reinforce", "nan")],
)
def test_a_reward_that_is_no_finite_number(tmp_path, recipe, score):
    said = refusal(tmp_path, recipe, world=Broken(float(score)))
    assert "the reward of attempt 0.explore/letters-v1:" in said
    assert f"found {score} from judge verifier:letters-v1" in said
    assert "mend that judge" in said


def test_an_update_that_cannot_hold_one_attempt(tmp_path):
    said = refusal(
        tmp_path,
        "rft",
        ("learn.policy.batch-tokens", "1"),
        ("select.policy.threshold", "0"),
        world=LetterWorld(),
    )
    assert "cannot hold the largest sample" in said and "--learn.policy.batch-tokens" in said


def test_a_run_s_budget_smaller_than_one_attempt_ends_it_after_the_first_round(tmp_path):
    plan = plan_for("rft", [("tasks.num", "8"), ("rounds", "4"), ("budget.tokens", "1")])
    run = Run.create(
        plan, tmp_path, {"main": LetterWorld()}, {"policy": TabularModel("policy", "abxy")}
    )
    assert run.improve().startswith("budget.tokens of 1 reached (")
    assert run.position.total == 1
    run.close()


# ---------------------------------------------------------------- before round 0


def begun(path: Path, learn: Learn, select: Any = None, **models: Any) -> Run:
    """A run of one round on letters with a learner of one's own."""
    from askesis.explore.sample import SampleAttempts
    from askesis.judge.verifier import Verifier
    from askesis.plan import Parts, Phase, Plan, Until
    from askesis.select.pairs import BestAndWorst
    from tests.probes.house import Draw

    parts = Parts(
        tasks=Draw(num=8),
        explore=SampleAttempts(num_attempts=4, max_tokens=1),
        judge=Verifier(),
        select={"policy": select or BestAndWorst()},
        learn={"policy": learn},
    )
    plan = Plan(recipe="mine", phases=(Phase(parts=parts, until=Until(rounds=1)),))
    policy = {"policy": TabularModel("policy", "abxy")}
    return Run.create(plan, path, {"main": LetterWorld()}, {**policy, **models})


def refused_at_once(run: Run) -> str:
    with pytest.raises(ConfigError) as error:
        run.improve()
    run.close()
    assert not any(run.meter.counts.values()), "something was generated before"
    assert "\n" not in str(error.value)
    return str(error.value)


DPO = (Preference(),)


@pytest.mark.parametrize("alphabet", ["ab", "abyx"])
def test_a_reference_of_another_vocabulary_is_refused_before_round_0(tmp_path, alphabet):
    other = TabularModel("other", alphabet, trainable=False)
    said = refused_at_once(begun(tmp_path, Learn(objectives=DPO, reference="other"), other=other))
    assert "the reference 'other' of model 'policy' has another vocabulary" in said
    expected = {"ab": "expected 6 tokens; found 4", "abyx": "expected token 2 to be 'x'; found 'y'"}
    assert expected[alphabet] in said and "--learn.policy.reference base" in said


def test_a_reference_that_is_not_named_and_a_model_that_is_frozen_are_refused_before_round_0(
    tmp_path,
):
    said = refused_at_once(begun(tmp_path / "1", Learn(objectives=DPO)))
    assert "needs a reference and none is named" in said
    frozen = TabularModel("policy", "abxy", trainable=False)
    said = refused_at_once(begun(tmp_path / "2", Learn(), policy=frozen))
    assert "is frozen and cannot learn" in said


def test_columns_and_atoms_that_a_selector_does_not_make_are_refused_before_the_run_begins(
    tmp_path,
):
    from askesis.select.advantages import GroupAdvantages

    def said(objective: Any, select: Any = None) -> str:
        with pytest.raises(ConfigError) as error:
            begun(tmp_path / type(objective).__name__, Learn(objectives=(objective,)), select)
        return str(error.value)

    assert "KTO of model 'policy' needs the columns kl, label; expected a selector" in said(KTO())
    assert "found GroupAdvantages, which makes a sequence a sample" in said(
        Preference(), GroupAdvantages()
    )


def test_a_pair_whose_answers_are_the_same_to_the_model_is_not_learnt(tmp_path):
    class Same(MatrixGame):
        def annotated_pair(self, task: Any, rng: Any, num_votes: int = 1) -> Any:
            return "w", "w", 1.0

    plan = plan_for("dpo", [("tasks.num", "4"), ("rounds", "1")])
    model = TabularModel("policy", "a" + ANSWERS)
    run = Run.create(plan, tmp_path, {"main": Same()}, {"policy": model}, segment_s=0)
    run.improve()
    found = {m["key"]: m["value"] for m in run.store.metrics()}
    run.close()
    assert found["select/pairs"] == found["learn/policy/num_samples"] == 0
    assert torch.equal(model.module.logits, torch.zeros_like(model.module.logits))
