"""Attempts of several turns as samples: chosen turns, pairs of turns, prefixes, made-up revisions."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.demonstrate import Demonstrate
from askesis.explore.sample import SampleAttempts
from askesis.explore.turns import SelfCorrect
from askesis.judge.turns import TurnVerifier
from askesis.judge.verifier import Verifier
from askesis.models.tabular import TabularModel
from askesis.records import Group, Start, Turn
from askesis.select.revisions import Revisions
from askesis.select.turn_advantages import TurnAdvantages
from askesis.select.turn_pairs import TurnPairs
from askesis.select.turn_prefixes import TurnPrefixes
from askesis.select.turn_rows import rows_of_turns
from tests.explore.host import Host, Sums, says

TASK = Sums().make(3, 4)
END = 0x110000


def revised(*answers: str, **options) -> tuple[Group, Verdicts]:
    """A group of attempts that say the letters of each string one after another."""
    queue = iter("".join(letters) for letters in zip(*answers, strict=True))
    spoken: list[str] = []

    def script(text: str, u: float) -> str:
        if not spoken:
            spoken.extend(next(queue))
        return spoken.pop(0)

    host = Host(says(script))
    part = SelfCorrect(num_attempts=len(answers), num_turns=len(answers[0]), instruction="?",
                       **options)  # fmt: skip
    group = Group("g", tuple(host.explore(part, Start(TASK))))
    return group, Verdicts(host.judge(TurnVerifier(unreadable=-1.0), group))


def select(part, made, **options):
    ctx = Host(says({})).context("select", slot="select.policy", **options)
    return part.select(ctx, [made[0]], made[1]), ctx.metrics


def spoken(row) -> str:
    """What is learnt of a row."""
    learnt = row.tokens[row.columns["weight"] != 0]
    return "".join(chr(t) for t in learnt if t != END)


def read(row) -> str:
    return "".join(chr(t) for t in row.tokens if t != END)


# ---------------------------------------------------------------- the judge


def test_every_answer_is_judged_and_the_last_one_is_the_value():
    group, verdicts = revised("57", "75", "5 ", "77")
    found = [verdicts.of(a)[0] for a in group.attempts]
    assert [v.vector for v in found] == [(0, 1), (1, 0), (0, -1), (1, 1)]
    assert [v.value for v in found] == [1, 0, -1, 1]
    assert found[0].about.spans == ((0, 0, 2), (2, 0, 2))  # turns 0 and 2: a letter and an end
    assert found[0].judge == "turn-verifier:sums-v1"
    assert verdicts.value(group.attempts[0]) == 1


def test_a_world_that_raises_on_one_attempt_leaves_it_unknown():
    class Touchy(Sums):
        def verify(self, task, answer):
            if answer == "!":
                raise RuntimeError("no")
            return super().verify(task, answer)

    host = Host(says(lambda text, u: "!" if u < 0.5 else "7"), world=Touchy())
    group = Group("g", tuple(host.explore(SelfCorrect(num_attempts=8), Start(TASK))))
    found = host.judge(TurnVerifier(), group)
    assert {v.value for v in found} == {None, 1.0}
    assert all(v.vector == () and "no" in v.rationale for v in found if v.value is None)
    host = Host(says(lambda text, u: "!"), world=Touchy())
    group = Group("g", tuple(host.explore(SelfCorrect(num_attempts=2), Start(TASK))))
    with pytest.raises(RuntimeError):
        host.judge(TurnVerifier(), group)
    with pytest.raises(ConfigError, match=r"TurnVerifier\.unreadable"):
        TurnVerifier(unreadable=1.0)


# ---------------------------------------------------------------- rows


def test_only_chosen_turns_are_learnt_and_nested_contexts_are_one_row():
    def turn(context: list[int], tokens: list[int]) -> Turn:
        return Turn(
            "policy", context=np.array(context, np.int32), tokens=np.array(tokens, np.int32)
        )

    turns = [turn([1, 2], [3, 4]), Turn("world", "?"), turn([1, 2, 3, 4, 9], [5])]
    (row,) = rows_of_turns(turns, "policy", {2: {"advantage": 0.5}})
    assert row.tokens.tolist() == [1, 2, 3, 4, 9, 5]
    assert row.columns["weight"].tolist() == [0, 0, 0, 0, 0, 1]
    assert row.columns["advantage"].tolist() == [0, 0, 0, 0, 0, 0.5]
    both = {0: {"weight": 2.0, "advantage": -1.0}, 2: {"advantage": 1.0}}
    (row,) = rows_of_turns(turns, "policy", both)
    assert row.columns["weight"].tolist() == [0, 0, 2, 2, 0, 1]
    assert row.columns["advantage"].tolist() == [0, 0, -1, -1, 0, 1]
    windowed = [turns[0], turn([8], [5])]
    assert [r.tokens.tolist() for r in rows_of_turns(windowed, "policy", {0: {}, 1: {}})] == [
        [1, 2, 3, 4], [8, 5],
    ]  # fmt: skip
    assert rows_of_turns(turns, "policy", {}) == []


# ---------------------------------------------------------------- advantages of turns


def by_turn(samples) -> np.ndarray:
    """The advantage of each turn, a row an attempt."""
    found = []
    for sample in samples:
        inside = {}
        for row in sample.sequences:
            for place in np.flatnonzero(row.columns["weight"]):
                inside[row.columns["turn"][place]] = float(row.columns["advantage"][place])
        found.append([inside[t] for t in sorted(inside)])
    return np.array(found)


def test_a_revision_is_paid_for_what_it_changes_and_credit_does_not_cross_turns():
    made = revised("57", "75", "77", "55")
    samples, metrics = select(TurnAdvantages(bonus=10), made)
    # rewards: turn one 0 1 1 0; turn two 11 -10 1 0; each less the mean of the other three
    assert by_turn(samples) == pytest.approx(np.array([
        [-2 / 3, 11 - (-9 / 3)], [2 / 3, -10 - 12 / 3], [2 / 3, 1 - 1 / 3], [-2 / 3, 0 - 2 / 3],
    ]))  # fmt: skip
    assert metrics["select/reward"] == pytest.approx(np.mean([11, -9, 2, 0]))
    naive, _ = select(TurnAdvantages(bonus=0), made)
    assert by_turn(naive) == pytest.approx(
        np.array([[-2 / 3, 2 / 3], [2 / 3, -2 / 3], [2 / 3, 2 / 3], [-2 / 3, -2 / 3]])
    )
    units, _ = select(TurnAdvantages(bonus=0, baseline="standardised"), made)
    assert by_turn(units) == pytest.approx(np.array([[-1, 1], [1, -1], [1, 1], [-1, -1]]), rel=1e-3)


def test_the_first_stage_pays_for_revisions_alone_and_learns_no_first_answer_by_reward():
    samples, metrics = select(TurnAdvantages(bonus=0, first_coef=0), revised("77", "55"))
    assert by_turn(samples).tolist() == [[0.0, 1.0], [0.0, -1.0]]
    assert metrics["select/mixed_fraction"] == 1
    samples, metrics = select(TurnAdvantages(), revised("55", "55"))
    assert by_turn(samples).tolist() == [[0, 0], [0, 0]] and metrics["select/mixed_fraction"] == 0


def test_verdicts_without_turns_are_refused_with_the_judge_to_take():
    group, _ = revised("57", "75")
    plain = Verdicts(Host(says({})).judge(Verifier(), group))
    with pytest.raises(ConfigError, match=r"score for every turn.*TurnVerifier"):
        select(TurnAdvantages(), (group, plain))
    with pytest.raises(ConfigError, match="two judged ones"):
        select(TurnAdvantages(), revised("57"))
    for wrong in ({"bonus": -1.0}, {"first_coef": 2.0}, {"baseline": "mean"}):
        with pytest.raises(ConfigError, match=rf"TurnAdvantages\.{next(iter(wrong))}"):
            TurnAdvantages(**wrong)


# ---------------------------------------------------------------- pairs of turns


def test_the_right_answer_of_an_attempt_is_chosen_and_both_answer_the_task_alone():
    samples, metrics = select(TurnPairs(), revised("57", "75", "77", "55"))
    assert [[read(row) for row in s.sequences] for s in samples] == [["3+47", "3+45"]] * 2
    assert [spoken(row) for row in samples[0].sequences] == ["7", "5"]
    assert metrics["select/pairs"] == 2 and metrics["select/pairs_per_attempt"] == 0.5
    assert samples[0].columns == {"margin": 1.0, "outcome": 1.0}
    mended, _ = select(TurnPairs(which="mended"), revised("57", "75", "57"))
    assert [s.sources[0][-1] for s in mended] == ["0", "2"]
    spoilt, _ = select(TurnPairs(which="spoilt"), revised("57", "75", "57"))
    assert [s.sources[0][-1] for s in spoilt] == ["1"]
    few, _ = select(TurnPairs(max_per_task=1), revised("57", "75", "57"))
    assert len(few) == 1


def test_of_three_answers_the_first_and_the_last_are_the_pair():
    (one,), _ = select(TurnPairs(), revised("567"))
    assert [spoken(row) for row in one.sequences] == ["7", "5"]
    for wrong in ({"which": "all"}, {"max_per_task": 0}, {"threshold": float("nan")}):
        with pytest.raises(ConfigError, match=rf"TurnPairs\.{next(iter(wrong))}"):
            TurnPairs(**wrong)


# ---------------------------------------------------------------- prefixes


def prefixes(part, made) -> list[tuple[str, str, float]]:
    samples, _ = select(part, made)
    rows = [s.sequences[0] for s in samples]
    assert all(len(s.sequences) == 1 for s in samples)
    return [(read(r), spoken(r), round(float(r.columns["weight"].max()), 2)) for r in rows]


def test_every_answer_is_learnt_after_what_was_said_before_weighted_by_its_reward():
    made = revised("5 7")
    # 0, unreadable -1, 1: exp(r / 0.4)
    assert prefixes(TurnPrefixes(), made) == [
        ("3+45", "5", 1.0), ("3+4\n5\n? ", " ", 0.08), ("3+4\n5\n?\n \n?7", "7", 12.18),
    ]  # fmt: skip
    alike = prefixes(TurnPrefixes(weighted=False), made)
    assert [w for _, _, w in alike] == [1.0, 1.0, 1.0]


def test_what_came_after_an_answer_is_no_part_of_its_sample():
    """With a renderer whose contexts nest, all answers of an attempt could be one row."""
    host = Host({"policy": TabularModel("policy", "0123456789+?")})
    part = SelfCorrect(num_attempts=1, num_turns=3, instruction="?", max_tokens=1)
    group = Group("g", tuple(host.explore(part, Start(TASK))))
    verdicts = Verdicts(host.judge(TurnVerifier(), group))
    ctx = host.context("select", slot="select.policy")
    samples = TurnPrefixes(distinct=False).select(ctx, [group], verdicts)
    own = [t for t in group.attempts[0].turns if t.role == "policy"]
    assert [s.sequences[0].tokens.tolist() for s in samples] == [
        [*t.context, *t.tokens] for t in own
    ]
    assert all(s.sequences[0].columns["weight"][-1] for s in samples)


@pytest.mark.parametrize(
    ("keep", "learnt"), [("all", "5 76"), ("better", "57"), ("best", "57"), ("right", "7")]
)
def test_what_is_kept_can_depend_on_what_was_there_before(keep, learnt):
    assert "".join(s for _, s, _ in prefixes(TurnPrefixes(keep=keep), revised("5 76"))) == learnt


def test_repeated_answers_and_equal_samples_are_learnt_once():
    samples, metrics = select(TurnPrefixes(), revised("557", "557"))
    assert [spoken(s.sequences[0]) for s in samples] == ["5", "7"]
    assert metrics["select/repeated_fraction"] == pytest.approx(1 / 3)
    assert metrics["select/samples"] == 2 and metrics["select/revisions"] == 1
    assert len(select(TurnPrefixes(distinct=False), revised("557"))[0]) == 3


def test_revisions_that_were_not_gone_on_with_are_not_learnt():
    def script(text: str, u: float) -> str:
        return "5" if "?" not in text else ("7" if u < 0.5 else "8")

    host = Host(says(script))
    part = SelfCorrect(num_attempts=1, num_revisions=6, instruction="?")
    group = Group("g", tuple(host.explore(part, Start(TASK))))
    made = group, Verdicts(host.judge(TurnVerifier(), group))
    assert len(group.attempts) == 6
    assert [s for _, s, _ in prefixes(TurnPrefixes(), made)] == ["5", "7"]
    for wrong in ({"tau": 0.0}, {"keep": "some"}):
        with pytest.raises(ConfigError, match=rf"TurnPrefixes\.{next(iter(wrong))}"):
            TurnPrefixes(**wrong)


# ---------------------------------------------------------------- made-up revisions


def firsts(answers: str, demonstrated: bool = False) -> tuple[Group, Verdicts]:
    queue = iter(answers)
    host = Host(says(lambda text, u: next(queue)))
    made = host.explore(SampleAttempts(num_attempts=len(answers)), Start(TASK))
    if demonstrated:
        made += host.explore(Demonstrate(), Start(TASK), slot="explore~2")
    group = Group("g", tuple(made))
    return group, Verdicts(host.judge(Verifier(), group))


def both(part, made) -> list[tuple[str, str]]:
    samples, _ = select(part, made)
    return sorted((read(s.sequences[0]), spoken(s.sequences[0])) for s in samples)


def test_right_first_answers_are_kept_and_wrong_ones_mended_and_only_the_end_is_learnt():
    part = Revisions(keep_share=None, instruction="? {prompt}")
    assert both(part, firsts("577")) == [
        ("3+4\n5\n? 3+47", "7"), ("3+4\n7\n? 3+47", "7"), ("3+4\n7\n? 3+47", "7"),
    ]  # fmt: skip
    assert both(part, firsts("55")) == []  # nobody knows a right answer


@pytest.mark.parametrize(("share", "kept", "mended"), [(0.0, 0, 4), (1.0, 4, 0), (0.5, 4, 4)])
def test_the_share_of_right_first_answers_is_what_was_asked_for(share, kept, mended):
    made = firsts("77775555")
    _, metrics = select(Revisions(keep_share=share, instruction="?"), made)
    assert (metrics["select/kept"], metrics["select/mended"]) == (kept, mended)


def test_the_right_end_can_be_the_demonstration():
    part = Revisions(keep_share=None, source="demonstration", instruction="?")
    assert both(part, firsts("55", demonstrated=True)) == [("3+4\n5\n?7", "7")] * 2
    # a demonstration is never a first answer, and what was right stays what was said
    assert len(both(part, firsts("7", demonstrated=True))) == 1


def test_without_truth_a_revision_is_just_another_attempt():
    group, _ = firsts("5678")
    part = Revisions(kind="any", learn_first=True, instruction="?")
    samples, _ = select(part, (group, Verdicts([])))
    pairs = ["".join(spoken(row) for row in s.sequences) for s in samples]
    assert len(pairs) == 4 and sorted(p[0] for p in pairs) == list("5678")
    assert sorted(p[1] for p in pairs) == list("5678") and all(p[0] != p[1] for p in pairs)
    only_last, _ = select(Revisions(kind="any", instruction="?"), (group, Verdicts([])))
    assert sorted(spoken(s.sequences[0]) for s in only_last) == list("5678")
    assert select(part, (Group("g", group.attempts[:1]), Verdicts([])))[0] == []
    for wrong in ({"kind": "all"}, {"keep_share": 2.0}, {"source": "x"}, {"max_per_task": 0},
                  {"instruction": ""}):  # fmt: skip
        with pytest.raises(ConfigError, match=rf"Revisions\.{next(iter(wrong))}"):
            Revisions(**wrong)
