"""Budgets, dead ends, cycles, judges that say nothing: a search ends and gives what it found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from askesis.config import coerce, from_tree, override, to_tree
from askesis.errors import ConfigError, ModelError, TruthError, WorldError
from askesis.explore.search import Search
from askesis.plan import Parts, Phase, Plan
from askesis.records import Purpose, Start, StopReason
from askesis.requests import All, Checked, Say
from askesis.search.evaluate import (
    Confidence,
    Judged,
    Nothing,
    Paid,
    ValueHead,
    Verified,
    Weighted,
)
from askesis.search.expand import Draws
from askesis.search.frontier import BestFirst, BreadthFirst, DepthFirst, StepBeam
from askesis.search.revisions import Revisions
from askesis.search.rollouts import Ahead, Rollouts
from askesis.search.select import PUCT, UCT
from askesis.search.steps import Plans, Steps
from askesis.search.walked import Moves
from askesis.worlds.countdown import Countdown
from askesis.worlds.maze import Maze
from askesis.worlds.views import Blind
from tests.explore.host import Corridor, Host, Sums, says
from tests.search.solved import Arms, Digits, counts
from tests.search.test_solved_searches import Letters, table

DIGITS = Digits()
SELECTS = (UCT(), PUCT(), BestFirst(), BreadthFirst(), DepthFirst(), StepBeam())


def steps(**options) -> Search:
    options.setdefault("visit", "all")
    options.setdefault("evaluate", Nothing())
    return Search(expand=Draws(num=4), **options)


def grown(search: Search, script=counts, world=DIGITS, seed: int = 0):
    """The context and the group of one search."""
    host = Host(says(script), world=world, seed=seed)
    ctx = host.context("explore")
    return ctx, host.call(ctx, search.explore, Start(world.make()))


# ---------------------------------------------------------------- budgets


@pytest.mark.parametrize("select", SELECTS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("num", [0, 1, 3])
def test_no_more_is_opened_than_simulations_allow(select, num):
    _, group = grown(steps(select=select, num_simulations=num))
    opened = {n.parent for n in group.tree.nodes[1:]}
    assert len(opened) <= num and group.tree.spent["simulations"] <= num
    if not num:
        assert (len(group.tree.nodes), group.attempts) == (1, ())
        assert group.tree.ended == "no simulations allowed"


def test_a_budget_of_nothing_is_told():
    ctx, _ = grown(steps(num_simulations=0))
    assert ctx.events == [("search_ended", {"start": "digits:0", "why": "no simulations allowed"})]
    ctx, _ = grown(steps(num_simulations=2))
    assert ctx.events == []


def test_tokens_and_judge_calls_end_a_search_at_the_next_simulation():
    _, group = grown(steps(num_tokens=20))
    assert group.tree.ended == "tokens used up"
    assert 20 <= group.tree.spent["tokens"] < 20 + 4 * 3  # four draws of at most three tokens
    _, group = grown(steps(evaluate=Judged(by=lambda task, text: len(text)), num_judged=1))
    assert group.tree.ended == "judge calls used up" and group.tree.spent["simulations"] == 1
    _, group = grown(steps(num_judged=0))
    assert group.tree.ended == "no judge calls allowed" and len(group.tree.nodes) == 1


def test_what_is_counted_is_what_was_said():
    host = Host(says(counts), world=DIGITS)
    search = Search(expand=Draws(num=2), evaluate=Rollouts(num=2), num_simulations=4)
    group = host.explore(search, Start(DIGITS.make()))
    train, probe = (host.meter.counts[f"generated/{p}"] for p in (Purpose.TRAIN, Purpose.PROBE))
    assert group.tree.spent["tokens"] == train + probe and probe > 0


def test_an_answer_ends_where_its_allowance_does_and_a_way_where_its_depth_does():
    _, group = grown(steps(edge=Steps(max_tokens=3)))
    assert {a.stop for a in group.attempts} == {StopReason.LENGTH}
    assert all(len(a.turns[0].tokens) == 3 for a in group.attempts)
    _, group = grown(steps(max_depth=2))
    assert {a.stop for a in group.attempts} == {StopReason.TRUNCATED}
    assert {n.value for n in group.tree.nodes if n.terminal} == {0.0}  # cut off: wrong


# ---------------------------------------------------------------- where nothing can follow


def test_a_place_without_a_legal_move_is_a_dead_end():
    world = Arms(1.0)
    search = Search(edge=Moves(illegal="drop"), end=Paid(), expand=Draws(num=3))
    _, group = grown(search, lambda text, u: "z", world)
    assert (len(group.tree.nodes), group.attempts) == (1, ())
    assert group.tree.ended == "everything ended" and group.tree.spent["dropped"] == 3


def test_dead_ends_lower_down_are_attempts_and_the_search_goes_on_beside_them():
    world = Corridor()
    script = lambda text, u: ("l" if u < 0.5 else "r") if text.endswith("at 0") else "?"
    search = Search(edge=Moves(illegal="drop"), end=Paid(), visit="all", evaluate=Nothing())
    _, group = grown(search, script, world)
    assert group.tree.ended == "everything ended"
    assert [a.stop for a in group.attempts] == [StopReason.ILLEGAL] * 2
    assert {a.text for a in group.attempts} == {"l", "r"}


def test_cycles_are_no_edges():
    """Left and right for ever between two places: with merging there are two of them."""

    class Pair(Corridor):
        def step(self, task, state, action, seat=0):
            moved = super().step(task, [state[0], 0], action)
            where = moved.state[0] % 2
            return type(moved)([where, 0], f"at {where}")

        def position(self, task, state):
            return str(state[0])

    script = lambda text, u: "l" if u < 0.5 else "r"
    for merge, num in (("state", 2), ("tree", 2)):
        search = Search(
            edge=Moves(), end=Paid(), evaluate=Nothing(), visit="all", num_simulations=50,
            expand=Draws(num=6, merge=merge),
        )  # fmt: skip
        _, group = grown(search, script, Pair())
        assert len(group.tree.nodes) == num and group.tree.ended == "everything ended"
        assert group.tree.spent["dropped"] >= 6
    search = Search(edge=Moves(), end=Paid(), evaluate=Nothing(), num_simulations=9, visit="all")
    _, group = grown(search, script, Pair())  # unmerged it is cut by the budget
    assert group.tree.ended == "simulations used up" and max(n.depth for n in group.tree.nodes) > 1


@pytest.mark.parametrize("select", SELECTS, ids=lambda s: type(s).__name__)
def test_a_tree_of_ends_alone_is_searched_once(select):
    _, group = grown(steps(select=select), lambda text, u: "1" if u < 0.5 else "2")
    assert group.tree.ended == "everything ended" and len(group.attempts) == 2
    assert all(n.terminal for n in group.tree.nodes[1:])


def test_a_silent_speaker_makes_one_empty_attempt():
    _, group = grown(steps(), lambda text, u: "")
    assert [a.text for a in group.attempts] == [""]
    assert group.tree.nodes[1].labels["draws"] == 4


# ---------------------------------------------------------------- judges that fail


def blind_behind_two(task, text: str) -> float:
    return math.nan if text.count(",") == 2 else 0.5


@pytest.mark.parametrize("select", SELECTS, ids=lambda s: type(s).__name__)
def test_a_judge_that_says_no_number_ends_the_search_with_what_was_found(select):
    ctx, group = grown(steps(select=select, evaluate=Judged(by=blind_behind_two)))
    assert "Judged said nan of place" in group.tree.ended
    assert ctx.events[0][1]["why"] == group.tree.ended
    values = [n.value for n in group.tree.nodes]
    assert all(math.isfinite(v) for v in values) and values[1] == 0.5


def test_a_judge_that_raises_ends_the_search_once_something_was_found_and_fails_it_before():
    seen: list[str] = []

    def breaks(task, text: str) -> float:
        seen.append(text)
        if len(text) > 2 and text[0] != seen[0][0]:  # below the second branch
            raise ZeroDivisionError("by hand")
        return 0.0

    found_before = steps(select=DepthFirst(), evaluate=Judged(by=breaks))
    _, group = grown(found_before)
    assert group.tree.ended == "ZeroDivisionError: by hand" and group.attempts
    with pytest.raises(ZeroDivisionError):
        grown(steps(evaluate=Judged(by=lambda task, text: 1 / 0)))


def test_what_the_user_can_mend_is_raised():
    search = steps(evaluate=Confidence(), select=BestFirst())
    host = Host(says(counts), world=DIGITS)
    say = host.speakers.say
    mute = lambda asked: [replace(t, logp_model=np.zeros(0, np.float32)) for t in say(asked)]
    host.driver.serve[Say] = mute
    with pytest.raises(ModelError, match="log-probabilities"):
        host.explore(search, Start(DIGITS.make()))


def test_a_search_that_is_cancelled_leaves_no_coroutine_behind():
    host = Host(says(counts), world=DIGITS)
    ctx = host.context("explore")

    async def fails():
        await ctx.check(DIGITS.make(), "1")
        raise ValueError("a sibling")

    async def both():
        await All([steps().explore(ctx, Start(DIGITS.make())), fails()])

    (outcome,) = host.drive([both])
    assert str(outcome.error) == "a sibling"


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    "make",
    [lambda: Search(num_simulations=-1), lambda: Search(max_depth=0), lambda: Search(visit="x"),
     lambda: Search(select=BestFirst()), lambda: Draws(num=0), lambda: Draws(merge="x"),
     lambda: UCT(exploration_coef=-1.0), lambda: PUCT(exploration_coef=math.nan),
     lambda: StepBeam(width=0), lambda: Steps(step_tokens=0), lambda: Moves(illegal="x"),
     lambda: Revisions(instruction=""), lambda: Rollouts(num=0), lambda: Rollouts(num=2, keep=True),
     lambda: Ahead(blend=2.0), lambda: Verified(right=0.0), lambda: Search(select=NoPart()),
     lambda: Weighted(parts=(Nothing(),), coefs=()), lambda: Search(select="nobody")],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(make):
    with pytest.raises(ConfigError):
        make()


@dataclass(frozen=True)
class NoPart:
    """Something that is no part of a search."""


def test_a_search_over_moves_is_refused_where_no_world_has_turns():
    host = Host(says({}), world=Sums())
    with pytest.raises(WorldError, match="no world of this run has turns"):
        Search(edge=Moves()).on_phase_start(host.context("explore"))
    Search().on_phase_start(host.context("explore"))


def test_parts_are_named_on_the_command_line_and_survive_being_stored():
    plan = Plan(recipe="x", phases=(Phase(parts=Parts(explore=Search())),))
    plan = override(plan, "explore.select", "puct?exploration_coef=2")
    plan = override(plan, "explore.expand.num", "7")
    plan = override(plan, "explore.edge", "search.moves")
    search = plan.phases[0].parts.explore
    assert (search.select, search.expand.num) == (PUCT(exploration_coef=2.0), 7)
    assert search.edge == Moves() and from_tree(to_tree(plan)) == plan
    with pytest.raises(ConfigError, match="no part that can stand here"):
        override(plan, "explore.select", "mean")
    assert coerce(Search, "ahead", "ahead") == "ahead" and Search(ahead="ahead").ahead == Ahead()


# ---------------------------------------------------------------- other edges


def test_a_short_step_goes_on_with_the_next_one():
    _, group = grown(steps(edge=Steps(min_tokens=3)))
    assert {n.edge[-1].text.count(",") + len(n.edge) for n in group.tree.nodes[1:]} <= {1, 2, 3}
    first = [n for n in group.tree.nodes if n.depth == 1]
    assert all(sum(len(t.tokens) for t in n.edge) == 4 for n in first)
    assert {a.text.count(",") for a in group.attempts} == {3}


def test_plans_are_searched_and_their_solutions_said_whole():
    def plans(text: str, u: float) -> str:
        if "#" not in text:
            return "#add\n" if u < 0.5 else "#guess\n"
        solution = "3\n4\n7" if "#add" in text else "9\n9"
        said = text.rpartition("#")[2].partition("\n")[2]
        return solution.removeprefix(said)

    class Lines(Digits):
        step_end = "\n"
        max_answer_tokens = 40

        def verify(self, task, answer):
            return Checked(float(answer.endswith("7")))

    _, group = grown(steps(edge=Plans(mark="#"), evaluate=Rollouts()), plans, Lines())
    texts = {n.edge[0].text: n for n in group.tree.children(0)}
    assert set(texts) == {"#add\n", "#guess\n"}
    assert {k: n.labels["own"] for k, n in texts.items()} == {"#add\n": 1.0, "#guess\n": 0.0}
    assert {a.text for a in group.attempts} == {"#add\n3\n4\n7", "#guess\n9\n9"}
    assert all(len(n.edge) == 2 for n in group.tree.nodes if n.depth == 2)


def test_revisions_are_a_tree_of_whole_answers_in_which_right_ones_are_left_alone():
    world = Sums()

    class One(Sums):
        def make(self):
            return world.make(3, 4)

    script = lambda text, u: "7" if "again" in text and u < 0.5 else "6"
    _, group = grown(
        steps(edge=Revisions(), evaluate=Verified(), num_simulations=3, max_depth=3), script, One()
    )
    right = [a for a in group.attempts if a.text == "7"]
    assert right and all([t.text for t in a.turns][:1] == ["6"] for a in right)
    assert [t.role for t in right[0].turns] == ["policy", "world", "policy"]
    for node in group.tree.nodes[1:]:
        assert node.terminal == (node.labels["own"] == 1.0) or node.depth == 3
    assert all(a.stop is StopReason.ENDED for a in group.attempts)


def test_a_look_ahead_mends_a_value_by_the_best_that_was_seen():
    """A value that counts right digits, blended with that of the next, greedy step."""
    right = lambda task, text: sum(a == b for a, b in zip(text.split(","), "123", strict=False))
    search = Search(
        select=UCT(), expand=Draws(num=4), evaluate=Judged(by=right), visit="best",
        ahead=Ahead(blend=0.5), num_simulations=1,
    )  # fmt: skip
    _, group = grown(search)
    best = max(group.tree.nodes[1:], key=lambda n: n.visits)
    assert best.edge[0].text == "1," and best.labels["own"] in (1.0, 1.5)
    assert best.value == best.labels["own"] == group.tree.nodes[0].value
    assert len(group.tree.nodes) == 3  # what was seen in passing is kept nowhere


# ---------------------------------------------------------------- states of unfinished answers


def test_answers_that_come_to_the_same_state_are_one_place():
    """In a maze as one answer each letter is a step, and walking back is a cycle."""
    world = Maze()
    task = world.task("S..\n...\n..G", "")
    search = Search(
        edge=Steps(step_tokens=1), select=BreadthFirst(), evaluate=Nothing(), visit="all",
        expand=Draws(num=30, merge="tree"), num_simulations=60,
    )  # fmt: skip
    host = Host(says(lambda text, u: "UDLR"[int(u * 4)]), world=world)
    tree = host.explore(search, Start(task)).tree
    ways = ["".join(t.text for t in tree.turns(n.index)) for n in tree.nodes[1:]]
    legal = [w for w in ways if len(world.states(task, w)) == len(w)]
    at = [world.states(task, way)[-1][1] for way in legal]
    # S itself has no state of its own, so one way leads back to it; then each place once, nearest
    assert len(at) == len(set(at)) == 9
    assert sorted(len(w) for w in legal) == sorted([1, 1, 2, 2, 2, 2, 3, 3, 4])


def test_steps_of_countdown_end_at_its_commas_and_merge_by_what_is_left():
    world = Countdown()
    task = world.task("3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})
    script = lambda text, u: "7*3=21,21+12=33" if u < 0.5 else "3*7=21,12+21=33"
    search = lambda merge: Search(
        select=BreadthFirst(), evaluate=Nothing(), visit="all", num_simulations=1,
        expand=Draws(num=12, merge=merge),
    )  # fmt: skip
    for merge, firsts in (("text", {"7*3=21,", "3*7=21,"}), ("state", {"3*7=21,"})):
        tree = Host(says(script), world=world).explore(search(merge), Start(task)).tree
        found = {n.edge[0].text for n in tree.children(0)}
        assert len(found) == len(firsts) and found <= {"7*3=21,", "3*7=21,"}
        assert sum(n.labels.get("draws", 1.0) for n in tree.children(0)) == 12


def test_a_world_that_shows_no_truth_is_searched_without_its_states():
    world = Countdown()
    task = world.task("3 7 12 -> 33", data={"numbers": [3, 7, 12], "target": 33})
    script = lambda text, u: "7*3=21,21+12=33" if u < 0.5 else "3*7=21,12+21=33"
    search = Search(
        select=BreadthFirst(), evaluate=Nothing(), end=Nothing(), visit="all", num_simulations=3,
        expand=Draws(num=12, merge="state"),
    )  # fmt: skip
    tree = Host(says(script), world=Blind(world)).explore(search, Start(task)).tree
    assert {n.edge[0].text for n in tree.children(0)} == {"7*3=21,", "3*7=21,"}
    with pytest.raises(TruthError):
        Host(says(script), world=Blind(world)).explore(Search(), Start(task))


def test_heads_are_squashed_as_they_were_taught():
    for squash, number in (("none", 0.5), ("sigmoid", 1 / (1 + math.exp(-0.5))),
                           ("tanh", math.tanh(0.5))):  # fmt: skip
        search = Search(
            edge=Steps(step_tokens=1), select=BreadthFirst(), evaluate=ValueHead(squash=squash),
            expand=Draws(num=20), visit="all", num_simulations=1,
        )  # fmt: skip
        world = Letters()
        tree = Host({"policy": table()}, world=world).explore(search, Start(world.make())).tree
        values = {n.edge[0].text: n.labels["own"] for n in tree.children(0)}
        assert values["b"] == pytest.approx(number)
    with pytest.raises(ConfigError):
        ValueHead(squash="relu")
