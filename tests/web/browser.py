"""A headless Chromium: the one ASKESIS_CHROMIUM names, one on the path, or Playwright's own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SCREENS = {"desktop": (1200, 1000), "phone": (390, 844)}


def chromium() -> str | None:
    """The program, or None where this machine has none."""
    given = os.environ.get("ASKESIS_CHROMIUM")
    if given:
        return given
    for name in NAMES:
        if found := shutil.which(name):
            return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playing:
        own = playing.chromium.executable_path
    return own if Path(own).exists() else None


@contextmanager
def open_browser(program: str) -> Iterator[Any]:
    """A browser without a window, a sandbox (containers have none to give) or a cache."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playing:
        browser = playing.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Any, path: Path, *, screen: str = "desktop", dark: bool = False, **options: Any
) -> Iterator[Any]:
    """A page from a file, its charts unpacked. `page.troubles` are errors and dialogs, and
    whatever it tried to get from outside itself."""
    width, height = SCREENS[screen]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        **options,
    )
    page = context.new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (page.troubles.append("dialog"), dialog.dismiss()))
    page.on(
        "console",
        lambda m: page.troubles.append(m.text) if m.type in ("error", "warning") else None,
    )
    page.on(
        "request",
        lambda r: None if r.url == path.as_uri() else page.troubles.append(f"asked for {r.url}"),
    )
    try:
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function("window.Plotly", timeout=60_000)
        yield page
    finally:
        context.close()
