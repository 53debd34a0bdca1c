"""Wrong steps spliced into right solutions: what is read, what is learnt, what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError, WorldError
from askesis.records import About, Group, Purpose, Verdict, VerdictKind
from askesis.select.step_splice import StepSplice
from askesis.select.written import written_row
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.countdown import Countdown
from tests.explore.host import Host, Sums, attempt, says

CHAIN = ChainArithmetic()
TASK = CHAIN.task("7 +5 *3 -9", "27", data={"first": 7, "operations": ["+5", "*3", "-9"]})
RIGHT, SLIP = "7+5=12\n12*3=36\n36-9=27", "7+5=12\n12*3=35\n35-9=26"
MENDED = "7+5=12\n12*3=35\n#35 no\n12*3=36\n36-9=27"
END = 0x110000


def select(part, *texts, world=CHAIN, task=TASK, shown=()):
    """Samples of one group, as (all that is said, what of it weighs 0)."""
    host = Host(says({}), world=world)
    attempts = [attempt(task, t, i) for i, t in enumerate(texts)]
    given = {"purpose": Purpose.DEMONSTRATION}
    attempts += [attempt(task, t, len(texts) + i, **given) for i, t in enumerate(shown)]
    found = [
        Verdict("v", About(a.id), VerdictKind.OUTCOME, world.verify(task, a.text).score)
        for a in attempts
    ]
    ctx = host.context("select", slot="select.policy")
    samples = part.select(ctx, [Group(task.id, tuple(attempts))], Verdicts(found))
    return [said(s.sequences[0], len(task.prompt)) for s in samples], ctx.metrics


def said(row, num_read):
    tokens, weight = row.tokens[num_read:], row.columns["weight"]
    assert not weight[:num_read].any() and tokens[-1] == END and weight[-1] == 1
    masked = "".join(chr(t) for t in tokens[weight[num_read:] == 0])
    return "".join(chr(t) for t in tokens[:-1]), masked


def test_the_wrong_step_is_read_and_all_else_is_learnt():
    samples, noted = select(StepSplice(), RIGHT, SLIP)
    assert samples == [(RIGHT, ""), (MENDED, "12*3=35")]
    assert noted["select/splices"] == noted["select/wrong_steps"] == 1


def test_the_options_of_the_controls():
    assert select(StepSplice(share=0.0), RIGHT, SLIP)[0] == [(RIGHT, "")]
    assert select(StepSplice(mask=False), RIGHT, SLIP)[0][1] == (MENDED, "")
    silent = MENDED.replace("#35 no\n", "")
    assert select(StepSplice(remark=False), RIGHT, SLIP)[0][1] == (silent, "12*3=35")
    whole, masked = select(StepSplice(at="end"), RIGHT, SLIP)[0][1]
    assert whole == f"{SLIP}\n#35-9 no\n{RIGHT}" and masked == "12*3=35\n35-9=26"


def test_solutions_come_from_the_source_that_was_asked_for():
    part = StepSplice(source="demonstration")
    assert select(part, SLIP, shown=(RIGHT,))[0] == [(RIGHT, ""), (MENDED, "12*3=35")]
    assert select(part, RIGHT, SLIP)[0] == []
    assert select(StepSplice(), SLIP, shown=(RIGHT,))[0] == []


def test_a_right_end_of_wrong_steps_is_no_solution_unless_they_were_taken_back():
    lucky = "7+5=12\n12*3=26\n26+1=27"
    assert CHAIN.verify(TASK, lucky).score == 1
    assert select(StepSplice(), lucky)[0] == []
    assert select(StepSplice(), MENDED)[0] == [(MENDED, "12*3=35")]


def test_splices_stay_within_their_share_and_a_task_within_its_number():
    slips = [f"7+5=12\n12*3={n}\n{n}-9={n - 9}" for n in range(40, 50)]
    few = select(StepSplice(share=0.5), RIGHT, *slips)[0]
    assert len(few) == 2
    many = select(StepSplice(share=0.9, max_per_task=3), RIGHT, *slips)[0]
    assert len(many) == 1 + 3


def test_nothing_right_and_nothing_wrong():
    assert select(StepSplice(), SLIP)[0] == []
    assert select(StepSplice(), RIGHT, RIGHT)[0] == [(RIGHT, "")]


def test_countdown_is_mended_by_a_new_try():
    world = Countdown()
    task = world.task("3 7 12 -> 33", None, data={"numbers": [3, 7, 12], "target": 33})
    right = "7*3=21,21+12=33"
    samples, _ = select(StepSplice(), right, "7*3=20,20+12=32", world=world, task=task)
    assert samples[1] == (f"7*3=20;#20 no;{right}", "7*3=20")


def test_a_world_without_a_way_to_take_steps_back_is_refused_with_names_of_those_that_have_one():
    ctx = Host(says({}), world=Sums()).context("select")
    with pytest.raises(WorldError, match="chain_arithmetic, addition or countdown"):
        StepSplice().on_phase_start(ctx)
    StepSplice().on_phase_start(Host(says({}), world=CHAIN).context("select"))


def test_a_token_across_the_edge_of_what_is_masked_is_masked():
    class Pairs:
        """Two characters a token, so edges fall inside."""

        def encode(self, role, text):
            both = [text[i : i + 2] for i in range(0, len(text), 2)]
            return np.array([sum(ord(c) << 8 * i for i, c in enumerate(b)) for b in both], np.int32)

        def render(self, role, start):
            return np.array([1, 2], np.int32)

        def end_token(self, role):
            return 0

    row = written_row(Pairs(), "policy", None, "abcdefgh", [(3, 5)])
    assert row.columns["weight"].tolist() == [0, 0, 1, 0, 0, 1, 1]
    row = written_row(Pairs(), "policy", None, "abcdefgh", [(2, 4)])
    assert row.columns["weight"].tolist() == [0, 0, 1, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "options", [{"share": 1.0}, {"max_per_task": 0}, {"at": "middle"}, {"source": "teacher"}]
)
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="StepSplice"):
        StepSplice(**options)
