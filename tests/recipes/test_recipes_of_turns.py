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
from tests.recipes.test_recipes_small import finish
from tests.recipes.whole_runs import killed_and_whole_are_one

ALPHABET = "abxy?"
ONLY_A = LetterWorld({"a": "x"})
SHORT = (("instruction", "?"), ("second-answer", "0"), ("explore.max-tokens", "1"),
         ("measure-every", "99"))  # fmt: skip


def on_turns(recipe, path, *options, world=ONLY_A, logits=None):
    models = {"policy": TabularModel("policy", ALPHABET, logits)}
    measured = "ability" if recipe == "self_correction_dpo" else "revisions"
    few = (f"measure.{measured}.num-tasks", "2")
    return on_letters(recipe, path, *SHORT, few, *options, world=world, models=models)


def attempts_of(run, index=0):
    """Per group of a round, its attempts with the score of each answer."""
    scores = {v.about.attempt: v.vector for v in run.store.read("verdicts", {"round": index})}
    groups: dict[str, list] = {}
    for attempt in run.store.read("attempts", {"round": index}):
        if attempt.purpose is not Purpose.MEASURE:
            place = f"{attempt.task.id}~{attempt.start.copy}"
            groups.setdefault(place, []).append((attempt, scores[attempt.id]))
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


@pytest.mark.slow
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


# ---------------------------------------------------------------- RISE


def learnt_gradient(run) -> np.ndarray:
    """Minus the gradient of the weighted likelihood at a table of zeros, from the samples."""
    gradient, total = np.zeros((7, 7)), 0.0
    uniform = np.append(np.full(6, 1 / 6), 0.0)
    for sample in run.store.read("samples", {"round": 0}):
        (row,) = sample.sequences
        (place,) = np.flatnonzero(row.columns["weight"])  # one answer, of one token
        weight = float(row.columns["weight"][place])
        gradient[row.tokens[place - 1]] += weight * (np.eye(7)[row.tokens[place]] - uniform)
        total += weight
    return gradient / total


def test_rise_learns_every_answer_after_those_before_it_by_its_reward(tmp_path):
    run = on_turns("rise", tmp_path / "run", ("rounds", "1"), ("num-revisions", "4"), ROUND)
    weights = {}
    for group in attempts_of(run):
        chain, scores = group[0]
        assert len(answers(chain)) == len(scores) <= 2
        if len(scores) == 2:
            assert scores[0] < 1  # a right answer is not asked for again
            assert scores[1] == max([scores[1], *(s[0] for _, s in group[1:])])
            assert len(group) == 4 and {a.start.tag for a, _ in group[1:]} == {"revision"}
        for said, score in zip(answers(chain), scores, strict=True):
            weights[said.context.tobytes() + said.tokens.tobytes()] = np.exp(score / 0.4)
    samples = list(run.store.read("samples", {"round": 0}))
    for sample in samples:
        row = sample.sequences[0]
        assert row.columns["weight"].max() == pytest.approx(weights[row.tokens.tobytes()], rel=1e-4)
    gradient = learnt_gradient(run)
    found = metrics_of(run, 0)
    assert found["learn/policy/grad_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-4)
    run.store.close()


@pytest.mark.slow
def test_rise_learns_first_answers_and_revisions_that_were_right(tmp_path):
    run = on_turns("rise", tmp_path / "run", ("rounds", "6"), ("tasks.num", "32"), ROUND,
                   ("num-revisions", "4"))  # fmt: skip
    model = run.models["policy"]
    assert probability(model, "?", "x") > 0.3 and probability(model, "a", "x") > 0.3  # 1/6 before
    run.store.close()


# ---------------------------------------------------------------- SCL


def test_scl_prefers_the_right_answer_of_an_attempt_as_an_answer_to_the_task(tmp_path):
    run = on_turns("self_correction_dpo", tmp_path / "run", ("rounds", "1"), ROUND,
                   ("learn.policy.epochs", "1"), ("num-attempts", "8"))  # fmt: skip
    pairs, gradient = 0, np.zeros((7, 7))
    uniform = np.append(np.full(6, 1 / 6), 0.0)
    for attempt, scores in (one for group in attempts_of(run) for one in group):
        if len(scores) == 2 and scores[0] != scores[1]:
            pairs += 1
            for said, score in zip(answers(attempt), scores, strict=True):
                push = 0.05 + 0.1 if score else -0.05  # half of beta; the likelihood of the chosen
                gradient[0] += push * (np.eye(7)[said.tokens[0]] - uniform)
    found = metrics_of(run, 0)
    assert found["select/pairs"] == pairs > 5
    assert found["learn/policy/grad_norm"] == pytest.approx(
        np.linalg.norm(gradient / pairs), rel=1e-4
    )
    logits = run.models["policy"].module.logits.detach()
    assert logits[0, 2] > 0 and not logits[4].any()  # first answers are learnt, revisions are not
    run.store.close()


def test_the_control_of_scl_pairs_first_answers_that_nobody_asked_about(tmp_path):
    run = on_turns("self_correction_dpo", tmp_path / "run", ("rounds", "1"), ROUND,
                   ("pairs", "independent"), ("num-attempts", "2"))  # fmt: skip
    mixed = 0
    for group in attempts_of(run):
        assert len(group) == 4 and all(len(answers(attempt)) == 1 for attempt, _ in group)
        mixed += len({scores[-1] for _, scores in group}) == 2
    samples = list(run.store.read("samples", {"round": 0}))
    said = [tuple(int(row.tokens[1]) for row in s.sequences) for s in samples]
    assert len(said) == mixed > 3
    assert {chosen for chosen, _ in said} == {ALPHABET.index("x")}
    assert ALPHABET.index("x") not in {rejected for _, rejected in said}
    run.store.close()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["score", "rise", "self_correction_dpo"])
