"""The tree of docs/search.md: found by the tiny model, drawn as text and as a picture.

    python -m benchmarks.search_page [--task 5] [--seed 0]

Writes docs/search.svg and the drawing between the marks in docs/search.md. The model is the tiny
one, warm-started on chain_arithmetic (made on first use, then cached), so another machine's tree
can differ where two probabilities are nearly equal.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from askesis.explore.search import Search
from askesis.lab.searching import searched
from askesis.lab.warm_start import warm_model
from askesis.plan import ModelSpec
from askesis.search.draw import as_svg, as_text
from askesis.search.expand import Draws
from askesis.search.rollouts import Rollouts
from askesis.search.select import UCT
from askesis.worlds.open import open_world

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- tree -->\n```text\n", "\n```\n<!-- end of tree -->"
SEARCH = Search(
    select=UCT(exploration_coef=0.5),
    expand=Draws(num=4),
    evaluate=Rollouts(num=2),
    num_simulations=20,
    max_depth=12,
)


def main() -> None:
    """Search, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", type=int, default=5, help="which of the drawn tasks")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    world = open_world("chain_arithmetic")
    model = warm_model("policy", ModelSpec(source="tiny"), {"main": "chain_arithmetic"})
    tasks = world.draw("decide", np.random.default_rng(given.seed), given.task + 1, 0.3)
    (group,) = searched(SEARCH, model, world, tasks[given.task :], seed=given.seed)
    tree = group.tree
    right = {
        n.index: world.verify(tree.start.task, group.attempts[int(n.labels["attempt"])].text).score
        for n in tree.nodes
        if "attempt" in n.labels
    }
    drawn = as_text(tree)
    (DOCS / "search.svg").write_text(as_svg(tree, outcomes=right))
    page = (DOCS / "search.md").read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    (DOCS / "search.md").write_text(before + BEGIN + drawn + END + after)
    print(drawn)
    print(f"right ends: {[i for i, score in right.items() if score == 1]}")


if __name__ == "__main__":
    main()
