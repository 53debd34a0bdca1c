"""A look at answering under a judge: a tree beside best-of-n and tree-of-thought, at equal
tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from askesis.errors import ConfigError
from askesis.formulas.pass_at_k import majority_at_k
from askesis.lab.looks.equal_tokens import Counted, End, Try, best, tries, within
from askesis.lab.looks.sight import ROLE, Sight, mean, outcomes, spoke
from askesis.records import Attempt, Group, Start, Task
from askesis.requests import All

if TYPE_CHECKING:
    from askesis.explore.search import Search
    from askesis.lab.arm import Look
    from askesis.lab.outside import Outside

RIVALS = ("thought", "best_of_n", "vote")
OF_TREES = (
    *("tree", "reached", *RIVALS, "thought_generated", "best_of_n_generated"),
    *("over_thought", "over_best_of_n", "over_vote"),
    *("over_thought_generated", "over_best_of_n_generated"),
    *("tree_tokens", "thought_tokens", "best_of_n_tokens"),
    *("tree_judged", "thought_judged", "best_of_n_judged"),
    *("best_over_mean", "best_over_vote", "lucky"),
)


def trees(
    outside: Outside,
    tasks: Sequence[Task],
    look: Look,
    judge: str = "head",
    model: str = ROLE,
    otherwise: str = "refuse",
    num_searched: int = 300,
    num_simulations: int = 12,
    num: int = 3,
    width: int = 2,
    temperature: float = 0.7,
    select: str = "uct?exploration_coef=0.7",
    back_up: str = "of_children",
    visit: str = "best",
    ahead: bool = True,
    squash: str = "sigmoid",
    max_depth: int = 16,
) -> Sight:
    """The first `num_searched` tasks answered three ways under one judge, and no truth.

    judge: "head", the value head of `model`, through `squash` (sigmoid, tanh or none); "implicit",
        the least step by the log-ratio of `model` to its first weights; "confidence", the policy's
        own. model: a model of the run. otherwise: what judges where the run lacks it: "refuse", or
        "confidence", with which every guided search is to be compared.
    num_simulations, select, back_up, visit, ahead: the tree's, as in `askesis.explore.search`;
        usually those of card [0]. num: steps drawn at each place. temperature: of all that is said.
    width: beams of the tree-of-thought. max_depth: steps.

    The tree is searched first. The others get the tokens that it took, generated and read by the
    judge together, or as near as whole tries come: step beams one after the other, and single
    answers. The best of each is the end that the judge values most. Figures, shares but for costs:

        tree, thought, best_of_n     it is right
        reached                      any end of the tree is right
        vote                         the vote of best_of_n's answers, which needs no judge
        over_thought, over_best_of_n, over_vote          tree less the other
        thought_generated, best_of_n_generated, over_... the same where generated tokens alone are
                                                         equal, and reading costs nothing
        tree_tokens, ...             generated and read, a task
        tree_judged, ...             what the judge was asked, a task
        best_over_mean, best_over_vote   best_of_n less the mean of its answers, and less their vote
        lucky                        of the look's attempts, those that are right by a wrong step

    Scores and lucky are of the look's attempts, at all tasks. What is read counts whole, as in a
    run's budget, though an engine reads again only what is new. Cards [0] and [16].
    """
    from askesis.explore.sample import SampleAttempts
    from askesis.explore.search import Search
    from askesis.search.expand import Draws
    from askesis.search.frontier import StepBeam
    from askesis.search.rollouts import Ahead

    by = _evaluator(outside, judge, model, otherwise, squash)
    shared = {"expand": Draws(num=num, temperature=temperature), "evaluate": by, "end": by}
    tree = Search(
        **shared, select=select, back_up=back_up, visit=visit, ahead=Ahead() if ahead else None,  # type: ignore[arg-type]
        num_simulations=num_simulations, max_depth=max_depth,
    )  # fmt: skip
    beam = Search(
        **shared, select=StepBeam(width=width), visit="all", num_simulations=width * max_depth,
        max_depth=max_depth,
    )  # fmt: skip
    ways = _Ways(outside, tree, beam, SampleAttempts(num_attempts=1, temperature=temperature))
    sample = SampleAttempts(num_attempts=look.num_attempts, temperature=look.temperature)
    ctx = outside.context("trees")

    async def one(task: Task) -> tuple[list[float], list[Attempt], float]:
        said = [a for a in await sample.explore(ctx, Start(task)) if spoke(a)]
        checked = await All([ctx.check(task, a.text) for a in said])
        scores = [float(c.score) for c in checked]
        lucky = mean(float(c.score >= 1.0 and min(c.steps, default=1.0) < 0.5) for c in checked)
        return scores + [0.0] * (look.num_attempts - len(scores)), said, lucky

    def nothing() -> tuple[list[float], list[Attempt], float]:
        return [0.0] * look.num_attempts, [], 0.0

    rows: list[Any] = outcomes(ctx, [partial(one, task) for task in tasks], nothing)
    makers = [partial(ways.compared, task) for task in tasks[:num_searched]]
    found: list[Any] = outcomes(ctx, makers, lambda: dict.fromkeys(OF_TREES, 0.0))
    every = [a for _, said, _ in rows for a in said]
    figures = {name: [row[name] for row in found] for name in OF_TREES if name != "lucky"}
    figures["lucky"] = [lucky for _, _, lucky in rows]
    figures["tokens"] = [mean(float(a.num_tokens) for a in said) for _, said, _ in rows]
    cut = sum(a.stop.cut_off for a in every)
    num_tokens = sum(a.num_tokens for a in every)
    return Sight(figures, [row[0] for row in rows], num_tokens, cut, len(every))


@dataclass(frozen=True)
class _Ways:
    """The ways of answering that are compared. `tree` and `beam` share one judge."""

    outside: Outside
    tree: Search
    beam: Search
    sample: Any

    async def compared(self, task: Task) -> dict[str, float]:
        """The figures of one task."""
        tree = await self._searched(self.tree, "tree", task)
        budgets = (tree.tokens, tree.generated)
        beams = await tries(lambda i: self._searched(self.beam, f"thought{i}", task), *budgets)
        answers = await tries(lambda i: self._answered(f"answer{i}", task), *budgets)
        found = {"tree": best([tree]), "reached": float(any(e.right for e in tree.ends))}
        for name, tried in (("thought", beams), ("best_of_n", answers)):
            kept = tried[: within([t.tokens for t in tried], tree.tokens)]
            free = tried[: within([t.generated for t in tried], tree.generated)]
            found |= {name: best(kept), f"{name}_generated": best(free)}
            found[f"{name}_tokens"] = float(sum(t.tokens for t in kept))
            found[f"{name}_judged"] = float(sum(t.judged for t in kept))
        ends = [end for one in kept for end in one.ends]  # of single answers
        found["vote"] = _voted(ends)
        found["best_over_mean"] = found["best_of_n"] - mean(float(e.right) for e in ends)
        found["best_over_vote"] = found["best_of_n"] - found["vote"]
        found |= {"tree_tokens": float(tree.tokens), "tree_judged": float(tree.judged)}
        for name in (*RIVALS, "thought_generated", "best_of_n_generated"):
            found[f"over_{name}"] = found["tree"] - found[name]
        return found

    async def _searched(self, search: Search, slot: str, task: Task) -> Try:
        """One search, with noise of its own."""
        ctx = Counted(self.outside.context(f"trees.{slot}"))
        group: Group = await search.explore(ctx, Start(task))
        assert group.tree is not None
        values = [n.labels["own"] for n in group.tree.nodes if "attempt" in n.labels]
        ends = await self._ends(ctx, task, group.attempts, values)
        return Try(ends, int(group.tree.spent["tokens"]), ctx.read, ctx.judged)

    async def _answered(self, slot: str, task: Task) -> Try:
        """One answer, and what the judge says of it."""
        from askesis.search.grown import Grown
        from askesis.search.place import Place

        ctx, start = Counted(self.outside.context(f"trees.{slot}")), Start(task)
        said = [a for a in await self.sample.explore(ctx, start) if spoke(a)]
        places = [Place(1, turns=a.turns, stop=a.stop, complete=True) for a in said]
        worth = await self.tree.worth(Grown(ctx, start, self.tree), places)
        ends = await self._ends(ctx, task, said, [found.number for found in worth])
        return Try(ends, sum(a.num_tokens for a in said), ctx.read, ctx.judged)

    async def _ends(
        self, ctx: Any, task: Task, said: Sequence[Attempt], values: Sequence[float]
    ) -> tuple[End, ...]:
        checked = await All([ctx.check(task, a.text) for a in said])
        both = zip(values, checked, strict=True)
        return tuple(End(value, c.score >= 1.0, c.answer) for value, c in both)


def _evaluator(outside: Outside, judge: str, model: str, otherwise: str, squash: str) -> Any:
    """The judge as a part of a search. Raises ConfigError where there is none such."""
    from askesis.judge.steps.aggregated import Aggregated
    from askesis.judge.steps.implicit import ImplicitSteps
    from askesis.search.by_judge import ByJudge
    from askesis.search.evaluate import Confidence, ValueHead

    ways = {"head": "value", "implicit": "logp", "confidence": "logp"}
    if judge not in ways or otherwise not in ("refuse", "confidence"):
        raise ConfigError(
            "the look at trees has no such judge",
            expected=f"judge {', '.join(ways)}; otherwise refuse or confidence",
            found=f"judge {judge}, otherwise {otherwise}",
        )
    ctx = outside.context("trees")
    if judge != "confidence" and (
        model not in ctx.models or ways[judge] not in ctx.capabilities(model)
    ):
        if otherwise == "refuse":
            raise ConfigError(
                f"model {model!r}, which is to judge, is none of this run or has no {ways[judge]}",
                hint=f"models are {', '.join(ctx.models)}; or say otherwise=confidence",
            )
        judge = "confidence"
    if judge == "head":
        return ValueHead(role=model, squash=squash)  # type: ignore[arg-type]
    if judge == "implicit":
        return ByJudge(judge=Aggregated(inner=ImplicitSteps(reward=model), by="min"))
    return Confidence()


def _voted(ends: Sequence[End]) -> float:
    from askesis.measure.attempts import agreed

    votes = agreed([e.answer for e in ends], [e.right for e in ends])
    return majority_at_k(*votes, len(ends)) if ends else 0.0
