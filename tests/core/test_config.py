"""Plans as trees: round trips, overrides by dotted path, clear errors, options nothing reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from askesis.config import Watch, differences, find, from_tree, override, paths, to_tree
from askesis.errors import ConfigError
from askesis.plan import Parts, Phase, Plan, Until


@dataclass(frozen=True, kw_only=True)
class Explore:
    num_attempts: int = 4
    temperature: float = 1.0
    mode: Literal["sample", "beam"] = "sample"
    stop: tuple[str, ...] = ()
    cap: int | None = None
    rare: int = field(default=0, metadata={"lazy": True})


@dataclass(frozen=True, kw_only=True)
class Learn:
    learning_rate: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class Replay:
    fraction: float = 0.5


def rounds(rd, p) -> None:
    """A round of its own, to be stored by name."""


def plan() -> Plan:
    parts = Parts(explore=Explore(), learn={"policy": Learn()})
    phases = (
        Phase(name="warm", parts=parts, until=Until(rounds=2)),
        Phase(name="main", parts=parts, retain=(Replay(),), round=rounds),
    )
    return Plan(recipe="test", phases=phases)


def test_a_plan_survives_the_round_trip_through_json():
    import json

    tree = json.loads(json.dumps(to_tree(plan())))
    assert from_tree(tree) == plan()
    assert from_tree(tree).phases[1].round is rounds


@pytest.mark.parametrize(
    ("path", "text", "read"),
    [
        ("explore.num-attempts", "16", lambda p: p.phases[0].parts.explore.num_attempts == 16),
        ("explore.num_attempts", "1e1", lambda p: p.phases[1].parts.explore.num_attempts == 10),
        ("--explore.temperature", "0.5", lambda p: p.phases[0].parts.explore.temperature == 0.5),
        ("explore.stop", "a,b", lambda p: p.phases[0].parts.explore.stop == ("a", "b")),
        ("explore.cap", "none", lambda p: p.phases[0].parts.explore.cap is None),
        ("explore.cap", "3", lambda p: p.phases[0].parts.explore.cap == 3),
        ("learn.policy.learning-rate", "1e-4",
         lambda p: p.phases[0].parts.learn["policy"].learning_rate == 1e-4),
        ("retain.replay.fraction", "0.1", lambda p: p.phases[1].retain[0].fraction == 0.1),
        ("phases.warm.until.rounds", "7",
         lambda p: [q.until.rounds for q in p.phases] == [7, 8]),
        ("rounds", "3", lambda p: [q.until.rounds for q in p.phases] == [3, 3]),
        ("world", "addition", lambda p: p.worlds["main"] == "addition"),
        ("budget.tokens", "2e6", lambda p: p.budget.tokens == 2e6),
        ("model", "Qwen/Qwen3-0.6B", lambda p: p.models["policy"].source == "Qwen/Qwen3-0.6B"),
        ("model.lora-rank", "16", lambda p: p.models["policy"].lora_rank == 16),
        ("engine", "transformers", lambda p: p.roles["policy"].engine == "transformers"),
        ("seed", "5", lambda p: p.seed == 5),
    ],
)  # fmt: skip
def test_an_option_is_changed_by_the_path_a_person_types(path, text, read):
    assert read(override(plan(), path, text))


def test_the_plan_itself_is_never_changed():
    before = plan()
    override(before, "explore.num-attempts", "16")
    assert before == plan()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("explore.num-attemps", "1", "explore.num-attempts"),
        ("learn.critic.learning-rate", "1", "learn.policy.learning-rate"),
        ("qqqq", "1", "There are"),
        ("explore.num-attempts", "many", "int"),
        ("explore.num-attempts", "1.5", "int"),
        ("explore.mode", "bean", "sample"),
        ("budget.tokns", "1", "tokens"),
    ],
)
def test_a_wrong_option_gets_one_line_that_says_what_would_be_right(path, value, says):
    with pytest.raises(ConfigError) as error:
        override(plan(), path, value)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_every_path_that_is_listed_can_be_overridden():
    assert "explore.num_attempts" in paths(plan())
    for path in paths(plan()):
        if path.endswith(("num_attempts", "rounds", "learning_rate", "fraction", "seed")):
            override(plan(), path, "1")


def test_differences_name_the_dotted_path_and_both_values():
    other = override(plan(), "explore.num-attempts", 9)
    (first, _) = differences(to_tree(plan()), to_tree(other))
    assert first == "phases.0.parts.explore.num_attempts (4 -> 9)"


def test_a_tree_with_an_option_the_part_does_not_have_is_refused():
    tree = to_tree(plan())
    tree["phases"][0]["parts"]["explore"]["num_attemps"] = 3
    with pytest.raises(ConfigError, match="num_attempts"):
        from_tree(tree)


def test_watching_finds_fields_that_nothing_read_and_restores_the_class():
    explore, learn = Explore(), Learn()
    watch = Watch([("explore", explore), ("learn.policy", learn)])
    assert explore.num_attempts == 4
    assert explore.mode == "sample"
    assert not explore.stop
    assert explore.cap is None
    assert watch.stop() == ["explore.temperature"], "a part that was not called is not blamed"
    assert type(explore) is Explore


def test_a_users_file_is_loaded_once_and_its_errors_are_one_line(tmp_path):
    good = tmp_path / "mine.py"
    good.write_text("VALUE = 3\ndef recipe():\n    return VALUE\n")
    assert find(f"{good}:recipe")() == 3
    assert find(f"{good}:recipe") is find(f"{good}:recipe")
    with pytest.raises(ConfigError, match="recipe"):
        find(f"{good}:recipes")
    bad = tmp_path / "bad.py"
    bad.write_text("import nothing_like_this\n")
    with pytest.raises(ConfigError, match="could not be loaded"):
        find(f"{bad}:recipe")
    with pytest.raises(ConfigError, match="there is no file"):
        find(f"{tmp_path / 'none.py'}:recipe")


def test_a_part_given_for_two_places_is_two_equal_parts_as_it_is_after_a_resume():
    shared = Learn()
    parts = Parts(judge=shared, learn={"policy": shared, "critic": shared})
    places = [parts.judge, *parts.learn.values()]
    assert places[0] is shared and places == [shared] * 3
    assert len({id(p) for p in places}) == 3
