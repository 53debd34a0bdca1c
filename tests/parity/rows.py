"""What of ours is compared with what of TRL's, and what the page says of it.

`SAME` and `OTHER` and `FROM_REWARDS`, in this order, are the table in docs/formulas.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from askesis.learn.objectives.leashes import EntropyBonus, KLToReference
from askesis.learn.objectives.policy_gradient import ClippedPolicyGradient, Reinforce
from askesis.learn.objectives.preference import KTO, ORPO, Preference, SimPO
from askesis.learn.objectives.reward_models import Distillation, ImplicitReward, PairwiseReward
from askesis.learn.supervised import Supervised
from tests.parity.golden_values import INPUTS, MASK, PAIRS, Term

CHOSEN = tuple((pair[0],) for pair in PAIRS)
EQUAL = (PAIRS[1],)  # a pair whose answers are equally long
NUM_EQUAL = int(MASK[EQUAL[0][0]].sum())


@dataclass(frozen=True)
class Row:
    """A line of the table: what is ours, what is TRL's, what the page says of both."""

    case: str
    ours: str
    said: str
    terms: tuple[Term, ...] = ()
    gradient_alone: bool = False


def paired(objective, **options) -> tuple[Term, ...]:
    return (Term(objective, atoms=options.pop("atoms", PAIRS), **options),)


def each(*objectives, **options) -> tuple[Term, ...]:
    return tuple(Term(o, **options) for o in objectives)


