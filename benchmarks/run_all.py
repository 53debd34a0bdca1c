"""All benchmarks, one after another: `make bench`."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "benchmarks.sampling",
    "benchmarks.tree_search",
    "benchmarks.trees",
    "benchmarks.concurrency",
    "benchmarks.driver",
    "benchmarks.learning",
    "benchmarks.grpo_round",
    "benchmarks.overhead",
    "benchmarks.memory",
)


def main() -> None:
    """Each in a process of its own, so that peak memory and threads are its own."""
    failed = [
        name
        for name in BENCHMARKS
        if subprocess.run([sys.executable, "-m", name], check=False).returncode
    ]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
