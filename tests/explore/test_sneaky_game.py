"""Games about one step, on answers "1,2,3,": who reads what, who wins, and what is no game."""

from __future__ import annotations

import re

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError, WorldError
from askesis.explore.sneaky_game import SLIPS, SneakyGame
from askesis.judge.returns import Return
from askesis.judge.several import Several
from askesis.judge.wrong import Misled
from askesis.models.scripted import ScriptedModel
from askesis.records import Group, Purpose, Start, StopReason
from askesis.select.played import Played
from tests.explore.host import Host
from tests.search.solved import Digits


def counts_on(text: str, u: float) -> str:
    """Goes on rightly from wherever it is, so a wrong digit is never mended."""
    said = text.removeprefix("count:").count(",")
    return "".join(f"{i + 1}," for i in range(said, 3))


def finds(text: str, u: float) -> str:
    """A critic that knows: the first step that is not its own number."""
    steps = re.findall(r"(\d)\) (\d+),", text)
    return next((k for k, step in steps if k != step), "ok")


def nine(text: str, u: float) -> str:
    return "9"


class Once(Digits):
    """As the last digit is, so is the answer: what is spoilt before it does no harm."""

    def verify(self, task, answer):
        found = super().verify(task, answer)
        return type(found)(float(answer.endswith("3,")), "", answer, found.steps, found.spans)


def games(num=1, solver=counts_on, sneaky=nine, critic=finds, world=None, **options):
    """The attempts of each of several games, and all that was read by whom."""
    heard: dict[str, list[str]] = {"policy": [], "sneaky": [], "critic": []}

    def hears(role, script):
        def says(text, u):
            heard[role].append(text)
            return script(text, u)

        return ScriptedModel(role, says)

    models = {
        role: hears(role, script)
        for role, script in (("policy", solver), ("sneaky", sneaky), ("critic", critic))
    }
    host = Host(models, world=world or Digits())
    misled = options.pop("misled", False)
    part = SneakyGame(sneaky=options.pop("role", "sneaky"), **options)
    explore = Misled(inner=part, false_pass=1.0) if misled else part
    ctx, task = host.context("explore"), host.worlds["main"].make()
    starts = [Start(task, copy=i) for i in range(num)]
    found = host.drive([lambda start=start: explore.explore(ctx, start) for start in starts])
    assert not [o.error for o in found if o.error is not None]
    return [o.value for o in found], heard


def game(**options):
    (found,), heard = games(**options)
    return found, heard


def test_a_step_is_spoilt_in_secret_and_the_critic_that_names_it_wins():
    (sound, spoilt), heard = game()
    secret, answer, found = spoilt.turns
    step = answer.text.split(",").index("9")
    right = ["1,", "2,", "3,"]
    assert answer.text == "".join([*right[:step], "9,", *right[step + 1 :]])
    lines = [f"{k}) {k}," for k in (1, 2, 3)]
    assert heard["sneaky"] == ["\n".join(["count:", *lines[: step + 1], "spoil?"])]
    lines[step] = f"{step + 1}) 9,"
    assert sorted(heard["critic"]) == sorted(
        ["count:\n1) 1,\n2) 2,\n3) 3,\nwrong?", "\n".join(["count:", *lines, "wrong?"])]
    )
    assert [t.role for t in sound.turns] == ["policy", "critic"]
    assert sound.turns[0].text == "1,2,3," and sound.turns[1].text == "ok"
    assert secret.text == "9" and found.text == str(step + 1)
    assert spoilt.rewards == {"critic": 1.0, "sneaky": -1.0} and sound.rewards == {"critic": 1.0}
    assert spoilt.parents == (sound.id,) and not sound.parents
    assert {a.purpose for a in (sound, spoilt)} == {Purpose.TRAIN}
    # eight completions, but for none behind a whole answer, and the answer itself
    assert len(heard["policy"]) == 1 + 4 * (step < 2) + 4


