"""`askesis diagnose`: what a model could learn on a world, and what to type."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from askesis.cli.listing import print_json

# Figures by what they are about; (key, words, kind). A row is shown where its figure is known.
ABILITY = (
    ("pass@1", "one attempt is right", "share"),
    ("pass@8", "one of 8 is", "share"),
    ("pass@64", "one of 64 is", "share"),
    ("pass@1024", "one of 1,024 would be (extrapolated)", "share"),
    ("ceiling", "tasks it can solve at all (extrapolated)", "share"),
    ("headroom", "headroom: all attempts less one", "share"),
    ("distinct_correct", "different right answers a task", "number"),
)
GROUPS = (
    ("mixed@8", "groups of 8 that carry a gradient", "share"),
    ("mixed@16", "groups of 16", "share"),
)
COVERAGE = (
    ("reference/covered@64", "64 draws would hold the reference", "share"),
    ("reference/covered@1024", "1,024 draws", "share"),
    ("reference/sharpened", "it is the likeliest answer for sure", "share"),
    ("reference/log_coverage", "coverage coefficient, its logarithm", "number"),
    ("reference/nats_per_token", "surprise at the reference, nats a token", "number"),
    ("right/covered@64", "64 draws would hold a right answer that is known", "share"),
)
JUDGE = (
    ("auroc/likelihood", "by likelihood", "number"),
    ("auroc/likelihood_per_token", "by likelihood a token", "number"),
    ("auroc/votes", "by how many attempts agree", "number"),
    ("auroc/asking", "by asking it", "number"),
    ("preference_accuracy", "likelier is what annotators prefer", "share"),
)
VOTES = (
    ("vote_share", "attempts that agree with the vote", "share"),
    ("majority", "the vote is right", "share"),
    ("vote_gain", "the vote less one attempt", "share"),
    ("vote_ece", "calibration error of its share", "number"),
    ("vote_brier", "Brier score of its share", "number"),
    ("vote_auroc", "AUROC of its share", "number"),
)
LENGTHS = (
    ("tokens_per_attempt", "tokens an attempt", "number"),
    ("truncated_fraction", "cut off", "share"),
    ("failed_fraction", "failed", "share"),
    ("silent_fraction", "said nothing", "share"),
)
SECTIONS = (
    ("ability", ABILITY),
    ("groups", GROUPS),
    ("coverage of right answers by its own likelihood", COVERAGE),
    ("does it rank its right attempts above its wrong ones? (AUROC, 0.5 is chance)", JUDGE),
    ("votes", VOTES),
    ("attempts", LENGTHS),
)
COMMANDS = 3  # that are printed; --json and --out have all


def diagnose(
    model: Annotated[
        str, typer.Option(help="tiny, a directory, a hub name, or RUN@last (a run's snapshot)")
    ] = "tiny",
    world: Annotated[str, typer.Option(help="a world (default: the run's own)")] = "",
    num_tasks: Annotated[int, typer.Option(min=1, help="different tasks to ask")] = 200,
    attempts: Annotated[int, typer.Option(min=1, help="attempts at each")] = 64,
    engine: Annotated[str, typer.Option(help="the engine that samples")] = "auto",
    seed: Annotated[int, typer.Option(help="another seed, other attempts")] = 0,
    seconds: Annotated[
        float, typer.Option(min=0.0, help="for sampling; 0: as long as it takes")
    ] = 300.0,
    budget_tokens: Annotated[
        float | None, typer.Option(min=1.0, help="tokens a run would have (default: the study's)")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    out: Annotated[Path | None, typer.Option(help="also write everything here, as JSON")] = None,
) -> None:
    """Before training: can this model improve on this world, by which recipe, by how much?

    Minutes, no training. Only tasks that may be learnt from or decided with are looked at.
    """
    from askesis.cli.looking import counting
    from askesis.cli.main import console
    from askesis.cli.running import quiet_libraries
    from askesis.errors import ConfigError
    from askesis.lab.diagnose.diagnosis import diagnose as examine

    screen = console()
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise ConfigError(
            f"cannot write to {out}", expected="a file in a directory that exists",
            hint="choose another with --out FILE",
        )  # fmt: skip
    quiet_libraries()
    say = (lambda line: None) if as_json else (lambda line: screen.print(line, soft_wrap=True))
    with counting(screen, quiet=as_json) as on_progress:
        found = examine(
            model, world, num_tasks=num_tasks, num_attempts=attempts, engine=engine, seed=seed,
            seconds=seconds, budget=budget_tokens, say=say, on_progress=on_progress,
        )  # fmt: skip
    if out is not None:
        out.write_text(json.dumps(_finite(found.plain()), indent=1) + "\n")
    if as_json:
        print_json(found.plain())
        return
    show(screen, found)
    if out is not None:
        screen.print(f"everything is in {out}", soft_wrap=True)


def show(out: Console, d: Any) -> None:
    """Figures, recipes, and what to type."""
    from askesis.cli.show import table
    from askesis.lab.figures import count, duration

    out.print(
        f"{d.model} on {d.world}: {d.num_tasks} {d.role} tasks, {d.num_attempts} attempts each, "
        f"{duration(d.seconds)}", soft_wrap=True,
    )  # fmt: skip
    for note in d.notes:
        out.print(f"note: {note}", soft_wrap=True)
    for title, rows in sections(d):
        out.print(f"\n{title}")
        made = table("what", "value", "95 %", right=["value", "95 %"])
        made.show_header = False
        for words, value, interval in rows:
            made.add_row(f"  {words}", value, interval)
        out.print(made)
    out.print(
        f"\nsampled {count(d.speed.sampled_per_s)} tokens/s, learnt "
        f"{count(d.speed.trained_per_s)} tokens/s, here and now", soft_wrap=True,
    )  # fmt: skip
    out.print()
    made = table("recipe", "", "expected gain", "a round: tokens", "time", "why", right=["time"])
    for a in d.advice:
        works = a.verdict != "cannot"
        made.add_row(
            a.recipe, a.verdict, gain(a), count(a.tokens) if works and a.tokens else "",
            duration(a.seconds) if works else "", "; ".join(a.why),
        )  # fmt: skip
    out.print(made)
    out.print()
    for line in conclusions(d):
        out.print(line, soft_wrap=True)
    best = [a.command for a in d.advice if a.command][:COMMANDS]
    if best:
        out.print("\nnext")
        for line in best:
            out.print(f"  {line}", soft_wrap=True)


def sections(d: Any) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Titles with rows of (words, value, interval); a section without known figures is left out.
    Habits that nobody has are not told."""
    habits = tuple(
        (k, k.partition("/")[2].replace("_", " "), "share")
        for k, e in d.figures.items()
        if k.startswith("habit/") and e.value
    )
    for title, wanted in (*SECTIONS, ("habits: share of attempts that show them", habits)):
        rows = [
            (words, *_shown(d.figures[key], kind))
            for key, words, kind in wanted
            if key in d.figures
        ]
        if rows:
            yield title, rows


