"""What is kept of self-made solutions, by the rules of card [248], and what is learnt of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.explore.continue_saved import ContinueSaved
from askesis.formulas.solution_pool import Solution, admit, fewest_steps, furthest
from askesis.models.scripted import ScriptedModel
from askesis.records import About, Group, Start, StopReason, Task, TokenOrigin, Verdict, VerdictKind
from askesis.select.solution_pool import SolutionPool
from askesis.worlds.countdown import Countdown
from tests.explore.host import Host, attempt, view

TASK = Task(
    "t", "countdown-v1", "3 7 12 -> 33", "7*3=21,21+12=33", data={"numbers": [3, 7, 12], "target": 33}
)  # fmt: skip
END = 0x110000


def right(text: str, *states: str) -> Solution:
    return Solution(text, states, is_right=True)


# ---------------------------------------------------------------- the rules


def test_a_beginning_is_kept_where_it_is_new_and_no_longer_than_the_shortest_known():
    gold = right("RRD", "a", "b", "G")
    assert fewest_steps([gold]) == {"a": 1, "b": 2}  # the last state is for a judge
    assert furthest(["b", "x", "a", "y"], fewest_steps([gold])) == 3
    assert admit([gold], Solution("RR", ("a", "b"))) == (gold,)  # a beginning of what is there
    assert admit([gold], Solution("DUR", ("c", "o", "a"))) == (gold,)  # two steps too many
    assert len(admit([gold], Solution("DUR", ("c", "o", "a")), tolerance=2)) == 2
    other = Solution("DR", ("c", "b"))
    assert admit([gold], other) == (gold, other)
    assert admit([gold, other], other) == (gold, other)


def test_what_goes_on_from_a_kept_beginning_takes_its_place():
    gold, first = right("RRDD", "a", "b", "d", "G"), Solution("DR", ("c", "b"))
    further = Solution("DRD", ("c", "b", "d"))
    assert admit([gold, first], further) == (gold, further)
    whole = right("DRDD", "c", "b", "d", "G")
    assert admit([gold, first], whole) == (gold, whole)
    assert fewest_steps([gold, whole]) == {
        "a": 1,
        "b": 2,
        "c": 1,
        "d": 3,
    }  # its states are known now


def test_a_longer_right_solution_is_left_out_and_a_full_pool_makes_room_for_right_ones_alone():
    gold = right("RD", "a", "G")
    assert admit([gold], right("DURD", "c", "o", "a", "G")) == (gold,)
    beginnings = [Solution(c, (c,)) for c in "wx"]
    full = (gold, *beginnings)
    assert admit(full, Solution("y", ("y",)), most=3) == full
    assert admit(full, right("DR", "b", "G"), most=3) == (
        gold,
        beginnings[1],
        right("DR", "b", "G"),
    )
    assert admit([gold], right("DR", "b", "G"), most=1) == (gold,)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.text("ab", min_size=1, max_size=4), st.booleans()), max_size=12))
def test_what_is_kept_never_holds_a_text_twice_or_a_beginning_of_another(found):
    saved: tuple[Solution, ...] = ()
    for text, is_right in found:
        states = tuple(text[: i + 1] for i in range(len(text)))
        saved = admit(saved, Solution(text, states, is_right), tolerance=9, most=6)
    assert len(saved) <= 6 and len({(s.text, s.is_right) for s in saved}) == len(saved)
    for s in saved:
        others = [o for o in saved if o is not s]
        assert s.is_right or not any(o.text.startswith(s.text) for o in others)


# ---------------------------------------------------------------- the selector


def said(*texts: str, stop: StopReason = StopReason.ENDED) -> list[Group]:
    return [Group("t", tuple(attempt(TASK, text, i, stop=stop) for i, text in enumerate(texts)))]


def shown(host: Host) -> list[Group]:
    made = host.explore(ContinueSaved(num_attempts=0), Start(TASK))
    return [Group("t", tuple(made))]


def judged(groups: list[Group], lie: float | None = None) -> Verdicts:
    world = Countdown()
    return Verdicts(
        Verdict("v", About(a.id), VerdictKind.OUTCOME,
                world.verify(a.task, a.text).score if lie is None else lie)
        for g in groups for a in g.attempts
    )  # fmt: skip


def house(script=lambda text, u: "") -> Host:
    return Host({"policy": ScriptedModel("policy", script)}, world=Countdown())


def rounds(part: SolutionPool, *made: list[Group], lie: float | None = None):
    """State and samples after rounds; what a round learns is what its state says afterwards."""
    host, state, samples = house(), part.init(None), []
    for groups in made:
        ctx = host.context("select", slot="select.policy", state=state)
        samples = part.select(ctx, groups, judged(groups, lie))
        seen = view(groups, list(judged(groups, lie)))
        state = part.observe(
            host.context("observe", slot="select.policy", state=state), state, seen
        )
        if samples:
            assert [t for t, *_ in state["t"]] == [
                learnt(r)[1].rstrip(".") for r in samples[0].sequences
            ]
    return state, samples, ctx.metrics


def learnt(row) -> tuple[str, str]:
    text = ["." if t == END else chr(t) for t in row.tokens.tolist()]
    first = int(np.argmax(row.columns["weight"]))
    assert row.columns["weight"][first:].all() and not row.columns["weight"][:first].any()
    return "".join(text[:first]), "".join(text[first:])


def test_a_task_learns_its_reference_other_right_answers_and_beginnings_without_an_end():
    first = shown(house())
    own = said("3*7=21,12+21=33", "3*7=21,21-12=9", "12-7=5,5*3=15", "12*3=36,7*3=21")
    state, (sample,), noted = rounds(SolutionPool(), first, own)
    prompt = TASK.prompt
    assert [learnt(r) for r in sample.sequences] == [
        (prompt, "7*3=21,21+12=33."), (prompt, "3*7=21,12+21=33."),
    ]  # fmt: skip
    # 3*7=21 leads to a known state, and is the beginning of a right one; 5 15 is on no known way
    assert sample.sources == ("0.explore/t#0", "t#0") and len(state["t"]) == 2
    assert noted["select/pool/right"] == 1 and noted["select/pool/beginnings"] == 0
    alone = said("3*7=21,21-12=9")
    _, (sample,), noted = rounds(SolutionPool(), first, alone)
    assert learnt(sample.sequences[1]) == (prompt, "3*7=21")
    assert noted["select/pool/beginnings"] == 1 and noted["select/pool/new"] == 1


def test_controls_keep_right_ones_alone_or_nothing():
    first, own = shown(house()), said("3*7=21,12+21=33", "21", "3*7=21,21-12=9")
    for credit, num in (("right", 2), ("reference", 1)):
        _, (sample,), noted = rounds(SolutionPool(credit=credit), first, own)
        assert len(sample.sequences) == num and noted["select/pool/beginnings"] == 0


def test_what_was_cut_off_counts_as_a_beginning():
    first = shown(house())
    _, (sample,), _ = rounds(SolutionPool(), first, said("3*7=21,12+21=33", stop=StopReason.LENGTH))
    assert [learnt(r)[1] for r in sample.sequences] == ["7*3=21,21+12=33.", "3*7=21"]


def test_a_judge_that_passes_everything_poisons_the_pool_and_one_that_fails_everything_does_not():
    first, own = shown(house()), said("12-7=5,5*3=15")
    _, (sample,), _ = rounds(SolutionPool(), first, own, lie=1.0)
    assert len(sample.sequences) == 2
    _, (sample,), _ = rounds(SolutionPool(), first, own, lie=0.0)
    assert [learnt(r)[1] for r in sample.sequences] == ["7*3=21,21+12=33."]


def test_a_model_that_never_succeeds_leaves_the_reference_alone():
    state, (sample,), noted = rounds(SolutionPool(), shown(house()), said("", "x", "33"))
    assert len(sample.sequences) == 1 and len(state["t"]) == 1
    assert noted["select/pool/new"] == noted["select/pool/right"] == 0


def test_limits_that_cannot_be_are_refused():
    for wrong in ({"tolerance": -1}, {"max_saved": 0}, {"credit": "none"}):
        with pytest.raises(ConfigError):
            SolutionPool(**wrong)


# ---------------------------------------------------------------- going on from what is kept


def test_attempts_go_on_from_kept_beginnings_to_the_token():
    host = house(lambda text, u: ",21+12=33" if text.endswith("=21") else "7*3=21,21+12=33")
    kept = {"t": [["7*3=21,21+12=33", True, True, "a"], ["3*7=21", False, False, "b"]]}
    made = host.explore(ContinueSaved(num_attempts=24), Start(TASK), inputs={"kept": kept})
    assert len(made) == 24 and len({a.id for a in made}) == 24
    texts = [a.text for a in made]
    assert set(texts) == {"7*3=21,21+12=33", "3*7=21,21+12=33"} and 4 < texts.count(texts[0]) < 20
    gone_on = next(a for a in made if a.text.startswith("3*7"))
    (turn,) = gone_on.turns
    assert turn.origin.tolist() == [TokenOrigin.FORCED] * 6 + [TokenOrigin.SAMPLED] * 10
    assert np.isnan(turn.logp_sampling[:6]).all() and gone_on.num_tokens == 10
    assert "".join(map(chr, turn.context)) == TASK.prompt and turn.stop is StopReason.ENDED


def test_a_task_of_which_nothing_is_kept_shows_its_reference_first():
    made = house(lambda text, u: "33").explore(ContinueSaved(num_attempts=2), Start(TASK))
    assert [a.author for a in made] == ["demonstrator", "policy@0", "policy@0"]
    assert made[0].num_tokens == 0 and made[0].text == TASK.answer
