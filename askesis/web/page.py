"""What every page shares: one HTML file that needs nothing else.

It opens offline, in light and dark, on a phone. The plotting library is embedded once,
compressed; a browser that cannot unpack it still shows every table. Text that models said is
escaped by the template and never becomes HTML.
"""

from __future__ import annotations

import base64
import gzip
import os
import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from askesis.errors import RunError
from askesis.lab import figures

TEMPLATES = Path(__file__).parent / "templates"


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """One of the templates, filled. `values["charts"]` are charts of `askesis.web.charts`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": figures.count,
        "share": figures.share,
        "duration": figures.duration,
        "size": figures.size,
        "number": figures.number,
        "span": span,
        "shell": shlex.quote,
    }
    return environment.get_template(template).render(plotly=plotly_packed(), **values)


def write_page(page: str, target: Path) -> Path:
    """Write a page aside and move it into place; returns `target`.

    Raises RunError where it cannot be written.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")
        aside.replace(target)
    except OSError as error:
        raise RunError(
            f"the page cannot be written to {target} ({error.strerror or error})",
            hint="give another file with --to",
        ) from error
    return target


def span(e: Mapping[str, Any]) -> str:
    """A share with its interval: 13.7 % (12.1 – 15.3)."""
    words = figures.share(e["value"])
    if e.get("low") is not None and e.get("high") is not None:
        words += f" ({100 * e['low']:.1f} – {100 * e['high']:.1f})"
    return words


@lru_cache(maxsize=1)
def plotly_packed() -> str:
    """The plotting library, gzipped and in base64 (about 1.9 MB instead of 4.8)."""
    from plotly.offline import get_plotlyjs

    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)
    return base64.b64encode(packed).decode("ascii")
