"""`askesis demo`: the demonstration on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from askesis.lab.figures import duration, share


def demo(
    out: Console, *, seed: int, out_dir: Path | None, seconds: float | None, plain: bool
) -> None:
    """Run it, measure it, write the page, and say what came of it."""
    import time

    from askesis.cli.display import open_display
    from askesis.cli.looking import counting
    from askesis.cli.running import DIRECTORY, free_name, quiet_libraries, stoppable
    from askesis.cli.show import difference_lines, evaluation_table, evaluation_title, show_rounds
    from askesis.lab.demo import RECIPE, WORLD, demonstrate
    from askesis.lab.evaluate import shown_k
    from askesis.lab.overview import overview
    from askesis.web.report import write_report

    quiet_libraries()
    began = time.monotonic()
    path = free_name(out_dir or DIRECTORY / f"demo-s{seed}")
    out.print(
        f"A model of about a million parameters improves itself on {WORLD} with {RECIPE}: it "
        "tries,\na verifier looks, it learns from what was right, and tries again.",
    )
    display = open_display(out, f"askesis demo, {path}", plain)
    with stoppable(path), counting(out) as on_progress:
        try:
            found = demonstrate(
                path, seed=seed, seconds=seconds, watchers=[display], on_progress=on_progress,
                say=lambda message: out.print(message, soft_wrap=True),
            )  # fmt: skip
        finally:
            getattr(display, "stop", lambda: None)()
    ks = [k for k in shown_k(found.evaluation.scores[0].num_attempts) if k in (1, 8)]
    out.print()
    show_rounds(out, overview(path).lines, 16)
    out.print()
    out.print(evaluation_title(found.evaluation), soft_wrap=True)
    out.print(evaluation_table(found.evaluation, ks))
    for line in difference_lines(found.evaluation, ks):
        out.print(line, soft_wrap=True)
    out.print(control_line(found.control), soft_wrap=True)
    page = write_report(path)
    out.print()
    out.print(f"checkpoint   {found.checkpoint}", soft_wrap=True)
    out.print(f"page         {page}", soft_wrap=True)
    out.print(f"talk to it   askesis try {path} --task", soft_wrap=True)
    out.print(f"done in {duration(time.monotonic() - began)}")


def control_line(control: dict[str, Any] | None) -> str:
    """One line about the same start trained on its demonstrations for as long."""
    what = "control (the same start, the same seconds of supervised training on its demonstrations)"
    if control is None:
        return f"{what}: not measured here; results/demo_control.json is not there"
    parts = []
    for key in ("pass@1", "pass@8"):
        e = control.get(key)
        if isinstance(e, dict) and "value" in e:
            span = f" ({100 * e['low']:.1f} - {100 * e['high']:.1f})" if "low" in e else ""
            parts.append(f"{key} {share(e['value'])}{span}")
    return f"{what}: {', '.join(parts)}"
