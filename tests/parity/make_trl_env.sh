#!/bin/sh
# An environment with TRL, for golden values of its losses and the benchmark of a GRPO round.
#
#     sh tests/parity/make_trl_env.sh .venv-trl [PYTHON]
#     .venv-trl/bin/python -m tests.parity.write_golden tests/parity/golden
#     .venv/bin/python -m benchmarks.grpo_round --trl-python .venv-trl/bin/python
#
# The tests need no TRL: they read the golden values that are committed. torch comes first and is
# held, from the index of CPU builds that TORCH_CPU_INDEX names where pip would not find one by
# itself; else pip may take a build with gigabytes of GPU libraries.
set -eu
place=${1:?where to make the environment}
python=${2:-python3}

"$python" -m venv "$place"
pip="$place/bin/python -m pip --disable-pip-version-check"
$pip install "torch==2.13.0" ${TORCH_CPU_INDEX:+--index-url "$TORCH_CPU_INDEX"}
held=$(mktemp)
"$place/bin/python" -c 'import torch; print("torch==" + torch.__version__)' > "$held"
$pip install -c "$held" trl numpy safetensors
rm -f "$held"
"$place/bin/python" -c 'import torch, transformers, trl
print("TRL", trl.__version__, "transformers", transformers.__version__, "torch", torch.__version__)'
