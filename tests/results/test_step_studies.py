"""The studies of step judges: their statistics on scripted data, and each once, tiny, to its page."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from string import digits, printable

import numpy as np
import pytest
import torch

from askesis.context import Verdicts
from askesis.judge.steps.truth import StepTruth
from askesis.models.tabular import TabularModel
from askesis.plan import ModelSpec
from askesis.records import Group, Start, VerdictKind
from askesis.registry import PARTS
from askesis.requests import Checked
from askesis.steps import StepScores, step_verdict
from askesis.text.steps import split_steps
from askesis.trees import Node, Tree
from askesis.worlds.chain_arithmetic import ChainArithmetic
from askesis.worlds.open import open_world
from benchmarks import padding_study, process_lessons, step_inputs, step_study
from benchmarks.padding_study import Once, again, any_of, fits, paid_of
from benchmarks.process_lessons import Judged, chosen, rank_correlation, without_heads, worth
from benchmarks.process_lessons_labels import (
    SCHEMES,
    Known,
    annotated,
    labels_of,
    labels_told,
)
from benchmarks.step_inputs import KINDS, ends, ordered, shown
from benchmarks.step_inputs import chosen as guided_end
from benchmarks.step_study import Piece, claimed, finish
from tests.explore.host import Host, attempt, says

WORLD = open_world("chain_arithmetic?difficulty=0")


class Lots:
    """A generator that draws a given uniform, and then a given place."""

    def __init__(self, uniform: float, place: int = 0) -> None:
        self.uniform, self.place = uniform, place

    def random(self) -> float:
        return self.uniform

    def integers(self, end: int) -> int:
        assert 0 <= self.place < end
        return self.place


def scored(*numbers: float) -> StepScores:
    spans = tuple((0, i, i + 1) for i in range(len(numbers)))
    return StepScores(np.array(numbers), VerdictKind.CORRECTNESS, spans)


# ---------------------------------------------------------------- labels


def test_an_annotator_names_the_first_error_or_another_place():
    truth = [1.0, 0.0, 1.0]
    assert annotated(truth, Lots(0.9), 0.3).tolist() == [1, 0, 0]
    # the other places are: none, the first, the last
    others = [annotated(truth, Lots(0.1, i), 0.3).tolist() for i in range(3)]
    assert others == [[1, 1, 1], [0, 0, 0], [1, 1, 0]]
    assert annotated([1.0], Lots(0.1), 0.3).tolist() == [0]


def test_every_labelling_of_one_answer_by_hand():
    # the second step is a slip that three of eight completions mend, and the answer is right
    known = Known(np.array([0.75, 0.375, 1.0]), np.array([1.0, 0, 0]), np.array([1.0, 0, 0]), 1.0)
    found = {scheme: labels_of(scheme, known) for scheme in SCHEMES}
    assert np.isnan(found["outcome"][:2]).all() and found["outcome"][2] == 1
    assert found["soft"].tolist() == [0.75, 0.375, 1]
    assert found["hard"].tolist() == [1, 0, 1] and found["any"].tolist() == [1, 1, 1]
    assert found["annotator"].tolist() == found["oracle"].tolist() == [1, 0]
    assert found["consensus"] is None  # any finds no error
    agreed = labels_of("consensus", known._replace(values=np.array([0.5, 0.0, 0.0])))
    assert agreed.tolist() == [1, 0]


def test_labels_are_held_against_the_truth_up_to_the_first_error():
    known = Known(np.array([0.75, 0.375, 1.0]), np.array([1.0, 0, 0]), np.array([1.0, 0, 0]), 1.0)
    clean = known._replace(truth=np.ones(3), told=np.ones(3))
    # of five labels that count (two, then three) `any` has four right, `hard` too, but another one
    assert labels_told("any", [known, clean]) == {"kept": 1.0, "agree": 4 / 5}
    assert labels_told("hard", [known, clean]) == {"kept": 1.0, "agree": 4 / 5}
    assert labels_told("consensus", [known, clean]) == {"kept": 0.5, "agree": 1.0}
    assert labels_told("outcome", [known, clean]) == {"kept": 1.0, "agree": 1.0}


# ---------------------------------------------------------------- what heads are worth

CLEAN, LUCKY, WRONG = (1.0, 1.0), (0.0, 0.0), (1.0, 0.0)
ROWS = [
    [  # right with wrong steps is liked best by its end, the clean one by its weakest step
        Judged(scored(0.2, 0.9), LUCKY, True, "7"),
        Judged(scored(0.6, 0.7), CLEAN, True, "7"),
        Judged(scored(0.8, 0.1), WRONG, False, "3"),
    ],
    [
        Judged(scored(0.9, 0.8), WRONG, False, "5"),
        Judged(None, (), False, ""),
        Judged(scored(0.9, 0.2), LUCKY, True, "9"),
    ],
]


def test_best_of_n_by_the_end_hides_what_the_weakest_step_shows():
    assert chosen(ROWS, "last") == {"right": 0.5, "clean": 0.0, "hidden": 1.0}
    assert chosen(ROWS, "min") == {"right": 0.5, "clean": 0.5, "hidden": 0.0}
    found = worth(ROWS, np.random.default_rng(0))
    # first errors named: 0 of 0, none of none, 1 of 1; none of 1, 1 of 0: flawed 2/4, flawless 1/1
    assert found["first_error_f1"] == pytest.approx(2 * 0.5 * 1.0 / 1.5)
    assert found["last_is_least"] == pytest.approx(np.mean([1 / 3, 1.0]))
    assert found["best_by_product"]["right"] == 0.5


def test_answers_without_a_head_by_hand():
    found = without_heads(ROWS)
    assert found["one answer"] == {"right": 0.5, "clean": 1 / 6, "hidden": pytest.approx(2 / 3)}
    assert found["any of them"] == {"right": 1.0, "clean": 0.5, "hidden": 0.5}
    # the vote: 7 wins; then 5 and 9 have a vote each, and a tie is half
    assert found["vote"]["right"] == 0.75 and found["vote"]["clean"] == 0.25
    nothing = without_heads([[Judged(None, (), False, "")] * 2])
    assert nothing["vote"]["right"] == 0.0 and np.isnan(nothing["vote"]["hidden"])


def test_claims_are_paired_by_seed():
    first = [0.5, 0.6, 0.7, 0.8, 0.9]
    up = claimed("up", first, [f + 0.1 + 0.01 * i for i, f in enumerate(first)], 0.05)
    assert up["verdict"] == "holds" and up["value"] == pytest.approx(0.12)
    assert claimed("level", first, first, 0.05)["verdict"] == "does not hold"
    wild = claimed("wild", first, [0.9, 0.2, 0.9, 0.5, 0.9], 0.05)
    assert wild["verdict"] == "undecided" and wild["could_have_seen"] > 0.1
    unknown = claimed("nan", [*first, 0.5], [*[f + 0.1 for f in first], np.nan], 0.05)
    assert unknown["verdict"] == "holds"
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == -1 and rank_correlation([1, 1], [1, 2]) == 0
    assert np.isnan(rank_correlation([1, np.nan], [1, 2]))


# ---------------------------------------------------------------- what a judge sees


def test_every_kind_of_judge_sees_its_part_and_no_other():
    before, step = "#+5\n7+5=12\n", "#*3\n12*3=36\n"
    seen = {kind: shown(kind, "7 +5 *3", before, step) for kind in KINDS}
    assert seen == {
        "full": ("7 +5 *3", "#+5\n7+5=12\n#*3\n12*3=36"),
        "equations": ("7 +5 *3", "7+5=12\n12*3=36"),
        "last_equation": ("?", "12*3=36"),
        "next_thought": ("7 +5 *3", "#+5\n7+5=12\n#*3"),
        "thought_alone": ("?", "#*3"),
    }
    assert shown("last_equation", "7 +5", "", "#hm") == ("?", "?")
    assert shown("equations", "7 +5", "", "") == ("7 +5", "?")


def test_pairs_are_ordered_by_their_scores():
    assert ordered([(1.0, 0.0), (0.0, 1.0), (2.0, 2.0), (3.0, -1.0)]) == 0.625
    assert np.isnan(ordered([]))


def test_a_guided_search_says_the_end_that_its_guide_came_to():
    (task,) = WORLD.draw("train", np.random.default_rng(0), 1)
    said = tuple(attempt(task, text, i) for i, text in enumerate(("1", "2", "3")))

    def tree(*own_and_attempt: tuple[float, int]) -> Tree:
        nodes = [Node(0, -1)]
        for i, (own, number) in enumerate(own_and_attempt, start=1):
            labels = {"own": own} | ({"attempt": float(number)} if number >= 0 else {})
            nodes.append(Node(i, 0 if i < 3 else 2, depth=1 if i < 3 else 2, labels=labels))
        return Tree("t", Start(task), tuple(nodes))

    # an end that was passed by is worth more to the guide than the one it came to
    passed = tree((0.7, 0), (0.8, -1), (0.1, 1), (0.4, 2))
    assert guided_end(Group("g", said, passed)).attempts == (said[2],)
    assert guided_end(Group("g", said, tree((0.7, 0), (0.1, -1)))).attempts == (said[0],)
    assert guided_end(Group("g", said, tree((0.7, 0), (0.8, -1)))).attempts == ()


def test_ends_are_right_clean_and_hidden():
    chain = WORLD.task("7 +5 *3", "36", data={"first": 7, "operations": ["+5", "*3"]})
    texts = ("7+5=12\n12*3=36", "7+5=13\n12*3=36", "7+5=13\n13*3=39")
    groups = [Group(t, (attempt(chain, t),)) for t in texts] + [Group("nothing", ())]
    assert ends(WORLD, groups) == {"right": 0.5, "clean": 0.25, "hidden": 0.5}


# ---------------------------------------------------------------- padding


def test_any_of_is_made_of_what_the_soft_judge_said():
    (task,) = WORLD.draw("train", np.random.default_rng(0), 1)
    one, other = attempt(task, "1+1=2"), attempt(task, "3", 1)
    spans = ((0, 0, 2), (0, 2, 5))
    soft = StepScores(np.array([0.125, 0.0]), VerdictKind.VALUE, spans, before=0.5)
    found = any_of(Verdicts([step_verdict("s", one, soft)]), [Group("g", (one, other))])
    (verdict,) = found
    assert verdict.vector == (1.0, 0.0) and verdict.kind is VerdictKind.CORRECTNESS
    assert verdict.about.attempt == one.id and verdict.about.spans == spans


def test_padding_fits_answers_that_end_in_a_value():
    (task,) = WORLD.draw("train", np.random.default_rng(0), 1)
    texts = {"1+1=2": True, "7": True, "1+1=2\n#ok": False, "1+1=": False, "": False, "x=2": True}
    for text, fit in texts.items():
        assert fits(WORLD, attempt(task, text)) is fit, text
    assert again(attempt(task, "7+5=12\n12*3=36")) == "\n36+0=36"


def test_rewards_of_scores_by_hand():
    scores = scored(0.9, 0.4, 0.8)
    said = {name: np.sum(paid_of(name)(scores)) for name in padding_study.OF_CORRECTNESS}
    assert said == pytest.approx(
        {"as said": 2.1, "clip": -0.1, "delta": 0.9, "clip, delta": 0.0}, abs=1e-12
    )
    whole = {"min": 0.4, "product": 0.288, "last": 0.8, "mean": 0.7, "sum": 2.1}
    assert {n: paid_of(n)(scores)[0] for n in whole} == pytest.approx(whole)


def test_every_judge_of_steps_is_asked():
    asked = {type(house.judge) for house in padding_study.judges(2).values()}
    there = {r.load() for n, r in PARTS.items() if n.startswith("judge.steps.")}
    # aggregates are among the rewards; branches are drawn behind drafts, and padding has none
    assert {kind.__name__ for kind in there - asked} <= {"Aggregated", "BranchLabels"}
    for house in padding_study.judges(2).values():
        assert set(house.paid) <= {*padding_study.TRANSFORMS, *padding_study.AGGREGATORS}


def test_a_judge_is_asked_once_about_the_same_texts():
    (task,) = WORLD.draw("train", np.random.default_rng(0), 1)
    host, calls = Host(says({}), world=WORLD), []

    class Counting(StepTruth):
        async def judge(self, ctx, group):
            calls.append([a.text for a in group.attempts])
            return await super().judge(ctx, group)

    judge = Once(Counting())
    one, other = (Group("g", (attempt(task, text),)) for text in ("1+1=2", "1+1=2\n#ok"))
    assert [len(host.judge(judge, g)) for g in (one, one, other, one)] == [1] * 4
    assert calls == [["1+1=2"], ["1+1=2\n#ok"]]


def test_what_a_judge_inside_said_is_not_taken_for_a_consensus():
    (task,) = WORLD.draw("train", np.random.default_rng(0), 1)
    host, one = Host(says({}), world=WORLD), attempt(task, "1+1=2")
    truth = StepTruth()
    for own, num in (("", 1), (f"step-truth:{WORLD.id}", 1), ("consensus-v1", 0)):
        assert len(host.judge(Once(truth, own), Group("g", (one,)))) == num
    groups, silent = [[one]], Once(truth, "consensus-v1")
    row = padding_study.probed(host.context("measure"), groups, silent, "\n#ok", "as said")
    assert np.isnan(row["growth"]) and row["num_attempts"] == 0
    known = {"judge": "j", "pad": "remark", "paid": "as said"} | row
    (found,) = padding_study.summed([{"num_attempts": 1, "rows": [known]}])["table"]
    assert not found["pays"] and found["returns"] == []


def test_growth_over_seeds_is_put_together():
    row = {"judge": "j", "pad": "remark", "paid": "as said", "pays": True, "is_neutral": True,
           "returns": [1.0, 2.0], "num_attempts": 3}  # fmt: skip
    seeds = [{"num_attempts": 3, "rows": [{**row, "growth": g}]} for g in (0.2, 0.3, 0.25)]
    (one,) = padding_study.summed(seeds)["table"]
    assert one["pays"] and one["seeds_paid"] == 3 and one["num_attempts"] == 9
    assert one["growth"]["value"] == pytest.approx(0.25) and one["returns"] == [1.0, 2.0]
    seeds[0]["rows"][0]["growth"] = -0.9
    assert not padding_study.summed(seeds)["table"][0]["pays"]


# ---------------------------------------------------------------- pieces and whole studies


def test_finished_pieces_are_read_and_not_made_again(tmp_path):
    todo = [Piece("s", seed, "w", "m", 1, 1) for seed in (0, 1)]
    made: list[int] = []

    def work(piece: Piece) -> dict[str, float]:
        if made == [0]:
            made.append(-1)
            raise KeyboardInterrupt
        made.append(piece.seed)
        return {"seed": piece.seed}

    with pytest.raises(KeyboardInterrupt):
        finish(work, todo, tmp_path, workers=1)
    assert finish(work, todo, tmp_path, workers=1) == [{"seed": 0}, {"seed": 1}]
    assert made == [0, -1, 1]
    names = {p.name for p in (*todo, Piece("s", 0, "w", "m", 1, 2), Piece("s", 0, "w", "n", 1, 1))}
    assert len(names) == 4


@pytest.mark.slow
def test_workers_finish_pieces_side_by_side(tmp_path):
    todo = [Piece("s", seed, "w", "m", 1, 1) for seed in (0, 1)]
    assert finish(asdict, todo, tmp_path, workers=2) == [asdict(piece) for piece in todo]


class Lucky(ChainArithmetic):
    """Answers and lines are right where they end in an even digit: a table of bigrams finds some,
    and right answers hide wrong steps."""

    id = "lucky-v1"
    max_answer_tokens = 24

    def verify(self, task, answer):
        lines = [(a, b) for a, b in split_steps(answer, "\n") if answer[a] != "#"]
        steps = [float(answer[b - 1] in "02468") for _, b in lines]
        return Checked((steps or [0.0])[-1], "", self.extract(answer), tuple(steps), tuple(lines))


def writer(name: str, spec: ModelSpec) -> TabularModel:
    """Says lines such as "7=2" and remarks, and ends behind a digit."""
    table = torch.full((len(printable) + 2, len(printable) + 2), -30.0)
    ids = {c: i for i, c in enumerate(printable)}
    follows = dict.fromkeys(digits, "=\n") | {
        "=": digits,
        "\n": digits + "#",
        "#": "*",
        "*": digits,
    }
    for here, there in follows.items():
        for one in there:
            table[ids[here], ids[one]] = 0.0
    table[[ids[d] for d in digits], len(printable)] = 0.0
    return TabularModel(name, printable, table, context_length=512)


TINY = ["--workers", "1", "--seeds", "0", "1", "--asked", "8", "--learnt", "8", "--updates", "2"]
STUDIES = {s.STUDY: s for s in (process_lessons, step_inputs, padding_study)}


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_writes_its_figures_and_its_page(name, tmp_path, monkeypatch):
    study = STUDIES[name]
    monkeypatch.setattr(step_study, "open_model", writer)
    monkeypatch.setattr(step_study, "start_of", lambda pair, folder: tmp_path / "start")
    monkeypatch.setattr(study, "WORLD", f"{__file__}:Lucky?difficulty=0")
    command = [name, *TINY, "--folder", str(tmp_path), "--results", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    study.main()
    whole = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    page = (tmp_path / "out" / f"{name}.md").read_text()
    assert whole["command"] == f"python -m benchmarks.{name}" and len(whole["rows"]) == 2
    assert page.startswith("# ") and "{" not in page and whole["command"] in page
    if study is process_lessons:
        assert set(whole["heads"]) == set(SCHEMES) and whole["labels"]["any"]["kept"]["value"] == 1
        assert 0 < whole["without"]["one answer"]["hidden"]["value"] < 1
        assert 0 < whole["labels"]["consensus"]["kept"]["value"] < 1
        assert whole["labels"]["oracle"]["agree"]["value"] == 1
    elif study is step_inputs:
        assert set(whole["kinds"]) == {"none", *KINDS} and whole["num_pairs"][0]["value"] > 0
    else:
        houses = padding_study.judges(2)
        asked = {(row["judge"], row["paid"]) for row in whole["table"]}
        assert asked == {(name, paid) for name, h in houses.items() for paid in h.paid}
        truth = [r for r in whole["table"] if r["judge"] == "truth" and r["pad"] == "remark"]
        grown = {r["paid"]: r["growth"]["value"] for r in truth}
        assert grown["as said"] == pytest.approx(1) and grown["clip"] == pytest.approx(0)
    done = {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.json")}
    study.main()  # everything is there: nothing is made again
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("*.json")} == done and len(done) == 2
