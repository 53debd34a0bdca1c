"""Which attempts are kept, and which of their tokens count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.demonstrate import Demonstrate
from askesis.records import (
    About,
    Attempt,
    Group,
    Purpose,
    Start,
    StopReason,
    TokenOrigin,
    Turn,
    Verdict,
    VerdictKind,
)
from askesis.select.sequences import sequences_of
from askesis.select.threshold import Threshold
from tests.explore.host import Host, Sums, attempt, says

END = 0x110000
TASKS = [Sums().make(1, b) for b in range(4)]


def judged(attempts, values, judge="verifier:sums-v1"):
    return Verdicts(
        Verdict(judge, About(a.id), VerdictKind.OUTCOME, v)
        for a, v in zip(attempts, values, strict=True)
    )


def select(part, attempts, values, slot="select.policy", **options):
    ctx = Host(says({})).context("select", slot=slot)
    groups = [Group("g", tuple(attempts))]
    return part.select(ctx, groups, judged(attempts, values, **options)), ctx.metrics


def texts(samples) -> list[str]:
    rows = [s.sequences[-1] for s in samples]
    return ["".join(chr(t) for t, w in zip(r.tokens, r.columns["weight"], strict=True)
                    if w and t != END) for r in rows]  # fmt: skip


def test_what_is_good_enough_is_kept_with_its_source_and_its_model():
    made = [attempt(TASKS[0], t, i) for i, t in enumerate(["1", "2", "3"])]
    found, metrics = select(Threshold(), made, [1.0, 0.5, None])
    assert texts(found) == ["1"]
    assert (found[0].model, found[0].sources) == ("policy", (made[0].id,))
    assert metrics["select/kept_fraction"] == pytest.approx(1 / 3)
    found, _ = select(Threshold(threshold=0.5), made, [1.0, 0.5, None], slot="select.critic~2")
    assert texts(found) == ["1", "2"]
    assert found[0].model == "critic"


def test_only_what_the_model_said_weighs_anything_its_end_included():
    (sample,), _ = select(Threshold(), [attempt(TASKS[0], "1")], [1.0])
    (row,) = sample.sequences
    assert row.tokens.tolist() == [*map(ord, "1+0"), ord("1"), END]
    assert row.columns["weight"].tolist() == [0, 0, 0, 1, 1]
    assert row.tokens.dtype == np.int32


def test_cut_off_attempts_teach_no_ending_and_are_left_out():
    cut = attempt(TASKS[0], "1", stop=StopReason.LENGTH)
    assert select(Threshold(), [cut], [1.0])[0] == []
    (sample,), _ = select(Threshold(cut_off=True), [cut], [1.0])
    assert sample.sequences[0].tokens.tolist()[-1] == ord("1")  # no end that was not said


def test_equal_texts_count_once_and_equal_answers_if_asked():
    made = [attempt(TASKS[0], t, i) for i, t in enumerate(["1", "1", "1=1", "0=1"])]
    values = [1.0] * 4
    assert texts(select(Threshold(), made, values)[0]) == ["1", "1=1", "0=1"]
    assert texts(select(Threshold(distinct="answer"), made, values)[0]) == ["1"]
    assert len(select(Threshold(distinct="none"), made, values)[0]) == 4


def test_the_same_answer_to_another_task_is_not_a_repetition():
    made = [attempt(task, "1", i) for i, task in enumerate(TASKS)]
    assert len(select(Threshold(), made, [1.0] * 4)[0]) == 4


def test_at_most_so_many_of_a_task_are_kept_at_random_short_or_best():
    words = ["1", "11", "111", "1111", "11111", "111111"]
    made = [attempt(TASKS[0], t, i) for i, t in enumerate(words)]
    values = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]

    def kept(**options):
        return texts(select(Threshold(max_per_task=2, **options), made, values)[0])

    assert kept(prefer="short") == ["1", "11"]
    assert kept(prefer="value") == ["11111", "111111"]
    assert kept() == kept()
    assert len(kept()) == 2
    everything = {
        tuple(texts(Threshold(max_per_task=2).select(
            Host(says({}), seed=s).context("select", slot="select.policy"),
            [Group("g", tuple(made))], judged(made, values))))
        for s in range(12)
    }  # fmt: skip
    assert len(everything) > 3


def test_one_task_in_two_groups_has_one_limit():
    made = [attempt(TASKS[0], t, i) for i, t in enumerate(["1", "01", "001"])]
    ctx = Host(says({})).context("select", slot="select.policy")
    groups = [Group("a", tuple(made[:2])), Group("b", tuple(made[2:]))]
    assert len(Threshold(max_per_task=1).select(ctx, groups, judged(made, [1.0] * 3))) == 1


def test_a_judge_can_be_chosen():
    made = [attempt(TASKS[0], "1")]
    verdicts = judged(made, [1.0])
    verdicts.extend(judged(made, [0.0], judge="critic-v2"))
    ctx = Host(says({})).context("select", slot="select.policy")
    groups = [Group("g", tuple(made))]
    assert Threshold().select(ctx, groups, verdicts) == []
    assert len(Threshold(judge="verifier:sums").select(ctx, groups, verdicts)) == 1


def test_a_hint_is_stripped_before_learning():
    start = Start(TASKS[0], tag="hint", privileged="The answer is 1.")
    hinted = attempt(TASKS[0], "1", start=start)
    assert "answer" in "".join(map(chr, hinted.turns[0].context))
    (sample,), _ = select(Threshold(), [hinted], [1.0])
    assert sample.sequences[0].tokens.tolist() == [*map(ord, "1+0"), ord("1"), END]
    (kept,), _ = select(Threshold(keep_privileged=True), [hinted], [1.0])
    assert "answer is 1" in "".join(chr(t) for t in kept.sequences[0].tokens if t != END)


def test_a_hint_is_stripped_from_every_turn():
    start = Start(TASKS[0], tag="hint", privileged="SECRET")
    first = attempt(TASKS[0], "no", start=start).turns[0]
    read = np.concatenate([first.context, first.tokens, [ord("?")]]).astype(np.int32)
    second = replace(first, text="1", context=read, tokens=np.array([ord("1"), END], np.int32))
    both = Attempt("b", start, (first, Turn("world", "?"), second), StopReason.ENDED)
    (sample,), _ = select(Threshold(), [both], [1.0])
    for row in sample.sequences:
        assert "SECRET" not in "".join(chr(t) for t in row.tokens if t != END)
    assert sum(int(r.columns["weight"].sum()) for r in sample.sequences) == 5


def test_demonstrations_are_learnt_although_nobody_sampled_them():
    host = Host(says({}))
    attempts = host.explore(Demonstrate(), Start(TASKS[2]))
    assert attempts[0].purpose is Purpose.DEMONSTRATION
    (sample,), _ = select(Threshold(), attempts, [1.0])
    assert texts([sample]) == ["3"]
    assert sample.sequences[0].columns["weight"].sum() == 2


# ---------------------------------------------------------------- several turns


def turn(context, tokens, role="policy", origin=None) -> Turn:
    return Turn(
        role, context=np.array(context, np.int32), tokens=np.array(tokens, np.int32),
        origin=None if origin is None else np.array(origin, np.uint8),
    )  # fmt: skip


def test_turns_whose_contexts_nest_make_one_sequence():
    turns = [turn([1, 2], [3, 4]), Turn("world", "x"), turn([1, 2, 3, 4, 9], [5])]
    (row,) = sequences_of(turns, "policy")
    assert row.tokens.tolist() == [1, 2, 3, 4, 9, 5]
    assert row.columns["weight"].tolist() == [0, 0, 1, 1, 0, 1]


def test_where_the_past_is_rewritten_a_new_sequence_begins():
    turns = [turn([1, 2], [3, 4]), turn([1, 7, 3], [5])]
    first, second = sequences_of(turns, "policy")
    assert first.tokens.tolist() == [1, 2, 3, 4]
    assert second.tokens.tolist() == [1, 7, 3, 5]
    assert second.columns["weight"].tolist() == [0, 0, 0, 1]


def test_other_roles_and_forced_tokens_are_context_only():
    forced = [TokenOrigin.FORCED, TokenOrigin.SAMPLED, TokenOrigin.GIVEN]
    turns = [turn([1], [2, 3, 4], origin=forced), turn([1, 2, 3, 4], [5], role="critic")]
    (row,) = sequences_of(turns, "policy")
    assert row.columns["weight"].tolist() == [0, 0, 1, 0]
    assert sequences_of([turn([1], [2], origin=[TokenOrigin.FORCED])], "policy") == []


@pytest.mark.parametrize(
    "wrong",
    [{"distinct": "tokens"}, {"prefer": "long"}, {"max_per_task": 0}, {"threshold": float("nan")}],
    ids=str,
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match="Threshold"):
        Threshold(**wrong)
