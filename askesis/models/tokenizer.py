"""One byte-level vocabulary for every world: a byte is a token, plus a few marks.

Small models then share one vocabulary whatever they were trained on, nothing is ever out of
vocabulary, and a checkpoint carries a standard Hugging Face tokeniser that gives the same ids.
"""

from __future__ import annotations

from typing import Any

NUM_BYTES = 256
PAD, END, USER, ASSISTANT = 256, 257, 258, 259
RESERVED = tuple(f"<|reserved_{i}|>" for i in range(4))
MARKS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", *RESERVED)
VOCAB_SIZE = NUM_BYTES + len(MARKS)  # 264

# A user speaks after <|user|> until the next mark; an assistant's turn is closed by <|end|>.
CHAT_TEMPLATE = (
    "{%- for m in messages -%}"
    "{%- if m['role'] == 'assistant' -%}{{ '<|assistant|>' + m['content'] + '<|end|>' }}"
    "{%- else -%}{{ '<|user|>' + m['content'] }}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)


def byte_tokenizer(context_length: int) -> Any:
    """The vocabulary as a Hugging Face fast tokeniser with a chat template.

    Its ids equal `ByteRenderer`'s, except where a text itself contains the spelling of a mark:
    there the renderer keeps to bytes, so that no text can forge the end of a turn.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocab = {character: byte for byte, character in _byte_characters().items()}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(m, special=True, normalized=False) for m in MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=MARKS[0],
        eos_token=MARKS[1],
        additional_special_tokens=list(MARKS[2:]),
        chat_template=CHAT_TEMPLATE,
        model_max_length=context_length,
        clean_up_tokenization_spaces=False,
    )


def _byte_characters() -> dict[int, str]:
    """Byte -> the printable character that stands for it in byte-level tokenisers.

    The convention since GPT-2: printable Latin-1 stands for itself, the rest follow from 256.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    found, following = {}, 0x100
    for byte in range(NUM_BYTES):
        if byte in printable:
            found[byte] = chr(byte)
        else:
            found[byte] = chr(following)
            following += 1
    return found
