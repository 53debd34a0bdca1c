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
    "imitate_explore_improve": Row(
        "askesis.recipes.imitate_explore_improve:imitate_explore_improve",
        "a few long demonstrations, then own right answers to hard tasks beside them, from base",
        "answers, demonstrations",
        ("answer", "demonstration"),
        cards=(245,),
        page="docs/methods/imitate_explore_improve.md",
    ),
    "tailored_learning": Row(
        "askesis.recipes.tailored_learning:tailored_learning",
        "a teacher mends what a student got wrong; the student learns that, and to tell the two",
        "answers, steps, demonstrations",
        ("answer", "demonstration"),
        cards=(25,),
        page="docs/methods/tailored_learning.md",
    ),
    "partial_credit": Row(
        "askesis.recipes.partial_credit:partial_credit",
        "a pool of own right answers and right beginnings beside the reference, learnt as sets",
        "answers, demonstrations, states",
        ("answer", "demonstration", "states"),
        cards=(248,),
        page="docs/methods/partial_credit.md",
    ),
    "id_sampling": Row(
        "askesis.recipes.id_sampling:id_sampling",
        "told to look again at budgets of tokens that grow; what comes out right is learnt",
        "answers, steps",
        ("answer", "steps", "corrections"),
        cards=(20,),
        page="docs/methods/id_sampling.md",
    ),
    "spontaneous_correction": Row(
        "askesis.recipes.spontaneous_correction:spontaneous_correction",
        "wrong steps put into right solutions, taken back and mended inside the answer",
        "answers, steps",
        ("answer", "steps", "corrections"),
        cards=(41,),
        page="docs/methods/spontaneous_correction.md",
    ),
    "self_feedback": Row(
        "askesis.recipes.self_feedback:self_feedback",
        "taught to judge and refine its answers, then without labels: what it accepts itself",
        "answers, steps, demonstrations (first phase only)",
        ("answer", "steps", "demonstration"),
        cards=(3,),
        page="docs/methods/self_feedback.md",
    ),
    "critique_in_the_loop": Row(
        "askesis.recipes.critique_in_the_loop:critique_in_the_loop",
        "a trained critic says which step of a failed attempt is wrong, and it is refined",
        "answers, steps, demonstrations",
        ("answer", "steps", "demonstration"),
        cards=(62,),
        page="docs/methods/critique_in_the_loop.md",
    ),
    "agent_r": Row(
        "askesis.recipes.agent_r:agent_r",
        "own bad walks left at their first bad move and spliced with good ones: turning back",
        "answers",
        ("turns", "demonstration"),
        cards=(9,),
        page="docs/methods/agent_r.md",
    ),
    "implicit_prm": Row(
        "askesis.recipes.implicit_prm:implicit_prm",
        "step rewards from outcomes alone; then of many answers the best by its weakest step",
        "answers",
        ("answer",),
        cards=(133,),
        page="docs/methods/implicit_prm.md",
    ),
    "prime": Row(
        "askesis.recipes.prime:prime",
        "outcomes and implicit rewards of tokens, whose model learns beside the policy",
        "answers",
        ("answer",),
        cards=(146,),
        page="docs/methods/prime.md",
    ),
    "process_advantage": Row(
        "askesis.recipes.process_advantage:process_advantage",
        "policy gradient that also pays each step's progress under a prover",
        "answers",
        ("answer",),
        cards=(129,),
        page="docs/methods/process_advantage.md",
    ),
    "clip_delta": Row(
        "askesis.recipes.clip_delta:clip_delta",
        "PPO with process rewards, clipped and differenced so that more steps do not pay",
        "answers",
        ("answer",),
        cards=(128,),
        page="docs/methods/clip_delta.md",
    ),
    "rest_mcts": Row(
        "askesis.recipes.rest_mcts:rest_mcts",
        "tree search under a value model makes right traces and values, which both models learn",
        "answers",
        ("answer",),
        cards=(0,),
        page="docs/methods/rest_mcts.md",
    ),
    "omega_prm": Row(
        "askesis.recipes.omega_prm:omega_prm",
        "step labels found by halves around first errors teach a judge, whose scores weigh votes",
        "answers",
        ("answer",),
        cards=(135,),
        page="docs/methods/omega_prm.md",
    ),
    "alphamath": Row(
        "askesis.recipes.alphamath:alphamath",
        "tree search under the model's own value head; it learns right ways, and values of all",
        "answers",
        ("answer",),
        cards=(178,),
        page="docs/methods/alphamath.md",
    ),
    "glore": Row(
        "askesis.recipes.glore:glore",
        "doubted drafts refined as a whole and from their first wrong step; the policy learns both",
        "answers",
        ("answer",),
        cards=(172,),
        page="docs/methods/glore.md",
    ),
    "spar": Row(
        "askesis.recipes.spar:spar",
        "failed drafts repaired by search; DPO on each draft and its own repair; a refiner learns",
        "answers, steps",
        ("answer",),
        cards=(75,),
        page="docs/methods/spar.md",
    ),
    "critical_plan_steps": Row(
        "askesis.recipes.critical_plan_steps:critical_plan_steps",
        "search over lines of a plan; steps are preferred to their siblings by the gap in value",
        "answers",
        ("answer",),
        cards=(24,),
        page="docs/methods/critical_plan_steps.md",
    ),
    "med_s3": Row(
        "askesis.recipes.med_s3:med_s3",
        "right traces, pairs of ways and a judge of steps out of trees; its sums decide votes",
        "answers",
        ("answer",),
        cards=(151,),
        page="docs/methods/med_s3.md",
    ),
    "self_play_critic": Row(
        "askesis.recipes.self_play_critic:self_play_critic",
        "a critic of steps plays against a model that spoils steps of right answers in secret",
        "answers",
        ("answer",),
        cards=(207,),
        page="docs/methods/self_play_critic.md",
    ),
}

