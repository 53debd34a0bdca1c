"""Opening models: the tiny default, a directory, a name on the hub, or somebody's function."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import torch

from askesis.errors import ModelError
from askesis.models.adapters import plain_module, with_adapters
from askesis.models.bases import open_over
from askesis.models.decoder import Decoder
from askesis.models.decoder_config import decoder_config
from askesis.models.language_model import LanguageModel
from askesis.models.remote import PREFIX as REMOTE
from askesis.models.remote import open_remote
from askesis.models.renderers import ByteRenderer, ChatRenderer
from askesis.models.tiny import tiny_model
from askesis.models.tokenizer import CHAT_TEMPLATE, VOCAB_SIZE
from askesis.plan import ModelSpec


def open_model(
    name: str, spec: ModelSpec | str = "tiny", *, base: Any = None, **options: Any
) -> Any:
    """A model of the table by its specification; a bare source and options work too.

    Sources: "tiny", a directory in Hugging Face layout, a hub name, "openai:NAME" for a model
    behind an endpoint (`askesis.models.remote`), or "module:function" or "file.py:function",
    called with (name, spec), for models of one's own. base: the opened entry
    that `spec.base` names, whose weights are used in place of a source. Raises ModelError in one
    line where it cannot be found, read or used.
    """
    if not isinstance(spec, ModelSpec):
        spec = ModelSpec(source=str(spec), **options)
    if spec.source.startswith(REMOTE):
        return open_remote(name, spec)
    if spec.base:
        return open_over(name, spec, base)
    if spec.source == "tiny":
        return _tiny(name, spec)
    if ":" in spec.source and not Path(spec.source).exists():
        return _own_function(name, spec)
    return _from_pretrained(name, spec)


def _tiny(name: str, spec: ModelSpec) -> LanguageModel:
    model = tiny_model(name, trainable=spec.trainable)
    device, dtype = choose_device(spec.device), choose_dtype(spec.dtype, torch.float32)
    model.module.to(device, dtype)
    if spec.lora_rank:
        module = with_adapters(plain_module(model), spec.lora_rank)
        model = LanguageModel(
            name, module, model.renderer, model.config, model.tokenizer, spec.trainable,
            adapters=True,
        )  # fmt: skip
    model.add_heads(spec.heads)
    return model


def choose_device(device: str) -> torch.device:
    """ "auto" is a GPU where there is one. ModelError for a device that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ModelError(
            f"there is no device {device!r}", expected="auto, cpu or cuda", hint="Use `auto`"
        ) from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ModelError("this machine has no GPU that torch can use", hint="Use device `cpu`")
    return chosen


def choose_dtype(dtype: str, stored: torch.dtype, device: str = "cpu") -> torch.dtype:
    """ "auto" learns in float32, except on a GPU where weights that were stored in bfloat16 are
    kept in it."""
    if dtype == "auto":
        return torch.bfloat16 if device == "cuda" and stored != torch.float32 else torch.float32
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if dtype not in known:
        raise ModelError(f"there is no dtype {dtype!r}", expected=f"auto, {', '.join(known)}")
    return known[dtype]


def _from_pretrained(name: str, spec: ModelSpec) -> LanguageModel:
    from transformers import AutoConfig

    source = spec.source
    path = Path(source).expanduser()
    if path.exists():
        source = str(path)
        if not (path / "config.json").is_file():
            raise ModelError(
                f"{source} is not a model",
                expected="a directory in Hugging Face layout, with config.json",
                hint="Export one with `askesis export RUN --to DIR`, or give a hub name",
            )
    elif source.startswith((".", "/", "~")) or source.count("/") > 1:
        raise ModelError(f"there is no model directory {source}", hint="Check the path")
    config = _guarded(source, lambda: AutoConfig.from_pretrained(source))
    tokenizer = _tokenizer(source)
    check_vocabulary(source, tokenizer, config)
    device = choose_device(spec.device)
    stored = getattr(config, "dtype", None) or torch.float32
    dtype = choose_dtype(spec.dtype, stored, device.type)
    module = _module(source, dtype)
    check_finite(source, module)
    stops = _stop_tokens(module)
    if spec.lora_rank:
        module = with_adapters(module, spec.lora_rank)
    else:
        module = _native(module, config)
    model = LanguageModel(
        name,
        module.to(device),
        renderer_for(tokenizer, config, stops),
        config,
        tokenizer,
        spec.trainable,
        adapters=bool(spec.lora_rank),
    )
    model.add_heads(spec.heads, path)
    return model


