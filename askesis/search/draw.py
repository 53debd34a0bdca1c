"""A tree as text, for a terminal, and as an SVG picture, for a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from askesis.trees import Node, Tree

COLUMN, ROW, MARGIN = 190, 34, 18  # pixels
MAX_CHARS = 22  # of an edge in a picture
MAX_LINE = 200  # of an edge in a line of text


def speaker_of(tree: Tree) -> str:
    """The role whose words stand on a tree's edges: "policy" where it speaks, else the first that
    is no world ("policy" where nobody does)."""
    roles = [t.role for n in tree.nodes for t in n.edge if t.role != "world"]
    return roles[0] if roles and "policy" not in roles else "policy"


def as_text(
    tree: Tree, role: str = "policy", most: int | None = None, marked: int | None = None
) -> str:
    """A line a node, children below their parent: what the edge says, visits and value, and for an
    edge with a probability of its own, that.

    Ends are marked with a square, and those that are attempts bear their number. most: lines at
    most; what is left out is said. marked: a node that gets an arrow.
    """
    root = tree.nodes[0]
    lines = [f"{_first_line(tree)}  N {root.visits}  V {root.value:.2f}{_left_out(root)}"]

    def below(index: int, indent: str) -> None:
        children = list(tree.children(index))
        for i, node in enumerate(children):
            is_last = i == len(children) - 1
            arrow = "  <--" if node.index == marked else ""
            lines.append(f"{indent}{'└─' if is_last else '├─'} {_label(node, role)}{arrow}")
            below(node.index, indent + ("   " if is_last else "│  "))

    below(0, "")
    if most is not None and len(lines) > most:
        lines = [*lines[:most], f"... and {len(lines) - most} more"]
    if tree.ended:
        lines.append(f"({_visible(tree.ended)})")
    return "\n".join(lines)


def as_svg(
    tree: Tree,
    role: str = "policy",
    outcomes: Mapping[int, float] | None = None,
    marked: int | None = None,
    on_page: bool = False,
) -> str:
    """The tree from left to right. An edge is as thick as it was walked, a place as dark as its
    value is high between the lowest and the highest of the tree; ends are squares, with a thick
    rim where the attempt was right (`outcomes`, node -> worth). Nodes that were never visited are
    dashed. marked: a node; the way there is drawn in another colour.

    on_page: without colours of its own, as part of a page whose style sheet has them
    (`svg.tree` in askesis/web/templates/page.css), so that it is light or dark with the page.
    """
    known = outcomes or {}
    way = {n.index for n in tree.path(marked)} if marked is not None else set()
    at = _places(tree)
    values = [n.value for n in tree.nodes if n.visits] or [0.0]
    low, high = min(values), max(values)
    most = max(1, tree.nodes[0].visits)
    width = MARGIN * 2 + COLUMN * (1 + max(n.depth for n in tree.nodes))
    height = MARGIN * 2 + ROW * (1 + max(y for _, y in at.values()))
    parts: list[str] = []
    for node in tree.nodes[1:]:
        (x1, y1), (x2, y2) = (_pixels(at[i]) for i in (node.parent, node.index))
        thick = 1 + 6 * node.visits / most
        dash = "" if node.visits else ' stroke-dasharray="3 3"'
        colour = "#c2571a" if node.index in way else "#b9c2cf"
        paint = f'fill="none" stroke="{colour}"'
        if on_page:
            paint = 'class="way"' if node.index in way else 'class="edge"'
        middle = (x1 + x2) / 2
        parts.append(
            f'<path d="M{x1:g} {y1:g} C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}" '
            f'{paint} stroke-width="{thick:.1f}"{dash}/>'
        )
    for node in tree.nodes:
        x, y = _pixels(at[node.index])
        share = (node.value - low) / (high - low) if high > low else 0.5
        fill = _shade(share) if node.visits else "#ffffff"
        is_right = known.get(node.index, 0.0) >= 1
        style = f'fill="{fill}" stroke="#22313f" stroke-width="{3 if is_right else 1}"'
        if on_page:
            kind = "at right" if is_right else "at"
            style = f'class="{kind}" style="--share:{round(100 * share) if node.visits else 0}%"'
        if node.terminal:
            parts.append(f'<rect x="{x - 6:g}" y="{y - 6:g}" width="12" height="12" {style}/>')
        else:
            parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="7" {style}/>')
        name = _first_line(tree) if not node.index else _short(_said(node, role))
        parts.append(
            f'<text x="{x + 12:g}" y="{y - 6:g}">{escape(name)}</text>'
            f'<text x="{x + 12:g}" y="{y + 12:g}" class="n">N {node.visits}'
            f"{f'  V {node.value:.2f}' if node.visits else ''}{_left_out(node)}</text>"
        )
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img"'
    if on_page:
        return f'<svg class="tree" {size}>\n' + "\n".join(parts) + "\n</svg>"
    halo = "paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round"
    style = f"text{{font:11px monospace;fill:#22313f;{halo}}}.n{{fill:#6b7785;font-size:10px}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{style}</style>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _places(tree: Tree) -> dict[int, tuple[int, float]]:
    """(depth, row) of every node: ends take rows from above, others stand amid their children."""
    rows: dict[int, float] = {}
    following = 0
    order: list[tuple[int, bool]] = [(0, False)]
    while order:
        index, is_done = order.pop()
        children = [n.index for n in tree.children(index)]
        if not children:
            rows[index], following = following, following + 1
        elif is_done:
            rows[index] = (rows[children[0]] + rows[children[-1]]) / 2
        else:
            order.append((index, True))
            order += [(child, False) for child in reversed(children)]
    return {n.index: (n.depth, rows[n.index]) for n in tree.nodes}


def _pixels(place: tuple[int, float]) -> tuple[float, float]:
    return MARGIN + 8 + COLUMN * place[0], MARGIN + ROW / 2 + ROW * place[1]


def _shade(share: float) -> str:
    """From a light to a dark blue."""
    light, dark = (222, 232, 244), (32, 84, 147)
    return "#" + "".join(
        f"{round(a + (b - a) * share):02x}" for a, b in zip(light, dark, strict=True)
    )


def _label(node: Node, role: str) -> str:
    found = [_short(_said(node, role), MAX_LINE)]
    found.append(f"N {node.visits}")
    if node.visits:
        found.append(f"V {node.value:.2f}")
    if node.prior < 1:
        found.append(f"p {node.prior:.2f}")
    if node.terminal:
        number = node.labels.get("attempt")
        found.append("■" if number is None else f"■ {int(number)}")
    return "  ".join(found) + _left_out(node)


def _left_out(node: Node) -> str:
    """How many nodes below were cut away (`askesis.search.prune`)."""
    number = int(node.labels.get("left_out", 0))
    return f"  +{number:,}" if number else ""


def _said(node: Node, role: str) -> str:
    text = " ".join("".join(t.text for t in node.edge if t.role == role).split("\n")).strip()
    return _visible(text) or "(end)"


def _short(text: str, longest: int = MAX_CHARS) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _visible(text: str) -> str:
    """Text that moves no cursor, and that XML allows."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _first_line(tree: Tree) -> str:
    lines: Sequence[str] = tree.start.task.prompt.split("\n")
    return _short(_visible(lines[0]))
