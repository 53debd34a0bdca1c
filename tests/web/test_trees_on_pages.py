"""Search trees of a run on its page and in the terminal: drawn, marked, bounded, and only text."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from askesis.cli.main import main
from askesis.config import to_tree
from askesis.errors import RunError
from askesis.explore.search import Search
from askesis.lab import stored_trees
from askesis.lab.report_data import report_data
from askesis.lab.stored_trees import find_tree
from askesis.recipes.rft import rft
from askesis.records import Attempt, Group, Start, StopReason, Task, Turn, Verdict
from askesis.search.draw import as_svg, as_text
from askesis.search.expand import Draws
from askesis.search.prune import pruned
from askesis.store.run_store import RunStore
from askesis.trees import Node, Tree
from askesis.web import report
from tests.explore.host import Host, says
from tests.probes.house import verdict
from tests.search.solved import Digits, counts
from tests.web.browser import SCREENS, chromium, open_browser, open_page
from tests.web.test_report import HOSTILE, Tags

NAME = HOSTILE.replace("\ud800", "")  # SQL takes no half of a character
EVIL = HOSTILE + "\x00\u202e'\"<svg onload=alert(3)>"


def searched(round: int, copies: int = 2) -> list[Group]:
    """Trees of sixteen simulations by the counting script, one a copy of the start."""
    world = Digits()
    host = Host(says(counts), world=world, seed=round)
    search = Search(expand=Draws(num=3), num_simulations=16)
    starts = [Start(world.make(), copy=i) for i in range(copies)]
    return [host.explore(search, start, round=round) for start in starts]


def evil() -> Group:
    """A tree of 300 nodes whose task and edges are hostile; its last attempt is right."""
    name = f"1.explore/{NAME}"
    start = Start(Task(NAME, "letters-v1", EVIL, "x"))
    nodes = [Node(0, -1, visits=300, value=0.5)]
    for i in range(1, 300):
        is_end = i % 100 == 99
        labels = {"attempt": float(i // 100)} if is_end else {}
        parent = i - 1 if i % 100 else 0  # three chains, a hundred deep
        depth = nodes[parent].depth + 1
        nodes.append(
            Node(
                i,
                parent,
                (Turn("guest", f"{i}{EVIL}"),),
                depth,
                300 - i,
                i / 300,
                1.0,
                is_end,
                labels,
            )
        )
    tree = Tree(f"{name}#-1", start, tuple(nodes), HOSTILE, {"simulations": 300.0})
    said = (Turn("guest", EVIL),)
    return Group(
        start.key,
        tuple(Attempt(f"{name}#{i}", start, said, StopReason.ENDED) for i in range(3)),
        tree,
    )


def stored(path, rounds: list[list[Group]]) -> None:
    """A run directory with these groups, a segment a round, everything judged."""
    store = RunStore.create(path, config=to_tree(rft()), manifest={"python": "3"})
    for index, groups in enumerate(rounds):
        attempts = [a for g in groups for a in g.attempts]
        judged: list[Verdict] = [
            verdict("verifier", a, float(a.text == "1,2,3," or a.id.endswith(f"{NAME}#2")))
            for a in attempts
        ]
        store.append("trees", [g.tree for g in groups if g.tree], round=index, phase="main")
        store.append("attempts", attempts, round=index, phase="main")
        store.append("verdicts", judged, round=index, phase="main")
        store.commit_round(index, "main", metrics={})
        store.close_segment(
            index,
            states={},
            save_models=lambda p: None,
            snapshots={},
            counters={"stopped": "it is over"},
        )
    store.close()


@pytest.fixture(scope="module")
def groups() -> list[list[Group]]:
    return [searched(0), [*searched(1), evil()]]


@pytest.fixture(scope="module")
def run(groups, tmp_path_factory):
    path = tmp_path_factory.mktemp("trees") / "run"
    stored(path, groups)
    return path


@pytest.fixture(scope="module")
def data(run):
    return report_data(run)


@pytest.fixture(scope="module")
def page(data) -> str:
    return report.render(data)


# ---------------------------------------------------------------- on the page


def test_an_attempt_shows_the_tree_it_was_found_in_and_the_way_there(data, groups):
    whole = {g.tree.id: g.tree for row in groups for g in row}
    right = {a.id for row in groups for g in row for a in g.attempts if a.text == "1,2,3,"}
    assert len(data.trees.shown) >= 5
    for attempt, shown in data.trees.shown.items():
        tree = whole[shown.tree.id]
        assert shown.num_nodes == len(tree.nodes)
        assert shown.tree.attempt_id(shown.marked) == attempt
        (end,) = [n.index for n in tree.nodes if tree.attempt_id(n.index) == attempt]
        said = "".join(t.text for t in tree.turns(end))
        assert "".join(t.text for t in shown.tree.turns(shown.marked)) == said
        if NAME not in attempt:
            assert (shown.outcomes[shown.marked] == 1) == (attempt in right)
        drawn = report.pictures(data)[attempt]
        assert drawn.count('class="way"') == shown.tree.nodes[shown.marked].depth
        assert drawn.count('class="at') == len(shown.tree.nodes)


def test_the_page_with_trees_needs_nothing_outside_itself(page, data):
    tags = Tags(page)
    assert tags.tags.count("svg") == page.count('<details class="tree">') == len(data.trees.shown)
    assert tags.outside == []
    assert tags.tags.count("script") == 4
    assert tags.tags.count("style") == 1  # a style inside a picture would reach the whole page
    assert len(tags.ids) == len(set(tags.ids))


def test_hostile_words_of_a_tree_stay_words(page, data):
    tags = Tags(page)
    assert any(NAME in name for name in data.trees.shown)
    assert tags.tags.count("img") == 0
    assert "<svg onload" not in page
    assert "\x00" not in page and "\u202e" not in page
    for drawn in report.pictures(data).values():
        ElementTree.fromstring(drawn.encode("utf-8"))  # whole, as XML


def test_a_large_tree_is_cut_and_the_page_says_so(page, data):
    (name,) = [n for n in data.trees.shown if NAME in n][:1] or [""]
    shown = data.trees.shown[name]
    # the way of a hundred edges stays whole, though it is longer than a picture may be otherwise
    assert len(shown.tree.nodes) <= max(
        stored_trees.NUM_NODES, shown.tree.nodes[shown.marked].depth + 1
    )
    assert f"{shown.num_left_out} of 300 nodes, those passed least, are not drawn" in page


@pytest.mark.slow
def test_pictures_are_few_and_the_other_trees_are_named(run, monkeypatch):
    monkeypatch.setattr(stored_trees, "NUM_PICTURES", 2)
    few = report_data(run)
    assert len(few.trees.shown) == 2
    assert {s.round for s in few.trees.shown.values()} == {1, 2}
    assert few.trees.others
    made = report.render(few)
    assert made.count("<svg") == 2
    assert made.count("found in a tree that is not drawn here") == len(few.trees.others)


def test_a_run_without_trees_has_a_page_without_them(data):
    bare = replace(data, trees=stored_trees.TreeData())
    made = report.render(bare)
    assert "<svg" not in made
    assert "tree it was found in" not in made


# ---------------------------------------------------------------- cut down


def test_what_is_cut_from_a_tree_is_counted_where_it_was(groups):
    tree = groups[0][0].tree
    for most in (1, 2, 5, 9, len(tree.nodes) - 1):
        small, at = pruned(tree, most)
        assert len(small.nodes) == most
        gone = sum(int(n.labels.get("left_out", 0)) for n in small.nodes)
        assert most + gone == len(tree.nodes)
        for old, new in at.items():
            assert small.nodes[new].index == new
            assert small.nodes[new].parent == at.get(tree.nodes[old].parent, -1)
            assert small.nodes[new].edge == tree.nodes[old].edge
        least = min(small.nodes[new].visits for new in at.values())
        reachable = [n for n in tree.nodes if n.index not in at and n.parent in at]
        assert all(n.visits <= least for n in reachable)
    assert pruned(tree, len(tree.nodes))[0] is tree


def test_a_way_that_is_asked_for_stays_whole(groups):
    tree = groups[1][-1].tree
    small, at = pruned(tree, 10, keep=[299])
    assert len(small.nodes) == 101
    assert [n.edge for n in small.path(at[299])] == [n.edge for n in tree.path(299)]
    assert "+199" in as_text(small, "guest").split("\n")[0]  # two chains that hang on the root


# ---------------------------------------------------------------- in the terminal


def shown(capsys, *words) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(["tree", *map(str, words)])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_a_tree_is_printed_by_attempt_with_an_arrow_there(run, groups, capsys):
    group = groups[0][1]
    code, out, _ = shown(capsys, run, group.attempts[2].id)
    assert code == 0
    first, *lines = out.splitlines()
    assert first.startswith(f"{group.tree.id}, round 1, {len(group.tree.nodes)} nodes; ")
    assert [line.removesuffix("  <--") for line in lines] == as_text(group.tree).splitlines()
    (arrow,) = [line for line in lines if line.endswith("<--")]
    assert "■ 2" in arrow


def test_a_task_gives_its_last_tree_and_names_the_others(run, groups, capsys):
    last = groups[1][1].tree
    code, out, _ = shown(capsys, run, "digits:0")
    assert code == 0
    assert out.startswith(f"{last.id}, round 2")
    assert f"the last of 4 trees; before it: {groups[0][0].tree.id}, " in out
    assert shown(capsys, run, groups[0][0].tree.id)[1].startswith(groups[0][0].tree.id)


def test_a_tree_can_be_cut_and_drawn_into_a_file(run, groups, tmp_path, capsys):
    place = tmp_path / "tree.svg"
    code, out, _ = shown(capsys, run, f"1.explore/{NAME}#2", "--svg", place, "--nodes", 120)
    assert code == 0
    assert "180 nodes that were passed least are left out (--nodes)" in out
    assert "\x1b" not in out and "\u202e" not in out
    picture = ElementTree.fromstring(place.read_bytes())
    colours = [e.get("stroke") for e in picture.iter() if e.tag.endswith("path")]
    assert colours.count("#c2571a") == 100
    rims = [e.get("stroke-width") for e in picture.iter() if e.get("fill", "") != "none"]
    assert rims.count("3") == 1  # the attempt that was right


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digits:1", "no tree of 'digits:1'.*Did you mean 'digits:0'"),
        ("0.explore/digits:0#99", "has no attempt.*a number from 0 to"),
        ("#", "no tree of '#'"),
    ],
)
def test_a_name_that_is_none_is_one_clear_error(run, name, words):
    with RunStore.open(run) as store, pytest.raises(RunError, match=words):
        find_tree(store, name, 10)


def test_a_run_that_does_not_search_says_so(tmp_path, capsys):
    stored(tmp_path / "run", [])
    code, _, err = shown(capsys, tmp_path / "run", "digits:0")
    assert code != 0
    assert "has no search trees" in err and err.count("\n") == 1


def test_a_picture_that_cannot_be_written_is_one_clear_error(run, tmp_path, capsys):
    code, _, err = shown(capsys, run, "digits:0", "--svg", tmp_path / "none" / "x.svg")
    assert code != 0
    assert "cannot be written" in err and err.count("\n") == 1


def test_a_picture_of_its_own_keeps_its_colours(groups):
    tree = groups[0][0].tree
    own, on_page = as_svg(tree), as_svg(tree, on_page=True)
    assert "<style>" in own and 'fill="#ffffff"' in own
    assert "<style>" not in on_page and not re.search(r'(fill|stroke)="#', on_page)


# ---------------------------------------------------------------- in a browser


@pytest.mark.slow
def test_a_tree_opens_in_light_and_dark_and_stays_within_its_card(page, tmp_path):
    program = chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    place = tmp_path / "report.html"
    place.write_text(page, encoding="utf-8", errors="backslashreplace")
    colours = """d => ["edge", "way", "at"].map(c => {
        const s = getComputedStyle(d.querySelector("." + c));
        return c === "at" ? s.fill : s.stroke;
    }).concat(getComputedStyle(d.querySelector("text")).fill)"""
    seen = {}
    with open_browser(program) as browser:
        for screen in SCREENS:
            with open_page(browser, place, screen=screen) as opened:
                opened.select_option("#round", "1")
                card = opened.locator("article:visible:has(details.tree)").first
                before = card.bounding_box()["width"]
                card.locator("details.tree summary").click()
                assert card.bounding_box()["width"] >= before
                assert card.locator("svg.tree rect").count() > 0
                over = "document.documentElement.scrollWidth - window.innerWidth"
                assert opened.evaluate(over) <= 0
                if screen == "desktop":
                    assert card.bounding_box()["width"] > 2 * before  # the whole row
                    for scheme in ("light", "dark"):
                        opened.emulate_media(color_scheme=scheme)
                        seen[scheme] = card.locator("svg.tree").evaluate(colours)
                    opened.fill("#find", "+")  # stands in trees alone
                    assert opened.locator(".said > article:visible").count() == 0
                assert opened.troubles == []
    for scheme, found in seen.items():
        assert "none" not in found
        assert len(set(found[:2])) == 2, f"the way is marked ({scheme})"
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))
