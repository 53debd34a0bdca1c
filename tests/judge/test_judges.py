"""What attempts are worth."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from askesis.errors import ConfigError, TruthError
from askesis.judge.returns import Return
from askesis.judge.self_consistency import SelfConsistency
from askesis.judge.verifier import Verifier
from askesis.records import Attempt, Group, Start, StopReason
from tests.explore.host import Host, NoTruth, Sums, attempt, says

TASK = Sums().make(3, 4)


def group(*texts: str, **options) -> Group:
    return Group("g", tuple(attempt(TASK, t, i, **options) for i, t in enumerate(texts)))


def test_the_verifier_scores_every_attempt_and_signs_with_the_world():
    found = Host(says({})).judge(Verifier(), group("7", "8", "3+4=7"))
    assert [v.value for v in found] == [1.0, 0.0, 1.0]
    assert {v.judge for v in found} == {"verifier:sums-v1"}
    assert [v.about.attempt for v in found] == [f"sums-v1:3+4#{i}" for i in range(3)]
    assert found[1].rationale == "read '8'"


def test_failed_and_silent_attempts_get_nothing_without_asking():
    class Counts(Sums):
        asked = 0

        def verify(self, task, answer):
            self.asked += 1
            return super().verify(task, answer)

    world = Counts()
    failed = Attempt("f", Start(TASK), (), StopReason.FAILED, error="it broke")
    found = Host(says({}), world=world).judge(
        Verifier(), Group("g", (failed, attempt(TASK, "", 1)))
    )
    assert [(v.value, v.rationale) for v in found] == [(0.0, "it broke"), (0.0, "nothing was said")]
    assert world.asked == 0


def test_an_attempt_that_was_cut_off_is_judged_by_what_is_there():
    (found,) = Host(says({})).judge(Verifier(), group("3+4=7", stop=StopReason.LENGTH))
    assert found.value == 1.0


def test_one_answer_that_breaks_the_world_leaves_its_siblings_judged():
    class Brittle(Sums):
        def verify(self, task, answer):
            if "x" in answer:
                raise ZeroDivisionError("x")
            return super().verify(task, answer)

    host = Host(says({}), world=Brittle())
    found = host.judge(Verifier(), group("7", "x"))
    assert [v.value for v in found] == [1.0, None]
    assert found[1].rationale == "ZeroDivisionError: x"
    with pytest.raises(ZeroDivisionError):
        host.judge(Verifier(), group("x", "xx"))


def test_the_verifier_raises_where_no_truth_may_be_used():
    with pytest.raises(TruthError):
        Host(says({}), world=NoTruth()).judge(Verifier(), group("7", "8"))


# ---------------------------------------------------------------- the vote


def vote(*texts: str, min_share: float = 0.3, cut_off: bool = True, **options):
    host = Host(says({}), world=NoTruth())  # touching the truth would raise
    part = SelfConsistency(min_share=min_share, cut_off=cut_off)
    return host.judge(part, group(*texts, **options))


def test_agreement_with_the_majority_is_right_and_the_votes_are_kept():
    found = vote("7", "3+4=7", "8", "9")
    assert [v.value for v in found] == [1.0, 1.0, 0.0, 0.0]
    assert found[0].draws == (1.0, 1.0, 0.0, 0.0)
    assert found[0].rationale == "'7' has 50% of 4 votes"
    assert {v.judge for v in found} == {"self-consistency-v1"}


def test_a_tie_and_a_small_majority_are_unknown():
    assert {v.value for v in vote("7", "7", "8", "8")} == {None}
    assert {v.value for v in vote("7", "7", "8", "9", "1", min_share=0.5)} == {None}
    assert [v.value for v in vote("7", "7", "8", "9", min_share=0.5)] == [1.0, 1.0, 0.0, 0.0]


def test_cut_off_attempts_vote_with_what_is_there_or_abstain():
    cut = StopReason.LENGTH
    assert [v.value for v in vote("7", "7", "8", stop=cut)] == [1.0, 1.0, 0.0]
    assert {v.value for v in vote("7", "7", "8", stop=cut, cut_off=False)} == {None}


def test_empty_attempts_abstain_but_count():
    found = vote("7", "", "", "", min_share=0.5)
    assert {v.value for v in found} == {None}
    assert found[0].rationale.startswith("'7' has 25% of 4 votes, fewer than")


def test_an_answer_of_ten_megabytes_abstains_quickly():
    few = group("9", "7", "7")  # the text is long; its tokens nobody looks at
    turn = replace(few.attempts[0].turns[0], text="9" * 10**7)
    long = replace(few.attempts[0], turns=(turn,))
    began = time.perf_counter()
    host = Host(says({}), world=NoTruth())
    found = host.judge(SelfConsistency(), Group("g", (long, *few.attempts[1:])))
    assert [v.value for v in found] == [0.0, 1.0, 1.0]
    assert all(len(v.rationale) < 200 for v in found)
    assert time.perf_counter() - began < 10


def test_a_world_without_extract_votes_on_the_whole_text():
    class Plain(NoTruth):
        extract = None

    host = Host(says({}), world=Plain())
    found = host.judge(SelfConsistency(), group("a  b", "a b", "c"))
    assert [v.value for v in found] == [1.0, 1.0, 0.0]


def test_the_share_must_be_a_share():
    with pytest.raises(ConfigError, match="min_share"):
        SelfConsistency(min_share=1.1)


# ---------------------------------------------------------------- returns


def test_a_return_is_what_the_explorer_wrote_down():
    paid = attempt(TASK, "r", 0, rewards={"policy": 0.9})
    silent = attempt(TASK, "r", 1)
    failed = Attempt("f", Start(TASK), (), StopReason.FAILED)
    found = Host(says({})).judge(Return(), Group("g", (paid, silent, failed)))
    assert [v.value for v in found] == [0.9, None, 0.0]
    assert found[0].about.role == "policy"
