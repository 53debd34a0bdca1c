"""Failed attempts are read again with the environment's feedback, and the answer is never told."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError
from askesis.explore.repair import Repair, what_was_wrong
from askesis.models.scripted import ScriptedModel
from askesis.records import Start
from askesis.requests import Checked
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.countdown import Countdown
from tests.explore.host import Host, Sums

TASK = Sums().make(3, 4)


def host(policy, reflector=lambda text, u: "7"):
    return Host(
        {
            "policy": ScriptedModel("policy", policy),
            "reflector": ScriptedModel("reflector", reflector),
        }
    )


def test_only_what_failed_is_repaired_and_equal_failures_once():
    heard = []

    def reflector(text, u):
        heard.append(text)
        return "7"

    where = host(lambda text, u: "7" if u < 0.3 else "8" if u < 0.8 else "9", reflector)
    found = where.explore(Repair(num_attempts=24), Start(TASK))
    plain, repaired = found[:24], found[24:]
    assert all(a.start.privileged is None for a in plain)
    failed = {a.text: a for a in reversed(plain) if a.text != "7"}
    assert set(failed) == {"8", "9"} and len(repaired) == 2
    for attempt in repaired:
        (parent,) = attempt.parents
        before = next(a for a in plain if a.id == parent)
        assert attempt.start.privileged == f"{before.text}\nread '{before.text}'"
        assert attempt.turns[0].role == "reflector" and attempt.start.tag.startswith("repair")
    assert sorted(heard) == ["3+4\n8\nread '8'", "3+4\n9\nread '9'"]
    assert len({a.id for a in found}) == len(found)


def test_where_everything_is_right_or_no_repairs_are_wanted_nobody_is_asked():
    def nobody(text, u):
        raise AssertionError("the reflector was asked")

    assert len(host(lambda text, u: "7", nobody).explore(Repair(), Start(TASK))) == 4
    none = Repair(num_attempts=8, num_repairs=0)
    assert len(host(lambda text, u: "8", nobody).explore(none, Start(TASK))) == 8


def test_repairs_of_a_task_can_be_limited_and_several():
    where = host(lambda text, u: str(10 + int(50 * u)))
    found = where.explore(Repair(num_attempts=6, num_repairs=3, max_repaired=2), Start(TASK))
    assert len(found) == 6 + 2 * 3 and len({a.id for a in found}) == 12


def test_feedback_never_tells_the_reference_answer():
    chain = ChainArithmetic()
    task = chain.task("7 +5", "12", data={"first": 7, "operations": ["+5"]})
    checked = chain.verify(task, "7+5=13")
    assert "12" in checked.why  # the verifier's own line does
    assert what_was_wrong(checked, task.answer, "why") == "wrong"
    assert (
        what_was_wrong(Checked(0.0, "ends with 112, not so"), "12", "why")
        == "ends with 112, not so"
    )
    countdown = Countdown()
    sums = countdown.task(
        "3 7 12 -> 33", "7*3=21,21+12=33", data={"numbers": [3, 7, 12], "target": 33}
    )
    missed = countdown.verify(sums, "12-7=5,5*3=15")
    assert (
        what_was_wrong(missed, sums.answer, "why") == "ends with 15, not 33"
    )  # the prompt says 33


def test_feedback_is_the_outcome_or_the_first_wrong_step():
    checked = Checked(0.0, "no", steps=(1.0, 0.0, 0.0))
    assert what_was_wrong(checked, None, "step") == "step 2 is wrong"
    assert what_was_wrong(Checked(0.0, "no"), None, "step") == "wrong"
    assert what_was_wrong(checked, None, "outcome") == "wrong"


@pytest.mark.parametrize(
    "options",
    [{"num_attempts": 0}, {"num_repairs": -1}, {"max_repaired": 0}, {"feedback": "all"}, {"threshold": 0.0}],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(options):
    with pytest.raises(ConfigError, match="Repair"):
        Repair(**options)
