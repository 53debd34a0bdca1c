"""vLLM's side of the sampling benchmark, as a process that answers on stdin and stdout.

    python -m benchmarks.vllm_side [--quick] [--compiled]

It runs in the environment where vLLM is installed (tests/engines/make_vllm_env.sh makes one),
while the main benchmark may run in another. It opens the tiny model in every configuration of
`CONFIGURATIONS` that works here, tries each on each workload of `benchmarks.sampling`, and writes
one line of JSON when it is ready (after some minutes; fewer with --quick):

    {"ready": {"workload": {"at": "bfloat16, 256 rows", "tried": {"...": 9000, ...}}}}

From then on every line {"workload": 0} that it reads is one run of that workload at its best
configuration, answered with {"tokens": ..., "seconds": ..., "tokens_per_s": ..., "at": ...}. End
of input ends it. `VllmSide` is the other end, for the main benchmark.

vLLM is asked in the way that is fastest for it: no log-probabilities, no seeds, no text, and its
own `n` for several attempts at a prompt.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

# name -> (dtype, rows at a time, an engine process of its own, compiled). Compiled, and float32
# with fewer rows, were slower on every workload where they were tried (2 cores, 2026-11-21).
CONFIGURATIONS: dict[str, tuple[str, int, bool, bool]] = {
    "float32, 1024 rows": ("float32", 1024, False, False),
    "bfloat16, 256 rows": ("bfloat16", 256, False, False),
    "bfloat16, 1024 rows": ("bfloat16", 1024, False, False),
    "bfloat16, 1024 rows, own process": ("bfloat16", 1024, True, False),
}
COMPILED = {"bfloat16, 1024 rows, compiled": ("bfloat16", 1024, False, True)}
QUICK = ("float32, 1024 rows", "bfloat16, 1024 rows")


def open_vllm(directory: str, configuration: tuple[str, int, bool, bool]) -> Any:
    """vLLM over a directory in Hugging Face layout."""
    dtype, rows, process, compiled = configuration
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = str(int(process))
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from vllm import LLM

    return LLM(
        model=directory,
        skip_tokenizer_init=True,
        generation_config="vllm",
        dtype=dtype,
        max_model_len=512,
        max_num_seqs=rows,
        max_num_batched_tokens=max(8192, rows),
        kv_cache_memory_bytes=1 << 30,
        block_size=32,
        enable_prefix_caching=True,
        enforce_eager=not compiled,
        disable_log_stats=True,
        use_tqdm_on_load=False,
    )


def run(llm: Any, work: Any) -> tuple[int, float]:
    """Tokens said and seconds taken for one workload."""
    from vllm import SamplingParams

    prompts, attempts, lengths = work
    asked = [{"prompt_token_ids": prompt.tolist()} for prompt in prompts]
    settings = [
        SamplingParams(
            n=attempts,
            temperature=1.0,
            max_tokens=int(lengths[i * attempts]),
            ignore_eos=True,
            detokenize=False,
        )
        for i in range(len(prompts))
    ]
    began = time.perf_counter()
    outputs = llm.generate(asked, settings, use_tqdm=False)
    seconds = time.perf_counter() - began
    said = sum(len(one.token_ids) for output in outputs for one in output.outputs)
    assert said == int(lengths.sum()), (said, int(lengths.sum()))
    return said, seconds


class VllmSide:
    """The process, for the benchmark that runs both sides: `with VllmSide(python) as side`.

    best: what it found out about each workload while it came up. Its own output other than the
    answers goes to a file, the end of which is shown where it fails.
    """

    def __init__(self, python: str, *options: str) -> None:
        root = Path(__file__).resolve().parent.parent
        environment = os.environ | {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.vllm_side", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=root,
            env=environment,
        )
        self.best: dict[str, Any] = self._line()["ready"]

    def __enter__(self) -> VllmSide:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def speed(self, workload: int) -> float:
        """Tokens per second of one run of a workload, by its number."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"workload": workload}) + "\n")
        self._process.stdin.flush()
        return float(self._line()["tokens_per_s"])

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-5:]
            raise RuntimeError("the vLLM side ended: " + " / ".join(last))
        found: dict[str, Any] = json.loads(line)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiled", action="store_true", help="try a compiled one too")
    parser.add_argument("--quick", action="store_true", help="try two configurations only")
    options = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer

    from askesis.models.tiny import tiny_model
    from benchmarks.sampling import workloads

    folder = tempfile.TemporaryDirectory()
    tiny_model().save(Path(folder.name))
    works = list(workloads().items())
    tried: dict[str, dict[str, int]] = {name: {} for name, _ in works}
    candidates = CONFIGURATIONS | (COMPILED if options.compiled else {})
    for name in QUICK if options.quick else candidates:
        try:
            llm = open_vllm(folder.name, candidates[name])
        except Exception as error:  # one that this build or machine does not offer
            print(f"configuration {name!r} does not work here: {error!r}", file=sys.stderr)
            continue
        for work_name, work in works:
            run(llm, work)
            said, seconds = run(llm, work)
            tried[work_name][name] = round(said / seconds)
            print(f"{name}: {work_name}: {said / seconds:.0f} tokens/s", file=sys.stderr)
        llm.llm_engine.engine_core.shutdown()  # one at a time: idle ones would take their share
        del llm
    best = {
        work: {"at": max(figures, key=lambda name: figures[name]), "tried": figures}
        for work, figures in tried.items()
    }
    kept = {one["at"] for one in best.values()}
    opened = {name: open_vllm(folder.name, candidates[name]) for name in sorted(kept)}
    for work_name, work in works:
        run(opened[best[work_name]["at"]], work)
    print(json.dumps({"ready": best}), file=answers, flush=True)
    for line in sys.stdin:
        name, work = works[json.loads(line)["workload"]]
        at = best[name]["at"]
        said, seconds = run(opened[at], work)
        told = {"tokens": said, "seconds": seconds, "tokens_per_s": said / seconds, "at": at}
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
