"""Every objective that TRL has too: the same loss and gradient, or the difference and its reason.

The golden values come from TRL's own code (write_golden.py; versions in golden/inputs.json). The
pairs are in rows.py, and are the table in docs/formulas.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from askesis.formulas.advantages import group_centred, group_standardised, leave_one_out
from askesis.formulas.divergences import kl_estimate
from askesis.formulas.means import sequence_shares, weighted_mean
from askesis.formulas.policy_gradient import clipped, sequence_ratio
from askesis.learn.credit import KLInReward
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient
from askesis.learn.objectives.preference import ORPO, Preference
from askesis.learn.supervised import Supervised
from askesis.records import Sample, Sequence
from tests.parity.golden_values import (
    GIVEN,
    INPUTS,
    LENGTHS,
    LOSSES,
    MASK,
    TOKENS,
    Term,
    leaf,
    logp,
    loss_and_gradient,
    trl,
)
from tests.parity.rows import CHOSEN, EQUAL, FROM_REWARDS, NUM_EQUAL, OTHER, SAME, paired

torch.set_num_threads(1)
PAGE = Path(__file__).parents[2] / "docs" / "formulas.md"
ids = [row.case for row in SAME]


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> bool:
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))


@pytest.mark.parametrize("row", SAME, ids=ids)
def test_loss_and_gradient_are_those_of_trl(row):
    wanted, slope, of = trl(row.case)
    loss, gradient = loss_and_gradient(row.terms, of)
    assert close(gradient, slope)
    if not row.gradient_alone:
        assert loss == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("row", OTHER, ids=[row.case for row in OTHER])
def test_where_the_page_says_that_they_differ_they_do(row):
    _, slope, of = trl(row.case)
    assert not close(loss_and_gradient(row.terms, of)[1], slope, 1e-2)


# ---------------------------------------------------------------- the differences, exactly


def same(terms: tuple[Term, ...], case: str) -> None:
    wanted, slope, of = trl(case)
    loss, gradient = loss_and_gradient(terms, of)
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert close(gradient, slope)


def test_trls_ipo_is_ours_with_a_tau_shared_out_over_the_tokens():
    """For answers of n tokens: (D / n - 1 / 2t)^2 = (D - 1 / 2(t / n))^2 / n^2."""
    n = NUM_EQUAL
    assert n == MASK[EQUAL[0][1]].sum() > 1
    objective = Preference(loss="ipo", beta=0.3 / n, coef=1 / n**2)
    same(paired(objective, atoms=EQUAL), "ipo, equal lengths")


@pytest.mark.parametrize(
    ("case", "without_reference"), [("dpo with likelihood", False), ("cpo with likelihood", True)]
)
def test_trls_likelihood_of_the_chosen_is_a_mean_over_tokens(case, without_reference):
    pairs = paired(Preference(beta=0.3), without_reference=without_reference)
    same((*pairs, Term(Supervised(), atoms=CHOSEN)), case)


def test_trls_orpo_is_our_odds_ratio_and_a_likelihood_of_prompts_and_answers():
    likelihood = Term(Supervised(mean="sequence"), atoms=CHOSEN, scale=-1.0)
    with_prompts = Term(Supervised(), atoms=CHOSEN, whole_row=True)
    same((*paired(ORPO(odds_coef=0.1)), likelihood, with_prompts), "orpo")


def rows_of(given: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(given).double()


def test_trls_corrected_divergence_follows_the_ratio_of_its_loss():
    logits, weight = leaf("policy"), rows_of(MASK)
    now, old, reference = logp(logits), rows_of(GIVEN["old"]), rows_of(GIVEN["reference"])
    ratio = sequence_ratio(now, old, weight)
    leash = weighted_mean(
        ratio * kl_estimate(now, reference, "k3"), sequence_shares(weight), len(weight)
    )
    narrow = ClippedPolicyGradient(ratio="sequence", clip_low=0.02, clip_high=0.03)
    total = Term(narrow).loss(logits) + 0.04 * leash
    wanted, slope, _ = trl("gspo with corrected kl")
    assert float(total.detach()) == pytest.approx(wanted, rel=1e-5)
    assert close(torch.autograd.grad(total, logits)[0], slope)


def test_trls_rloo_clips_the_ratio_of_whole_answers():
    logits, weight = leaf("policy"), rows_of(MASK)
    gap = ((logp(logits) - rows_of(GIVEN["old"])) * weight).sum(1)
    advantage = torch.tensor(INPUTS["advantage"], dtype=torch.float64)
    total = clipped(gap.exp(), advantage).mean()
    wanted, slope, _ = trl("rloo")
    assert float(total.detach()) == pytest.approx(wanted, rel=1e-5)
    assert close(torch.autograd.grad(total, logits)[0], slope)


# ---------------------------------------------------------------- advantages


def groups() -> list[np.ndarray]:
    return list(np.array(INPUTS["reward"]).reshape(2, 4))


def test_group_advantages_are_trls_with_the_spread_that_divides_by_one_less():
    wanted = np.reshape(INPUTS["advantages"]["grpo"], (2, 4))
    assert np.allclose([group_standardised(g, ddof=1) for g in groups()], wanted, rtol=1e-5)
    ours = np.array([group_standardised(g) for g in groups()])
    assert np.allclose(ours, wanted * np.sqrt(4 / 3), rtol=1e-3)  # but for the epsilon
    assert not np.allclose(ours, wanted, rtol=1e-2)


def test_advantages_without_the_spread_are_trls():
    wanted = np.reshape(INPUTS["advantages"]["dr_grpo"], (2, 4))
    assert np.allclose([group_centred(g) for g in groups()], wanted, rtol=1e-5)


def test_leaving_one_out_of_rewards_with_a_log_ratio_is_trls():
    wanted = INPUTS["advantages"]["rloo with kl"]
    samples = []
    for row, advantage in enumerate(np.concatenate([leave_one_out(g) for g in groups()])):
        n = LENGTHS[row]
        columns = {"weight": MASK[row, :n], "logp_old": GIVEN["old"][row, :n]}
        columns["logp_reference"] = GIVEN["reference"][row, :n]
        sequence = Sequence(TOKENS[row, :n], {k: v.astype(np.float32) for k, v in columns.items()})
        scalars = {"advantage": float(advantage), "group": float(row // 4)}
        samples.append(Sample("policy", (sequence,), scalars))
    made, _ = KLInReward(coef=0.03, baseline="leave_one_out")(samples)
    assert np.allclose([s.columns["advantage"] for s in made], wanted, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------- the page


def test_every_golden_case_is_compared():
    compared = {row.case for row in (*SAME, *OTHER)} | {"ipo, equal lengths"}
    assert compared == LOSSES.keys()


def test_the_table_on_the_page_is_what_is_tested():
    section = PAGE.read_text().split("## Parity with TRL", 1)[1].split("\n## ", 1)[0]
    found = [line for line in section.splitlines() if line.startswith("| `")]
    rows = [f"| `{r.ours}` | {LOSSES[r.case]['trl']} | {r.said} |" for r in (*SAME, *OTHER)]
    rows += [
        f"| `{ours}` | {'RLOO' if 'rloo' in name else 'GRPO'}Trainer's advantages, {name} | {said} |"
        for name, (ours, said) in FROM_REWARDS.items()
    ]
    assert found == rows, "\n" + "\n".join(rows)
    versions = INPUTS["versions"]
    assert f"TRL {versions['trl']}" in section
    assert f"torch {versions['torch'].split('+')[0]}" in section
