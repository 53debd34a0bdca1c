"""A judge of attempts leads a search: what it is shown, and what it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from askesis.errors import ConfigError
from askesis.explore.search import Search
from askesis.records import About, Group, Start, StopReason, Verdict, VerdictKind
from askesis.search.by_judge import ByJudge
from askesis.search.expand import Draws
from askesis.search.frontier import BestFirst
from askesis.search.steps import Steps
from tests.explore.host import Host, Sums, says

WORLD = Sums()


@dataclass(frozen=True)
class LikesNines:
    """The number of nines, and nothing about what has none. Keeps what it was shown."""

    shown: list[Any] = field(default_factory=list)

    async def judge(self, ctx: Any, group: Group) -> list[Verdict]:
        self.shown.extend((a.text, a.stop) for a in group.attempts)
        nines = {a.id: float(a.text.count("9")) or None for a in group.attempts}
        assert len(nines) == len(group.attempts), "every place has an id of its own"
        return [Verdict("nines-v1", About(i), VerdictKind.OUTCOME, n) for i, n in nines.items()]


def search(judge: Any, **options: Any) -> Search:
    by = ByJudge(judge=judge, **options)
    return Search(
        edge=Steps(step_tokens=1, max_tokens=3), select=BestFirst(), expand=Draws(num=24),
        evaluate=by, end=by, visit="all", num_simulations=3,
    )  # fmt: skip


def test_it_goes_where_the_judge_likes_it_and_shows_it_what_was_said_so_far():
    judge = LikesNines()
    host = Host(says(lambda text, u: "9" if u < 0.5 else "1"), world=WORLD)
    tree = host.explore(search(judge, unknown=-1.0), Start(WORLD.make(1, 2))).tree
    own = {"".join(t.text for n in tree.path(i) for t in n.edge): node.labels.get("own")
           for i, node in enumerate(tree.nodes)}  # fmt: skip
    assert own["9"] == 1.0 and own["1"] == -1.0 and own["99"] == 2.0
    assert tree.spent["judged"] == len(judge.shown) == len(tree.nodes) - 1
    assert ("9", StopReason.OPEN) in judge.shown


def test_what_is_no_judge_or_no_number_is_refused():
    with pytest.raises(ConfigError, match="judge"):
        ByJudge(judge="verifier")
    with pytest.raises(ConfigError, match="unknown"):
        ByJudge(judge=LikesNines(), unknown=float("nan"))
