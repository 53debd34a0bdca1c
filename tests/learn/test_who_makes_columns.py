"""Every column and atom that an objective needs has a maker, and the makers make what they say."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from askesis.context import Verdicts
from askesis.errors import ConfigError
from askesis.learn.columns import BY_LEARNER
from askesis.learn.learner import Learn
from askesis.learn.objectives.preference import KTO, Preference
from askesis.learn.pair_columns import AdvantageGap, PairBeta, PairLabel
from askesis.learn.reference_point import ReferencePoint
from askesis.learn.supervised import Supervised
from askesis.models.tabular import TabularModel
from askesis.records import About, Group, Sample, Sequence, Start, Verdict, VerdictKind
from askesis.registry import PARTS
from askesis.select.advantages import GroupAdvantages, RunningAdvantages
from askesis.select.group_accuracy import GroupAccuracy
from askesis.select.labelled import Labelled
from askesis.select.labels import StartLabels
from askesis.select.leftover import PositiveAdvantages
from askesis.select.outcomes import Outcomes
from askesis.select.pairs import BestAndWorst
from askesis.select.sets import CorrectSets, Rankings
from askesis.select.sides import Sides
from askesis.select.steering import SteeredThreshold
from askesis.select.threshold import Threshold
from tests.explore.host import Host, Sums, attempt, says
from tests.learn.test_objectives import CASES
from tests.learn.test_references import ALPHABET, context, table

SELECTORS = (
    Threshold(threshold=0.0), GroupAdvantages(), GroupAdvantages(sampling_logp=True),
    RunningAdvantages(), RunningAdvantages(sampling_logp=True), GroupAccuracy(threshold=0.5), Labelled(), Labelled(reader="policy"),
    StartLabels(reader="policy"), PositiveAdvantages(), Outcomes(), Outcomes(sampling_logp=True),
    BestAndWorst(), CorrectSets(threshold=0.0), Rankings(),
    SteeredThreshold(keep=Threshold(threshold=0.0)), Sides(chosen="policy", rejected="other"),
    Sides(chosen="policy", rejected="other", judged=True),
)  # fmt: skip
PARTS_OF_LEARN = [row.load() for name, row in PARTS.items() if name.startswith("learn.")]
MAKERS = [part() for part in PARTS_OF_LEARN if hasattr(part, "makes")]


def made_by_registered_parts() -> set[str]:
    registered = [row.load() for name, row in PARTS.items() if name.startswith("select.")]
    selectors = {s for s in registered if hasattr(s, "select")}
    known = {type(s) for s in SELECTORS}
    assert known <= selectors
    others = [
        s() for s in selectors - known
    ]  # of turns, splices, ...: they have tests of their own
    assert all(s.atom in ("sequence", "pair", "set") for s in others)
    found = set(BY_LEARNER).union(*(s.makes for s in (*SELECTORS, *others)))
    return found.union(*(maker.makes for maker in MAKERS))


@pytest.mark.parametrize("name", CASES)
def test_every_column_an_objective_needs_has_a_maker(name):
    assert CASES[name].needs - made_by_registered_parts() == set()


def test_every_column_a_maker_reads_has_a_maker():
    for maker in MAKERS:
        assert maker.needs - made_by_registered_parts() == set(), maker


def test_every_atom_has_a_selector():
    atoms = {s.atom for s in SELECTORS}
    assert {o.atom for o in CASES.values()} - {"token"} <= atoms


def test_the_page_says_who_makes_each_column():
    page = (Path(__file__).parents[2] / "docs" / "formulas.md").read_text()
    table = page.partition("### Where its columns come from")[2].partition("### Into")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", table, re.MULTILINE)
    said = {(name, who) for names, text in rows for name in re.findall(r"`(\w+)`", names)
            for who in re.findall(r"[A-Z]\w+", text)}  # fmt: skip
    made = {(n, type(p).__name__) for p in (*SELECTORS, *MAKERS) for n in p.makes - {"weight"}}
    made -= {("advantage", n) for n in ("KLInReward", "KLOfTurns")}  # change what another has made
    assert {pair for pair in said if pair[1] != "Learn"} == made
    assert {name for names, _ in rows for name in re.findall(r"`(\w+)`", names)} == (
        made_by_registered_parts()
    )


def test_every_objective_is_registered_and_every_registered_one_is_looked_at():
    objectives = {part for part in PARTS_OF_LEARN if hasattr(part, "atom")}
    assert {type(o) for o in CASES.values()} | {Supervised} == objectives
    assert {type(m) for m in MAKERS} == set(PARTS_OF_LEARN) - objectives - {Learn}


@pytest.mark.parametrize("selector", SELECTORS, ids=lambda s: type(s).__name__)
def test_a_selector_makes_the_columns_and_atoms_it_says(selector):
    task = Sums().make(3, 4)
    starts = (Start(task), Start(task), Start(task, tag="other"), Start(task, tag="other"))
    made = [attempt(task, t, i, start=starts[i]) for i, t in enumerate("abcd")]
    group = Group("g", tuple(made))
    values = [Verdict("j", About(a.id), VerdictKind.OUTCOME, v)
              for a, v in zip(group.attempts, (0.0, 0.25, 0.5, 1.0), strict=True)]  # fmt: skip
    host = Host(says(lambda text, u: "7"))
    state = selector.init(None) if hasattr(selector, "init") else None
    ctx = host.context("select", slot="select.policy", state=state)
    samples = selector.select(ctx, [group], Verdicts(values))
    assert samples
    for sample in samples:
        columns = set(sample.columns).union(*(r.columns for r in sample.sequences))
        assert columns == selector.makes
        sizes = {"sequence": (1,), "pair": (2,), "set": (4,)}
        assert len(sample.sequences) in sizes[selector.atom]
    assert all(np.any(r.columns["weight"]) for s in samples for r in s.sequences)


# ---------------------------------------------------------------- KTO's reference point


def said(prompt: str, answer: str, **numbers: float) -> Sample:
    tokens = np.array([ALPHABET.index(c) for c in prompt + answer] + [len(ALPHABET)], np.int32)
    weight = np.array([0] * len(prompt) + [1] * (len(answer) + 1), np.float32)
    return Sample("policy", (Sequence(tokens, {"weight": weight}),), numbers, (prompt + answer,))


def test_the_point_is_the_mean_log_ratio_of_answers_to_other_prompts():
    model, base = table("policy", 1), table("base-like", 2)
    model.renderer = base.renderer
    samples = [said("a", "x", label=1.0), said("a", "y", label=0.0), said("b", "y", label=0.0)]
    point = ReferencePoint()
    asked = point.asks(model, samples)
    # "a" is followed by the next answer to "b", "b" by the next to "a"
    texts = ["".join(ALPHABET[t] for t in s.sequences[0].tokens[:-1]) for s in asked]
    assert texts == ["ay", "ay", "bx"] and asked[2].sources == ("by", "ax")
    assert asked[2].sequences[0].columns["weight"].tolist() == [0, 1, 1]
    p = [m.module.logits.detach()[:, :5].log_softmax(-1) for m in (model, base)]

    def ratio(*letters: int) -> float:
        gap = p[0] - p[1]
        return float(sum(gap[a, b] for a, b in pairwise(letters)))

    expected = max(0.0, np.mean([ratio(0, 3, 4), ratio(0, 3, 4), ratio(1, 2, 4)]))
    ctx = context(model)
    ctx.models["other"] = base
    seen: list[Any] = []

    class Looking(KTO):
        def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
            seen.append(batch.column("kl").tolist())
            return super().__call__(out, batch, norm)

    learn = Learn(
        objectives=(Looking(),), columns=(point,), reference="other", num_updates=1,
        batch_tokens=100,
    )  # fmt: skip
    metrics = learn.learn(ctx, model, samples, [])
    assert metrics["kl_point"] == pytest.approx(expected, rel=1e-4) and expected > 0
    assert seen[0] == pytest.approx([expected] * 3, rel=1e-4)


def test_a_point_is_never_negative_and_0_where_there_is_nothing_to_compare():
    def numbered(own: float, other: float) -> Sample:
        sample = said("a", "x")
        columns = {"weight": sample.sequences[0].columns["weight"]}
        columns |= {
            "logp_old": own * columns["weight"],
            "logp_reference": other * columns["weight"],
        }
        return Sample("policy", (Sequence(sample.sequences[0].tokens, columns),))

    point = ReferencePoint(of="own", num=2)
    samples = [numbered(-1.0, -2.0)] * 3
    model = TabularModel("policy", ALPHABET)
    assert len(point.asks(model, samples)) == 2
    made, found = point(samples, point.asks(model, samples))
    assert found == {"kl_point": 2.0} and made[0].columns["kl"] == 2.0  # a gap of 1 on two tokens
    assert point(samples, [numbered(-3.0, -2.0)])[1] == {"kl_point": 0.0}
    assert ReferencePoint().asks(model, [said("a", "x"), said("a", "y")]) == []
    assert point(samples, [])[1] == {"kl_point": 0.0}
    pair = Sample("policy", (*said("a", "x").sequences, *said("a", "y").sequences))
    with pytest.raises(ConfigError, match=r"select\.labelled"):
        point.asks(model, [pair])
    with pytest.raises(ConfigError, match=r"ReferencePoint\.of is out of range; expected others"):
        ReferencePoint(of="all")


# ---------------------------------------------------------------- numbers of pairs


def pairs(*margins: float) -> list[Sample]:
    rows = (*said("a", "x").sequences, *said("a", "y").sequences)
    return [Sample("policy", rows, {"margin": m, "outcome": 1.0}) for m in margins]


def test_numbers_of_pairs_are_made_from_their_margins():
    (one, two), metrics = PairLabel()(pairs(0.0, 2.0))
    # hand: 1 / (1 + e^-2) = 0.880797
    assert (one.columns["label"], two.columns["label"]) == (0.5, pytest.approx(0.880797, abs=1e-6))
    assert metrics["label_certainty"] == pytest.approx(0.690399, abs=1e-6)
    assert two.columns["margin"] == 2.0 and two.columns["outcome"] == 1.0
    (share,), _ = PairLabel(kind="share")(pairs(0.5))
    assert share.columns["label"] == 0.75
    with pytest.raises(ConfigError, match=r"differ by at most 1; found a margin of 2"):
        PairLabel(kind="share")(pairs(2.0))
    (beta,), found = PairBeta(beta=0.1)(pairs(2.0))
    assert beta.columns["beta"] == found["beta"] == pytest.approx(0.1316, abs=1e-4)  # the formula's
    (gap,), found = AdvantageGap()(pairs(0.3))
    assert gap.columns["advantage_gap"] == found["advantage_gap"] == 0.3
    with pytest.raises(ConfigError, match="the number 'margin' of each pair; found none"):
        AdvantageGap()([Sample("policy", pairs(1.0)[0].sequences)])
    for bad in (lambda: PairLabel(kind="odd"), lambda: PairBeta(beta=0.0)):
        with pytest.raises(ConfigError, match="is out of range; expected"):
            bad()


def test_a_learner_says_at_once_whether_selector_and_makers_are_enough():
    everything = Preference(soft_labels=True, pair_beta=True, gap_coef=1.0)
    made = (PairLabel(), PairBeta(), AdvantageGap())
    Learn(objectives=(everything,), columns=made, reference="base").check("policy", BestAndWorst())
    lacking = Learn(objectives=(everything,), columns=made[:2], reference="base")
    with pytest.raises(ConfigError, match=r"Preference of model 'policy' needs .* advantage_gap; "):
        lacking.check("policy", BestAndWorst())
    with pytest.raises(ConfigError, match="PairLabel of model 'policy' needs the columns margin"):
        Learn(columns=(PairLabel(),)).check("policy", Labelled())
    Learn(objectives=(KTO(),), columns=(ReferencePoint(),)).check("policy", Labelled())
    bare = SimpleNamespace(makes={"weight"})  # a selector that says nothing of its atoms
    Learn().check("policy", bare)
