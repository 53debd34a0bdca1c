"""Peak memory over a hundred thousand attempts: it must not grow with the number of rounds.

    python -m benchmarks.memory

Rounds of 100 attempts on the tabular model (so that memory is records, driver and store, not the
model), a thousand of them; resident memory is read every fifty rounds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.machine import write


def resident_mib() -> float:
    """Resident memory of this process in MiB (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def main() -> None:
    from askesis.explore.sample import SampleAttempts
    from askesis.judge.verifier import Verifier
    from askesis.learn.learner import Learn
    from askesis.models.tabular import TabularModel
    from askesis.plan import Parts, Phase, Plan, Until
    from askesis.run import Run, Watcher
    from askesis.select.threshold import Threshold
    from tests.probes.house import Draw, LetterWorld

    seen: list[float] = []

    class Watch(Watcher):
        def round_ended(self, rd, metrics) -> None:  # type: ignore[no-untyped-def]
            if rd.index % 50 == 49:
                seen.append(resident_mib())

    parts = Parts(
        tasks=Draw(num=10),
        explore=SampleAttempts(num_attempts=10, max_tokens=4),
        judge=Verifier(),
        select={"policy": Threshold()},
        learn={"policy": Learn()},
    )
    plan = Plan(recipe="memory", phases=(Phase(parts=parts, until=Until(rounds=1000)),))
    with tempfile.TemporaryDirectory() as folder:
        models = {"policy": TabularModel("policy", "abxy")}
        world = {"main": LetterWorld()}
        run = Run.create(plan, Path(folder) / "run", world, models, watchers=[Watch()], segment_s=5)
        run.improve()
        attempts = run.meter.counts["attempts"]
        run.close()
    quarter = len(seen) // 4
    figures = {
        "attempts": attempts,
        "resident_mib_every_50_rounds": [round(m, 1) for m in seen],
        "growth_mib_after_first_quarter": round(max(seen[quarter:]) - max(seen[:quarter]), 1),
        "peak_mib": round(max(seen), 1),
    }
    print(figures)
    print("written to", write("memory", figures, "python -m benchmarks.memory"))


if __name__ == "__main__":
    main()
