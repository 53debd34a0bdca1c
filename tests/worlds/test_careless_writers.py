"""chain_arithmetic's careless writers: right answers with wrong steps, at the rates asked for."""

from __future__ import annotations

from math import prod, sqrt

import numpy as np
import pytest

from askesis.errors import RunError, WorldError
from askesis.lab.audit import _Truth
from askesis.lab.warm_start import DEFAULT, start_key
from askesis.requests import Checked
from askesis.worlds.chain_arithmetic import ChainArithmetic, careless_lines
from askesis.worlds.check import check_world
from askesis.worlds.open import open_world


class Lots:
    """A generator that draws what it is given: uniforms, then which slip."""

    def __init__(self, *uniforms: float, slip: int = 0) -> None:
        self.uniforms, self.slip = list(uniforms), slip

    def random(self) -> float:
        return self.uniforms.pop(0)

    def integers(self, end: int) -> int:
        return self.slip


@pytest.fixture
def chain():
    """7 +5 *3 -9: 12, 36, 27."""
    return ChainArithmetic().task(
        "7 +5 *3 -9", "27", data={"first": 7, "operations": ["+5", "*3", "-9"]}
    )


def test_a_slip_mended_in_silence_leaves_two_wrong_lines_and_a_right_outcome(chain):
    # of each line: is it padded, is there a slip, and behind a slip: is it mended
    lots = Lots(0.9, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9)
    lines = careless_lines(chain, lots, slips=0.5, mended=0.5, padded=0.5)
    assert lines == ["7+5=13", "#*3", "12*3=36", "36-9=27"] and not lots.uniforms
    checked = ChainArithmetic().verify(chain, "\n".join(lines))
    assert (checked.score, checked.steps) == (1.0, (0.0, 0.0, 1.0))


def test_a_slip_that_is_not_mended_goes_on_and_none_is_mended_in_the_last_line(chain):
    lines = careless_lines(chain, Lots(0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9), 0.5, 0.5, 0.5)
    assert lines == ["7+5=13", "13*3=39", "39-9=30"]
    lines = careless_lines(chain, Lots(0.9, 0.9, 0.9, 0.9, 0.1, 0.1, slip=3), 0.5, 0.5, 0.5)
    assert lines == ["7+5=12", "12*3=36", "#-9", "36-9=37"]


def test_rates_are_as_stated():
    world = open_world("chain_arithmetic?difficulty=0.12&slips=0.2&mended=0.6&padded=0.3")
    rng, num, right, hidden, remarks, slips = np.random.default_rng(0), 1000, 0, 0, 0, 0
    (task,) = world.draw("train", rng, 1)
    operations = len(task.data["operations"])
    assert operations == 3
    for _ in range(num):
        text = world.demonstrate(task, rng)
        checked = world.verify(task, text)
        right += checked.score == 1.0
        hidden += checked.score == 1.0 and 0.0 in checked.steps
        remarks += text.count("#")
        slips += sum(eval_line(line) for line in text.split("\n") if line[0] != "#")
    # a line does no harm where there is no slip or a mended one; the last mends none
    all_right = prod([1 - 0.2 * 0.4] * (operations - 1)) * 0.8
    wrong_inside = all_right - 0.8**operations
    for seen, share, of in (
        (right, all_right, num), (hidden, wrong_inside, num),
        (remarks, 0.3, num * operations), (slips, 0.2, num * operations),
    ):  # fmt: skip
        assert seen / of == pytest.approx(share, abs=4 * sqrt(share * (1 - share) / of))


def eval_line(line: str) -> bool:
    """Whether a line states a wrong value."""
    left, _, stated = line.partition("=")
    for sign in "+-*":
        first, found, second = left[1:].partition(sign)
        if found:
            a, b = int(left[0] + first), int(second)
            return int(stated) != {"+": a + b, "-": a - b, "*": a * b}[sign]
    raise AssertionError(line)


def test_what_is_asked_and_what_is_right_does_not_depend_on_who_writes():
    plain, careless = open_world("chain_arithmetic"), open_world("chain_arithmetic?slips=0.1")
    for one, other in zip(
        plain.draw("train", np.random.default_rng(3), 30),
        careless.draw("train", np.random.default_rng(3), 30),
        strict=True,
    ):
        assert (one.prompt, one.answer, one.role) == (other.prompt, other.answer, other.role)
        assert careless.verify(other, plain.demonstrate(one, np.random.default_rng(0))).score == 1
        wrong = careless.demonstrate(other, np.random.default_rng(0), wrong=True)
        assert wrong == plain.demonstrate(one, np.random.default_rng(0), wrong=True)


def test_careless_writers_are_no_demonstration_and_padding_ones_are():
    careless, padding = ChainArithmetic(slips=0.1), ChainArithmetic(padded=1.0)
    assert "demonstration" not in careless.truth and "steps" in careless.truth
    assert "demonstration" in padding.truth and "demonstration" in ChainArithmetic().truth
    assert [str(f) for f in check_world(padding, num=12) if not f.ok] == []
    assert [str(f) for f in check_world(careless, num=12) if not f.ok] == []
    rng = np.random.default_rng(0)
    for task in padding.draw("train", rng, 20, 1.0):
        text = padding.demonstrate(task, rng)
        assert text.count("#") == len(task.data["operations"]) == 10
        assert len(text) < padding.max_answer_tokens


def test_an_audit_of_a_run_without_truth_does_not_mistake_a_slip_for_a_lost_answer():
    careless = ChainArithmetic(slips=0.3)
    truth = _Truth(careless)
    for task in careless.draw("train", np.random.default_rng(0), 20, 0.3):
        truth._probe(task.without_truth())
    careless.verify = lambda task, answer: Checked(0.0)
    with pytest.raises(RunError, match="without what it needs"):
        truth._probe(task)


def test_every_writer_is_a_start_of_its_own():
    specs = ["", "?slips=0.1", "?slips=0.2", "?slips=0.1&mended=0.6", "?padded=0.1",
             "?slips=0.1&padded=0.1", "?difficulty=0.3&slips=0.1"]  # fmt: skip
    worlds = [open_world(f"chain_arithmetic{spec}") for spec in specs]
    assert len({start_key([world], DEFAULT) for world in worlds}) == len(specs)
    assert worlds[-1].id == "chain_arithmetic-v1?difficulty=0.3&slips=0.1"
    assert ChainArithmetic(mended=0.9).id == "chain_arithmetic-v1"  # nothing to be mended
    for wrong in ("slips=1", "slips=-0.1", "mended=1.1", "padded=2"):
        with pytest.raises(WorldError, match=wrong.partition("=")[0]):
            open_world(f"chain_arithmetic?{wrong}")