def renderer_for(tokenizer: Any, config: Any, stop_tokens: tuple[int, ...] = ()) -> Any:
    """The fast renderer for our byte vocabulary, the general one for every other."""
    context_length = _context_length(config)
    if len(tokenizer) == VOCAB_SIZE and tokenizer.chat_template == CHAT_TEMPLATE:
        return ByteRenderer(context_length)
    # The output layer may be padded beyond what the tokeniser knows; that is never said.
    return ChatRenderer(tokenizer, context_length, largest_id(tokenizer) + 1, stop_tokens)


def largest_id(tokenizer: Any) -> int:
    """The largest id a tokeniser has a text for; -1 where it has none."""
    return max(tokenizer.get_vocab().values(), default=-1)


def check_vocabulary(source: str, tokenizer: Any, config: Any) -> None:
    """ModelError where the tokeniser makes ids that the model has no embedding for."""
    largest = largest_id(tokenizer)
    if largest >= config.vocab_size:
        raise ModelError(
            f"the tokeniser of {source} does not belong to its weights",
            expected=f"token ids below {config.vocab_size}",
            found=f"ids up to {largest}",
            hint="Put the right tokeniser files beside the weights",
        )


def check_finite(source: str, module: Any) -> None:
    """ModelError where a weight is not a number or not finite."""
    for weight_name, parameter in module.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise ModelError(
                f"the weights of {source} are broken",
                expected="finite numbers",
                found=f"NaN or infinity in {weight_name}",
                hint="Download or export the checkpoint again",
            )


def _native(module: Any, config: Any) -> Any:
    """Our decoder with the weights of a transformers module, or the module itself."""
    try:
        shape = decoder_config(config)
    except ModelError:
        return module
    decoder = Decoder(shape).to(module.dtype)
    weights = module.state_dict()
    if shape.tied:
        weights.pop("lm_head.weight", None)
    decoder.load_state_dict(weights)
    return decoder


def _module(source: str, dtype: torch.dtype) -> Any:
    """The transformers module of a checkpoint that has all its weights."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        module, found = _guarded(
            source,
            lambda: AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, output_loading_info=True
            ),
        )
    finally:
        if bars:
            logging.enable_progress_bar()
    missing = sorted(found["missing_keys"])
    if missing:  # transformers would fill them with noise
        raise ModelError(
            f"the checkpoint {source} is not whole",
            expected="a weight for every parameter",
            found=f"none for {missing[0]}" + (f" and {len(missing) - 1} more" * (len(missing) > 1)),
            hint="Download or export it again",
        )
    return module


def _tokenizer(source: str) -> Any:
    from transformers import AutoTokenizer

    return _guarded(source, lambda: AutoTokenizer.from_pretrained(source))


def _stop_tokens(module: Any) -> tuple[int, ...]:
    found = getattr(getattr(module, "generation_config", None), "eos_token_id", None)
    if found is None:
        return ()
    return tuple(found) if isinstance(found, list | tuple) else (int(found),)


def _context_length(config: Any) -> int:
    for field in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
        found = getattr(config, field, None)
        if found:
            return int(found)
    return 2048


def _guarded(source: str, call: Any) -> Any:
    """What transformers says about a model it cannot open, in one line of ours."""
    try:
        return call()
    except ModelError:
        raise
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        offline = os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "TRUE")
        where = (
            "The hub is switched off (HF_HUB_OFFLINE=1): unset it, or give a directory"
            if offline
            else "Check the spelling and the connection, or give a directory, or `tiny`"
        )
        raise ModelError(
            f"cannot open the model {source!r}",
            expected="`tiny`, a directory, or a name on the hub such as Qwen/Qwen3-0.6B",
            found=f"{type(error).__name__}: {first[:160]}",
            hint=where,
        ) from error


def _own_function(name: str, spec: ModelSpec) -> Any:
    place, _, function = spec.source.partition(":")
    try:
        if place.endswith(".py"):
            found = importlib.util.spec_from_file_location(Path(place).stem, place)
            if found is None or found.loader is None:
                raise ImportError(f"{place} is not a Python file")
            module = importlib.util.module_from_spec(found)
            found.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        make = getattr(module, function)
    except (ImportError, FileNotFoundError, AttributeError) as error:
        raise ModelError(
            f"there is no model function {spec.source!r}",
            expected="module:function or file.py:function",
            found=f"{type(error).__name__}: {error}",
        ) from error
    return make(name, spec)