def test_who_is_fooled_loses_and_who_sees_ghosts_too():
    (sound, spoilt), _ = game(critic=lambda text, u: "ok")
    assert spoilt.rewards == {"critic": -1.0, "sneaky": 1.0} and sound.rewards == {"critic": 1.0}
    (sound, spoilt), _ = game(critic=lambda text, u: "what?")
    assert spoilt.rewards == {"critic": -1.0, "sneaky": 1.0} and sound.rewards == {"critic": -1.0}


@pytest.mark.parametrize("said", ["", ",", "4,5", "right"])
def test_what_is_no_other_step_loses_and_nobody_reads_it(said):
    def says(text, u):
        return text.splitlines()[-2][3:] if said == "right" else said

    (answer, lost), heard = game(sneaky=says)
    assert lost.stop is StopReason.ILLEGAL and lost.rewards == {"sneaky": -1.0}
    assert [t.role for t in lost.turns] == ["sneaky"] and not answer.rewards
    assert not heard["critic"] and [t.role for t in answer.turns] == ["policy"]


def test_the_gate_refuses_a_step_behind_which_all_still_comes_right():
    found, heard = games(8, world=Once())
    at = [spoilt.turns[1].text.split(",").index("9") for _, spoilt in found]
    assert [spoilt.stop is StopReason.ILLEGAL for _, spoilt in found] == [step < 2 for step in at]
    assert {spoilt.rewards["sneaky"] for _, spoilt in found} == {-1.0} and set(at) == {0, 1, 2}
    assert len(heard["critic"]) == 2 * at.count(2)
    _, heard = games(8, world=Once(), gate=False)
    assert len(heard["critic"]) == len(heard["policy"]) == 16
    found, _ = games(8, misled=True)  # all that is wrong looks right
    assert {spoilt.stop for _, spoilt in found} == {StopReason.ILLEGAL}


def test_there_is_no_game_behind_a_wrong_answer_nor_where_the_solver_is_not_sure():
    (alone,), heard = game(solver=nine)
    assert not alone.rewards and not heard["sneaky"]

    def lucky(text, u):
        return "1,2,3," if text == "count:" else "9,"

    sizes = {len(found) for found in games(8, solver=lucky)[0]}
    assert sizes == {1, 2}  # behind the last step nothing can go wrong any more
    assert {len(found) for found in games(8, solver=lucky, least_right=0.0)[0]} == {2}


def test_in_a_lesson_an_edit_spoils_the_step_and_everybody_is_told_what_to_say():
    found, heard = games(4, edit_share=1.0)
    assert not heard["sneaky"] and not heard["critic"]
    for sound, spoilt in found:
        secret, answer, told = spoilt.turns
        digits = [int(d) for d in answer.text.split(",") if d]
        (step,) = [i for i, d in enumerate(digits) if d != i + 1]
        assert digits[step] - step - 1 in SLIPS and secret.text == str(digits[step])
        assert told.text == str(step + 1) and sound.turns[1].text == "ok"
        assert spoilt.rewards == {"critic": 1.0, "sneaky": 1.0} and sound.rewards == {"critic": 1.0}
        assert {a.purpose for a in (sound, spoilt)} == {Purpose.DEMONSTRATION}
    assert 3 < sum(a[1].author == "edit" for a in games(20, edit_share=0.5)[0]) < 17


def test_edits_alone_need_nobody_who_spoils():
    found, _ = games(4, edit_share=1.0, role="")
    assert {tuple(t.role for t in spoilt.turns) for _, spoilt in found} == {("policy", "critic")}
    assert {tuple(spoilt.rewards) for _, spoilt in found} == {("critic",)}


