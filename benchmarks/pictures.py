"""Pictures of the pages for docs/, taken in headless Chromium.

    python -m benchmarks.pictures --run RUN --compare COMPARISON [--to docs]

Writes report.png and compare.png (desktop, light, the first screens of the page) and, with
--looks, both pages at desktop and phone width in light and dark, to be looked at.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HEIGHT = 1900  # how much of a page a picture shows


def main(words: list[str] | None = None) -> None:
    """Take the pictures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="a run's directory")
    parser.add_argument("--compare", type=Path, help="a comparison's directory")
    parser.add_argument("--to", type=Path, default=Path("docs"))
    parser.add_argument("--looks", action="store_true", help="all widths, light and dark")
    given = parser.parse_args(words)
    from askesis.web.report import write_report
    from tests.web.browser import SCREENS, chromium, open_browser

    program = chromium()
    if program is None:
        raise SystemExit("no Chromium on this machine: apt-get install chromium")
    with open_browser(program) as browser:
        for name, path in (("report", given.run), ("compare", given.compare)):
            if path is None:
                continue
            page = write_report(path).absolute()
            print(take(browser, page, given.to / f"{name}.png"))
            if given.looks:
                for screen in SCREENS:
                    for dark in (False, True):
                        look = given.to / f"{name}-{screen}-{'dark' if dark else 'light'}.png"
                        print(take(browser, page, look, screen=screen, dark=dark, whole=True))


def take(
    browser: Any,
    path: Path,
    to: Path,
    *,
    screen: str = "desktop",
    dark: bool = False,
    whole: bool = False,
) -> Path:
    """One picture of a page, its charts drawn."""
    from PIL import Image

    from tests.web.browser import SCREENS, open_page

    width = SCREENS[screen][0]
    with open_page(browser, path, screen=screen, dark=dark) as page:
        for y in range(0, page.evaluate("document.body.scrollHeight"), 600):
            page.evaluate(f"scrollTo(0, {y})")
            page.wait_for_timeout(150)
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(500)
        clip = None if whole else {"x": 0, "y": 0, "width": width, "height": HEIGHT}
        page.screenshot(path=to, full_page=True, clip=clip)
    Image.open(to).convert("RGB").quantize(256).save(to, optimize=True)
    return to


if __name__ == "__main__":
    main()
