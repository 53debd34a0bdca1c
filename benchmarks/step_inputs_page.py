"""The page of `benchmarks.step_inputs`, generated from its JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.step_study import claims_table, heading, percent

WORDS = {
    "none": "one answer at temperature 1, no guide",
    "full": "the problem, and all thoughts and equations so far",
    "equations": "the problem and all equations",
    "last_equation": "the step's equation alone",
    "next_thought": "all before the step, and its thought without the equation",
    "thought_alone": "the step's thought alone",
}


def page(whole: Mapping[str, Any]) -> str:
    """results/step_inputs.md."""
    s, (learnt, held_out) = whole["settings"], whole["num_pairs"]
    lines = [
        *heading("What rewards of steps reward: judges that see a part", whole),
        f"Heads learn sibling steps out of trees over {s['learnt']} tasks whose values differ by "
        f"more than {whole['gap']:g}",
        f"({learnt['value']:.0f} pairs a seed), in {s['num_updates']} updates of "
        f"{s['batch_tokens']} tokens. Each then takes the best of five steps, again and",
        f"again, on {s['asked']} claim tasks, and orders {held_out['value']:.0f} pairs of theirs. "
        "Card [149]. ± is half a 95 % t interval over seeds.",
        "",
        "| the judge sees | pairs ordered rightly | answers right | right in every step |",
        "| --- | --- | --- | --- |",
    ]
    for kind, found in whole["kinds"].items():
        ordered = "" if kind == "none" else percent(found["accuracy"])
        lines.append(
            f"| {WORDS[kind]} | {ordered} | {percent(found['right'])} | {percent(found['clean'])} |"
        )
    lines += ["", "Figures are in percent.", "", "## Claims", "", *claims_table(whole["claims"])]
    lines.append(
        "\nThe card found that thoughts add little, that earlier equations do, and that scoring a "
        "thought hardly helps: the first, third and fourth claim hold there, the second and fifth "
        "do not."
    )
    return "\n".join(lines) + "\n"
