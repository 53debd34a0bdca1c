"""What there is, by name: one line each, imported only when used.

A row says where a thing lives, what it is for, which catalogued methods it realises, what truth
it uses and what it needs. Worlds have a table of their own (`askesis.worlds.table`). Outsiders
need no row: `my_file.py:my_recipe`, or the entry points "askesis.recipes" and "askesis.parts".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from typing import Any

from askesis.config import find
from askesis.errors import ConfigError, nearest


@dataclass(frozen=True, slots=True)
class Row:
    """One thing by name. `cards` are catalogue numbers; `truth` what it uses or knows."""

    target: str  # "module:name"
    purpose: str
    truth: str = ""
    needs: tuple[str, ...] = ()
    cards: tuple[int, ...] = ()
    page: str = ""

    def load(self) -> Any:
        return find(self.target)

    def plain(self) -> dict[str, Any]:
        return asdict(self)


RECIPES: dict[str, Row] = {
    "sft": Row(
        "askesis.recipes.sft:sft",
        "supervised learning on the world's demonstrations; also the control arm",
        "demonstrations",
        ("demonstration",),
        page="docs/methods/sft.md",
    ),
    "star": Row(
        "askesis.recipes.star:star",
        "learn from own correct attempts, restarting from base each round; hints for failures",
        "answers",
        ("answer",),
        page="docs/methods/star.md",
    ),
    "rest_em": Row(
        "askesis.recipes.rest_em:rest_em",
        "expectation-maximisation: many samples, keep the right ones, ten a task at most, retrain",
        "answers",
        ("answer",),
        page="docs/methods/rest_em.md",
    ),
    "rft": Row(
        "askesis.recipes.rft:rft",
        "online rejection sampling: keep correct distinct attempts, continue from the last weights",
        "answers",
        ("answer",),
        page="docs/methods/rft.md",
    ),
    "self_consistency": Row(
        "askesis.recipes.self_consistency:self_consistency",
        "learn from the majority answer; needs no truth at all",
        "none",
        (),
        page="docs/methods/self_consistency.md",
    ),
    "reinforce": Row(
        "askesis.recipes.reinforce:reinforce",
        "policy gradient with a baseline that follows the rewards",
        "answers",
        ("answer",),
        page="docs/methods/reinforce.md",
    ),
    "rloo": Row(
        "askesis.recipes.rloo:rloo",
        "policy gradient on whole answers, each against the others of its task",
        "answers",
        ("answer",),
        page="docs/methods/rloo.md",
    ),
    "grpo": Row(
        "askesis.recipes.grpo:grpo",
        "advantages in units of the group's spread, clipped ratios, KL in the loss",
        "answers",
        ("answer",),
        page="docs/methods/grpo.md",
    ),
    "dr_grpo": Row(
        "askesis.recipes.dr_grpo:dr_grpo",
        "GRPO without its length and difficulty biases",
        "answers",
        ("answer",),
        page="docs/methods/dr_grpo.md",
    ),
    "dapo": Row(
        "askesis.recipes.dapo:dapo",
        "GRPO with mixed groups only, an asymmetric clip and a mean over tokens",
        "answers",
        ("answer",),
        page="docs/methods/dapo.md",
    ),
    "gspo": Row(
        "askesis.recipes.gspo:gspo",
        "one clipped ratio for a whole answer",
        "answers",
        ("answer",),
        page="docs/methods/gspo.md",
    ),
    "nft": Row(
        "askesis.recipes.nft:nft",
        "supervised learning of right answers and, by implication, of wrong ones",
        "answers",
        ("answer",),
        cards=(222,),
        page="docs/methods/nft.md",
    ),
    "ppo": Row(
        "askesis.recipes.ppo:ppo",
        "policy gradient of tokens with a value head, clips, and KL in the reward",
        "answers",
        ("answer",),
        cards=(176,),
        page="docs/methods/ppo.md",
    ),
    "t1": Row(
        "askesis.recipes.t1:t1",
        "RLOO with many samples, entropy bonus, penalties and a moving anchor",
        "answers",
        ("answer",),
        cards=(240,),
        page="docs/methods/t1.md",
    ),
    "simplerl_zoo": Row(
        "askesis.recipes.simplerl_zoo:simplerl_zoo",
        "GRPO from a base model, right or wrong as only reward, difficulty matched",
        "answers",
        ("answer",),
        cards=(229,),
        page="docs/methods/simplerl_zoo.md",
    ),
    "a_lol": Row(
        "askesis.recipes.a_lol:a_lol",
        "given answers that are better than the first model's, weighted by how much",
        "answers, preferences",
        ("answer", "preference"),
        cards=(82,),
        page="docs/methods/a_lol.md",
    ),
    "reward_model": Row(
        "askesis.recipes.reward_model:reward_model",
        "a reward model from annotated pairs: Bradley-Terry, margins, ties",
        "preferences",
        ("preference",),
        cards=(253,),
        page="docs/methods/reward_model.md",
    ),
    "dpo": Row(
        "askesis.recipes.dpo:dpo",
        "a policy from annotated pairs, without a reward model",
        "preferences",
        ("preference",),
        page="docs/methods/dpo.md",
    ),
    "online_dpo": Row(
        "askesis.recipes.online_dpo:online_dpo",
        "a reward model, then DPO on the best and worst of own answers",
        "preferences",
        ("preference",),
        cards=(253,),
        page="docs/methods/online_dpo.md",
    ),
    "superhf": Row(
        "askesis.recipes.superhf:superhf",
        "a reward model, then the likelihood of the best of many, on a leash",
        "preferences",
        ("preference",),
        cards=(197,),
        page="docs/methods/superhf.md",
    ),
    "spo": Row(
        "askesis.recipes.spo:spo",
        "win rates among own answers as reward, towards the minimax winner",
        "preferences",
        ("preference",),
        cards=(213,),
        page="docs/methods/spo.md",
    ),
    "nash_md": Row(
        "askesis.recipes.nash_md:nash_md",
        "win rates against a mixture with the first model, towards the Nash policy",
        "preferences",
        ("preference",),
        cards=(196,),
        page="docs/methods/nash_md.md",
    ),
    "b_star": Row(
        "askesis.recipes.b_star:b_star",
        "rejection sampling that sets its own temperature and threshold by a balance score",
        "answers, steps",
        ("answer", "steps"),
        cards=(1,),
        page="docs/methods/b_star.md",
    ),
    "spin": Row(
        "askesis.recipes.spin:spin",
        "tell demonstrations from own answers, and answer again, until nobody can tell",
        "demonstrations",
        ("demonstration",),
        cards=(28,),
        page="docs/methods/spin.md",
    ),
    "rlsp": Row(
        "askesis.recipes.rlsp:rlsp",
        "PPO with a bonus for trying different steps, whether they help or not",
        "answers",
        ("answer",),
        cards=(10,),
        page="docs/methods/rlsp.md",
    ),
    "self_reinforcement": Row(
        "askesis.recipes.self_reinforcement:self_reinforcement",
        "a few demonstrations, then questions without answers: own answers over weaker own ones",
        "demonstrations",
        ("demonstration",),
        cards=(52,),
        page="docs/methods/self_reinforcement.md",
    ),
    "sharpening": Row(
        "askesis.recipes.sharpening:sharpening",
        "learn the answers that the first model itself likes best",
        "none",
        (),
        cards=(18,),
        page="docs/methods/sharpening.md",
    ),
    "score": Row(
        "askesis.recipes.score:score",
        "two answers, two stages: the second one is paid for what it changes",
        "answers",
        ("answer",),
        cards=(2,),
        page="docs/methods/score.md",
    ),
    "rise": Row(
        "askesis.recipes.rise:rise",
        "answers improved over turns, each learnt after those before it, by its reward",
        "answers",
        ("answer",),
        cards=(237,),
        page="docs/methods/rise.md",
    ),
    "self_correction_dpo": Row(
        "askesis.recipes.self_correction_dpo:self_correction_dpo",
        "better first answers from pairs of an attempt's own two",
        "answers",
        ("answer",),
        cards=(42,),
        page="docs/methods/self_correction_dpo.md",
    ),
    "confidence_critique": Row(
        "askesis.recipes.confidence_critique:confidence_critique",
        "keeping right first answers and mending wrong ones, from answers put together",
        "answers, demonstrations",
        ("answer", "demonstration"),
        cards=(84,),
        page="docs/methods/confidence_critique.md",
    ),
    "re_rest": Row(
        "askesis.recipes.re_rest:re_rest",
        "a reflector repairs failed attempts from the environment's feedback; both learn",
        "answers",
        ("answer",),
        cards=(212,),
        page="docs/methods/re_rest.md",
    ),
    "four_habits": Row(
        "askesis.recipes.four_habits:four_habits",
        "demonstrations in a habit of reasoning, right or wrong, then reinforcement learning",
        "answers, demonstrations",
        ("answer", "demonstration"),
        cards=(6,),
        page="docs/methods/four_habits.md",
    ),
    "agent_r": Row(
        "askesis.recipes.agent_r:agent_r",
        "own bad walks left at their first bad move and spliced with good ones: turning back",
        "answers",
        ("turns", "demonstration"),
        cards=(9,),
        page="docs/methods/agent_r.md",
    ),
}

PARTS: dict[str, Row] = {
    "tasks.uniform": Row(
        "askesis.tasks.uniform:Uniform", "tasks drawn alike, fresh each round or from a fixed pool"
    ),
    "tasks.difficulty_mixed": Row(
        "askesis.tasks.difficulty_mixed:DifficultyMixed", "tasks mixed over bins of difficulty"
    ),
    "explore.sample": Row(
        "askesis.explore.sample:SampleAttempts", "k attempts at each start at a temperature"
    ),
    "explore.self_correct": Row(
        "askesis.explore.turns:SelfCorrect",
        "answers, asked for again by the house, the world or a critic",
        cards=(2, 42, 84, 237),
    ),
    "explore.rationalize": Row(
        "askesis.explore.rationalize:Rationalize",
        "attempts, and for failed ones a second try with the answer shown",
        "answers",
        ("answer",),
    ),
    "explore.demonstrate": Row(
        "askesis.explore.demonstrate:Demonstrate",
        "the world's own solutions as attempts",
        "demonstrations",
        ("demonstration",),
    ),
    "explore.walk": Row(
        "askesis.explore.walk:Walk", "an environment walked turn by turn", "", ("turns",)
    ),
    "explore.tree_walk": Row(
        "askesis.explore.tree_walk:TreeWalk",
        "tree search by the walker itself, in a world that is walked",
        "",
        ("turns",),
        (9,),
    ),
    "explore.demonstrate_walk": Row(
        "askesis.explore.demonstrate_walk:DemonstrateWalk",
        "the world's own walks, move by move",
        "demonstrations",
        ("demonstration", "turns"),
    ),
    "explore.repair": Row(
        "askesis.explore.repair:Repair",
        "attempts, and for failed ones a reflector's, who reads them and the feedback",
        "answers",
        ("answer",),
        (212,),
    ),
    "explore.annotated": Row(
        "askesis.explore.annotated:Annotated",
        "the two answers of an annotated pair as attempts",
        "preferences",
        ("preference",),
    ),
    "explore.against": Row(
        "askesis.explore.against:Against", "attempts of the policy beside those of an opponent"
    ),
    "judge.verifier": Row(
        "askesis.judge.verifier:Verifier", "the world's verifier", "answers", ("answer",)
    ),
    "judge.turn_verifier": Row(
        "askesis.judge.turns:TurnVerifier",
        "the world's verifier, on every answer of an attempt",
        "answers",
        ("answer",),
        (2, 237),
    ),
    "judge.self_consistency": Row(
        "askesis.judge.self_consistency:SelfConsistency", "the majority answer of a group", "none"
    ),
    "judge.return": Row("askesis.judge.returns:Return", "what the explorer or environment paid"),
    "judge.win_rate": Row(
        "askesis.judge.win_rate:WinRate",
        "how often annotators prefer an attempt to others",
        "preferences",
        ("preference",),
        (196, 213),
    ),
    "judge.advantage": Row(
        "askesis.judge.advantage:Advantage",
        "another judge's value less what a critic expects",
        cards=(82,),
    ),
    "judge.reward_model": Row(
        "askesis.judge.reward_model:RewardModel", "what a reward model's head says of an attempt"
    ),
    "judge.bad_patterns": Row(
        "askesis.judge.bad_patterns:BadPatterns",
        "another judge, with penalties for bad patterns",
        cards=(240,),
    ),
    "select.threshold": Row(
        "askesis.select.threshold:Threshold", "good, distinct attempts, at most so many a task"
    ),
    "select.group_advantages": Row(
        "askesis.select.advantages:GroupAdvantages", "attempts with their advantage in the group"
    ),
    "select.running_advantages": Row(
        "askesis.select.advantages:RunningAdvantages",
        "attempts with their advantage over a running baseline",
        cards=(206,),
    ),
    "select.turn_advantages": Row(
        "askesis.select.turn_advantages:TurnAdvantages",
        "each answer of an attempt with its own advantage, revisions paid for the change",
        cards=(2,),
    ),
    "select.turn_pairs": Row(
        "askesis.select.turn_pairs:TurnPairs",
        "a pair an attempt: its right answer and its wrong one",
        cards=(42,),
    ),
    "select.turn_prefixes": Row(
        "askesis.select.turn_prefixes:TurnPrefixes",
        "every answer after what was said before it, weighted by its reward",
        cards=(237,),
    ),
    "select.revisions": Row(
        "askesis.select.revisions:Revisions",
        "single answers put together as an answer and a better one",
        cards=(84,),
    ),
    "select.group_accuracy": Row(
        "askesis.select.group_accuracy:GroupAccuracy",
        "attempts of mixed groups, right or wrong, with the group's accuracy",
        cards=(222,),
    ),
    "select.refill": Row(
        "askesis.select.refill:Refill", "how many mixed groups a round draws for (DAPO)"
    ),
    "select.best_and_worst": Row(
        "askesis.select.pairs:BestAndWorst",
        "a pair a group: the best and a worse one",
        cards=(253,),
    ),
    "select.start_labels": Row(
        "askesis.select.labels:StartLabels",
        "starts with what came of them, for critics",
        cards=(82,),
    ),
    "select.labelled": Row(
        "askesis.select.labelled:Labelled", "attempts that are good or bad, for KTO and heads"
    ),
    "select.correct_sets": Row(
        "askesis.select.sets:CorrectSets",
        "all different correct attempts at a task in one sample",
        cards=(248,),
    ),
    "select.rankings": Row(
        "askesis.select.sets:Rankings", "the attempts at a task in one sample, best first"
    ),
    "select.positive_advantages": Row(
        "askesis.select.leftover:PositiveAdvantages",
        "what is better than expected, drawn in proportion",
        cards=(82,),
    ),
    "select.outcomes": Row(
        "askesis.select.outcomes:Outcomes",
        "attempts with their reward, in units of its running spread",
        cards=(176,),
    ),
    "learn.learn": Row(
        "askesis.learn.learner:Learn", "objectives minimised with AdamW, one trainer for all"
    ),
    "learn.kl_in_reward": Row(
        "askesis.learn.credit:KLInReward", "the log-ratio to a reference, taken off the reward"
    ),
    "select.as_own": Row(
        "askesis.select.repaired:AsOwn",
        "what was right and what was repaired, as if said at once",
        cards=(212,),
    ),
    "select.repair_lessons": Row(
        "askesis.select.repaired:RepairLessons",
        "failed attempt and feedback as context, what is right as answer",
        cards=(212,),
    ),
    "select.repaired_pairs": Row(
        "askesis.select.repaired:RepairedPairs",
        "a right repair against the failed attempt that it mends",
        cards=(212,),
    ),
    "select.splice": Row(
        "askesis.select.splice:Splice",
        "wrong walks spliced with right ones, loss on the way back and on",
        needs=("turns",),
        cards=(9,),
    ),
    "learn.kl_of_turns": Row(
        "askesis.learn.turn_credit:KLOfTurns",
        "the log-ratio to a reference at a price for each turn, taken off the advantage",
        cards=(2,),
    ),
    "learn.generalised_advantages": Row(
        "askesis.learn.credit:GeneralisedAdvantages",
        "advantages and returns of tokens from a value head (GAE)",
        cards=(176,),
    ),
    "learn.reference_point": Row(
        "askesis.learn.reference_point:ReferencePoint",
        "how far the policy is from its reference before the updates, for KTO",
    ),
    "learn.pair_label": Row(
        "askesis.learn.pair_columns:PairLabel",
        "the probability that a pair is the right way round, from its margin",
    ),
    "learn.pair_beta": Row(
        "askesis.learn.pair_columns:PairBeta",
        "a pair's own inverse temperature, from its margin",
        cards=(186,),
    ),
    "learn.advantage_gap": Row(
        "askesis.learn.pair_columns:AdvantageGap",
        "how much better a step is than its sibling",
        cards=(24,),
    ),
    "learn.supervised": Row("askesis.learn.supervised:Supervised", "weighted likelihood"),
    "learn.reinforce": Row(
        "askesis.learn.objectives.policy_gradient:Reinforce", "likelihood times advantage"
    ),
    "learn.clipped_policy_gradient": Row(
        "askesis.learn.objectives.policy_gradient:ClippedPolicyGradient",
        "the clipped ratio of PPO, GRPO, Dr. GRPO, DAPO and GSPO",
    ),
    "learn.kl_to_reference": Row(
        "askesis.learn.objectives.leashes:KLToReference", "divergence from a reference, in the loss"
    ),
    "learn.entropy_bonus": Row(
        "askesis.learn.objectives.leashes:EntropyBonus",
        "entropy of the next-token distributions",
        cards=(240,),
    ),
    "learn.value_loss": Row(
        "askesis.learn.objectives.leashes:ValueLoss", "squared error of a value head, clipped"
    ),
    "learn.negative_aware": Row(
        "askesis.learn.objectives.likelihood:NegativeAware",
        "right answers learnt, wrong ones by implication (NFT)",
        cards=(222,),
    ),
    "learn.leftover_lunch": Row(
        "askesis.learn.objectives.likelihood:LeftoverLunch",
        "advantage-weighted offline likelihood (A-LoL and its variants)",
        cards=(82,),
    ),
    "learn.set_likelihood": Row(
        "askesis.learn.objectives.likelihood:SetLikelihood",
        "several correct answers to a task at once (MML, beta-MML)",
        cards=(248,),
    ),
    "learn.anchored_likelihood": Row(
        "askesis.learn.objectives.likelihood:AnchoredLikelihood",
        "likelihood with a leash to the reference (SuperHF)",
        cards=(197,),
    ),
    "learn.preference": Row(
        "askesis.learn.objectives.preference:Preference",
        "DPO, IPO, hinge, robust, soft labels, step pairs, SPIN",
        cards=(24, 28, 75, 92, 181, 186, 253),
    ),
    "learn.kto": Row("askesis.learn.objectives.preference:KTO", "good and bad answers, no pairs"),
    "learn.simpo": Row(
        "askesis.learn.objectives.preference:SimPO", "pairs by mean log-probability, no reference"
    ),
    "learn.orpo": Row(
        "askesis.learn.objectives.preference:ORPO", "likelihood and an odds ratio, no reference"
    ),
    "learn.contrastive_preference": Row(
        "askesis.learn.objectives.preference:ContrastivePreference",
        "pairs of segments by their regret (CPL)",
        cards=(201,),
    ),
    "learn.pairwise_reward": Row(
        "askesis.learn.objectives.reward_models:PairwiseReward",
        "a reward model from pairs: Bradley-Terry, margins, ties",
    ),
    "learn.ranked_reward": Row(
        "askesis.learn.objectives.reward_models:RankedReward",
        "a reward model from rankings: Plackett-Luce",
    ),
    "learn.labelled_reward": Row(
        "askesis.learn.objectives.reward_models:LabelledReward", "outcome and process heads"
    ),
    "learn.implicit_reward": Row(
        "askesis.learn.objectives.reward_models:ImplicitReward",
        "a reward model that is a log-ratio, from outcome labels",
        cards=(133,),
    ),
    "learn.distillation": Row(
        "askesis.learn.objectives.reward_models:Distillation",
        "the reference's distributions, forward, reverse or between",
    ),
    "retain.replay": Row(
        "askesis.retain.replay:Replay", "samples of earlier rounds mixed into this one's"
    ),
    "retain.pin": Row(
        "askesis.retain.pin:Pin", "a snapshot kept by name from the end of a phase on"
    ),
    "retain.moving_average": Row(
        "askesis.retain.moving_average:MovingAverage",
        "an average of a model's weights that follows its learning",
        cards=(196, 240),
    ),
    "retain.keep_or_revert": Row(
        "askesis.retain.keep_or_revert:KeepOrRevert",
        "the candidate against the best kept snapshot on fresh decide tasks",
        "answers",
        ("answer",),
    ),
    "measure.ability": Row(
        "askesis.measure.ability:Ability",
        "pass@1, pass@k, majority@k and more on fresh decide tasks",
        "answers",
        ("answer",),
    ),
    "measure.preference_accuracy": Row(
        "askesis.measure.preferences:PreferenceAccuracy",
        "whether a model prefers what annotators prefer, on fresh decide pairs",
        "preferences",
        ("preference",),
    ),
    "measure.drift": Row(
        "askesis.measure.drift:Drift",
        "divergence from earlier snapshots, length, distinct n-grams, collapse",
        needs=("logp",),
        cards=(157,),
    ),
    "measure.worlds": Row(
        "askesis.measure.worlds:Worlds",
        "pass@1 on several worlds at every measurement: forgetting while it happens",
        "answers",
        ("answer",),
        (63,),
    ),
    "measure.self_consuming": Row(
        "askesis.measure.self_consuming:SelfConsuming",
        "what must follow from learning what was picked among one's own answers",
        cards=(132,),
    ),
    "measure.exploration": Row(
        "askesis.measure.exploration:Exploration",
        "Pass@K-S, Reward@K-S, balance, entropy, new and never solved: B-STaR's watch",
        cards=(1,),
    ),
    "measure.correction": Row(
        "askesis.measure.correction:Correction",
        "what later answers of an attempt mend and spoil, and at what price",
        "answers",
        ("answer",),
        (2, 84, 237),
    ),
    "measure.walks": Row(
        "askesis.measure.walks:Walks",
        "success of walks from the beginning and after forced slips, loops, illegal moves",
        "answers",
        ("turns",),
        (9,),
    ),
    "measure.revisions": Row(
        "askesis.measure.revisions:Revisions",
        "the same on fresh decide tasks, with the turns and window of its use",
        "answers",
        ("answer",),
        (84, 237),
    ),
    "measure.audit": Row(
        "askesis.measure.audit:Audit",
        "the round's judge against the truth: false passes, false fails, calibration",
        "answers",
        ("answer",),
        (17, 114, 239),
    ),
    "measure.habits": Row(
        "askesis.measure.habits:Habits",
        "verification, backtracking, sub-goals, backward chaining, counted by rules",
        cards=(6,),
    ),
    "measure.groups": Row(
        "askesis.measure.groups:Groups", "what this round's own groups say about the training"
    ),
    "explore.steered": Row(
        "askesis.explore.steered:SteeredAttempts",
        "attempts at temperatures that the round hands over",
        cards=(1,),
    ),
    "explore.against_demonstration": Row(
        "askesis.explore.against_demonstration:AgainstDemonstration",
        "the model's own answers beside a demonstration",
        "demonstrations",
        ("demonstration",),
        (28,),
    ),
    "select.sides": Row(
        "askesis.select.sides:Sides",
        "pairs of two sides: demonstration, own, opponent, degraded condition",
        cards=(28, 52, 60),
    ),
    "measure.pair_truth": Row(
        "askesis.measure.pair_truth:PairTruth",
        "whether what was chosen in pairs is truly better",
        "answers",
        ("answer",),
        (52,),
    ),
    "judge.search_bonus": Row(
        "askesis.judge.search_bonus:SearchBonus",
        "the verifier's outcome mixed with a bonus for different steps",
        "answers",
        ("answer",),
        (10,),
    ),
    "judge.own_likelihood": Row(
        "askesis.judge.own_likelihood:OwnLikelihood",
        "how likely a model itself is to say an attempt",
        "none",
        ("logp",),
        (18,),
    ),
    "learn.pair_regression": Row(
        "askesis.learn.objectives.regression:PairRegression",
        "log-ratios fitted to differences of rewards (RLHF-Sharpening, REBEL, XPO)",
        cards=(18,),
    ),
    "measure.sharpness": Row(
        "askesis.measure.sharpness:Sharpness",
        "the exact probability of every answer, where answers can be listed",
        "none",
        ("listed answers",),
        (18,),
    ),
    "select.controller": Row(
        "askesis.select.steering:Controller",
        "which temperature and threshold a round works with",
        "answers",
        ("answer",),
        (1,),
    ),
    "select.steered_threshold": Row(
        "askesis.select.steering:SteeredThreshold",
        "good, distinct attempts at the chosen threshold, to a wanted size",
        cards=(1,),
    ),
    "judge.process_reward": Row(
        "askesis.judge.process_reward:ProcessReward",
        "outcome plus weakest step, as a process reward model that errs",
        "answers, steps",
        ("answer", "steps"),
        (1,),
    ),
}


ALARMS: dict[str, Row] = {
    "reward_hacking": Row(
        "askesis.measure.alarms.outran:RewardHacking",
        "the training reward rises and held-out truth does not follow",
        page="docs/alarms.md#reward_hacking",
    ),
    "length_gaming": Row(
        "askesis.measure.alarms.outran:LengthGaming",
        "attempts grow longer and held-out truth does not follow",
        page="docs/alarms.md#length_gaming",
    ),
    "diversity_collapse": Row(
        "askesis.measure.alarms.outran:DiversityCollapse",
        "attempts at one task grow alike and held-out truth does not rise in return",
        page="docs/alarms.md#diversity_collapse",
    ),
    "wasted_groups": Row(
        "askesis.measure.alarms.level:WastedGroups",
        "nearly all groups of attempts carry no gradient",
        page="docs/alarms.md#wasted_groups",
    ),
    "judge_drift": Row(
        "askesis.measure.alarms.fell:JudgeDrift",
        "the judge errs more than at first, or more than is bearable",
        page="docs/alarms.md#judge_drift",
    ),
    "forgetting": Row(
        "askesis.measure.alarms.fell:Forgetting",
        "a held-out score lies below its best",
        page="docs/alarms.md#forgetting",
    ),
    "non_finite_updates": Row(
        "askesis.measure.alarms.level:NonFiniteUpdates",
        "updates were refused because a loss or gradient was not finite",
        page="docs/alarms.md#non_finite_updates",
    ),
    "sampler_learner_mismatch": Row(
        "askesis.measure.alarms.level:SamplerLearnerMismatch",
        "the learner gives what was sampled other probabilities than the sampler did",
        page="docs/alarms.md#sampler_learner_mismatch",
    ),
}


def look_up(kind: str, name: str) -> Any:
    """The recipe, part or alarm behind a name, imported now (worlds: `askesis.worlds.open`).

    Raises ConfigError with the nearest name where there is none.
    """
    table = {"recipe": RECIPES, "part": PARTS, "alarm": ALARMS}[kind]
    if ":" in name and name.partition(":")[0].endswith(".py"):
        return find(name)
    if name in table:
        return table[name].load()
    others = {e.name: e for e in entry_points(group=f"askesis.{kind}s")}
    if name in others:
        return others[name].load()
    raise ConfigError(f"there is no {kind} {name!r}", hint=nearest(name, [*table, *others]))
