"""The command that prints a search tree of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="the run's directory")]


def tree(
    path: RunPath,
    name: Annotated[
        str,
        typer.Argument(metavar="ATTEMPT_OR_TASK", help="its id, or that of a tree"),
    ],
    svg: Annotated[Path | None, typer.Option(help="draw it into this file")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="nodes at most, the most visited")] = 200,
) -> None:
    """A search tree of a run: what was tried from a task, how often, and what it was worth."""
    from askesis.cli.main import console
    from askesis.cli.show import visible
    from askesis.errors import RunError
    from askesis.lab.stored_trees import find_tree
    from askesis.search.draw import as_svg, as_text, speaker_of
    from askesis.store.run_store import RunStore

    with RunStore.open(path, check=False) as store:
        found, others = find_tree(store, name, nodes)
    shown, role = found.tree, speaker_of(found.tree)
    out = console()
    spent = ", ".join(f"{value:,.0f} {what}" for what, value in shown.spent.items() if value)
    out.print(
        f"{visible(shown.id)}, round {found.round}, {found.num_nodes:,} nodes; {spent}",
        soft_wrap=True,
    )
    out.print(as_text(shown, role, marked=found.marked), soft_wrap=True)
    if found.num_left_out:
        out.print(
            f"{found.num_left_out:,} nodes that were passed least are left out (--nodes)",
            soft_wrap=True,
        )
    if len(others) > 1:
        told = ", ".join(visible(i) for i in others[:-1][-4:])
        out.print(f"the last of {len(others):,} trees; before it: {told}", soft_wrap=True)
    if svg is not None:
        picture = as_svg(shown, role, outcomes=found.outcomes, marked=found.marked)
        try:
            svg.write_text(picture, encoding="utf-8")
        except OSError as error:
            raise RunError(
                f"the picture cannot be written to {svg} ({error.strerror or error})",
                hint="give another file with --svg",
            ) from error
        out.print(f"drawn in {svg}", soft_wrap=True)