def _shown(estimate: Any, kind: str) -> tuple[str, str]:
    from askesis.lab.figures import as_kind

    value = as_kind(estimate.value, kind)
    if math.isnan(estimate.low):
        return value, ""
    ends = [as_kind(e, kind).removesuffix(" %") for e in (estimate.low, estimate.high)]
    return value, f"{ends[0]} - {ends[1]}"


def gain(a: Any) -> str:
    """`+8.1 points (+2 to +14)`; a star where it is extrapolated."""
    if a.gain is None:
        return ""
    value, low, high = (100 * x for x in (a.gain.value, a.gain.low, a.gain.high))
    return f"{value:+.1f} points ({low:+.0f} to {high:+.0f}){'*' if a.extrapolated else ''}"


def conclusions(d: Any) -> Iterator[str]:
    """What can and what cannot be concluded, in plain sentences."""
    can = [a for a in d.advice if a.verdict == "can"]
    maybe = [a for a in d.advice if a.verdict == "doubtful"]
    if not can and not maybe:
        reasons = list(dict.fromkeys(w for a in d.advice for w in a.why))
        yield f"No recipe can work here: {'; '.join(reasons[:3])}."
        return
    told = [a for a in (*can, *maybe) if a.gain is not None]
    if told:
        from askesis.lab.figures import count

        about = d.gains_from
        yield (
            f"Expected gains are in pass@1 for {count(d.budget_tokens)} tokens a run, from "
            f"{about.get('num_pairs', '?')} pairs of model and world ({about.get('date', '?')}, "
            "models of a million parameters); the interval is for one run."
        )
        if told[0].gain.low <= 0:
            yield f"No gain of {told[0].recipe} is assured: its interval holds 0."
        if any(a.extrapolated for a in told):
            yield "* lies outside of what was studied: a guess by extrapolation."
    else:
        yield "Expected gains are not known: no study of pairs like this one has been made."


def _finite(value: Any) -> Any:
    """As JSON has it: what is not known is null."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
