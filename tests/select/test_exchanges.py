"""Answer, feedback, refined answer: who learns what of it, with a teacher and without."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError, WorldError
from askesis.explore.against_demonstration import AgainstDemonstration
from askesis.explore.sample import SampleAttempts
from askesis.explore.turns import SelfCorrect
from askesis.judge.own_feedback import OwnFeedback
from askesis.judge.turns import TurnVerifier
from askesis.models.scripted import ScriptedModel
from askesis.records import Group, Start
from askesis.select.feedback_lessons import FeedbackLessons
from askesis.select.refined import Refined
from tests.explore.host import Host, Sums, attempt
from tests.measure.rounds import Steps

END = 0x110000
WORLD = Steps()
TASK = WORLD.make(3, 4)


def host(policy, critic=lambda text, u: "right", world=WORLD):
    models = {"policy": ScriptedModel("policy", policy), "critic": ScriptedModel("critic", critic)}
    return Host(models, world=world)


def learnt(sample):
    """What is read, what is learnt, and the weight of it."""
    (row,) = sample.sequences
    text = [chr(t) if t < END else "." for t in row.tokens.tolist()]
    first = int(np.argmax(row.columns["weight"] > 0))
    (weight,) = set(row.columns["weight"][first:].tolist())
    return "".join(text[:first]), "".join(text[first:]), weight


def select(part, where, attempts, judge=None, model="policy"):
    group = Group(TASK.id, tuple(attempts))
    verdicts = Verdicts(where.judge(judge, group) if judge else [])
    ctx = where.context("select", slot=f"select.{model}")
    samples = part.select(ctx, [group], verdicts)
    assert {s.model for s in samples} <= {model}
    return sorted(learnt(s) for s in samples), ctx.metrics


# ---------------------------------------------------------------- with a teacher


def taught(part, policy, explorer=None, world=WORLD):
    where = host(policy, world=world)
    start = Start(world.make(3, 4))
    attempts = where.explore(explorer or AgainstDemonstration(num_attempts=6), start)
    return select(part, where, attempts)


def test_a_teacher_teaches_to_judge_to_refine_and_to_answer():
    found, noted = taught(FeedbackLessons(), lambda text, u: "7=8")
    assert found == [
        ("3+4", "7.", 1.0),
        ("3+4\n7=8", "step 2 is wrong.", 1.0),
        ("3+4\n7=8\nstep 2 is wrong", "7.", 1.0),
    ]
    assert noted["select/feedback_lessons"] == 1 and noted["select/samples"] == 3


def test_a_right_answer_is_called_right_and_said_again():
    found, _ = taught(FeedbackLessons(direct_coef=0.5), lambda text, u: "7=7")
    assert found == [
        ("3+4", "7=7.", 0.5),
        ("3+4\n7=7", "right.", 1.0),
        ("3+4\n7=7\nright", "7=7.", 1.0),
    ]


def test_terms_steps_and_source_are_as_asked():
    some = FeedbackLessons(terms=("feedback",), steps=False)
    assert taught(some, lambda text, u: "7=8")[0] == [("3+4\n7=8", "wrong.", 1.0)]
    own = FeedbackLessons(terms=("refined",), source="own")
    only = SampleAttempts(num_attempts=12)
    found, _ = taught(own, lambda text, u: "7=7" if u < 0.5 else "7=8", only)
    assert ("3+4\n7=8\nstep 2 is wrong", "7=7.", 1.0) in found
    assert taught(own, lambda text, u: "7=8", only)[0] == []


def test_feedback_that_does_not_help_is_not_learnt():
    """Of eight refinements after the feedback, those under u 0.5 are right."""

    def policy(text, u):
        return ("7" if u < 0.5 else "9") if "wrong" in text else "8"

    explorer = SelfCorrect(num_attempts=1, instruction="{step}", num_revisions=8, until_right=True)
    for least, num in ((0.0, 1), (0.1, 1), (1.0, 0)):
        part = FeedbackLessons(terms=("feedback",), min_success=least)
        found, noted = taught(part, policy, explorer)
        assert found == [("3+4\n8", "step 1 is wrong.", 1.0)] * num
        assert noted["select/unhelpful_feedback"] == 1 - num
    # right answers need no help
    strict = FeedbackLessons(terms=("feedback",), min_success=1.0)
    assert taught(strict, lambda text, u: "7", explorer)[0] == [("3+4\n7", "right.", 1.0)]


def test_a_world_whose_teacher_knows_too_little_is_refused_with_names_of_others():
    ctx = host(lambda text, u: "7", world=Sums()).context("select")
    with pytest.raises(WorldError, match=r"steps.*chain_arithmetic"):
        FeedbackLessons().on_phase_start(ctx)
    FeedbackLessons(steps=False).on_phase_start(ctx)
    FeedbackLessons().on_phase_start(host(lambda text, u: "7").context("select"))


# ---------------------------------------------------------------- without


def exchanged(part, policy, critic, explorer=None, judge=None):
    where = host(policy, critic)
    explorer = explorer or SelfCorrect(num_attempts=6, critic="critic")
    attempts = where.explore(explorer, Start(TASK))
    return select(part, where, attempts, judge or OwnFeedback())


def doubter(text, u):
    """A critic that knows what is right."""
    return "right" if text.endswith("7") else "wrong"


def mender(text, u):
    return "1+6=7" if "wrong" in text else "8"


def test_a_refined_answer_is_learnt_where_the_critic_accepts_it():
    found, noted = exchanged(Refined(terms=("feedback", "refined", "direct")), mender, doubter)
    assert found == [
        ("3+4", "1+6=7.", 1.0),
        ("3+4\n8", "wrong.", 1.0),
        ("3+4\n8\nwrong", "1+6=7.", 1.0),
    ]
    assert noted["select/refined_fraction"] == noted["select/refine_success"] == 1.0
    assert exchanged(Refined(), mender, lambda text, u: "wrong")[0] == []
    assert exchanged(Refined(), mender, lambda text, u: "hm")[0] == []
    assert exchanged(Refined(threshold=None), mender, lambda text, u: "hm")[0] == [
        ("3+4", "8.", 1.0)
    ]


def test_the_critic_judges_the_last_answer_alone_and_costs_what_it_says():
    heard = []

    def critic(text, u):
        heard.append(text)
        return doubter(text, u)

    where = host(mender, critic)
    attempts = where.explore(SelfCorrect(num_attempts=1, critic="critic"), Start(TASK))
    (verdict,) = where.judge(OwnFeedback(), Group("g", tuple(attempts)))
    assert heard == ["3+4\n8", "3+4\n1+6=7"]
    assert (verdict.value, verdict.rationale, verdict.cost) == (1.0, "right", 6)
    silent = where.judge(OwnFeedback(), Group("g", (attempt(TASK, ""),)))
    assert silent[0].value == 0.0 and len(heard) == 2


def test_shortcuts_and_numbers_of_a_task_are_limited():
    explorer = SelfCorrect(num_attempts=6, critic="critic", until_right=True)
    short = Refined(slack=0)
    long_wrong = lambda text, u: "7" if "wrong" in text else "1+2+3=8"
    found, noted = exchanged(short, long_wrong, doubter, explorer, TurnVerifier())
    # the reference "7" has one number, so "7" is none yet
    assert found == [("3+4", "7.", 1.0)] and noted["select/shortcut_fraction"] == 0.0
    none = lambda text, u: "=7" if "wrong" in text else "8"
    assert exchanged(short, none, doubter, explorer, TurnVerifier())[0] == [("3+4", "=7.", 1.0)]
    many = SelfCorrect(num_attempts=24, critic="critic")
    varied = lambda text, u: f"{int(90 * u)}=7" if "wrong" in text else "8"
    assert len(exchanged(Refined(max_refined=2), varied, doubter, many)[0]) == 2


def test_first_answers_that_are_right_are_kept_as_they_are():
    explorer = SelfCorrect(num_attempts=12, critic="critic", until_right=True)
    policy = lambda text, u: "7" if u < 0.5 else "8"
    found, noted = exchanged(Refined(), policy, doubter, explorer, TurnVerifier())
    assert set(found) == {("3+4", "7.", 1.0)} and 0 < noted["select/refined_fraction"] < 1


def test_nothing_right_teaches_nothing():
    never = exchanged(Refined(), lambda text, u: "8", doubter, judge=TurnVerifier())
    assert never[0] == [] and never[1]["select/refined_fraction"] == 0.0


@pytest.mark.parametrize(
    ("part", "options"),
    [
        (FeedbackLessons, {"terms": ()}), (FeedbackLessons, {"terms": ("all",)}),
        (FeedbackLessons, {"direct_coef": 0.0}), (FeedbackLessons, {"min_success": 1.5}),
        (FeedbackLessons, {"source": "teacher"}), (Refined, {"slack": -1}),
        (Refined, {"max_first": 0}), (Refined, {"max_refined": 0}), (Refined, {"terms": ()}),
        (OwnFeedback, {"temperature": -1.0}), (OwnFeedback, {"max_tokens": 0}),
        (SelfCorrect, {"critic_temperature": -1.0}), (SelfCorrect, {"critic_tokens": 0}),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(part, options):
    with pytest.raises(ConfigError, match=part.__name__):
        part(**options)
