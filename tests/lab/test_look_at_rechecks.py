"""The look at answers that are told to look again, on a table that mends whatever it is asked."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.errors import ConfigError
from askesis.lab.arm import Look
from askesis.lab.looks.kinds import check_look, figure_names
from askesis.lab.looks.rechecks import OF_RECHECKS, rechecks
from askesis.lab.looks.sight import Sight
from askesis.lab.outside import Outside
from askesis.requests import Checked
from tests.recipes.test_id_sampling import Lines, mends


def seen(world: Lines | None = None, num: int = 40) -> Sight:
    world = world or Lines({"a": "x"})
    outside = Outside({"policy": mends()}, world, seed=2)
    try:
        look = Look(num_attempts=num, kind="rechecks")
        return rechecks(outside, [world.task("a")], look, first_tokens=1)
    finally:
        outside.close()


def test_what_triggers_mend_and_what_they_cost():
    """By hand. The table says x, right, or y and a new line, as often; behind a trigger x. With a
    trigger at the first step's end y is mended: y, new line, #, x, end, five tokens to the two of x
    and its end; a plain y takes three and is wrong."""
    sight = seen()
    found = {name: numbers[0] for name, numbers in sight.figures.items()}
    assert set(found) == {*OF_RECHECKS, "tokens"}
    assert found["growing"] == found["even"] == found["at_end"] == found["vote"] == 1.0
    assert 0.35 < found["plain"] < 0.65 and found["over_plain"] == 1 - found["plain"]
    assert found["over_even"] == found["over_at_end"] == 0.0
    share = sum(a < 1 for a in seen(NeverMended({"a": "x"})).scores[0]) / 40  # those that said y
    growing, plain = 2 + 3 * share, 3 - found["plain"]
    assert found["cost"] == pytest.approx(growing / plain)
    assert found["tokens"] == pytest.approx(growing - share)  # what was put there is not said
    assert found["over_plain_vote"] == found["vote"] - found["plain_vote"]


class NeverMended(Lines):
    """Right is who was right at once."""

    def verify(self, task, answer):
        return Checked(float(answer == "x"), "", answer[-1:])


def test_what_is_taken_back_is_counted_by_whether_it_was_right():
    class TakenBack(Lines):
        """A letter is a line and a step; "no" follows a trigger, whatever stands before."""

        def verify(self, task, answer):
            lines = answer.replace("\n#x", "\n#y no").split("\n")
            return super().verify(task, "\n".join(lines))

    found = seen(num=10).figures
    assert found["wrong_taken_back"] == [0.0] and found["right_taken_back"] == [0.0]
    assert np.shape(seen(TakenBack({"a": "x"}), 10).scores) == (1, 10)


def test_the_look_is_known_by_name_and_its_options_are_checked():
    look = Look(kind="rechecks", options=(("growth", "1"),))
    check_look(look)
    assert figure_names(look) == list(OF_RECHECKS)
    with pytest.raises(ConfigError, match="grows"):
        check_look(Look(kind="rechecks", options=(("grows", "2"),)))
