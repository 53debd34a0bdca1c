"""Whole trees, and pictures of them. A change of any rule of a search changes some of these.

Drawn by `as_text` on 2026-11-21 and gone through by hand: the counting script is right or one too
high at every digit; values of `weighted` follow from those of children by their visits, as 0.37 =
(2 * 0.17 + 3 * 0.5) / 5; those of `puct` from the formula, which test_solved_searches writes out a
second time.
"""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from askesis.explore.search import Search
from askesis.measure.searches import Searches
from askesis.records import Start
from askesis.search.back_up import Most, OfChildren
from askesis.search.draw import as_svg, as_text
from askesis.search.evaluate import Judged, Nothing, Paid, ValueHead, Verified
from askesis.search.expand import Draws
from askesis.search.frontier import DepthFirst, StepBeam
from askesis.search.rollouts import Ahead, Rollouts
from askesis.search.select import PUCT
from askesis.search.steps import Steps
from askesis.search.walked import Moves
from tests.explore.host import Host, says, view
from tests.search.solved import Crosses, Digits, counts
from tests.search.test_solved_searches import Letters, table


def share_right(task, text: str) -> float:
    return sum(a == b for a, b in zip(text.split(","), "123", strict=False)) / 3


def on_digits(search: Search):
    return Host(says(counts), world=Digits()).explore(search, Start(Digits().make()))


def uct():
    return on_digits(Search(expand=Draws(num=3), evaluate=Rollouts(num=2), num_simulations=9))


def weighted():
    return on_digits(
        Search(
            expand=Draws(num=3), evaluate=Judged(by=share_right), back_up=OfChildren(),
            ahead=Ahead(), visit="best", num_simulations=8,
        )
    )  # fmt: skip


def beam():
    return on_digits(
        Search(
            select=StepBeam(width=2), expand=Draws(num=3), evaluate=Judged(by=share_right),
            visit="all",
        )
    )  # fmt: skip


def puct():
    search = Search(
        edge=Steps(step_tokens=1), select=PUCT(), expand=Draws(num=4), evaluate=ValueHead(),
        end=Verified(wrong=-1.0), visit="opened", num_simulations=6,
    )  # fmt: skip
    world = Letters()
    return Host({"policy": table()}, world=world).explore(search, Start(world.make()))


def depth_first():
    search = Search(
        edge=Moves(illegal="drop"), select=DepthFirst(), expand=Draws(num=4, merge="tree"),
        evaluate=Nothing(), end=Paid(), back_up=Most(), visit="all", num_simulations=30,
    )  # fmt: skip
    world = Crosses()
    host = Host(says(lambda text, u: str(int(u * 9))), world=world)
    return host.explore(search, Start(world.make("x.o.x.o..")))


