"""`askesis audit`: what a run's judge said, held against the truth afterwards."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console

SHOWN = {
    "false_pass": "wrong answers that passed",
    "false_fail": "right answers that failed",
    "wrong_among_passed": "of what passed, wrong",
    "accuracy": "said the same as the truth",
    "auroc": "right above wrong (0.5 is chance)",
    "brier": "Brier score (0 is best)",
    "ece": "calibration error",
    "first_error_f1": "first wrong step found (F1)",
}


def audit(
    out: Console, path: Path, *, judge: str, passing: float, attempts: int, as_json: bool
) -> None:
    """The table over the whole run, and how the two rates of error moved."""
    from askesis.cli.listing import print_json
    from askesis.cli.show import table
    from askesis.lab.audit import audit as look

    found = look(path, judge=judge, passing=passing, num_attempts=attempts)
    if as_json:
        print_json(asdict(found))
        return
    whole = found.overall
    out.print(
        f"{found.judge} against the truth, {whole['num_attempts']:,.0f} attempts of "
        f"{len(found.rounds)} rounds (95 % intervals)",
        soft_wrap=True,
    )
    made = table("", "", "")
    for key, words in SHOWN.items():
        if key in whole:
            made.add_row(words, f"{whole[key]:.3f}", _interval(whole, key))
    out.print(made)
    first, last = found.rounds[0], found.rounds[-1]
    for key in ("false_pass", "false_fail"):
        if key in first.figures and key in last.figures and last is not first:
            out.print(
                f"{SHOWN[key]}: {first.figures[key]:.3f} in round {first.round + 1}, "
                f"{last.figures[key]:.3f} in round {last.round + 1}"
            )


def _interval(figures: dict[str, float], key: str) -> str:
    low, high = figures.get(f"{key}/low"), figures.get(f"{key}/high")
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
