"""Writes golden/rliable.json: what rliable makes of drawn scores.

    python -m venv ENV; ENV/bin/pip install rliable "pandas<3"; ENV/bin/python tests/parity/write_rliable.py

Five runs of two methods on three worlds. rliable's bootstrap draws runs anew within each world
(50,000 times here), ours does (2,000 times, or as often as it is told).
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rliable import library, metrics

FOLDER = Path(__file__).parent / "golden"


def main() -> None:
    rng = np.random.default_rng(0)
    worlds = rng.uniform(0.2, 0.6, 3)
    first = np.round(worlds + rng.normal(0, 0.05, (5, 3)), 3)
    second = np.round(worlds + 0.04 + rng.normal(0, 0.05, (5, 3)), 3)
    marks = np.round(np.linspace(0.1, 0.8, 15), 3)
    np.random.seed(0)
    single = {}
    for w in range(3):
        pair = {"p": (second[:, [w]], first[:, [w]])}
        value, interval = library.get_interval_estimates(
            pair, metrics.probability_of_improvement, reps=50_000
        )
        single[str(w)] = [float(value["p"]), *map(float, interval["p"].ravel())]
    profile, bands = library.create_performance_profile({"second": second}, marks, reps=50_000)
    found = {
        "versions": {name: version(name) for name in ("rliable", "arch", "numpy")},
        "first": first.tolist(),
        "second": second.tolist(),
        "thresholds": marks.tolist(),
        "probability_of_improvement": single,
        "profile": profile["second"].tolist(),
        "profile_low": bands["second"][0].tolist(),
        "profile_high": bands["second"][1].tolist(),
    }
    (FOLDER / "rliable.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
