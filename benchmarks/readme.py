"""Fills in figures and verdicts from committed results, so that none is typed by hand.

    python -m benchmarks.readme

Reads results/*.json and benchmarks/results/*.json. Writes the README's generated blocks, the table
of verdicts in docs/self-training.md, the paragraph "Evidence" on the page of every recipe that was
measured, and what `askesis recipes` says of it (askesis/recipes/verdicts.json). Tests check that
all of them are what this writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.evidence_page import scale_of

ROOT = Path(__file__).parents[1]
VERDICTS = ROOT / "askesis" / "recipes" / "verdicts.json"
PAGES = ROOT / "docs" / "methods"
SELF_TRAINING_PAGE = ROOT / "docs" / "self-training.md"
SELF_TRAINING = (
    *("score", "b_star", "rise", "spin", "four_habits", "agent_r", "re_rest", "sharpening"),
    *("self_reinforcement", "self_feedback", "self_correction_dpo", "spontaneous_correction"),
    *("confidence_critique", "critique_in_the_loop", "partial_credit", "tailored_learning"),
    *("imitate_explore_improve", "rlsp"),
)


def filled(text: str) -> str:
    """The README's text with its generated blocks made anew."""
    blocks = {"demo": demo_lines(), "evidence": evidence_lines(), "figures": figure_lines()}
    return _with_blocks(text, blocks)


def filled_self_training(text: str) -> str:
    """docs/self-training.md with its table of verdicts made anew."""
    return _with_blocks(text, {"verdicts": self_training_lines()})


def _with_blocks(text: str, blocks: dict[str, list[str]]) -> str:
    for name, lines in blocks.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = head + begin + "\n" + "\n".join(lines) + "\n" + end + tail
    return text


