"""A question file through the transformers engine with a model made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from askesis.records import StopReason
from askesis.store.run_store import RunStore


def questions(path: Path, num: int = 200, long_one: bool = False) -> Path:
    """Grade-school style lines; with `long_one`, the first question is longer than any context."""
    rows = [
        {"question": f"Ann has {n} pears and buys {n % 7} more. How many has she?",
         "answer": f"She has {n} + {n % 7} = {n + n % 7}.\n#### {n + n % 7}"}
        for n in range(num)
    ]  # fmt: skip
    if long_one:
        for row in rows[::2]:
            row["question"] = row["question"] + " So many pears." * 400
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def small_model(tmp_path_factory) -> Path:
    """A random Llama of a few thousand parameters with the byte tokeniser, on disk."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from askesis.models.tokenizer import byte_tokenizer

    path = tmp_path_factory.mktemp("model") / "small"
    tokenizer = byte_tokenizer(256)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def run(tmp_path: Path, world: Path, model: Path, *more: str) -> int:
    from askesis.cli.main import main

    words = ["run", "rft", "--world", f"jsonl:{world}", "--model", str(model), "--engine",
             "transformers", "--rounds", "1", "--tasks.num", "4", "--explore.num-attempts", "2",
             "--explore.max-tokens", "8", "--out", str(tmp_path / "run"), *more]  # fmt: skip
    return main([*words, "--measure.ability.num-tasks", "4"])


@pytest.mark.slow
def test_a_model_that_solves_nothing_is_told_so_plainly(tmp_path, small_model, capsys):
    assert run(tmp_path, questions(tmp_path / "q.jsonl"), small_model) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "solved nothing" in said
    assert "--model" in said
    assert "--explore.num-attempts" in said


@pytest.mark.slow
def test_prompts_longer_than_the_context_fail_alone(tmp_path, small_model):
    world = questions(tmp_path / "q.jsonl", long_one=True)
    assert run(tmp_path, world, small_model, "--tasks.num", "16") == 0
    store = RunStore.open(tmp_path / "run")
    stops = [a.stop for a in store.read("attempts")]
    errors = store.errors()
    store.close()
    assert StopReason.FAILED in stops
    assert any(stop is not StopReason.FAILED for stop in stops)
    assert all("context" in error["message"] for error in errors)