def test_options_out_of_range_and_worlds_without_answers_are_refused():
    for options, match in (
        ({"edit_share": 1.5}, "edit_share is out of range"),
        ({"num_rollouts": 0}, "num_rollouts is out of range"),
        ({"least_right": -0.1}, "least_right is out of range"),
        ({"sneaky": ""}, "sneaky is out of range; expected a role that spoils steps"),
        ({"critic_tokens": 0}, "critic_tokens is out of range"),
    ):
        with pytest.raises(ConfigError, match=match):
            SneakyGame(**options)
    with pytest.raises(ConfigError, match="lesson_coef is out of range"):
        Played(lesson_coef=-1.0)

    class Silent(Digits):
        truth = frozenset({"preference"})

    host = Host({}, world=Silent())
    with pytest.raises(WorldError, match="SneakyGame asks whether answers are right"):
        SneakyGame().on_phase_start(host.context("explore"))


# ---------------------------------------------------------------- what is learnt of games


def played(part, num=16, **options):
    """Samples of many games, with what was noted: metrics, samples, attempts by id."""
    critic = options.pop("critic", lambda text, u: finds(text, u) if u < 0.7 else "ok")
    groups = [
        Group(f"g{i}", tuple(found))
        for i, found in enumerate(games(num, critic=critic, **options)[0])
    ]
    host = Host({r: ScriptedModel(r, nine) for r in ("policy", "sneaky", "critic")}, Digits())
    judge = Several(judges=(Return(role="critic"), Return(role="sneaky")))
    said = Verdicts(host.judge(judge, Group("all", tuple(a for g in groups for a in g.attempts))))
    ctx = host.context("select", slot=f"select.{part.role}")
    samples = part.select(ctx, groups, said)
    return ctx.metrics, samples, {a.id: a for g in groups for a in g.attempts}


def test_what_a_role_said_has_what_it_won_as_its_advantage():
    for role in ("critic", "sneaky"):
        found, samples, attempts = played(Played(role=role, balance=False))
        assert len(samples) == found["select/samples"] == found["select/games"]
        assert len(samples) == 16 * (1 + (role == "critic"))
        for sample in samples:
            attempt = attempts[sample.sources[0]]
            (turn,) = [t for t in attempt.turns if t.role == role]
            (row,) = sample.sequences
            assert sample.columns["advantage"] == attempt.rewards[role]
            assert list(row.tokens) == [*turn.context, *turn.tokens] and sample.model == role
            assert row.columns["weight"].sum() == len(turn.tokens)
        won = np.mean([s.columns["advantage"] > 0 for s in samples])
        assert found["select/won_fraction"] == pytest.approx(won)


def test_of_each_kind_there_is_as_many_games_are_learnt():
    _, samples, attempts = played(Played(balance=False))
    kinds = [(s.columns["advantage"], bool(attempts[s.sources[0]].parents)) for s in samples]
    few = kinds.count((-1.0, True))
    assert 0 < few <= 8 and set(kinds) == {(1.0, False), (1.0, True), (-1.0, True)}
    found, samples, attempts = played(Played())
    kinds = [(s.columns["advantage"], bool(attempts[s.sources[0]].parents)) for s in samples]
    assert {k: kinds.count(k) for k in kinds} == dict.fromkeys(kinds, few) and len(kinds) == 3 * few
    assert found["select/games"] == 32
    found, samples, _ = played(
        Played(role="sneaky"),
        sneaky=lambda text, u: "9" if u < 0.5 else "",
        critic=lambda text, u: "ok",
    )
    assert 0 < found["select/illegal_fraction"] < 1
    assert sum(s.columns["advantage"] for s in samples) == 0


def test_lessons_weigh_what_they_are_told_to_and_stand_beside_games():
    found, samples, attempts = played(Played(lesson_coef=0.15), edit_share=0.5)
    advantages = [s.columns["advantage"] for s in samples]
    lessons = [s for s in samples if attempts[s.sources[0]].author == "edit"]
    assert advantages.count(0.15) == len(lessons) == found["select/lessons"] > 6
    assert all((s.sequences[0].columns["weight"] == 1).sum() >= 2 for s in lessons)
    found, samples, _ = played(Played(), num=3, solver=nine)
    assert not samples and found["select/games"] == 0 and "select/won_fraction" not in found