def test_a_second_turn_begins_as_another_first_answer(tmp_path, recipe):
    """The table knows the answer after "a" and says anything after "?"."""
    logits = [[0.0] * 7 for _ in range(7)]
    logits[0][2] = 4.0
    run = on_turns(recipe, tmp_path / "run", ("second-answer", "256"), ("rounds", "1"),
                   ("phases.second_answer.select.policy.cut-off", "true"), ("tasks.num", "64"),
                   ("phases.second_answer.learn.policy.learning-rate", "0.5"),
                   ("learn.policy.epochs", "20"), logits=logits)  # fmt: skip
    assert probability(run.models["policy"], "?", "x") > 0.6
    assert run.shelf.find("policy", "asked") == "policy@1"
    run.store.close()


# ---------------------------------------------------------------- CCT


@pytest.mark.parametrize(("share", "source"), [("0.4", "demonstration"), ("0", "own")])
def test_cct_learns_second_turns_and_plain_answers_and_no_mistake(tmp_path, share, source):
    models = {"policy": TabularModel("policy", ALPHABET)}
    run = on_letters("confidence_critique", tmp_path / "run", ("instruction", "?"), ("rounds", "1"),
                     ("second-answer", "0"), ("measure.revisions.num-tasks", "2"), ("explore.max-tokens", "1"), ("select.policy.cut-off", "true"), ROUND,
                     ("keep-share", share), ("source", source), ("measure-every", "99"),
                     world=ONLY_A, models=models)  # fmt: skip
    samples = list(run.store.read("samples", {"round": 0}))
    two = [s for s in samples if len(s.sources) == 2]
    plain = [s for s in samples if len(s.sources) == 1]
    read, first_right, learnt = ALPHABET.index("?"), 0, []
    for sample in two:
        tokens, weight = sample.sequences[0].tokens, sample.sequences[0].columns["weight"]
        place = int(np.flatnonzero(weight)[0]) - 1
        assert tokens[place] == read
        assert not weight[: place + 1].any() and weight[place + 1 :].all()
        assert tokens[place + 1] == ALPHABET.index("x")
        first_right += list(tokens[1:place]) == [ALPHABET.index("x")]
        learnt.append(len(tokens) - place - 1)
    assert first_right == round(float(share) * len(two)) and len(two) > 5
    assert {len(s.sequences[0].tokens) for s in plain} == {3} and len(plain) == 16  # "a", "x", end
    assert set(learnt) == ({1} if source == "own" else {1, 2})  # own answers here are cut off
    run.store.close()


@pytest.mark.slow
def test_score_killed_in_its_last_phase_ends_as_the_whole_one(tmp_path, monkeypatch):
    """Its reference is a snapshot of an earlier phase, which must come back too."""
    options = (("instruction", "b"), ("stage-one", "1"), ("num-attempts", "4"), ("rounds", "2"),
               ("second-answer", "8"), ("phases.second_answer.select.policy.cut-off", "true"),
               ("measure.revisions.num-tasks", "2"))  # fmt: skip
    killed_and_whole_are_one(
        tmp_path, monkeypatch, lambda path: finish("score", path, *options), lesson=6
    )