CLIPPED, GSPO = "ClippedPolicyGradient", 'ClippedPolicyGradient(ratio="sequence")'
SAME = (
    Row("sft", "Supervised()", "agrees", each(Supervised())),
    Row("dpo", "Preference()", "agrees", paired(Preference(beta=0.3))),
    Row(
        "dpo, smoothed",
        "Preference(smoothing=0.1)",
        "agrees; of one pair, which AOT does not sort",
        paired(Preference(beta=0.3, smoothing=0.1), atoms=EQUAL),
    ),
    Row("online dpo", "Preference()", "agrees", paired(Preference(beta=0.3))),
    Row(
        "online ipo",
        'Preference(loss="ipo")',
        "agrees: sums over tokens, as the paper has it",
        paired(Preference(loss="ipo", beta=0.3)),
    ),
    Row(
        "hinge",
        'Preference(loss="hinge")',
        "agrees",
        paired(Preference(loss="hinge", beta=0.3)),
    ),
    Row(
        "robust",
        'Preference(loss="robust")',
        "agrees",
        paired(Preference(loss="robust", beta=0.3, smoothing=0.1)),
    ),
    Row(
        "cpo",
        "Preference(smoothing=0.1), logp_reference 0",
        "agrees",
        paired(Preference(beta=0.3, smoothing=0.1), without_reference=True),
    ),
    Row(
        "slic",
        'Preference(loss="hinge"), logp_reference 0',
        "agrees",
        paired(Preference(loss="hinge", beta=0.3), without_reference=True),
    ),
    Row("simpo", "SimPO()", "agrees", paired(SimPO(beta=2.0, gamma=0.5))),
    Row(
        "kto",
        "KTO()",
        "agrees, given TRL's reference point as the column kl",
        each(
            KTO(beta=0.3, desirable_coef=1.25, undesirable_coef=0.75),
            kl=INPUTS["kl"],
        ),
    ),
    Row(
        "apo_zero_unpaired",
        "KTO(), kl 0",
        "agrees",
        each(KTO(beta=0.3, desirable_coef=1.25, undesirable_coef=0.75)),
    ),
    Row("reward", "PairwiseReward()", "agrees", paired(PairwiseReward(), scores=True)),
    Row(
        "reward, margin",
        "PairwiseReward(margins=True, centre_coef=0.01)",
        "agrees",
        paired(PairwiseReward(margins=True, centre_coef=0.01), scores=True),
    ),
    Row("grpo", f"{CLIPPED}()", "agrees", each(ClippedPolicyGradient())),
    Row(
        "grpo with kl",
        f"{CLIPPED}(), KLToReference()",
        "agrees",
        each(ClippedPolicyGradient(), KLToReference(coef=0.04)),
    ),
    Row(
        "grpo with corrected kl",
        f"{CLIPPED}(), KLToReference(corrected=True)",
        "agrees",
        each(ClippedPolicyGradient(), KLToReference(corrected=True, coef=0.04)),
    ),
    Row(
        "grpo with entropy",
        f"{CLIPPED}(), EntropyBonus()",
        "agrees",
        each(ClippedPolicyGradient(), EntropyBonus(coef=0.01)),
    ),
    Row(
        "grpo, two-sided",
        f"{CLIPPED}(dual_clip=1.25)",
        "agrees",
        each(ClippedPolicyGradient(dual_clip=1.25)),
    ),
    Row(
        "bnpo",
        f'{CLIPPED}(mean="token")',
        "agrees where a step is one micro-batch; cut in several, TRL's is a mean of their means",
        each(ClippedPolicyGradient(mean="token")),
    ),
    Row(
        "dapo",
        f'{CLIPPED}(mean="token", clip_high=0.28)',
        "agrees",
        each(ClippedPolicyGradient(mean="token", clip_high=0.28)),
    ),
    Row(
        "dr_grpo",
        f'{CLIPPED}(mean="constant", max_tokens=9)',
        "agrees",
        each(ClippedPolicyGradient(mean="constant", max_tokens=9)),
    ),
    Row(
        "gspo",
        GSPO,
        "agrees",
        each(ClippedPolicyGradient(ratio="sequence", clip_low=0.02, clip_high=0.03)),
    ),
    Row(
        "grpo, token_truncate",
        f"{CLIPPED}(importance_cap=1.5)",
        "agrees",
        each(ClippedPolicyGradient(importance_cap=1.5)),
    ),
    Row(
        "grpo, sequence_truncate",
        f'{CLIPPED}(importance_cap=1.5, importance_level="sequence")',
        "agrees",
        each(ClippedPolicyGradient(importance_cap=1.5, importance_level="sequence")),
    ),
    Row(
        "rloo, on-policy",
        "Reinforce()",
        "the gradient agrees on-policy; the value of the loss means nothing in either",
        each(Reinforce()),
        gradient_alone=True,
    ),
    *(
        Row(
            f"gkd, {beta:g}",
            f"Distillation(beta={beta:g})",
            "agrees",
            each(Distillation(beta=beta)),
        )
        for beta in (0.0, 0.5, 1.0)
    ),
    Row(
        "gkd, 0.3, warm",
        "Distillation(beta=0.3, temperature=2)",
        "agrees",
        each(Distillation(beta=0.3, temperature=2.0)),
    ),
    Row("distillation, 0.3", "Distillation(beta=0.3)", "agrees", each(Distillation(beta=0.3))),
    Row(
        "bco_pair",
        "ImplicitReward()",
        "agrees times 2: a mean over pairs there, over answers here",
        each(ImplicitReward(beta=0.3), scale=2.0, halves=True),
    ),
    Row(
        "apo_zero",
        "KTO(), kl 0",
        "agrees times 2: a mean over pairs there, over answers here",
        each(KTO(beta=0.3), scale=2.0, halves=True),
    ),
)
# The terms here are what is ours and is *not* equal; what the difference is has a test of its own.
OTHER = (
    Row(
        "ipo",
        'Preference(loss="ipo")',
        "differs: TRL takes means over tokens, the paper sums (so does TRL's online DPO)",
        paired(Preference(loss="ipo", beta=0.3)),
    ),
    Row(
        "dpo with likelihood",
        "Preference(nll_coef=1)",
        "differs: TRL's likelihood is a mean over tokens of the batch, ours per pair of each mean",
        paired(Preference(beta=0.3, nll_coef=1.0)),
    ),
    Row(
        "cpo with likelihood",
        "Preference(nll_coef=1), logp_reference 0",
        "differs in the same way",
        paired(Preference(beta=0.3, nll_coef=1.0), without_reference=True),
    ),
    Row(
        "orpo",
        "ORPO()",
        "the odds ratio agrees; TRL's likelihood counts the prompt too, and is a mean over tokens",
        paired(ORPO(odds_coef=0.1)),
    ),
    Row(
        "gspo with corrected kl",
        f"{GSPO}, KLToReference(corrected=True)",
        "differs: TRL weights the divergence by the sequence's ratio, ours always by the token's",
        each(
            ClippedPolicyGradient(ratio="sequence", clip_low=0.02, clip_high=0.03),
            KLToReference(corrected=True, coef=0.04),
        ),
    ),
    Row(
        "rloo",
        "Reinforce()",
        "differs off-policy: TRL clips the ratio of the whole answer, ours is not corrected",
        each(Reinforce()),
    ),
)
FROM_REWARDS = {  # advantages: ours, what the page says
    "grpo": (
        "group_standardised(ddof=1)",
        "agrees; ours divides by G unless told otherwise, as the paper has it",
    ),
    "dr_grpo": ("group_centred", "agrees"),
    "rloo with kl": ('leave_one_out, KLInReward(baseline="leave_one_out")', "agrees"),
}
