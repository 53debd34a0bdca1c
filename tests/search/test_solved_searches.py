"""Searches where the right answer is known: arms, noughts and crosses, mazes, chains."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
import torch

from askesis.explore.search import Search
from askesis.models.tabular import TabularModel
from askesis.records import Start, Task
from askesis.requests import Checked
from askesis.search.back_up import Mean, Most, OfChildren
from askesis.search.evaluate import Confidence, Judged, Nothing, Paid, ValueHead, Verified
from askesis.search.expand import Draws, ImportantDraws
from askesis.search.frontier import BestFirst, BreadthFirst, DepthFirst, StepBeam
from askesis.search.rollouts import Rollouts
from askesis.search.select import PUCT, UCT
from askesis.search.steps import Steps
from askesis.search.walked import Moves
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.maze import Maze, distances, find, moved, rows_of
from tests.explore.host import Host, says
from tests.search.solved import Arms, Crosses, Digits, answered, best, counts


def tree(search: Search, world, task, script, seed: int = 0):
    return Host(says(script), world=world, seed=seed).explore(search, Start(task)).tree


def letters(num: int):
    """A script that says one of the first letters, all equally likely."""
    return lambda text, u: chr(ord("a") + int(u * num))


def by_ucb(pays, num: int, c: float) -> list[int]:
    """How often each arm is pulled by UCB1 as its authors write it, c in place of sqrt 2."""
    visits = [0] * len(pays)
    for turn in range(num):
        if 0 in visits:
            arm = visits.index(0)
        else:
            arm = max(range(len(pays)), key=lambda i: pays[i] + c * sqrt(log(turn) / visits[i]))
        visits[arm] += 1
    return visits


# ---------------------------------------------------------------- arms


def pulled(select, pays=(0.2, 0.5, 0.9, 0.1), num: int = 60) -> dict[str, int]:
    search = Search(
        edge=Moves(), select=select, expand=Draws(num=40), evaluate=Nothing(), end=Paid(),
        num_simulations=num, max_depth=1,
    )  # fmt: skip
    world = Arms(*pays)
    found = tree(search, world, world.make(), letters(len(pays)))
    assert found.nodes[0].visits == num
    return {n.edge[0].text: n.visits for n in found.children(0)}


@pytest.mark.parametrize("c", [0.0, 0.25, 1.0])
def test_uct_pulls_arms_as_often_as_the_rule_of_its_authors_says(c):
    pays = (0.2, 0.5, 0.9, 0.1)
    visits = pulled(UCT(exploration_coef=c, revisit=True), pays)
    drawn = list(visits)  # arms are tried in the order in which they were drawn
    in_order = by_ucb([pays[ord(arm) - ord("a")] for arm in drawn], 60, c)
    assert list(visits.values()) == in_order
    assert max(visits, key=visits.__getitem__) == "c" and (c > 0.5 or visits["c"] > 40)


def test_puct_goes_to_the_best_arm_too():
    visits = pulled(PUCT(exploration_coef=0.5, revisit=True))
    assert visits["c"] > 40 and sum(visits.values()) == 60


def test_without_revisits_every_arm_is_pulled_once_and_the_search_ends():
    world = Arms(0.2, 0.5, 0.9)
    search = Search(edge=Moves(), expand=Draws(num=20), end=Paid(), max_depth=1)
    found = tree(search, world, world.make(), letters(3))
    assert found.ended == "everything ended" and found.spent["simulations"] == 3
    assert sorted(n.value for n in found.children(0)) == [0.2, 0.5, 0.9]


# ---------------------------------------------------------------- noughts and crosses


def any_place(text: str, u: float) -> str:
    return str(int(u * 9))


@pytest.mark.parametrize("select", [BreadthFirst(), DepthFirst(), UCT(), PUCT()], ids=repr)
def test_a_search_to_the_end_finds_what_every_board_is_worth(select):
    """Most of the ends below is the value of the best play; every place is compared with it."""
    world = Crosses()
    search = Search(
        edge=Moves(illegal="drop"), select=select, expand=Draws(num=60, merge="state"),
        evaluate=Nothing(number=-1.0), end=Paid(), back_up=Most(), visit="all",
        num_simulations=500,
    )  # fmt: skip
    found = tree(search, world, world.make("x.o.x.o.."), any_place)
    boards = {0: "x.o.x.o.."}
    for node in found.nodes[1:]:
        boards[node.index], worth = answered(boards[node.parent], int(node.edge[0].text))
        known = best(boards[node.index]) if worth is None else worth
        assert node.value == known, (boards[node.index], node)
    assert found.nodes[0].value == best("x.o.x.o..") and len(found.nodes) > 20
    assert found.ended == "everything ended" and found.spent["dropped"] > 0


def test_uct_plays_the_winning_move():
    world = Crosses()
    search = Search(
        edge=Moves(illegal="drop"), select=UCT(exploration_coef=0.3, revisit=True),
        expand=Draws(num=60), evaluate=Rollouts(), end=Paid(), num_simulations=120,
    )  # fmt: skip
    found = tree(search, world, world.make("o..xx.o.."), any_place)
    most = max(found.children(0), key=lambda n: n.visits)
    assert most.edge[0].text == "5" and most.value == 1.0


# ---------------------------------------------------------------- mazes


MAZE = Maze()


def one_of_four(text: str, u: float) -> str:
    return "UDLR"[int(u * 4)]


def test_breadth_first_without_doubles_finds_a_shortest_way_and_visits_no_place_twice():
    task = MAZE.task("S.#.\n...#\n#...\n..#G", "")
    search = Search(
        edge=Moves(illegal="drop"), select=BreadthFirst(), expand=Draws(num=40, merge="tree"),
        evaluate=Nothing(), end=Paid(), visit="all", num_simulations=100,
    )  # fmt: skip
    group = Host(says(one_of_four), world=MAZE).explore(search, Start(task))
    rows = rows_of(task)
    distance = distances(rows, find(rows, "S"))
    ends = [n for n in group.tree.nodes if n.terminal and n.edge[0].done]
    assert [n.depth for n in ends] == [distance[find(rows, "G")]]
    assert len(group.tree.nodes) <= len(distance) and group.tree.ended == "everything ended"
    assert any(a.rewards == {"policy": 1.0} for a in group.attempts)


def arrives(rows: list[str], at, left: int) -> float:
    """Probability that a walker of four equally likely moves, those into walls counted, is at G
    within so many moves: dynamic programming over places and moves left."""
    goal = find(rows, "G")
    if at == goal:
        return 1.0
    if not left:
        return 0.0
    return sum(arrives(rows, moved(rows, at, m) or at, left - 1) for m in "UDLR") / 4


def test_rollouts_of_a_maze_come_to_the_values_of_dynamic_programming():
    task = MAZE.task("S.\n.G", "")
    rows, num = rows_of(task), 40
    search = Search(
        edge=Moves(), select=BreadthFirst(), expand=Draws(num=24), evaluate=Rollouts(num=num),
        end=Paid(), visit="all", num_simulations=1,
    )  # fmt: skip
    found = tree(search, MAZE, task, one_of_four)
    assert {n.edge[0].text for n in found.children(0)} == set("UDLR")
    for node in found.children(0):
        at = moved(rows, (0, 0), node.edge[0].text) or (0, 0)
        p = arrives(rows, at, 3)  # the world allows four moves
        assert abs(node.value - p) < 4 * sqrt(p * (1 - p) / num), node.edge[0].text


# ---------------------------------------------------------------- answers step by step


CHAIN = ChainArithmetic()


def works(p: float):
    """A script that works a chain line by line, each line right with probability p, to the end."""

    def script(text: str, u: float) -> str:
        first, operations = int(text.split(" ")[0]), text.split("\n")[0].split(" ")[1:]
        shown = operations[-1].index("~") if "~" in operations[-1] else len(operations[-1])
        operations[-1], said = operations[-1][:shown], text.partition("~")[2]
        lines = [line for line in said.split("\n") if line]
        value = int(lines[-1].rpartition("=")[2]) if lines else first
        found = []
        for operation in operations[len(lines) :]:
            result = {"+": value + int(operation[1:]), "-": value - int(operation[1:])}[
                operation[0]
            ]
            right, u = u < p, u / p if u < p else (u - p) / (1 - p)
            value_after = result if right else result + 1
            found.append(f"{value}{operation}={value_after}")
            value = value_after
        return "\n".join(found)

    return script


def chain(first: int, *operations: str):
    answer = first + sum(int(o) for o in operations)
    return CHAIN.task(
        f"{first} {' '.join(operations)}~", str(answer),
        data={"first": first, "operations": list(operations)},
    )  # fmt: skip


def reaches(p: float, left: int, off: int) -> float:
    """Probability that `left` more lines, each one too high with probability 1 - p, end at the true
    value from a prefix that is `off` too high: errors only add up, so it must be right already."""
    return p**left if off == 0 else 0.0


def test_rollouts_of_a_chain_come_to_the_value_of_its_prefix():
    task, p, num = chain(7, "+5", "+3", "-9", "+2"), 0.7, 40
    search = Search(
        select=BreadthFirst(), expand=Draws(num=6), evaluate=Rollouts(num=num), visit="all",
        num_simulations=3,
    )  # fmt: skip
    found = tree(search, CHAIN, task, works(p))
    values = [7, 12, 15, 6, 8]
    assert max(n.depth for n in found.nodes) == 2
    for node in found.nodes[1:]:
        said = "".join(t.text for t in found.turns(node.index)).rstrip()
        off = int(said.rpartition("=")[2]) - values[node.depth]
        exact = reaches(p, 4 - node.depth, off)
        own = node.labels["own"]
        assert abs(own - exact) <= 4 * sqrt(exact * (1 - exact) / num), said


def test_a_step_beam_with_exact_values_solves_a_chain_that_greedy_sampling_does_not():
    task, world = chain(7, "+5", "+3", "-9", "+2"), CHAIN

    def right_lines(task, text: str) -> float:
        """Exact without a model: the share of lines that are there and right, by the truth."""
        steps = world.verify(task, text).steps
        return sum(steps) / 4 if steps and min(steps) == 1 else -1.0

    search = Search(
        select=StepBeam(width=1), expand=Draws(num=8), evaluate=Judged(by=right_lines),
        visit="all", num_simulations=20,
    )  # fmt: skip
    group = Host(says(works(0.4)), world=world).explore(search, Start(task))
    solved = [a for a in group.attempts if world.verify(task, a.text).score == 1]
    assert solved and solved[0].text == "7+5=12\n12+3=15\n15-9=6\n6+2=8"
    assert group.tree.spent["simulations"] == 4 and group.tree.ended == "everything ended"


def test_an_attempt_of_steps_is_one_turn_as_if_it_had_been_said_in_one_go():
    world = Digits()
    search = Search(select=BreadthFirst(), expand=Draws(num=8), evaluate=Nothing(), visit="all")
    host = Host(says(counts), world=world)
    group = host.explore(search, Start(world.make()))
    assert group.attempts and len({a.text for a in group.attempts}) == 8
    for a in group.attempts:
        (turn,) = a.turns
        assert "".join(chr(t) for t in turn.context) == "count:"
        assert "".join(chr(t) for t in turn.tokens if t < 0x110000) == turn.text == a.text
        assert turn.tokens[-1] == 0x110000 and len(turn.logp_model) == len(turn.tokens)
    node = next(n for n in group.tree.nodes if n.depth == 2)
    assert [t.text for t in group.tree.turns(node.index)][-1] in ("2,", "3,")


# ---------------------------------------------------------------- a table of probabilities


ODDS = {"s": {"a": 0.5, "b": 0.3, "c": 0.2}}


def table() -> TabularModel:
    """After "s" a, b or c with odds .5 .3 .2; after a: a or the end, even odds; b and c end."""
    model = TabularModel("policy", "sabc")
    logits = np.full((6, 6), -30.0)
    ids = model.renderer.ids
    for letter, p in ODDS["s"].items():
        logits[ids["s"], ids[letter]] = np.log(p)
    logits[ids["a"], ids["a"]] = logits[ids["a"], 4] = np.log(0.5)
    logits[ids["b"], 4] = logits[ids["c"], 4] = 0.0
    with torch.no_grad():
        model.module.logits.copy_(torch.tensor(logits))
        model.module.value.copy_(torch.tensor([0.0, 0.25, 0.5, -0.5, 0.0, 0.0]))
    return model


class Letters:
    """Answers are letters, a token each; "b" is right."""

    id, truth, max_answer_tokens, num_canonical = "letters-v1", frozenset({"answer"}), 3, 1

    def make(self):
        return Task("letters:0", self.id, "s", "b")

    def verify(self, task, answer: str):
        return Checked(float(answer == "b"))


def on_table(search: Search):
    world = Letters()
    return Host({"policy": table()}, world=world).explore(search, Start(world.make()))


def one_token(**options) -> Search:
    return Search(edge=Steps(step_tokens=1), expand=Draws(num=20), **options)


def test_priors_are_probabilities_by_length_and_values_come_from_the_head():
    found = on_table(
        one_token(select=BreadthFirst(), evaluate=ValueHead(), visit="all", num_simulations=2)
    ).tree
    first = {n.edge[0].text: n for n in found.children(0)}
    assert {k: round(n.prior, 5) for k, n in first.items()} == ODDS["s"]
    assert {k: n.labels["own"] for k, n in first.items()} == {"a": 0.25, "b": 0.5, "c": -0.5}
    opened = next(n for n in found.nodes[1:] if list(found.children(n.index)))
    assert {n.edge[0].text for n in found.children(opened.index)} <= {"a", ""}


def test_confidence_is_the_geometric_mean_of_the_whole_way():
    found = on_table(
        one_token(select=BestFirst(), evaluate=Confidence(), end=Confidence(), visit="all",
                  num_simulations=4)
    ).tree  # fmt: skip
    for node in found.nodes[1:]:
        told = np.concatenate([t.logp_model for t in found.turns(node.index)])
        assert node.labels["own"] == pytest.approx(np.exp(told.mean()), rel=1e-5)
    # .5 for a, sqrt(.5 * .5) for aa, and only then .3 for b
    opened = [n.edge[0].text for n in found.nodes[1:] if list(found.children(n.index))]
    assert sorted(opened) == ["a", "a", "b"]


def test_puct_with_a_value_head_follows_the_formula_of_its_paper():
    """The same search written out a second time, on the probabilities of the table."""
    c, num = 1.25, 12
    group = on_table(
        one_token(
            select=PUCT(exploration_coef=c), evaluate=ValueHead(), end=Verified(wrong=-1.0),
            visit="opened", num_simulations=num,
        )
    )  # fmt: skip
    found = group.tree
    head = {"s": 0.0, "a": 0.25, "b": 0.5, "c": -0.5}
    children = {n.index: [c.index for c in found.children(n.index)] for n in found.nodes}
    texts = {0: "s"} | {
        n.index: "".join(t.text for t in found.turns(n.index)) for n in found.nodes[1:]
    }
    visits, total = [0] * len(found.nodes), [0.0] * len(found.nodes)
    opened: set[int] = set()

    def counted(at: int, number: float) -> None:
        while at >= 0:
            visits[at] += 1
            total[at] += number
            at = found.nodes[at].parent

    def over(at: int) -> bool:
        if found.nodes[at].terminal:
            return True
        return at in opened and all(over(child) for child in children[at])

    for _ in range(num):
        if over(0):
            break
        at = 0
        while at in opened:

            def score(i: int, parent: int = at) -> float:
                quality = total[i] / visits[i] if visits[i] else 0.0
                spread = found.nodes[i].prior * sqrt(visits[parent]) / (1 + visits[i])
                return quality + c * spread

            at = max((i for i in children[at] if not over(i)), key=score)
        opened.add(at)
        counted(at, head[texts[at][-1]])
        for child in children[at]:
            if found.nodes[child].terminal:
                counted(child, 1.0 if texts[child] == "b" else -1.0)
    assert [n.visits for n in found.nodes] == visits
    assert [n.value for n in found.nodes if n.visits] == pytest.approx(
        [t / v for t, v in zip(total, visits, strict=True) if v]
    )


# ---------------------------------------------------------------- back-ups


def test_the_values_of_children_by_their_visits_are_the_mean_of_all_that_passed():
    """With ends alone below, sum N_c V_c / sum N_c and W / N are one number, place by place."""
    world = Arms(0.2, 0.5, 0.9)
    both = []
    for back_up in (Mean(), OfChildren()):
        search = Search(
            edge=Moves(), select=UCT(exploration_coef=0.4, revisit=True), expand=Draws(num=20),
            evaluate=Nothing(), end=Paid(), back_up=back_up, num_simulations=30, max_depth=1,
        )  # fmt: skip
        found = tree(search, world, world.make(), letters(3))
        both.append([(n.visits, pytest.approx(n.value)) for n in found.nodes])
    assert both[0] == both[1]


def test_importance_draws_more_edges_where_children_differ():
    wide, narrow = Arms(0.0, 1.0, 0.5, 0.9, 0.1), Arms(0.5, 0.5, 0.5, 0.5, 0.5)
    drawn = []
    for world in (wide, narrow):
        search = Search(
            edge=Moves(), expand=ImportantDraws(num=8, least=2, alpha=8.0), end=Paid(), visit="all",
            select=UCT(revisit=True), num_simulations=12, max_depth=1,
        )  # fmt: skip
        found = tree(search, world, world.make(), letters(5), seed=1)
        drawn.append(sum(n.labels.get("draws", 1.0) for n in found.children(0)))
    assert drawn[0] > drawn[1] == 2