GOLDEN = {
    uct: """\
count:  N 9  V 0.11
├─ 2,  N 4  V 0.00
│  ├─ 3,  N 2  V 0.00
│  │  ├─ 3,  N 1  V 0.00
│  │  └─ 4,  N 0
│  └─ 2,  N 1  V 0.00
│     ├─ 3,  N 1  V 0.00
│     └─ 4,  N 0
└─ 1,  N 5  V 0.20
   ├─ 3,  N 2  V 0.00
   │  └─ 3,  N 1  V 0.00
   └─ 2,  N 3  V 0.33
      ├─ 4,  N 2  V 0.00
      │  └─ (end)  N 1  V 0.00  ■ 1
      └─ 3,  N 1  V 1.00
         └─ (end)  N 1  V 1.00  ■ 0
(simulations used up)""",
    weighted: """\
count:  N 8  V 0.34
├─ 2,  N 2  V 0.25
│  ├─ 3,  N 1  V 0.17
│  │  └─ 3,  N 1  V 0.17
│  └─ 2,  N 1  V 0.33
└─ 1,  N 6  V 0.37
   ├─ 3,  N 2  V 0.17
   │  ├─ 3,  N 1  V 0.33
   │  └─ 4,  N 1  V 0.00
   │     └─ (end)  N 1  V 0.00  ■ 1
   └─ 2,  N 3  V 0.50
      ├─ 3,  N 1  V 1.00
      └─ 4,  N 1  V 0.00
         └─ (end)  N 1  V 0.00  ■ 0
(simulations used up)""",
    beam: """\
count:  N 12  V 0.44
├─ 2,  N 6  V 0.22
│  ├─ 3,  N 1  V 0.00
│  └─ 2,  N 4  V 0.33
│     ├─ 4,  N 1  V 0.33
│     └─ 3,  N 2  V 0.33
│        └─ (end)  N 1  V 0.00  ■ 0
└─ 1,  N 6  V 0.67
   ├─ 3,  N 1  V 0.33
   └─ 2,  N 4  V 0.83
      ├─ 3,  N 2  V 1.00
      │  └─ (end)  N 1  V 1.00  ■ 1
      └─ 4,  N 1  V 0.67
(everything ended)""",
    puct: """\
s  N 10  V -0.25
├─ c  N 2  V -0.75  p 0.20
│  └─ (end)  N 1  V -1.00  ■ 2
├─ b  N 2  V 0.75  p 0.30
│  └─ (end)  N 1  V 1.00  ■ 1
└─ a  N 5  V -0.50  p 0.50
   ├─ (end)  N 1  V -1.00  p 0.50  ■ 0
   └─ a  N 3  V -0.58  p 0.50
      ├─ a  N 1  V -1.00  p 0.50  ■ 3
      └─ (end)  N 1  V -1.00  p 0.50  ■ 4
(everything ended)""",
    depth_first: """\
x.o.x.o..  N 5  V 1.00
├─ 5  N 3  V 1.00
│  ├─ 3  N 1  V 1.00  ■ 0
│  └─ 8  N 1  V 1.00  ■ 1
└─ 1  N 2  V 1.00
   └─ 7  N 1  V 1.00  ■ 2
(everything ended)""",
}


@pytest.mark.parametrize("make", GOLDEN, ids=lambda f: f.__name__)
def test_the_whole_tree_is_as_it_was(make):
    assert as_text(make().tree) == GOLDEN[make]


def test_a_search_is_a_function_of_its_seed():
    first, second = uct(), uct()
    assert as_text(first.tree) == as_text(second.tree)
    assert [a.id for a in first.attempts] == [a.id for a in second.attempts]
    assert all(
        (a.turns[0].tokens == b.turns[0].tokens).all()
        for a, b in zip(first.attempts, second.attempts, strict=True)
    )


def test_a_long_drawing_says_what_it_leaves_out():
    lines = as_text(uct().tree, most=3).split("\n")
    assert len(lines) == 5 and lines[3] == "... and 13 more" and lines[4] == "(simulations used up)"


def test_a_picture_has_a_mark_and_a_word_for_every_node():
    group = uct()
    picture = ElementTree.fromstring(as_svg(group.tree, outcomes={15: 1.0}))
    name = "{http://www.w3.org/2000/svg}"
    marks = picture.findall(f"{name}circle") + picture.findall(f"{name}rect")[1:]
    assert len(marks) == len(group.tree.nodes)
    words = [t.text for t in picture.findall(f"{name}text") if t.get("class") != "n"]
    assert len(words) == len(group.tree.nodes) and words[0] == "count:"
    assert len(picture.findall(f"{name}path")) == len(group.tree.nodes) - 1
    width, height = (float(picture.get(k)) for k in ("width", "height"))
    for mark in picture.findall(f"{name}circle"):
        assert 0 < float(mark.get("cx")) < width and 0 < float(mark.get("cy")) < height


def test_a_text_that_looks_like_markup_does_no_harm_in_a_picture():
    world = Digits()
    host = Host(says(lambda text, u: "<b>&,"), world=world)
    tree = host.explore(Search(max_depth=1), Start(world.make())).tree
    words = [t.text for t in ElementTree.fromstring(as_svg(tree)).iter() if t.text]
    assert "<b>&," in words


def test_searches_are_measured():
    groups = [uct(), beam()]
    ctx = Host(says(counts), world=Digits()).context("measure")
    found = Searches().measure(ctx, view(groups))
    assert found["tree/nodes"] == (16 + 13) / 2 and found["tree/simulations"] == (9 + 7) / 2
    assert found["tree/exhausted_fraction"] == 0.5 and found["tree/broken_fraction"] == 0.0
    assert found["tree/depth"] == 4.0 and 1 < found["tree/branches"] < 2
    assert Searches().measure(ctx, view([])) == {}
