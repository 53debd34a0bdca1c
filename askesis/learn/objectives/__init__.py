"""What is minimised: one frozen dataclass per objective over the pure functions of `formulas`.

An objective has `coef` (what the trainer multiplies its loss by) and

    needs   columns of the samples that it reads
    uses    what it asks of the model: logp | logits | value | entropy | kl | logits_reference
    atom    token | sequence | pair | set: what must stay together in one micro-batch
    __call__(out, batch, norm) -> (loss, metrics)

The loss is this micro-batch's share of the step's loss, and every metric its share of the step's
mean: they are sums divided by counts of the *whole* step, so shares of micro-batches add up.

What objectives rely on, and nothing else:

- `out.logp` (B, T): log-probability of token t given those before it, anything where the mask is 0.
  `out.entropy`, `out.kl` (B, T): of the distribution that predicts token t. `out.value` (B, T):
  the head after *reading* token t. `out.logits` and `out.logits_reference` (B, T or T - 1, V):
  position t predicts token t + 1. For array samples everything is (N,), one per step, and `value`
  is that of the observation in which the step's action was chosen.
- `batch.column(name)`: (B, T), or a sample's number given to each of its rows, (B,); for array
  samples (N,). `batch.sample` (B,): which sample a row belongs to. `batch.place` (B,): which of
  its sample's rows it is. Rows of a pair: 0 chosen, 1 rejected. Rows of a ranking: best first.
- `norm`: counts over the whole optimiser step: "tokens" (with a weight other than 0), "weight" (sum
  of |weight|), "sequences" (with any weight), "samples".

The columns by name; the column "weight" is in all samples and says which tokens are learnt:

    weight          per token   0 not learnt, 1 learnt; other values count more or less
    advantage       per token   what the token is worth (a sample's scalar goes to all its tokens)
    logp_old        per token   the learner's own log-probability before the round's first update
    logp_sampling   per token   what the sampler says it drew from
    logp_reference  per token   of the reference snapshot: base, last round, opponent, average
    value_old       per token   the value head before acting at this token, before the update
    step_reward     per token   what is paid at this token, beside the outcome
    step_value      per token   what a search found at a step's last token, in [-1, 1]
    value_weight    per token   how much that counts, 0 where no step ends
    returns         per token   what the value head should have said before acting at this token
    correct         sample      1 right, 0 wrong
    accuracy        sample      share of right answers in the attempt's group, in (0, 1)
    priority        sample      how much the task counts
    label           sample      probability that an answer is right, or a pair the right way round
    kl              sample      an estimate of KL(policy || reference) from before the step, >= 0
    beta            sample      a pair's own inverse temperature
    margin          sample      by how much the chosen answer is said to be better
    advantage_gap   sample      advantage of the chosen step minus that of the rejected one
    outcome         sample      1 the first row won, -1 the second, 0 a tie
"""
