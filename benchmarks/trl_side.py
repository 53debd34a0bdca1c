"""TRL's side of the benchmark of a GRPO round, as a process that answers on stdin and stdout.

    python -m benchmarks.trl_side MODEL --precision P --rows N --threads T

It runs in the environment where TRL is installed (tests/parity/make_trl_env.sh makes one). One
`GRPOTrainer` over a directory in Hugging Face layout trains on the 64 tasks of
`benchmarks.grpo_sides`, whose world gives the rewards here too. It stands still before every
optimiser step until it reads a line; each is answered with the step's seconds and counts:

    {"seconds": ..., "sampling": ..., "judging": ..., "tokens": ..., "reward": ...}

A step is all that happens between the trainer's on_step_begin and on_step_end: generation of all
512 answers, rewards, the reference's log-probabilities, loss, gradients and the optimiser. Nothing
is logged or saved. precision: "float32"; "autocast" (its bf16=True); "bfloat16" (weights too, which
is fast and no way to train a model). rows: answers in a forward pass of the update.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.grpo_sides import ATTEMPTS, KL_COEF, LEARNING_RATE, MAX_TOKENS, PROMPTS, tasks


def timed(seconds: dict[str, float], name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose seconds are added up under a name."""

    def call(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        found = inner(*args, **options)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
        return found

    return call


def trainer_of(options: argparse.Namespace, answer: Callable[[Any], None]) -> Any:
    """A trainer that waits for a line before each step and tells about it afterwards."""
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(options.threads)
    world, drawn = tasks()
    by_prompt = {task.prompt: task for task in drawn}
    rows = [{"prompt": [{"role": "user", "content": task.prompt}]} for task in drawn]
    counts: dict[str, float] = {}

    def right(prompts: Any, completions: Any, completion_ids: Any, **_: Any) -> list[float]:
        counts["tokens"] = sum(len(ids) for ids in completion_ids)
        texts = [c[0]["content"] for c in completions]
        found = [
            world.verify(by_prompt[p[0]["content"]], text).score
            for p, text in zip(prompts, texts, strict=True)
        ]
        counts["reward"] = sum(found) / len(found)
        return found

    class Steps(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            if not sys.stdin.readline():
                os._exit(0)
            seconds.clear()
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            answer({"seconds": time.perf_counter() - self.began} | seconds | counts)

    whole = PROMPTS * ATTEMPTS
    config = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        model_init_kwargs={"dtype": "bfloat16" if options.precision == "bfloat16" else "float32"},
        bf16=options.precision == "autocast",
        use_cpu=True,
        per_device_train_batch_size=options.rows,
        gradient_accumulation_steps=whole // options.rows,
        num_generations=ATTEMPTS,
        max_completion_length=MAX_TOKENS,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        beta=options.kl_coef,
        epsilon=0.2,
        num_iterations=1,
        loss_type="grpo",
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        max_steps=10**6,
        shuffle_dataset=False,
        gradient_checkpointing=False,
        use_transformers_continuous_batching=options.continuous,
        dataloader_num_workers=0,
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    made = GRPOTrainer(
        model=options.model,
        args=config,
        reward_funcs=right,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(options.model),
        callbacks=[Steps()],
    )
    seconds: dict[str, float] = {}
    made._generate_single_turn = timed(seconds, "sampling", made._generate_single_turn)
    made._calculate_rewards = timed(seconds, "judging", made._calculate_rewards)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--precision", choices=("float32", "autocast", "bfloat16"), required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--continuous", action="store_true", help="its continuous batching")
    parser.add_argument("--kl-coef", type=float, default=KL_COEF)
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    def answer(told: Any) -> None:
        print(json.dumps(told), file=answers, flush=True)

    made = trainer_of(options, answer)
    import trl

    answer({"ready": f"TRL {trl.__version__}"})
    made.train()


if __name__ == "__main__":
    main()
