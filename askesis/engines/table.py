"""The engines by name, in the order in which "auto" tries them. Importing this imports none."""

from __future__ import annotations

from askesis.registry import Row

_PAGE = "docs/engines.md"

ENGINES: dict[str, Row] = {
    "scripted": Row(
        "askesis.engines.scripted:ScriptedEngine",
        "answers from a function, for tests and examples",
        page=_PAGE,
    ),
    "tabular": Row(
        "askesis.engines.tabular:TabularEngine",
        "a table of next-token logits: every probability known exactly",
        page=_PAGE,
    ),
    "array": Row(
        "askesis.engines.array:ArrayEngine",
        "actions of a control policy over arrays, one forward for a whole batch",
        page=_PAGE,
    ),
    "openai": Row(
        "askesis.engines.openai:OpenAIEngine",
        "any endpoint with the OpenAI interface; answers are kept on disk and counted",
        needs=("openai",),
        page=_PAGE,
    ),
    "native": Row(
        "askesis.engines.native:NativeEngine",
        "our own sampler for small dense decoders (Llama, Mistral, Qwen2, Qwen3): the fastest",
        page=_PAGE,
    ),
    "transformers": Row(
        "askesis.engines.transformers:TransformersEngine",
        "any causal language model of the transformers library, adapters included",
        page=_PAGE,
    ),
    "vllm": Row(
        "askesis.engines.vllm:VllmEngine",
        "vLLM, in this process or as a server: large models, new weights in place every round",
        needs=("vllm",),
        page=_PAGE,
    ),
}
AUTOMATIC = ("scripted", "tabular", "array", "native", "transformers", "openai")
