"""Judges of steps: one battery for all of them, and what each one says on cases solved by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError, WorldError
from askesis.judge.returns import Return
from askesis.judge.several import Several
from askesis.judge.steps.aggregated import Aggregated
from askesis.judge.steps.branches import BranchLabels
from askesis.judge.steps.consensus import Consensus
from askesis.judge.steps.critic import StepCritic
from askesis.judge.steps.head import StepHead
from askesis.judge.steps.implicit import ImplicitSteps
from askesis.judge.steps.prover import ProverAdvantage
from askesis.judge.steps.rollouts import RolloutValues
from askesis.judge.steps.siblings import SiblingContrast
from askesis.judge.steps.truth import StepTruth
from askesis.judge.verifier import Verifier
from askesis.judge.weighted_vote import WeightedVote
from askesis.models.scripted import ScriptedModel
from askesis.models.tabular import TabularModel
from askesis.records import Attempt, Group, Start, StopReason, Task, TaskRole, Turn, VerdictKind
from askesis.registry import PARTS
from askesis.requests import Checked
from askesis.steps import (
    MEANINGS,
    StepScores,
    no_steps,
    scores_of,
    step_scores,
    step_verdict,
    steps_of,
    turns_up_to,
)
from askesis.text.critique import named
from tests.explore.host import Host, attempt, says

VALUE, CORRECT = VerdictKind.VALUE, VerdictKind.CORRECTNESS


class Chain:
    """An answer is right when it says "x" three times, one a step; every "x" is a right step."""

    id, truth, max_answer_tokens = "chain-v1", frozenset({"answer", "steps"}), 8
    num_canonical, step_end = 1, ","

    def make(self) -> Task:
        return Task("chain:a", self.id, "a", "x,x,x", 0.0, TaskRole.TRAIN)

    def draw(self, role: Any, rng: np.random.Generator, num: int, difficulty: Any = None) -> Any:
        return [self.make()] * num

    def canonical(self, task: Task) -> str:
        return "a"

    def verify(self, task: Task, answer: str) -> Checked:
        steps = [s for s in answer.split(",") if s]
        ends = np.cumsum([len(s) + 1 for s in steps]) - 1
        spans = tuple((int(e) - len(s), int(e)) for s, e in zip(steps, ends, strict=True))
        right = tuple(float(s == "x") for s in steps)
        return Checked(float(answer == "x,x,x"), "", answer, right, spans)


WORLD, TASK = Chain(), Chain().make()
ALPHABET = "axy,"


def table(name: str, seed: int) -> TabularModel:
    logits = np.random.default_rng(seed).normal(size=(6, 6))
    model = TabularModel(name, ALPHABET, logits)
    model.module.value.data += 1.5 * model.module.logits.data[:, 0]
    return model


def tables() -> Host:
    """policy, reward and steps as tables of random numbers, a critic that guesses."""
    names = ("policy", "reward", "steps")
    models: dict[str, Any] = {name: table(name, seed) for seed, name in enumerate(names)}
    models["critic"] = ScriptedModel("critic", lambda text, u: "1" if u < 0.5 else "ok")
    return Host(models, world=WORLD, keep={("reward", "base"), ("policy", "base")})


def said(text: str, index: int = 0, **options: Any) -> Attempt:
    """An answer in the tokens of the tables."""
    ids = [ALPHABET.index(c) for c in text]
    stop = options.pop("stop", StopReason.ENDED)
    tokens = np.array([*ids, 4] if stop is StopReason.ENDED else ids, np.int32)
    turn = Turn("policy", text, "policy@0", np.array([0], np.int32), tokens, stop=stop)
    return Attempt(f"a#{index}", Start(TASK), (turn,), stop, "policy@0", **options)


FAILED = Attempt("f", Start(TASK), (), StopReason.FAILED, error="it broke")
TEXTS = ("x,x,x", "x,y,x", "x,x", "y", "", "x,x,y")
GROUP = Group("g", (*(said(t, i) for i, t in enumerate(TEXTS)), FAILED))
WHOLE = [(0, 0, 2), (0, 2, 4), (0, 4, 6)]

JUDGES = [
    RolloutValues(num_rollouts=3),
    RolloutValues(num_rollouts=3, label="hard", threshold=0.4),
    RolloutValues(num_rollouts=3, label="any", until_lost=True),
    RolloutValues(num_rollouts=3, until_lost=True),
    StepHead(),
    StepHead(says="correctness"),
    ImplicitSteps(),
    ImplicitSteps(separators="", beta=1.0),
    ProverAdvantage(inner=RolloutValues(num_rollouts=3)),
    ProverAdvantage(inner=StepHead(), best_of=2),
    SiblingContrast(),
    BranchLabels(),
    StepTruth(),
    Consensus(first=RolloutValues(num_rollouts=3, label="any"), second=StepTruth()),
    StepCritic(critic="critic", num_votes=3, temperature=1.0),
    Aggregated(inner=StepTruth()),
    Several(judges=(StepTruth(), Verifier())),
]


def names(part: Any) -> str:
    return type(part).__name__


# ---------------------------------------------------------------- the battery


def test_every_registered_judge_of_steps_is_in_the_battery():
    registered = {row.load() for name, row in PARTS.items() if name.startswith("judge.steps.")}
    assert registered == {type(j) for j in JUDGES} - {Several}


@pytest.mark.parametrize("judge", JUDGES, ids=names)
def test_what_a_judge_of_steps_says_keeps_the_contract(judge):
    host = tables()
    if hasattr(judge, "on_phase_start"):
        judge.on_phase_start(host.context("judge"))
    found = host.judge(judge, GROUP)
    known = {a.id: a for a in GROUP.attempts}
    per_step = [v for v in found if v.kind in MEANINGS]
    assert {v.about.attempt for v in per_step} == set(known)
    for verdict in per_step:
        assert verdict.value is None and not verdict.about.other and verdict.about.node == -1
        scores, about = scores_of(verdict), known[verdict.about.attempt]
        if scores is None:
            assert verdict.rationale
            continue
        assert scores.meaning in MEANINGS and np.isfinite(scores.values).all()
        separators = "" if getattr(judge, "separators", ",") == "" else ","
        whole = steps_of(about, lambda t: "".join(ALPHABET[i] for i in t if i < 4), separators)
        assert scores.spans == whole[: len(scores.spans)]
        assert replace(verdict) == step_verdict(
            verdict.judge, about, scores, draws=verdict.draws, rationale=verdict.rationale,
            cost=verdict.cost,
        )  # fmt: skip
    silent = {a.id for a in GROUP.attempts if not a.text}
    if getattr(judge, "separators", ",") == "":
        silent = {FAILED.id}  # ending at once is a token too
    assert all(not v.vector for v in per_step if v.about.attempt in silent)


@pytest.mark.parametrize("judge", JUDGES, ids=names)
def test_a_judge_of_steps_says_the_same_when_asked_again(judge):
    assert tables().judge(judge, GROUP) == tables().judge(judge, GROUP)


@pytest.mark.parametrize("judge", JUDGES, ids=names)
def test_an_empty_group_is_judged_in_silence(judge):
    assert tables().judge(judge, Group("g", ())) == []


def test_the_contract_refuses_what_breaks_it():
    spans = ((0, 0, 2), (0, 2, 4))
    for values, meaning, places, before, word in (
        ([1.0, math.nan], VALUE, spans, None, "finite"),
        ([1.0], VALUE, spans, None, "2 numbers"),
        ([0.5, 1.5], CORRECT, spans, None, r"\[0, 1\]"),
        ([1.0, 1.0], CORRECT, spans, 0.5, "meaning value"),
        ([1.0, 1.0], VALUE, spans, math.inf, "finite"),
        ([1.0, 1.0], VALUE, ((0, 2, 4), (0, 0, 2)), None, "in order"),
        ([1.0, 1.0], VALUE, ((0, 0, 2), (0, 1, 4)), None, "in order"),
        ([1.0], VALUE, ((0, 2, 2),), None, "none empty"),
        ([1.0, 1.0], VerdictKind.OUTCOME, spans, None, "meaning"),
    ):
        with pytest.raises(ConfigError, match=word):
            StepScores(np.array(values), meaning, places, before)
    verdict = step_verdict("j", GROUP.attempts[0], StepScores(np.ones(2), VALUE, spans))
    with pytest.raises(ConfigError, match=r"judge j on a#0: .*finite"):
        scores_of(replace(verdict, vector=(1.0, math.nan)))
    with pytest.raises(ConfigError, match="judge j"):
        scores_of(replace(verdict, vector=(1.0,)))


def test_scores_of_steps_come_back_from_a_round_by_judge_and_meaning():
    one = GROUP.attempts[0]
    spans = ((0, 0, 2), (0, 2, 4), (0, 4, 6))
    value = StepScores(np.array([0.25, 0.5, 1.0]), VALUE, spans, before=0.125)
    correct = StepScores(np.ones(3), CORRECT, spans)
    verdicts = Verdicts(
        [
            step_verdict("v-v1", one, value),
            step_verdict("c-v1", one, correct),
            no_steps("late", one, CORRECT, "it does not know"),
            *Host(says({}), world=WORLD).judge(Verifier(), Group("g", (one,))),
        ]
    )
    assert step_scores(verdicts, one).meaning is CORRECT
    back = step_scores(verdicts, one, judge="v")
    assert back.before == 0.125 and back.values.tolist() == [0.25, 0.5, 1.0] and back.spans == spans
    assert step_scores(verdicts, one, meaning="advantage") is None
    assert verdicts.value(one) == 1.0  # a step's number is never the attempt's worth


# ---------------------------------------------------------------- where steps are


def test_steps_share_out_all_tokens_of_an_answer():
    def cut(text: str, separators: str = ",;\n") -> list[str]:
        one = attempt(TASK, text)
        spans = steps_of(one, lambda t: "".join(chr(i) for i in t if i < 0x110000), separators)
        tokens = one.turns[0].tokens
        assert not spans or [spans[0][1], spans[-1][2]] == [0, len(tokens)]
        assert all(a[2] == b[1] for a, b in pairwise(spans))
        return ["".join(chr(i) for i in tokens[a:b] if i < 0x110000) for _, a, b in spans]

    assert cut("1+2=3, 3+4=7") == ["1+2=3, ", "3+4=7"]
    assert cut(",a,,b\n") == [",a,,", "b\n"]
    assert cut("ab", "") == ["a", "b", ""]  # the end is a token too
    assert cut(" ,\n") == cut("") == []
    assert cut("a,b", "\n") == ["a,b"]


def test_characters_of_several_tokens_belong_to_one_step():
    tokens = np.frombuffer("é,ü".encode(), np.uint8).astype(np.int32)
    turn = Turn("policy", "é,ü", "p", np.zeros(1, np.int32), tokens)
    one = Attempt("a", Start(TASK), (turn,), StopReason.ENDED)
    spans = steps_of(one, lambda t: t.astype(np.uint8).tobytes().decode("utf-8", "replace"))
    assert spans == ((0, 0, 3), (0, 3, 5))


def test_an_open_turn_is_read_to_the_token_by_whoever_speaks_its_tokens():
    host, one = tables(), GROUP.attempts[0]
    (cut,) = turns_up_to(one, 0, 2, lambda t: "x,")
    assert cut.stop is StopReason.OPEN and cut.text == "x," and len(cut.tokens) == 2
    for role in ("policy", "steps"):
        assert host.speakers.render(role, one.start, (cut,)).tolist() == [0, 1, 3]


# ---------------------------------------------------------------- roll-outs


def completer(text: str, u: float) -> str:
    """Reads all that was said; always says what is missing, but "y" spoils it a third of the
    time anyway."""
    answer = text.partition("\n")[2]
    return "x,x,x"[len(answer) :] if u < 2 / 3 else "y"


def scripted(script: Any = completer) -> Host:
    return Host({"policy": ScriptedModel("policy", script)}, world=WORLD)


def of(host: Host, judge: Any, *texts: str) -> list[StepScores | None]:
    group = Group("g", tuple(attempt(TASK, t, i) for i, t in enumerate(texts)))
    found = host.judge(judge, group)
    meaning = [v for v in found if v.kind in MEANINGS]
    return [scores_of(v) for v in meaning]


def test_a_step_is_worth_the_share_of_completions_that_come_out_right():
    # in a script an open turn reads as "a" + what was said, so the answer begins behind the prompt
    def script(text: str, u: float) -> str:
        said_ = text.removeprefix("a")
        return "x,x,x"[len(said_) :] if u < 2 / 3 else "y"

    right, wrong = of(scripted(script), RolloutValues(num_rollouts=150), "x,x,x", "x,y,x")
    assert right.meaning is VALUE and right.spans == tuple(WHOLE)
    assert right.before == pytest.approx(2 / 3, abs=0.08)
    assert right.values == pytest.approx([2 / 3, 2 / 3, 1.0], abs=0.08)
    assert wrong.values[1:].tolist() == [0.0, 0.0] and wrong.values[0] == right.values[0]
    hard, lost = of(scripted(script), RolloutValues(num_rollouts=30, label="hard"), "x,x,x", "x,y")
    assert hard.meaning is CORRECT and hard.values.tolist() == [1, 1, 1]
    assert lost.values.tolist() == [1, 0]
    strict = RolloutValues(num_rollouts=30, label="hard", threshold=0.95)
    assert of(scripted(script), strict, "x,x,x")[0].values.tolist() == [0, 0, 1]


def test_any_of_n_calls_a_step_good_that_is_mended_now_and_then():
    def script(text: str, u: float) -> str:
        said_ = text.removeprefix("a")
        return "x,x,x"[len(said_) :] if u < 0.2 else "y"

    for label, expected in (("hard", [0, 0, 1]), ("any", [1, 1, 1])):
        judge = RolloutValues(num_rollouts=40, label=label)
        assert of(scripted(script), judge, "x,x,x")[0].values.tolist() == expected


def test_nothing_is_completed_behind_the_first_step_that_is_lost():
    def script(text: str, u: float) -> str:
        return "x,x,x"[len(text) - 1 :]

    every = RolloutValues(num_rollouts=4)
    first = RolloutValues(num_rollouts=4, until_lost=True)
    for judge, num in ((every, 4), (first, 2)):
        (scores,) = of(scripted(script), judge, "x,y,x,x")
        assert len(scores.values) == num
        assert scores.values[:2].tolist() == [1.0, 0.0] and scores.before == 1.0


def test_equal_beginnings_are_completed_once_and_paid_once():
    def script(text: str, u: float) -> str:
        return "x,x,x"[len(text) - 1 :]

    host, group = scripted(script), Group("g", (attempt(TASK, "x,x,x", 0), attempt(TASK, "x,y", 1)))
    one, other = host.judge(RolloutValues(num_rollouts=2), group)
    # from "" 5 letters and the end, twice; from "x," 3 and the end; from "x,x," 1 and the end
    assert one.cost == 2 * (6 + 4 + 2) and other.cost == 0
    assert one.rationale == "3 places, 2 completions of each"
    assert one.draws == (1.0, 1.0, 1.0, 1.0) and other.draws == (1.0, 1.0, 0.0)


def test_answers_of_several_turns_are_not_completed():
    one = said("x,x")
    two = replace(one, turns=(one.turns[0], Turn("world", "no"), one.turns[0]))
    with pytest.raises(ConfigError, match="one turn"):
        tables().judge(RolloutValues(), Group("g", (two,)))


# ---------------------------------------------------------------- heads and log-ratios


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_a_head_is_read_behind_the_last_token_of_each_step():
    host = tables()
    head = host.models["steps"].module.value.detach().numpy()
    found = {v.about.attempt: scores_of(v) for v in host.judge(StepHead(), GROUP)}
    expected = [sigmoid(head[i]) for i in (0, 3, 3, 4)]  # the prompt, two commas, the end
    got = found["a#0"]
    assert [got.before, *got.values] == pytest.approx(expected, abs=1e-6)
    (correct, *_) = host.judge(StepHead(says="correctness"), GROUP)
    assert correct.vector == pytest.approx(expected[1:], abs=1e-6)
    assert correct.kind is CORRECT


def logp(model: TabularModel, ids: list[int]) -> np.ndarray:
    rows = model.module.logits.detach().double()[:, :5].log_softmax(-1)
    return np.array([float(rows[a, b]) for a, b in pairwise(ids)])


def test_an_implicit_reward_is_the_log_ratio_of_the_steps_tokens():
    host = tables()
    model = host.models["reward"]
    before = logp(model, [0, 1, 3, 2, 3, 1, 4])
    model.load({k: v + 0.3 * v**2 for k, v in model.weights().items()})
    host.shelf.learnt(model, 0)
    ratio = logp(model, [0, 1, 3, 2, 3, 1, 4]) - before  # of "x,y,x" and its end
    found = {v.about.attempt: v for v in host.judge(ImplicitSteps(beta=0.5), GROUP)}
    one = scores_of(found["a#1"])
    by_hand = [0.5 * ratio[a:b].sum() for _, a, b in WHOLE]
    assert one.values == pytest.approx(by_hand, abs=1e-5) and np.abs(by_hand).max() > 0.01
    assert found["a#1"].cost == 12
    tokens = {v.about.attempt: v for v in host.judge(ImplicitSteps(beta=1, separators=""), GROUP)}
    assert tokens["a#1"].vector == pytest.approx(ratio, abs=1e-5)
    assert sum(tokens["a#1"].vector) == pytest.approx(2 * one.values.sum(), abs=1e-5)


def test_a_reward_that_has_not_learnt_pays_nothing():
    found = tables().judge(ImplicitSteps(), GROUP)
    assert all(x == 0.0 for v in found for x in v.vector)


def test_an_engine_without_log_probabilities_is_refused_before_the_first_round():
    context = Host(says({}, "reward"), world=WORLD).context("judge")
    with pytest.raises(ConfigError, match="log-probabilities"):
        Several(judges=(ImplicitSteps(), Verifier())).on_phase_start(context)


# ---------------------------------------------------------------- made of others


def test_a_provers_advantage_is_the_change_of_its_best_of_k():
    host = tables()
    value = {v.about.attempt: scores_of(v) for v in host.judge(StepHead(), GROUP)}["a#0"]
    said_ = host.judge(ProverAdvantage(inner=StepHead(), best_of=3), GROUP)
    found = step_scores(Verdicts(said_), GROUP.attempts[0], meaning="advantage")
    q = [1 - (1 - v) ** 3 for v in (value.before, *value.values)]
    assert found.values == pytest.approx(np.diff(q))
    assert step_scores(Verdicts(said_), GROUP.attempts[0], judge="step-head") is not None


def test_siblings_are_other_steps_after_the_same_ones():
    texts = ("x,x,x", "x,x,y", "x,y", "y", "x,x,x")
    group = Group("g", tuple(said(t, i) for i, t in enumerate(texts)))
    found = [scores_of(v) for v in tables().judge(SiblingContrast(), group)]
    by_id = [s for s in found if s is not None]
    # outcomes 1, 0, 0, 0, 1: after "x" half come out right, after "x,x," two in three
    half, third = 2 / 4, 2 / 3
    assert by_id[0].values == pytest.approx([half - 0, third - 0, 1 - 0])
    assert by_id[1].values == pytest.approx([half, third, -1.0])
    assert by_id[2].values == pytest.approx([half, -third])
    assert by_id[3].values == pytest.approx([-half])
    alone = Group("g", (said("x,x,x"),))
    assert scores_of(tables().judge(SiblingContrast(), alone)[-1]).values.tolist() == [0, 0, 0]


def test_the_truth_about_steps_is_the_worlds():
    found = {v.about.attempt: scores_of(v) for v in tables().judge(StepTruth(), GROUP)}
    assert found["a#1"].values.tolist() == [1, 0, 1] and found["a#3"].values.tolist() == [0]
    with pytest.raises(WorldError, match="truth about steps"):
        StepTruth().on_phase_start(Host(says({})).context("judge"))


def test_two_annotators_are_believed_up_to_the_first_error_they_both_name():
    def votes(text: str, u: float) -> str:
        return "2" if ") y" in text else "ok"

    host = Host({**tables().models, "critic": ScriptedModel("critic", votes)}, world=WORLD)
    judge = Consensus(first=StepTruth(), second=StepCritic(separators=",;\n"))
    said_ = Verdicts(host.judge(judge, GROUP))
    labels = [step_scores(said_, a, judge="consensus") for a in GROUP.attempts]
    assert labels[0].values.tolist() == [1, 1, 1]
    assert labels[1].values.tolist() == [1, 0] and labels[1].spans == tuple(WHOLE[:2])
    assert labels[3] is None and labels[5] is None  # "y": 1 against 2; "x,x,y": 3 against 2
    last = said_.of(GROUP.attempts[5], judge="consensus")[-1]
    assert last.rationale == "the two name different steps"
    other = Consensus(first=StepTruth(), second=StepCritic(separators="\n"))
    with pytest.raises(ConfigError, match="other steps"):
        host.judge(other, GROUP)


def test_a_critic_reads_numbered_steps_and_names_the_first_wrong_one():
    heard = []

    def votes(text: str, u: float) -> str:
        heard.append(text)
        return "2" if u < 0.5 else "ok"

    host = Host({"policy": ScriptedModel("policy", ""), "critic": ScriptedModel("critic", votes)},
                world=WORLD)  # fmt: skip
    (scores,) = of(host, StepCritic(num_votes=150, temperature=1.0), "x,y,x")
    assert heard[0] == "a\n1) x,\n2) y,\n3) x\nwrong?"
    assert scores.values[0] == 1.0
    assert scores.values[1:] == pytest.approx([0.5, 0.5], abs=0.1)
    (unread,) = of(host_saying("what?"), StepCritic(), "x,y,x")
    assert unread is None
    assert named("no 12", 3) is None and named("0", 3) is None


def host_saying(text: str) -> Host:
    return Host({"policy": ScriptedModel("policy", ""),
                 "critic": ScriptedModel("critic", lambda t, u: text)}, world=WORLD)  # fmt: skip


def test_steps_make_the_worth_of_an_attempt():
    for by, expected in (("min", 0.0), ("last", 1.0), ("mean", 2 / 3), ("sum", 2.0)):
        judge = Aggregated(inner=StepTruth(), by=by)
        verdicts = Verdicts(tables().judge(judge, GROUP))
        assert verdicts.value(GROUP.attempts[1]) == pytest.approx(expected)
        assert verdicts.value(GROUP.attempts[4]) is None  # nothing was said
        assert verdicts.value(GROUP.attempts[1], judge=f"{by}-of-steps") is not None
    both = Aggregated(inner=ProverAdvantage(inner=StepHead()), by="last", meaning="value")
    verdicts = Verdicts(tables().judge(both, GROUP))
    assert 0 < verdicts.value(GROUP.attempts[0]) < 1


def test_a_vote_counts_weights_and_not_heads():
    texts = ("x,x,x", "x,y", "x,y", "x,x,x", "")
    group = Group("g", tuple(said(t, i) for i, t in enumerate(texts)))
    judge = WeightedVote(inner=Aggregated(inner=StepTruth(), by="mean"))
    verdicts = Verdicts(tables().judge(judge, group))
    values = [verdicts.value(a, judge="weighted-vote") for a in group.attempts]
    assert values == [1.0, 0.0, 0.0, 1.0, 0.0]  # 2 against 2 heads, weights 2 against 1
    (one,) = verdicts.of(group.attempts[0], judge="weighted-vote")
    assert one.draws == (pytest.approx(2 / 3),)
    nobody = Verdicts(tables().judge(judge, Group("g", (said(""), FAILED))))
    assert nobody.value(FAILED, judge="weighted-vote") is None
    ratios = WeightedVote(inner=Aggregated(inner=ProverAdvantage(inner=StepHead())))
    with pytest.raises(ConfigError, match="must not be negative"):
        tables().judge(ratios, group)
    assert tables().judge(replace(ratios, weigh="sigmoid"), group)
    with pytest.raises(ConfigError, match="value or sigmoid"):
        WeightedVote(weigh="softmax")


def test_judges_together_say_all_they_say_alone_and_pass_on_what_they_need():
    both = Several(judges=(ImplicitSteps(), Verifier()))
    alone = [v for j in both.judges for v in tables().judge(j, GROUP)]
    assert tables().judge(both, GROUP) == alone
    assert both.snapshots == ("base",)
    nested = Aggregated(inner=ProverAdvantage(inner=RolloutValues(snapshot="phase_start")))
    assert nested.snapshots == ("phase_start",)
    for wrong in (lambda: Several(judges=()), lambda: Consensus(), lambda: Aggregated(by="most"),
                  lambda: RolloutValues(num_rollouts=0), lambda: RolloutValues(label="all"),
                  lambda: StepHead(says="outcome"), lambda: ImplicitSteps(beta=0.0),
                  lambda: ProverAdvantage(best_of=0), lambda: StepCritic(num_votes=0)):  # fmt: skip
        with pytest.raises(ConfigError, match="expected"):
            wrong()
    assert Return().role == "policy"
