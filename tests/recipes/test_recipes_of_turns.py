"""Recipes that answer twice, on the smallest world with the bigram model: exact, and instant.

The instruction is "?", so a first answer is said after "a" or "b" and a revision after "?", and the
table has rows of its own for both.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from askesis.models.tabular import TabularModel
from askesis.records import Purpose
from tests.probes.house import LetterWorld, probability
from tests.recipes.letters import first_adam_step, metrics_of, on_letters

ALPHABET = "abxy?"
ONLY_A = LetterWorld({"a": "x"})
SHORT = (("instruction", "?"), ("second-answer", "0"), ("explore.max-tokens", "1"),
         ("measure-every", "99"))  # fmt: skip


def on_turns(recipe, path, *options, world=ONLY_A, logits=None):
    models = {"policy": TabularModel("policy", ALPHABET, logits)}
    return on_letters(recipe, path, *SHORT, *options, world=world, models=models)


def attempts_of(run, index=0):
    """Per group of a round, its attempts with the score of each answer."""
    scores = {v.about.attempt: v.vector for v in run.store.read("verdicts", {"round": index})}
    groups: dict[str, list] = {}
    for attempt in run.store.read("attempts", {"round": index}):
        if attempt.purpose is not Purpose.MEASURE:
            groups.setdefault(attempt.start.key, []).append((attempt, scores[attempt.id]))
    return list(groups.values())


def answers(attempt):
    return [t for t in attempt.turns if t.role == "policy"]


def others_mean(values, i):
    return (sum(values) - values[i]) / (len(values) - 1)


def pushed(run, rewards_of) -> np.ndarray:
    """Minus the gradient at a table of zeros: each answer's only token by its reward less that of
    the others at its turn, over the rows that were learnt."""
    gradient, uniform = np.zeros((7, 7)), np.append(np.full(6, 1 / 6), 0.0)
    for group in attempts_of(run):
        rewards = [rewards_of(scores) for _, scores in group]
        for i, (attempt, _) in enumerate(group):
            for turn, said in enumerate(answers(attempt)):
                push = rewards[i][turn] - others_mean([r[turn] for r in rewards], i)
                gradient[said.context[-1]] += push * (np.eye(7)[said.tokens[0]] - uniform)
    return gradient / sum(len(s.sequences) for s in run.store.read("samples", {"round": 0}))


def agrees(run, gradient, rate):
    length = np.linalg.norm(gradient)
    assert metrics_of(run, 0)["learn/policy/grad_norm"] == pytest.approx(length, rel=1e-4)
    moved = np.abs(gradient) > 1e-6
    assert moved.any()
    expected = first_adam_step(gradient * min(1.0, 1 / length), rate)
    logits = run.models["policy"].module.logits.detach()
    torch.testing.assert_close(logits[moved], expected[moved], atol=1e-5, rtol=1e-3)


ROUND = ("learn.policy.learning-rate", "0.1")


def test_score_s_first_stage_moves_what_is_said_second_and_nothing_else(tmp_path):
    run = on_turns("score", tmp_path / "run", ("stage-one", "1"), ROUND,
                   ("phases.stage_two.until.rounds", "0"))  # fmt: skip
    gradient = pushed(run, lambda scores: [0.0, scores[1]])
    assert not gradient[: len(ALPHABET) - 1].any()  # only the row of "?"
    agrees(run, gradient, 0.1)
    assert metrics_of(run, 0)["learn/policy/kl_first"] == 0.0  # it starts at its reference
    run.store.close()


def test_score_s_second_stage_pays_for_both_and_ten_times_for_the_change(tmp_path):
    run = on_turns("score", tmp_path / "run", ("stage-one", "0"), ROUND,
                   ("phases.stage_two.until.rounds", "1"))  # fmt: skip
    agrees(run, pushed(run, lambda s: [s[0], s[1] + 10 * (s[1] - s[0])]), 0.1)
    run.store.close()


def test_score_learns_to_mend_and_naive_reinforcement_does_not_care(tmp_path):
    """The start is right 3 times of 4 at first and half the time after "?"."""
    found = {}
    for name, options in (("score", ()), ("naive", (("bonus", "0"), ("stage-one", "0")))):
        logits = [[0.0] * 7 for _ in range(7)]
        logits[0][2], logits[4][2] = 2.7, 1.6
        run = on_turns("score", tmp_path / name, *options, ("tasks.num", "32"), ROUND,
                       ("phases.stage_two.until.rounds", "8"), logits=logits)  # fmt: skip
        model = run.models["policy"]
        found[name] = probability(model, "a", "x"), probability(model, "?", "x")
        run.store.close()
    assert found["score"][1] > 0.9  # revisions are right
    assert found["score"][1] - found["score"][0] > found["naive"][1] - found["naive"][0]


def test_score_refuses_what_is_out_of_range(tmp_path):
    from askesis.errors import ConfigError
    from askesis.lab.begin import plan_for

    for option in (("bonus", "-1"), ("first-kl-coef", "-1"), ("instruction", "")):
        with pytest.raises(ConfigError, match="out of range"):
            plan_for("score", [option])
    with pytest.raises(ConfigError, match="two judged ones"):
        on_turns("score", tmp_path / "run", ("num-attempts", "1"))
