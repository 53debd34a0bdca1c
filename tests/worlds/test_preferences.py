"""The hidden taste, what annotators say of it, and preferences kept in files."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from askesis.errors import WorldError
from askesis.formulas.games import minimax_winner
from askesis.records import Task, TaskRole
from askesis.worlds.open import open_world
from askesis.worlds.preference_files import open_pairs, write_pairs
from askesis.worlds.preferences import LETTERS, MALFORMED, Preferences, extremes, liking, taste
from askesis.worlds.views import Blind, RunView


def task(letters: str, world: Preferences | None = None) -> Task:
    world = world or Preferences()
    return world.task(
        letters, extremes("".join(sorted(letters)))[2], data={"letters": list(letters)}
    )


def test_the_hidden_ranking_is_the_same_everywhere():
    """Made by this package on x86-64, numpy 2; any change moves every score, so the id must rise."""
    assert "".join(sorted(LETTERS, key=lambda c: -taste()[c])) == "mrapnoebjidqhkgflc"
    assert sorted(taste().values()) == list(range(18))


def test_the_gold_score_runs_from_the_worst_order_to_the_best():
    world, one = Preferences(), task("dbka")
    scores = {"".join(p): world.gold(one, "".join(p)) for p in permutations("abdk")}
    assert min(scores.values()) == 0.0 and max(scores.values()) == 1.0
    assert scores[one.answer] == 1.0
    ranks = taste()
    assert liking("dbka") == 3 * ranks["d"] + 2 * ranks["b"] + ranks["k"]
    by_hand = (liking("dbka") - liking(min(scores, key=scores.get))) / (
        liking(one.answer) - liking(min(scores, key=scores.get))
    )
    assert scores["dbka"] == pytest.approx(by_hand)
    assert world.verify(one, " dbka\n").score == scores["dbka"]


@pytest.mark.parametrize("text", ["", "dbk", "dbkaa", "dbkb", "DBKA", "d b k a", "dbka" * 99])
def test_what_is_no_order_of_the_letters_scores_nothing_and_loses(text):
    world, one = Preferences(), task("dbka")
    assert world.gold(one, text) == MALFORMED and world.verify(one, text).score == 0.0
    worst = min(("".join(p) for p in permutations("abdk")), key=lambda t: world.gold(one, t))
    for cycle in (0.0, 1.0):
        assert Preferences(cycle=cycle).preference(one, worst, text) > 0.99
    assert world.preference(one, text, "") == 0.5


orders = st.permutations(list("abdk")).map("".join)
worlds = st.builds(
    Preferences, noise=st.floats(0, 0.5), sharpness=st.floats(0.1, 20), cycle=st.floats(0, 1)
)


@settings(max_examples=50, deadline=None)
@given(worlds, orders, orders)
def test_preferences_of_a_pair_and_of_the_pair_turned_round_add_up_to_one(world, first, second):
    one = task("dbka")
    there, back = world.preference(one, first, second), world.preference(one, second, first)
    assert there + back == pytest.approx(1.0) and 0 <= there <= 1


@settings(max_examples=30, deadline=None)
@given(orders, orders, st.floats(0.1, 20))
def test_without_noise_and_cycles_it_is_bradley_and_terry_of_the_gold_score(first, second, sharp):
    world, one = Preferences(sharpness=sharp), task("dbka")
    odds = np.exp(sharp * (world.gold(one, first) - world.gold(one, second)))
    assert world.preference(one, first, second) == pytest.approx(odds / (1 + odds))


def test_noise_is_the_probability_of_saying_the_opposite():
    one, first, second = task("dbka"), "dbka", "kabd"
    true = Preferences().preference(one, first, second)
    noisy = Preferences(noise=0.2).preference(one, first, second)
    assert noisy == pytest.approx(0.8 * true + 0.2 * (1 - true))
    assert Preferences(noise=0.5).preference(one, first, second) == pytest.approx(0.5)


def test_a_full_cycle_is_won_by_no_style_and_by_the_even_mixture():
    world, one = Preferences(cycle=1.0), task("abc")
    styles = ["abc", "bca", "cab"]
    table = [[world.preference(one, x, y) for y in styles] for x in styles]
    assert table[1][0] > 0.99 and table[2][1] > 0.99 and table[0][2] > 0.99
    assert minimax_winner(table) == pytest.approx([1 / 3] * 3)


def test_votes_follow_the_preference_and_the_majority_stands_first():
    world, one = Preferences(), task("dbka")
    rng, agreed = np.random.default_rng(0), []
    for _ in range(400):
        better, worse, share = world.annotated_pair(one, rng)
        assert share == 1.0 and better != worse
        agreed.append(world.preference(one, better, worse))
    # a vote is right with the probability of the likelier side
    assert np.mean([p > 0.5 for p in agreed]) == pytest.approx(
        np.mean([max(p, 1 - p) for p in agreed]), abs=0.05
    )
    assert world.annotated_pair(one, rng, 4)[2] in (0.5, 0.75, 1.0)


def test_annotators_see_slips_as_well_and_never_like_them_better_than_an_order():
    world, one, rng = Preferences(), task("dbka"), np.random.default_rng(0)
    pairs = [world.annotated_pair(one, rng)[:2] for _ in range(300)]
    slips = [[world.gold(one, text) == MALFORMED for text in pair] for pair in pairs]
    assert np.mean(slips) == pytest.approx(0.2, abs=0.05)
    assert not [pair for pair in slips if pair == [True, False]]
    assert {len(text) for pair in pairs for text in pair} == {3, 4, 5}
    clean = [Preferences(slips=0.0).annotated_pair(one, rng)[:2] for _ in range(50)]
    assert all(world.gold(one, text) >= 0 for pair in clean for text in pair)


def test_an_ordinary_writer_writes_any_order_and_a_wrong_one_when_asked():
    world, one, rng = Preferences(), task("abc"), np.random.default_rng(0)
    written = [world.demonstrate(one, rng) for _ in range(200)]
    assert len(set(written)) == 6
    wrong = [world.demonstrate(one, rng, wrong=True) for _ in range(50)]
    assert all(world.verify(one, w).score < 1 for w in wrong)
    assert "demonstration" not in world.truth


def test_options_show_in_the_id_and_bad_ones_are_refused():
    assert open_world("preferences").id == "preferences-v1"
    assert open_world("preferences?cycle=0.5&difficulty=0").id == (
        "preferences-v1?difficulty=0&cycle=0.5"
    )
    for option in ("noise=0.6", "cycle=-1", "sharpness=0", "slips=2"):
        with pytest.raises(WorldError, match=option.split("=")[0]):
            open_world(f"preferences?{option}")


def test_preferences_are_truth_and_a_world_without_truth_has_none():
    assert RunView(Preferences()).preference(task("abc"), "abc", "abc") == 0.5
    with pytest.raises(AttributeError, match="without truth has no 'preference'"):
        _ = Blind(Preferences()).preference


# ---------------------------------------------------------------- files


def write(path, *rows):
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return str(path)


def test_a_file_of_preferences_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "mine.jsonl"
    assert write_pairs(path, Preferences(difficulty=0.0), 300, num_votes=2) == 300
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    world, gold = open_world(f"pairs:{path}"), Preferences(difficulty=0.0)
    assert world.num_pairs == 300 and world.num_canonical == len({r["prompt"] for r in rows})
    assert world.id.startswith("pairs:mine:") and world.max_answer_tokens == 6
    rng, known = np.random.default_rng(0), {(r["prompt"], r["chosen"], r["rejected"]) for r in rows}
    for one in world.draw(TaskRole.TRAIN, rng, 50):
        chosen, rejected, share = world.annotated_pair(one, rng)
        assert (one.prompt, chosen, rejected) in known and share == 1.0
        assert gold.named(task(one.prompt, gold)).role is TaskRole.TRAIN
    assert world.verify(one, chosen).score == 0.0 and world.truth == {"preference"}


def test_every_prompt_is_drawn_before_one_comes_twice_and_too_many_are_refused(tmp_path):
    rows = [{"prompt": f"p{i}", "chosen": "a", "rejected": "b"} for i in range(200)]
    world = open_pairs(write(tmp_path / "x.jsonl", *rows))
    num = world.num_tasks["claim"]
    drawn = world.draw_distinct(TaskRole.CLAIM, np.random.default_rng(0), num)
    assert len({t.id for t in drawn}) == num
    with pytest.raises(WorldError, match=f"at most {num}"):
        world.draw_distinct(TaskRole.CLAIM, np.random.default_rng(0), num + 1)
    with pytest.raises(WorldError, match="no difficulties"):
        world.draw(TaskRole.TRAIN, np.random.default_rng(0), 1, 0.5)
    few = open_pairs(write(tmp_path / "y.jsonl", rows[0]))
    empty = next(role for role in TaskRole if not few.num_tasks[role.value])
    with pytest.raises(WorldError, match="none of the 1 prompts"):
        few.draw(empty, np.random.default_rng(0), 1)


GOOD = {"prompt": "p", "chosen": "a", "rejected": "b"}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            {**GOOD, "rejected": "a "},
            "pair 2 of .* prefers an answer to itself.*Take such lines out",
        ),
        ({**GOOD, "chosen": " "}, "'chosen' in line 2 of .* is empty"),
        ({**GOOD, "rejected": ""}, "'rejected' in line 2 of .* is empty"),
        ({**GOOD, "rejected": None}, "expected text or a number"),
        ({"prompt": "p", "chosen": "a"}, "no column 'rejected'.*rejected=COLUMN"),
        ("{", "line 2 of .* is not JSON"),
        ("[1]", "expected a JSON object"),
    ],
)
def test_a_bad_pair_is_refused_in_a_line_that_says_where_it_stands(tmp_path, row, expected):
    with pytest.raises(WorldError, match=expected) as error:
        open_pairs(write(tmp_path / "x.jsonl", GOOD, row))
    assert "\n" not in str(error.value)


def test_an_empty_file_and_a_missing_one_are_refused(tmp_path):
    with pytest.raises(WorldError, match="holds no pair"):
        open_pairs(write(tmp_path / "x.jsonl"))
    with pytest.raises(WorldError, match="there is no file"):
        open_world(f"pairs:{tmp_path}/y.jsonl")


def test_other_names_of_columns_can_be_given(tmp_path):
    path = write(tmp_path / "x.jsonl", {"q": "p", "yes": "a", "no": "b"})
    world = open_world(f"pairs:{path}?prompt=q&chosen=yes&rejected=no")
    one = Task("", world.id, "p")
    assert world.annotated_pair(one, np.random.default_rng(0)) == ("a", "b", 1.0)
    assert world.demonstrate(one, np.random.default_rng(0)) == "a"
    assert LETTERS == "abcdefghijklmnopqr"