def demo_lines() -> list[str]:
    """pass@1 and pass@8 on claim tasks before and after, and the control, for every seed."""
    whole = _read(ROOT / "results" / "demo_control.json")
    machine = whole["machine"]
    lines = [
        "| seed | pass@1 before | pass@1 after | control | pass@8 before | pass@8 after |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in whole["rows"]:
        one, eight = row["pass@1"], row["pass@8"]
        cells = [one["before"], one["rft"], one["control"], eight["before"], eight["rft"]]
        lines.append(f"| {row['seed']} | " + " | ".join(_percent(c) for c in cells) + " |")
    lines += [
        "",
        f"(percent of 1,000 claim tasks, 95 % intervals; `{whole['command']}`, seeds 0 to 2, "
        f"{machine['processor']}, {machine['cores']} cores, {whole['date']}; the rounds took "
        f"{whole['seconds']:.0f} s a seed, the warm start comes on top)",
    ]
    return lines


def evidence_lines() -> list[str]:
    """Every experiment that was made: does it learn, does it learn more than expert iteration."""
    lines = [
        "| recipe | world | start | `rft` | recipe | it learns | more than `rft` |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, whole in experiments().items():
        metric, arms, recipe = whole["metric"], whole["arms"], recipe_of(name, whole)
        ends = [
            _mean([r["end"][metric] for r in arms[a]["seeds"]]) if a in arms else None
            for a in ("rft", recipe)
        ]
        start = _mean([r["start"][metric] for r in arms[recipe]["seeds"]])
        cells = ["" if x is None else f"{100 * x:.1f}" for x in (start, *ends)]
        cells += [_verdict(_found(name, whole, first)) for first in ("start", "rft")]
        lines.append(
            f"| [`{name}`](results/{name}.md) | {arms[recipe]['world']} | "
            + " | ".join(cells)
            + " |"
        )
    lines += [
        "",
        "(percent: pass@1 of claim tasks, on `preferences` the hidden score, for `reward_model` "
        "pairs ranked right; means over seeds; "
        "differences in points with 95 % intervals; `python -m benchmarks.evidence RECIPE`)",
    ]
    return lines


def self_training_lines() -> list[str]:
    """What was compared for every recipe of self-training, one row a comparison."""
    made = experiments()
    lines = ["| recipe | what | metric | verdict, difference |", "| --- | --- | --- | --- |"]
    for name, whole in made.items():
        if recipe_of(name, whole) not in SELF_TRAINING:
            continue
        world = whole["arms"][recipe_of(name, whole)]["world"]
        for i, c in enumerate(whole["comparisons"]):
            who = f"[`{name}`](../results/{name}.md), {world}" if i == 0 else ""
            between = f"`{c['second']}` minus `{c['first']}`"
            lines.append(f"| {who} | {c['what']} ({between}) | {c['metric']} | {_verdict(c)} |")
    measured = {recipe_of(name, whole) for name, whole in made.items()}
    left = [name for name in SELF_TRAINING if name not in measured]
    if len(lines) == 2:
        lines = []
    if left:
        told = ", ".join(f"[`{name}`](methods/{name}.md)" for name in left)
        lines += ["", f"Not measured yet: {told}."]
    return lines


def experiments() -> dict[str, dict[str, Any]]:
    """Every experiment about a recipe that was made, by the name of its plan."""
    found = {p.stem: _read(p) for p in sorted((ROOT / "results").glob("*.json"))}
    return {k: v for k, v in found.items() if "comparisons" in v and recipe_of(k, v) in v["arms"]}


def recipe_of(name: str, whole: dict[str, Any]) -> str:
    """The arm an experiment is about: `dpo` of the plan `dpo`, and of the second one, `dpo_2`."""
    return name if name in whole["arms"] else name.rpartition("_")[0]


def verdicts() -> dict[str, dict[str, str]]:
    """What `askesis recipes` says of every recipe that was measured."""
    found = {}
    for name, whole in experiments().items():
        asked = {"it learns": "start", "more than rft": "rft"}
        rows = {words: _found(name, whole, first) for words, first in asked.items()}
        said = {words: c["verdict"] for words, c in rows.items() if c is not None}
        found[recipe_of(name, whole)] = said  # of a second plan, the second
    return found


def evidence_paragraph(name: str, whole: dict[str, Any]) -> str:
    """What a recipe's page says of its experiment."""
    said = [f"{c['what']}: {_verdict(c)} in {c['metric']}" for c in whole["comparisons"]]
    arm = whole["arms"][recipe_of(name, whole)]
    text = f"On `{arm['world']}`, {len(arm['seeds'])} seeds: {'; '.join(said)}."
    if name + "_2" in experiments():
        text += f" A second plan: [results/{name}_2.md](../../results/{name}_2.md)."
    return f"**Evidence.** {text} See [results/{name}.md](../../results/{name}.md)."


def with_evidence(page: str, name: str, whole: dict[str, Any]) -> str:
    """A recipe's page with its paragraph made anew; what stands behind it stays."""
    made = evidence_paragraph(name, whole)
    old = re.compile(
        r"\*\*Evidence\.\*\* (?:Not measured yet; the experiment is `[^`]*`\s+once it is planned\.|"
        r"Not measured yet\.|On `.*?results/\w+\.md\)\.)",
        re.S,
    )
    return old.sub(lambda _: made, page)


def _found(name: str, whole: dict[str, Any], first: str) -> dict[str, Any] | None:
    rows = [c for c in whole["comparisons"] if c["metric"] == whole["metric"]]
    asked = (first, recipe_of(name, whole))
    return next((c for c in rows if (c["first"], c["second"]) == asked), None)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _verdict(c: dict[str, Any] | None) -> str:
    if c is None:
        return ""
    times, unit, digits = scale_of(c["metric"])
    value, low, high = (f"{times * c[k]:+.{digits}f}" for k in ("value", "low", "high"))
    return f"{c['verdict']}, {value} ({low} to {high})" + unit.replace(" %", "")


def figure_lines() -> list[str]:
    """Speed, overhead and memory, one row a figure with its command."""
    lines = ["| what | figure | command |", "| --- | --- | --- |"]
    folder = ROOT / "benchmarks" / "results"
    overhead = _read(folder / "overhead.json")
    for name in ("large", "small"):
        f = overhead["figures"][name]
        what = f"{f['rounds']:.0f} {name} rounds, {f['attempts']:,.0f} attempts"
        figure = (
            f"{f['sampling_tokens_per_s']:,.0f} tokens/s sampled, "
            f"{f['trained_tokens_per_s']:,.0f} tokens/s learnt, "
            f"{100 * f['overhead_share']:.1f} % in loop, driver, records and store"
        )
        lines.append(f"| {what} | {figure} | `{overhead['command']}` |")
    memory = _read(folder / "memory.json")
    m = memory["figures"]
    figure = (
        f"{m['peak_mib']:.0f} MiB at most, {m['growth_mib_after_first_quarter']:.1f} MiB more in "
        "the last three quarters than in the first"
    )
    what = f"memory over {m['attempts']:,.0f} attempts"
    lines.append(f"| {what} | {figure} | `{memory['command']}` |")
    lines += sampling_lines(folder / "sampling.json")
    lines += round_lines(folder / "grpo_round.json")
    lines += search_lines(folder)
    machine = overhead["machine"]
    lines += ["", f"({machine['processor']}, {machine['cores']} cores, {overhead['date']})"]
    return lines


def sampling_lines(path: Path) -> list[str]:
    """The native engine against the general libraries, where that was measured."""
    if not path.exists():
        return []
    whole = _read(path)
    others = {"generate": "`transformers.generate`", "vllm": "vLLM on the processor"}
    lines = []
    for name, row in whole["figures"]["workloads"].items():
        parts = [
            f"native {row['native_tokens_per_s']:,} tokens/s"
            f" (float32: {row['native_float32_tokens_per_s']:,})"
        ]
        for other, called in others.items():
            if f"{other}_tokens_per_s" in row:
                times = row[f"ratio_to_{other}"]
                parts.append(f"{called} {row[f'{other}_tokens_per_s']:,}: {times:.1f} times")
        lines.append(f"| sampling, {name} | {', '.join(parts)} | `{whole['command']}` |")
    means = [
        f"{whole['figures'][key]:.1f} times {called}"
        for other, called in others.items()
        if (key := f"geometric_mean_ratio_to_{other}") in whole["figures"]
    ]
    lines.append(f"| the same, geometric mean | {', '.join(means)} | `{whole['command']}` |")
    return lines


def round_lines(path: Path) -> list[str]:
    """A whole GRPO round against TRL's trainer, where that was measured."""
    if not path.exists():
        return []
    whole = _read(path)
    f = whole["figures"]
    lines = []
    for precision, what in (("float32", "in float32"), ("best", "each at its best")):
        ours, theirs = (f["rounds"][f"{who}, {precision}"] for who in ("ours", "TRL"))
        figure = (
            f"{ours['median_s']:.2f} s, {f['trl']} {theirs['median_s']:.2f} s: "
            f"{f[f'times_trl_{precision}']:.1f} times"
        )
        lines.append(f"| a GRPO round of 512 attempts, {what} | {figure} | `{whole['command']}` |")
    return lines


def search_lines(folder: Path) -> list[str]:
    """Tree search, many attempts at once and the driver, where they were measured."""
    lines = []
    if (folder / "tree_search.json").exists():
        whole = _read(folder / "tree_search.json")
        f = whole["figures"]
        faster = f["kept_is_faster_by"]
        figure = (
            f"last level {f['kept']['last_to_first']:.2f} times the first, "
            f"{faster['re-sent']['seconds']:.1f} times faster than re-sending every prefix, "
            f"{faster['cleared']['seconds']:.1f} times than reading it once a node"
        )
        lines.append(f"| 256 searches, 8 levels of 8 steps | {figure} | `{whole['command']}` |")
    lines += tree_lines(folder / "trees.json")
    if (folder / "concurrency.json").exists():
        whole = _read(folder / "concurrency.json")
        f = whole["figures"]["lazy"]
        numbers = sorted((n for n in f if n.isdigit()), key=int)
        cells = [f"{f[n]['peak_above_mib']:.0f} MiB for {int(n):,}" for n in numbers]
        lines.append(
            f"| memory of attempts under way | {', '.join(cells)} attempts | `{whole['command']}` |"
        )
    if (folder / "driver.json").exists():
        whole = _read(folder / "driver.json")
        costs = [row["256"] for row in whole["figures"]["microseconds_a_request"].values()]
        shares = [100 * r["driver_share"] for r in whole["figures"]["rounds"].values()]
        figure = (
            f"{min(costs):.1f} to {max(costs):.1f} microseconds a request, "
            f"at most {max(shares):.2f} % of a sampling round"
        )
        lines.append(f"| the driver itself | {figure} | `{whole['command']}` |")
    return lines


def tree_lines(path: Path) -> list[str]:
    """Whole searches: trees a second, what a depth costs, what is not the engine's time."""
    if not path.exists():
        return []
    whole = _read(path)
    f = whole["figures"]
    one, how, flat = f["native"], f["search"], f["last_to_first"]["native"]
    parts = [
        f"{one['trees_per_s']:.1f} trees/s ({one['simulations_per_s']:,.0f} simulations/s)",
        f"{100 * one['outside_share']:.1f} % of the time outside the engine",
        f"at the last depth a token costs {flat['us_per_token']:.2f} and a simulation "
        f"{flat['us_per_simulation']:.2f} times the first depth's",
    ]
    if "generate" in f:
        parts.insert(
            1,
            f"a simulation {f['times_generate_per_simulation']:.1f} times faster than by "
            f"`transformers.generate` ({f['generate']['trees']} trees each)",
        )
    what = (
        f"{f['trees']} trees at once, {how['simulations']} simulations, {how['branching']} draws, "
        f"depth {how['depth']}"
    )
    return [f"| {what} | {', '.join(parts)} | `{whole['command']}` |"]


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def _percent(m: dict[str, float]) -> str:
    value, low, high = (100 * m[name] for name in ("value", "low", "high"))
    return f"{value:.1f} ({low:.1f} to {high:.1f})"


def main() -> None:
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text()))
    page = SELF_TRAINING_PAGE
    page.write_text(filled_self_training(page.read_text()))
    VERDICTS.write_text(json.dumps(verdicts(), indent=1) + "\n")
    for name, whole in experiments().items():
        if recipe_of(name, whole) != name:
            continue  # the page of the first plan links to it
        page = PAGES / f"{name}.md"
        page.write_text(with_evidence(page.read_text(), name, whole))


if __name__ == "__main__":
    main()
