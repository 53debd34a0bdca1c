"""Where vLLM is: in this environment, in another one, or nowhere."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec

VARIABLE = "ASKESIS_VLLM_PYTHON"
HOW = (
    "vLLM is not installed here: sh tests/engines/make_vllm_env.sh DIR makes an environment with it, "
    f"and {VARIABLE}=DIR/bin/python names it to the tests"
)


def here() -> bool:
    """Whether vLLM can be imported in this process."""
    return find_spec("vllm") is not None


def interpreter() -> str:
    """An interpreter that has vLLM; "" where there is none."""
    return os.environ.get(VARIABLE, "") or (sys.executable if here() else "")
