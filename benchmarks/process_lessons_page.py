"""The page of `benchmarks.process_lessons`, generated from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.step_study import claims_table, heading, percent

WORDS = {
    "outcome": "the outcome, at the end alone",
    "soft": "the share of completions from here that are right",
    "hard": "whether more than half of them are",
    "any": "whether any of them is",
    "annotator": "the true first error, misnamed {errs}",
    "consensus": "where `any` and `annotator` name the same first error",
    "oracle": "the true first error",
}


def page(whole: Mapping[str, Any]) -> str:
    """results/process_lessons.md."""
    s, errs = whole["settings"], f"{100 * whole['annotator_errs']:.0f} times of 100"
    n = s["num_attempts"]
    lines = [
        *heading("What best-of-n does not see: lessons on process reward models", whole),
        f"Heads learn from two answers each to {s['learnt']} tasks, labelled with "
        f"{s['num_rollouts']} completions a step, in {s['num_updates']} updates of "
        f"{s['batch_tokens']} tokens;",
        f"judged on {s['asked']} claim tasks, {n} answers each. Card [171]. "
        "± is half a 95 % t interval over seeds.",
        "",
        "## Labels",
        "",
        "| head | label of a step | answers learnt from, % | labels as the truth has them, % |",
        "| --- | --- | --- | --- |",
    ]
    for name, found in whole["labels"].items():
        words = WORDS[name].format(errs=errs)
        lines.append(f"| `{name}` | {words} | {percent(found['kept'])} | "
                     f"{percent(found['agree'])} |")  # fmt: skip
    lines += [
        "",
        "Labels are compared up to and with the true first error; `outcome` where its only label "
        "is there.",
        "",
        "## Heads",
        "",
        "| head | first-error F1 | AUROC of steps | least score is the last | "
        f"best of {n}: right | of those, with a wrong step |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in whole["heads"].items():
        best = found[f"best_by_{whole['schemes'][name]}"]
        cells = [percent(found[k]) for k in ("first_error_f1", "auroc", "last_is_least")]
        cells += [percent(best["right"]), percent(best["hidden"])]
        lines.append(f"| `{name}` by {whole['schemes'][name]} | {' | '.join(cells)} |")
    for name, found in whole["without"].items():
        lines.append(f"| {name} | | | | {percent(found['right'])} | {percent(found['hidden'])} |")
    ranks = whole["ranks"]
    lines += [
        "",
        "Figures are in percent. Values are read at the last step, correctness at the weakest, as "
        "card [171] says;",
        "the JSON has every aggregator. F1: a score below a half is an error. *Any of them*: some "
        "answer is; a right one with a wrong step counts there only where no clean one exists.",
        "",
        "Rank correlation of the heads' first-error F1 with best-of-n: "
        f"{_rank(ranks['right'])} for right answers, {_rank(ranks['clean'])} for answers right in "
        "every step.",
        "",
        "## Claims",
        "",
        *claims_table(whole["claims"]),
        "",
        "The card claims all but the fourth, of which it says the opposite: no head that learnt "
        "from completions alone beat the vote. The one tried there is the best of three on these "
        "very tasks, which flatters it.",
    ]
    return "\n".join(lines) + "\n"


def _rank(found: Mapping[str, float]) -> str:
    return f"{found['value']:+.2f} ({found['low']:+.2f} to {found['high']:+.2f})"