PARTS: dict[str, Row] = {
    "tasks.uniform": Row(
        "askesis.tasks.uniform:Uniform", "tasks drawn alike, fresh each round or from a fixed pool"
    ),
    "tasks.difficulty_mixed": Row(
        "askesis.tasks.difficulty_mixed:DifficultyMixed", "tasks mixed over bins of difficulty"
    ),
    "tasks.lessons": Row(
        "askesis.tasks.lessons:Lessons",
        "tasks that went wrong in an exam, for a teacher to look at",
        cards=(25,),
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
    "explore.search": Row(
        "askesis.explore.search:Search",
        "a tree search made of parts: what an edge is, select, expand, evaluate, back up",
        cards=(0, 16, 24, 99, 178),
        page="docs/search.md",
    ),
    "search.steps": Row(
        "askesis.search.steps:Steps", "edges that are steps of one answer", cards=(0, 16, 178)
    ),
    "search.plans": Row(
        "askesis.search.steps:Plans",
        "edges that are lines of a plan, and the solution as the last one",
        cards=(24,),
    ),
    "search.moves": Row(
        "askesis.search.walked:Moves", "edges that are moves of a walked world", "", ("turns",)
    ),
    "search.revisions": Row(
        "askesis.search.revisions:Revisions",
        "edges that are answers and revisions of answers",
        cards=(75,),
    ),
    "search.repairs": Row(
        "askesis.search.repairs:Repairs",
        "edges that are drafts, and a refiner's repairs of the answer above",
        "answers",
        ("answer",),
        (75,),
    ),
    "search.repair_beam": Row(
        "askesis.search.repairs:RepairBeam",
        "one failed draft, then the best few repairs of each level until one is right",
        cards=(75,),
    ),
    "search.drafts_and_repairs": Row(
        "askesis.search.repairs:DraftsAndRepairs",
        "so many drafts, and so many repairs a place",
        cards=(75,),
    ),
    "search.uct": Row("askesis.search.select:UCT", "down by value and how seldom it was tried"),
    "search.puct": Row(
        "askesis.search.select:PUCT",
        "down by value and the policy's own probability by length",
        cards=(24, 178),
    ),
    "search.best_first": Row(
        "askesis.search.frontier:BestFirst", "the best place that is not opened", cards=(99,)
    ),
    "search.breadth_first": Row(
        "askesis.search.frontier:BreadthFirst", "the nearest place that is not opened"
    ),
    "search.depth_first": Row(
        "askesis.search.frontier:DepthFirst", "the deepest place that is not opened"
    ),
    "search.step_beam": Row(
        "askesis.search.frontier:StepBeam", "the best few of each level, at once", cards=(178,)
    ),
    "search.draws": Row("askesis.search.expand:Draws", "so many edges a place, equal ones merged"),
    "search.important_draws": Row(
        "askesis.search.expand:ImportantDraws",
        "more edges where what follows differs more",
        cards=(16,),
    ),
    "search.nothing": Row("askesis.search.evaluate:Nothing", "every place is worth the same"),
    "search.verified": Row(
        "askesis.search.evaluate:Verified",
        "what the world's verifier says of the last words",
        "answers",
        ("answer",),
    ),
    "search.misread": Row(
        "askesis.search.misread:Misread", "the verifier with errors", "answers", ("answer",)
    ),
    "search.paid": Row(
        "askesis.search.evaluate:Paid", "the world's rewards on the way", "answers", ("turns",)
    ),
    "search.value_head": Row(
        "askesis.search.evaluate:ValueHead", "a value head", "none", ("value",), (0, 16, 24, 178)
    ),
    "search.judged": Row("askesis.search.evaluate:Judged", "a judge that is a function"),
    "search.by_judge": Row(
        "askesis.search.by_judge:ByJudge",
        "a judge of attempts, read at every place",
        "none",
        cards=(0, 133),
    ),
    "search.confidence": Row(
        "askesis.search.evaluate:Confidence",
        "the policy's own probability of the way",
        "none",
        ("logp",),
        (99,),
    ),
    "search.weighted": Row(
        "askesis.search.evaluate:Weighted", "several evaluators, weighted", cards=(16,)
    ),
    "search.rollouts": Row(
        "askesis.search.rollouts:Rollouts", "what a place leads to", cards=(16,)
    ),
    "search.ahead": Row(
        "askesis.search.rollouts:Ahead", "a greedy look a few steps ahead", cards=(0,)
    ),
    "search.mean": Row("askesis.search.back_up:Mean", "the mean of the numbers that passed"),
    "search.most": Row("askesis.search.back_up:Most", "the highest number that passed"),
    "search.along_path": Row(
        "askesis.search.back_up:AlongPath", "the weakest (product, mean) step of the way"
    ),
    "search.of_children": Row(
        "askesis.search.back_up:OfChildren", "the children's values by their visits", cards=(0,)
    ),
    "explore.deepening": Row(
        "askesis.explore.deepening:Deepening",
        "attempts told to look again at token budgets that grow",
        cards=(20,),
    ),
    "explore.error_tree": Row(
        "askesis.explore.error_tree:ErrorTree",
        "answers, and completions of them from around first errors, as a tree",
        "answers",
        ("answer",),
        (135,),
    ),
    "explore.sneaky_game": Row(
        "askesis.explore.sneaky_game:SneakyGame",
        "right answers with one step spoilt by a model or an edit, which a critic has to name",
        "answers",
        ("answer",),
        (207,),
    ),
    "select.played": Row(
        "askesis.select.played:Played",
        "what a role said in games, with what it won as the advantage",
        cards=(207,),
    ),
    "judge.first_error": Row(
        "askesis.judge.first_error:FirstError",
        "the step from which nothing comes out right, found by halves",
        "answers",
        ("answer",),
        (135,),
    ),
    "select.tree_values": Row(
        "askesis.select.tree_values:TreeValues",
        "prefixes of trees with what they are worth, for value heads",
        cards=(0, 16, 24, 129, 135, 178),
    ),
    "select.tree_pairs": Row(
        "askesis.select.tree_pairs:TreePairs",
        "pairs out of trees: sibling steps, ways, answers, drafts with their repairs",
        cards=(24, 75, 142, 149, 151),
    ),
    "select.tree_leaves": Row(
        "askesis.select.tree_leaves:TreeLeaves",
        "right attempts of trees whose steps all passed a gate",
        cards=(0, 16, 24, 178),
    ),
    "select.tree_paths": Row(
        "askesis.select.tree_paths:TreePaths",
        "right and wrong ways through trees, with the values found on them",
        cards=(178,),
    ),
    "measure.searches": Row(
        "askesis.measure.searches:Searches", "how large, deep and costly the trees were"
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
    "explore.teach": Row(
        "askesis.explore.teach:Teach",
        "the world's solver as a teacher, who keeps what was right of a wrong attempt",
        "steps, demonstrations",
        ("steps", "demonstration"),
        (25,),
    ),
    "explore.continue_saved": Row(
        "askesis.explore.continue_saved:ContinueSaved",
        "attempts that go on from beginnings which led the right way before",
        "demonstrations",
        ("demonstration", "states"),
        (248,),
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
    "judge.wrong": Row(
        "askesis.judge.wrong:Wrong",
        "another judge for whom the verifier errs at given rates: --false-pass, --false-fail",
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
    "select.taught": Row(
        "askesis.select.taught:Taught",
        "lessons, each with the student's own right and wrong answers beside it",
        cards=(25,),
    ),
    "select.grown_set": Row(
        "askesis.select.grown:GrownSet",
        "all demonstrations and own right answers of the run, more of hard tasks",
        cards=(245,),
    ),
    "select.solution_pool": Row(
        "askesis.select.solution_pool:SolutionPool",
        "what was found out about each task, kept over rounds: right answers and beginnings",
        "answers",
        ("answer", "states"),
        (248,),
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
    "select.step_splice": Row(
        "askesis.select.step_splice:StepSplice",
        "wrong steps put into right solutions and taken back, loss on all but them",
        "answers, steps",
        ("answer", "steps", "corrections"),
        (41,),
    ),
    "select.feedback_lessons": Row(
        "askesis.select.feedback_lessons:FeedbackLessons",
        "own answers with a teacher's feedback: how to judge, to refine, to answer",
        "answers, steps",
        ("answer",),
        (3, 62),
    ),
    "select.refined": Row(
        "askesis.select.refined:Refined",
        "answers accepted at once or after a refinement, learnt as answers to the task",
        cards=(3, 62),
    ),
    "judge.own_feedback": Row(
        "askesis.judge.own_feedback:OwnFeedback",
        "whether a critic, perhaps the same model, calls an answer right",
        "none",
        cards=(3,),
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
    "learn.triplet": Row(
        "askesis.learn.objectives.contrast:Triplet",
        "hidden states of right answers closer together than those of wrong ones",
        cards=(25,),
    ),
    "learn.step_value_loss": Row(
        "askesis.learn.objectives.step_values:StepValueLoss",
        "a head, through tanh, learns what a search found at the ends of steps",
        cards=(178,),
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
    "measure.spontaneous": Row(
        "askesis.measure.spontaneous:Spontaneous",
        "wrong steps taken back and mended inside an answer, false alarms, forced mistakes",
        "answers, steps",
        ("answer", "steps"),
        (41,),
    ),
    "measure.tail": Row(
        "askesis.measure.tail:Tail",
        "whether hard tasks drop out of what is learnt",
        cards=(62,),
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
    "select.step_advantages": Row(
        "askesis.select.step_advantages:StepAdvantages",
        "every token with the advantage of its outcome and that of its own step",
        cards=(129, 146),
    ),
    "select.step_outcomes": Row(
        "askesis.select.step_outcomes:StepOutcomes",
        "attempts with their outcome and a reward at the end of each step, for PPO",
        cards=(128,),
    ),
    "select.step_rewards": Row(
        "askesis.select.step_rewards:StepRewards",
        "from scores of steps to rewards: clip, delta, progress, best of k, look-ahead",
        cards=(128, 129, 146, 152),
    ),
    "select.step_labels": Row(
        "askesis.select.step_labels:StepLabels",
        "a label at the end of each step, for heads that judge steps",
        cards=(129, 135, 171),
    ),
    "select.step_lessons": Row(
        "askesis.select.step_lessons:StepLessons",
        "answers with their first wrong step named, for critics of steps",
        cards=(171, 207),
    ),
    "judge.weighted_vote": Row(
        "askesis.judge.weighted_vote:WeightedVote",
        "the vote of a group, each attempt with the weight another judge gives it",
        "",
        (),
        (133, 135),
    ),
    "select.band": Row(
        "askesis.select.band:Band",
        "which groups a round goes on with: neither too easy nor too hard",
        cards=(146,),
    ),
    "measure.step_quality": Row(
        "askesis.measure.step_quality:StepQuality",
        "a judge of steps against the truth, on fresh decide tasks",
        "steps",
        ("steps",),
        (133, 149, 171),
    ),
    "measure.padding_probe": Row(
        "askesis.measure.padding:PaddingProbe",
        "what a judge of steps pays for valid steps that do nothing",
        "answers",
        ("answer",),
        (127, 128),
    ),
    "judge.several": Row("askesis.judge.several:Several", "all verdicts of several judges"),
    "judge.steps.rollouts": Row(
        "askesis.judge.steps.rollouts:RolloutValues",
        "steps by how often answers that go on from them come out right",
        "answers",
        ("answer",),
        (129, 135, 171, 172),
    ),
    "judge.steps.head": Row(
        "askesis.judge.steps.head:StepHead",
        "steps by a head read behind each: a value head, a process reward model",
        cards=(178,),
    ),
    "judge.steps.implicit": Row(
        "askesis.judge.steps.implicit:ImplicitSteps",
        "steps by the log-ratio of a model that learnt outcomes to its reference",
        "none",
        ("logp",),
        (133, 146),
    ),
    "judge.steps.prover": Row(
        "askesis.judge.steps.prover:ProverAdvantage",
        "steps by how much they change the value of a prover, the best of k",
        cards=(129,),
    ),
    "judge.steps.siblings": Row(
        "askesis.judge.steps.siblings:SiblingContrast",
        "steps by their outcomes against those of other steps from the same place",
        "answers",
        ("answer",),
        (149,),
    ),
    "judge.steps.truth": Row(
        "askesis.judge.steps.truth:StepTruth",
        "which steps are right, by the world that knows",
        "steps",
        ("steps",),
    ),
    "judge.steps.consensus": Row(
        "askesis.judge.steps.consensus:Consensus",
        "labels of steps where two judges name the same first error",
        cards=(171,),
    ),
    "judge.steps.critic": Row(
        "askesis.judge.steps.critic:StepCritic",
        "steps by a model that says which one is first wrong",
        "none",
        (),
        (171, 207),
    ),
    "judge.steps.aggregated": Row(
        "askesis.judge.steps.aggregated:Aggregated",
        "an attempt by its steps: the least, product, last, mean or sum",
        cards=(133, 171),
    ),
    "judge.steps.branches": Row(
        "askesis.judge.steps.branches:BranchLabels",
        "steps by whether anybody went on from them and came out right",
        "answers",
        ("answer",),
        (172,),
    ),
    "explore.branches": Row(
        "askesis.explore.branches:Branches",
        "drafts, and wrong ones finished again from behind each step",
        "answers",
        ("answer",),
        (172,),
    ),
    "explore.refine": Row(
        "askesis.explore.refine:Refine",
        "doubted drafts refined as a whole and from their first wrong step, as heads see it",
        "none",
        cards=(172,),
    ),
    "select.refine_lessons": Row(
        "askesis.select.refine_lessons:RefineLessons",
        "wrong drafts with another answer, or with their good steps gone on, for refiners",
        cards=(172,),
    ),
    "select.draft_pairs": Row(
        "askesis.select.repair_trees:DraftPairs",
        "a failed draft against its own repair that came right",
        cards=(75,),
    ),
    "select.repairs_that_won": Row(
        "askesis.select.repair_trees:RepairsThatWon",
        "what a refiner read and said where its repair came right",
        cards=(75,),
    ),
    "select.drafts": Row(
        "askesis.select.drafts:Drafts",
        "another selector, shown only what nobody helped with",
        cards=(172,),
    ),
    "measure.refinements": Row(
        "askesis.measure.refinements:Refinements",
        "when, where and how refining helps, against as many plain drafts",
        "answers",
        ("answer",),
        (172,),
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
