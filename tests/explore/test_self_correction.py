"""Attempts that answer, are asked to look again, and answer again."""

from __future__ import annotations

import pytest

from askesis.config import Watch
from askesis.errors import ConfigError, TruthError
from askesis.explore.turns import SelfCorrect
from askesis.records import Start, StopReason, Turn
from tests.explore.host import Host, NoTruth, Sums, says

TASK = Sums().make(3, 4)


def counting(text: str, u: float) -> str:
    """5 first, then 6, then 7 ...: one more than the answers so far."""
    return str(5 + sum(line.isdigit() for line in text.split("\n")[1:]))


def texts(attempt) -> list[tuple[str, str]]:
    return [(t.role, t.text) for t in attempt.turns]


def test_an_answer_is_asked_for_again_and_what_was_said_is_read():
    part = SelfCorrect(num_attempts=1, num_turns=3, instruction="again: {prompt}")
    (found,) = Host(says(counting)).explore(part, Start(TASK))
    assert texts(found) == [
        ("policy", "5"), ("world", "again: 3+4"), ("policy", "6"), ("world", "again: 3+4"),
        ("policy", "7"),
    ]  # fmt: skip
    assert found.text == "7" and found.parents == () and found.author == "policy@0"
    assert "".join(map(chr, found.turns[2].context)) == "3+4\n5\nagain: 3+4"
    assert len(found.turns[1].tokens) == 0  # nobody is taught to ask


def test_attempts_and_turns_have_noise_of_their_own():
    part = SelfCorrect(num_attempts=3, num_turns=3, window=1)
    found = Host(says(lambda text, u: f"{u:.9f}")).explore(part, Start(TASK))
    said = [t.text for a in found for t in a.turns if t.role == "policy"]
    assert len(set(said)) == 9
    again = Host(says(lambda text, u: f"{u:.9f}")).explore(part, Start(TASK))
    assert [texts(a) for a in again] == [texts(a) for a in found]


def test_the_world_can_say_what_is_wrong_instead_of_the_house():
    part = SelfCorrect(num_attempts=1, instruction="{why}")
    (found,) = Host(says(counting)).explore(part, Start(TASK))
    assert texts(found)[1] == ("world", "read '5'")
    with pytest.raises(TruthError):
        Host(says(counting), world=NoTruth()).explore(part, Start(TASK.without_truth()))


def test_a_critic_can_say_it_and_is_a_speaker_of_its_own():
    models = {**says(counting), **says(lambda text, u: f"wrong:{text[-1]}", "critic")}
    (found,) = Host(models).explore(SelfCorrect(num_attempts=1, critic="critic"), Start(TASK))
    assert texts(found) == [("policy", "5"), ("critic", "wrong:5"), ("policy", "6")]
    assert found.turns[1].speaker == "critic@0" and len(found.turns[1].tokens)


def test_a_window_hides_what_was_said_before_it():
    part = SelfCorrect(num_attempts=1, num_turns=4, window=1, instruction="again")
    (found,) = Host(says(lambda text, u: str(len(text.split("\n"))))).explore(part, Start(TASK))
    own = [t for t in found.turns if t.role == "policy"]
    assert ["".join(map(chr, t.context)) for t in own] == [
        "3+4", "3+4\n1\nagain", "3+4\n3\nagain", "3+4\n3\nagain",
    ]  # fmt: skip


def test_a_right_answer_is_left_alone_where_the_oracle_stops_it():
    part = SelfCorrect(num_attempts=1, num_turns=5, until_right=True)
    (found,) = Host(says(counting)).explore(part, Start(TASK))
    assert [t for r, t in texts(found) if r == "policy"] == ["5", "6", "7"]
    (found,) = Host(says({"3+4": "7"})).explore(part, Start(TASK))
    assert texts(found) == [("policy", "7")]


def test_of_several_revisions_the_best_goes_on_and_the_others_begin_in_the_middle():
    def script(text: str, u: float) -> str:
        return "5" if "again" not in text else ("7" if u < 0.3 else f"{u:.6f}")

    part = SelfCorrect(num_attempts=2, num_revisions=8, instruction="again", until_right=True)
    found = Host(says(script)).explore(part, Start(TASK))
    chains, others = found[:2], found[2:]
    assert [a.text for a in chains] == ["7", "7"]
    assert len(others) == 14 and len({a.id for a in found}) == 16
    assert {a.start.tag for a in others} == {"revision"}
    assert [len(a.turns) for a in others] == [1] * 14
    assert {a.parents for a in others} == {(a.id,) for a in chains}
    assert [t.text for t in others[0].start.prefix] == ["5", "again"]
    nobody = Host(says(lambda text, u: "0")).explore(part, Start(TASK))
    assert [a.text for a in nobody[:2]] == ["0", "0"] and len(nobody) == 16


def test_a_start_from_the_middle_goes_on_from_there():
    start = Start(TASK, prefix=(Turn("policy", "5"),), tag="from_wrong")
    part = SelfCorrect(num_attempts=1, num_turns=1, instruction="again")
    (found,) = Host(says(counting)).explore(part, start)
    assert texts(found) == [("world", "again"), ("policy", "6")]
    (found,) = Host(says(counting)).explore(SelfCorrect(num_attempts=1, window=1), start)
    assert [t for r, t in texts(found) if r == "policy"] == ["6", "6"]


def test_an_attempt_ends_where_the_context_is_full():
    from askesis.models.tabular import TabularModel

    model = TabularModel("policy", "0123456789+")
    model.renderer.context_length = 8
    part = SelfCorrect(num_attempts=4, num_turns=9, max_tokens=3, instruction="3+4")
    found = Host({"policy": model}).explore(part, Start(TASK))
    assert {a.stop for a in found} == {StopReason.CONTEXT}
    assert all(sum(t.role == "policy" for t in a.turns) < 9 for a in found)


def test_a_round_in_which_nothing_is_right_reads_every_option_that_is_not_lazy():
    for part in (SelfCorrect(), SelfCorrect(num_turns=1)):
        watch = Watch([("slot", part)])
        Host(says(lambda text, u: "")).explore(part, Start(TASK))
        assert watch.stop() == []


@pytest.mark.parametrize(
    "wrong",
    [{"num_turns": 0}, {"window": -1}, {"num_revisions": 0}, {"threshold": 0.0},
     {"instruction": ""}, {"critic": "policy"}, {"num_attempts": 0}],
)  # fmt: skip
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=rf"SelfCorrect\.{next(iter(wrong))}"):
        SelfCorrect(**wrong)
