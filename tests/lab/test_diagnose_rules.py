"""The table of rules: what can work, what cannot, and the reason that is given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from askesis.formulas.intervals import Estimate
from askesis.lab.diagnose.facts import FAMILIES, RecipeFacts, command, recipe_facts
from askesis.lab.diagnose.rules import CAN, CANNOT, DOUBTFUL, Case, judge
from askesis.registry import RECIPES


def case(truth: str = "answer demonstration", why_not: str = "", **values: float) -> Case:
    usual = {"pass@1": 0.2, "headroom": 0.4, "mixed@8": 0.5, "mixed@16": 0.6, "vote_gain": 0.1,
             "vote_share": 0.4, "truncated_fraction": 0.0}  # fmt: skip
    known = {k.replace("_at_", "@"): v for k, v in (usual | values).items() if v == v}
    figures = {k: Estimate(v, v - 0.01, v + 0.01) for k, v in known.items()}
    return Case(figures, frozenset(truth.split()), "letters-v1", 64, why_not)


def facts(name: str, **more) -> RecipeFacts:
    return replace(next(iter(recipe_facts("countdown", names=[name]))), **more)


NAN = float("nan")
TABLE = [
    # recipe, what is different, verdict, a word of the reason
    ("rft", {}, CAN, ""),
    ("grpo", {}, CAN, ""),
    ("sft", {}, CAN, ""),
    ("self_consistency", {}, CAN, ""),
    ("rft", {"why_not": "it has no weights"}, CANNOT, "no weights"),
    ("sft", {"truth": "answer"}, CANNOT, "no demonstrations"),
    ("dpo", {}, CANNOT, "no preferences"),
    ("a_lol", {"truth": "demonstration"}, CANNOT, "answers that can be checked and no preferences"),
    ("dpo", {"truth": "preference"}, CAN, ""),
    ("self_consistency", {"truth": ""}, CAN, ""),
    ("rft", {"pass@1": 0.0, "headroom": 0.0}, CANNOT, "none of its attempts"),
    ("sft", {"pass@1": 0.0, "headroom": 0.0}, CAN, ""),
    ("rft", {"pass@1": 1e-4, "headroom": 0.03}, CANNOT, "right attempts expected"),
    ("grpo", {"pass@1": 0.6, "headroom": 0.001}, CANNOT, "solve no more than one"),
    ("grpo", {"headroom": 0.025}, DOUBTFUL, "headroom may be"),
    ("sft", {"pass@1": 0.999, "headroom": 0.001}, CANNOT, "already"),
    ("grpo", {"mixed@8": 0.02, "mixed@16": 0.02}, CANNOT, "carry a gradient"),
    ("grpo", {"mixed@8": 0.1, "mixed@16": 0.1}, DOUBTFUL, "carry a gradient"),
    ("ppo", {"mixed@8": 0.02}, CAN, ""),  # a value head is its baseline
    ("rft", {"mixed@8": 0.02}, CAN, ""),
    ("self_consistency", {"vote_gain": -0.03}, CANNOT, "worse than one attempt"),
    ("self_consistency", {"vote_gain": 0.005}, DOUBTFUL, "chance"),
    ("self_consistency", {"vote_gain": NAN}, DOUBTFUL, "nobody knows"),
    ("self_consistency", {"vote_gain": NAN, "vote_share": NAN}, CANNOT, "nothing is voted on"),
    ("sharpening", {"auroc/likelihood": 0.7}, CAN, ""),
    ("sharpening", {"auroc/likelihood": 0.505}, DOUBTFUL, "hardly knows"),
    ("sharpening", {"auroc/likelihood": 0.3}, CANNOT, "wrong more often"),
    ("sharpening", {}, DOUBTFUL, "nobody knows"),
    ("rft", {"truncated_fraction": 0.8}, DOUBTFUL, "cut off"),
    ("sft", {"truncated_fraction": 0.8}, CAN, ""),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "differs", "verdict", "word"), TABLE)
def test_the_table_of_rules(recipe, differs, verdict, word):
    more = {k: v for k, v in differs.items() if k in ("truth", "why_not")}
    values = {k: v for k, v in differs.items() if k not in more}
    found, why = judge(case(**more, **values), facts(recipe))
    assert (found, word in "; ".join(why)) == (verdict, True)
    assert (found == CAN) == (not why)


def test_what_cannot_work_is_not_called_doubtful_too():
    _, why = judge(case(truth="", headroom=0.025, truncated_fraction=0.9), facts("rft"))
    assert why == ("letters-v1 has no answers that can be checked",)


def test_a_recipe_without_a_plan_says_why():
    assert judge(case(), facts("rft", problem="it will not")) == (CANNOT, ("it will not",))


def test_a_recipe_without_a_rule_is_neither_recommended_nor_excluded():
    found, why = judge(case(), facts("rft", family=""))
    assert found == DOUBTFUL
    assert "no rule" in why[0]


def test_every_recipe_has_facts_and_the_studied_families_are_recipes():
    assert set(FAMILIES) <= set(RECIPES)
    found = {f.name: f for f in recipe_facts("countdown")}
    assert set(found) == set(RECIPES)
    assert all(not found[name].problem for name in FAMILIES)
    grpo = found["grpo"]
    assert (grpo.num_tasks, grpo.num_attempts, grpo.grouped) == (64, 8, True)


def test_the_command_line_can_be_typed_as_it_is():
    assert command(facts("rft"), "countdown", "tiny") == "askesis run rft --world countdown"
    line = command(
        facts("grpo", options={"tasks.num": "32"}), "countdown?difficulty=0.7", "my models/a",
        "native?dtype=bfloat16", 1e6, 40,
    )  # fmt: skip
    assert line == (
        "askesis run grpo --world 'countdown?difficulty=0.7' --model 'my models/a' "
        "--engine 'native?dtype=bfloat16' --tasks.num 32 --budget.tokens 1000000 --rounds 40"
    )


def test_a_recipe_of_several_models_begins_all_of_them_from_the_one_diagnosed():
    line = command(facts("online_dpo"), "preferences", "a/b")
    assert "--models.policy.source a/b --models.reward.source a/b" in line
    assert "--models.reward.source a/b" in command(facts("reward_model"), "preferences", "a/b")
