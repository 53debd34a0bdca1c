"""The page about a comparison, from a file made by hand."""

from __future__ import annotations

import json
import re

import pytest

from askesis.errors import RunError
from askesis.lab.compare.record import Comparison, read_comparison
from askesis.web import compare
from askesis.web.report import write_report
from tests.web.hand_made import ARMS, WORLDS, comparison, write
from tests.web.test_report import HOSTILE, Tags


@pytest.fixture(scope="module")
def content() -> dict:
    return comparison()


@pytest.fixture(scope="module")
def read(content) -> Comparison:
    return Comparison.model_validate(content)


def test_the_report_command_knows_a_comparison_from_a_run(content, tmp_path):
    place = write_report(write(tmp_path / "c", content))
    assert place == tmp_path / "c" / "compare.html"
    tags = Tags(place.read_text())
    assert tags.outside == []
    assert set(tags.inside) <= {f"#{name}" for name in tags.ids}


def test_conclusions_stand_first_in_the_words_they_were_given(content, read, tmp_path):
    page = compare.render(read, tmp_path)
    found = [page.index(words) for words in content["conclusions"]]
    assert found == sorted(found)
    assert found[-1] < page.index("At the budget</h2>")
    assert "1 of 60 runs did not come to their end" in page
    assert "learning diverged" in page


def test_an_arm_has_one_colour_on_the_whole_page(read):
    traces = [
        t
        for made in [*compare.curve_charts(read), *compare.worth_charts(read)]
        for view in made["views"].values()
        for t in view["traces"]
        if t.get("fill") is None
    ]
    for i, arm in enumerate(ARMS):
        colors = {t["marker"]["color"] for t in traces if t["name"] == arm}
        assert colors == {f"@c{i}"}


def test_curves_are_drawn_against_every_budget_axis_there_is(read):
    first, second = compare.curve_charts(read)
    assert list(first["views"]) == ["tokens", "trained_tokens", "seconds"]
    tokens = first["views"]["tokens"]
    assert [s["x0"] for s in tokens["layout"]["shapes"] if s["xref"] == "x"] == [1e6]
    assert not [s for s in first["views"]["seconds"]["layout"]["shapes"] if s["xref"] == "x"]
    assert second["title"] == f"pass@1 on {WORLDS[1]}"


def test_scores_at_the_budget_are_sorted_with_their_seeds(read, content):
    view = compare.budget_charts(read, ["pass@1"])[0]["views"]["pass@1"]
    best_last = [t["y"][0] for t in view["traces"] if t["name"] != "seeds"]
    scores = content["at_budget"][WORLDS[0]]
    assert best_last == sorted(ARMS, key=lambda a: scores[a]["pass@1"]["value"])
    seeds = [t for t in view["traces"] if t["name"] == "seeds"]
    assert all(len(t["x"]) == 5 for t in seeds)


def test_the_heat_map_has_the_row_beat_the_column(read, content):
    (trace,) = compare.improvement_charts(read)[0]["traces"]
    table = content["improvement"][WORLDS[0]]
    for row, a in zip(trace["z"], trace["y"], strict=True):
        for cell, b in zip(row, trace["x"], strict=True):
            assert cell == (None if a == b else table[a][b]["probability"])


def test_a_winner_by_tokens_that_loses_by_seconds_is_shown_as_such(read, tmp_path):
    (first, _) = compare.reversals(read)
    assert re.match(
        "On countdown which mean is highest depends on the budget: .*rft for sec", first
    )
    assert first in compare.render(read, tmp_path)
    same = read.model_copy(update={"ranking": {"w": {"tokens": ["a", "b"], "seconds": ["a", "b"]}}})
    assert compare.reversals(same) == []


def test_what_tuning_tried_and_took_is_shown(content, tmp_path):
    arm, world = content["arms"][0], content["worlds"][0]
    tried = [{"options": {"rate": "1"}, "value": 0.125}, {"options": {"rate": "7"}, "value": None}]
    tuned = {world: {arm: {"chosen": {"rate": "1"}, "tried": tried}}}
    page = compare.render(Comparison.model_validate(content | {"tuned": tuned}), tmp_path)
    assert 'rate 1</td><td class="num">12.5 %</td><td>taken' in page
    assert 'rate 7</td><td class="num">failed</td><td></td>' in page


def test_one_seed_says_what_cannot_be_said(tmp_path):
    one = Comparison.model_validate(comparison(("rft", "grpo"), ("countdown",), 1))
    assert "No method can be called better from this" in compare.render(one, tmp_path)
    three = comparison(("rft", "grpo"), ("countdown",), 3) | {"conclusions": []}
    few = Comparison.model_validate(three)
    assert "3 seeds are few" in compare.notices(few)[0]


def test_a_comparison_of_which_nothing_is_finished_has_a_page(tmp_path):
    bare = {"version": 1, "arms": ["rft", "grpo"], "worlds": ["countdown"], "seeds": [0, 1, 2, 3, 4],
            "metric": "pass@1"}  # fmt: skip
    page = compare.render(Comparison.model_validate(bare), tmp_path)
    assert "Nothing yet: no arm has come to its end" in page


def test_hostile_names_stay_text(content, tmp_path):
    text = json.dumps(content).replace('"dapo"', json.dumps(HOSTILE))
    evil = json.loads(text) | {"conclusions": [HOSTILE], "command": HOSTILE}
    evil["machine"] = {HOSTILE: HOSTILE}
    page = compare.render(Comparison.model_validate(evil), tmp_path)
    tags = Tags(page)
    assert tags.tags.count("script") == 4
    assert "img" not in tags.tags


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "is no comparison"),
        ('{"version": 2}', "written by a newer askesis"),
        ('{"version": 1, "arms": ["a"], "worlds": ["w"], "seeds": [0]}', "metric: Field required"),
        (
            '{"version": 1, "arms": [], "worlds": ["w"], "seeds": [0], "metric": "pass@1"}',
            "arms: List should have at least 1 item",
        ),
    ],
)
def test_half_a_file_is_one_clear_error(tmp_path, text, words):
    (tmp_path / "compare.json").write_text(text)
    with pytest.raises(RunError, match=words):
        write_report(tmp_path)


def test_no_file_is_an_error_too(tmp_path):
    with pytest.raises(RunError, match="no comparison at"):
        read_comparison(tmp_path)
