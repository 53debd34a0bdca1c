"""The pages in a real browser: drawn, readable, quiet, and answering to what is clicked.

Skipped only where no Chromium is found: `apt-get install chromium`, or
`python -m playwright install --with-deps chromium`, or ASKESIS_CHROMIUM=/path/to/it.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from askesis.lab.report_data import report_data
from askesis.measure.alarms.alarm import Alarm
from askesis.store.run_store import RunStore
from askesis.web import report
from askesis.web.report import write_report
from tests.web.browser import SCREENS, chromium, open_browser, open_page
from tests.web.hand_made import ARMS, write
from tests.web.test_report import HOSTILE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Any:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with open_browser(program) as found:
        yield found


@pytest.fixture(scope="module")
def run_page(finished, tmp_path_factory) -> Path:
    """The little run with two claims and an alarm."""
    place = tmp_path_factory.mktemp("page")
    run = place / "letters"
    shutil.copytree(finished, run)
    with RunStore.open(run) as store:
        for name, value in (("policy@0", 0.25), ("policy@3", 0.5)):
            metrics = {"pass@1": value, "pass@1/low": value - 0.02, "pass@1/high": value + 0.02}
            store.look(name, "letters-v1", "claim", 100, metrics, {"by": "a test"})
    data = report_data(run)
    alarm = Alarm("wasted_groups", 1, "measure/pass@1", 4.0, 3.0, "they teach less", "m", "a")
    page = place / "report.html"
    page.write_text(report.render(replace(data, alarms=(alarm,))), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def compare_page(tmp_path_factory) -> Path:
    return write_report(write(tmp_path_factory.mktemp("compare") / "c"))


@pytest.fixture(scope="module")
def opened(browser, run_page) -> Any:
    """The run's page on a desktop, in light."""
    with open_page(browser, run_page) as page:
        scroll_through(page)
        yield page


@pytest.fixture
def page(opened) -> Any:
    """The same with no attempt filtered out; a test gives it back without troubles."""
    opened.fill("#find", "")
    opened.select_option("#round", "")
    opened.click("#filters [data-kind='']")
    yield opened
    assert opened.troubles == []


def scroll_through(page: Any) -> None:
    """Down the whole page, as a reader would, so that every chart in sight is drawn."""
    height = page.evaluate("document.body.scrollHeight")
    for y in range(0, height, 600):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(30)
    page.wait_for_function(
        "[...document.querySelectorAll('[data-chart]')].every("
        "p => !p.checkVisibility() || p.querySelector('.main-svg'))",
        timeout=60_000,
    )


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("which", ["run_page", "compare_page"])
def test_it_is_drawn_quietly_and_fits_the_screen(browser, request, which, screen):
    path = request.getfixturevalue(which)
    with open_page(browser, path, screen=screen) as page:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            scroll_through(page)
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0
            assert page.locator("[data-chart] .main-svg").count() >= 3
            paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
            is_dark = sum(map(int, paper[4:-1].split(","))) < 200
            assert is_dark is (scheme == "dark")
            grid = "getComputedStyle(document.querySelector('.tall .gridlayer path')).stroke"
            line = page.evaluate("getComputedStyle(document.querySelector('th')).borderBottomColor")
            assert page.evaluate(grid) == line
        assert page.troubles == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_can_be_read_on_its_ground(page, scheme):
    """At least 4.5 to 1, as WCAG 2.2 asks of text (success criterion 1.4.3)."""
    page.emulate_media(color_scheme=scheme)
    ratios = page.evaluate("""() => {
        const light = name => {
          const probe = document.createElement("i");
          probe.style.color = `var(--${name})`;
          document.body.append(probe);
          const rgb = getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map(v => {
            const s = v / 255;
            return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
          });
          probe.remove();
          return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
        };
        const found = {};
        for (const text of ["ink", "soft", "accent", "right", "wrong", "cut", "fresh"]) {
          for (const ground of ["paper", "card"]) {
            const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
            found[text + " on " + ground] = (a + 0.05) / (b + 0.05);
          }
        }
        return found;
    }""")
    assert {k: v for k, v in ratios.items() if v < 4.5} == {}


def test_the_button_turns_light_into_dark_and_back(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) != light
    page.click("#theme")
    assert page.evaluate(ground) == light


def test_attempts_are_filtered_by_kind_round_and_text(page):
    shown = page.locator(".said > article:visible")
    assert shown.count() == 12
    page.click("[data-kind=wrong]")
    assert {a.get_attribute("class") for a in shown.all()} == {"wrong"}
    page.click("[data-kind=right]")
    page.select_option("#round", "2")
    assert {(a.get_attribute("class"), a.get_attribute("data-round")) for a in shown.all()} == {
        ("right", "2")
    }
    page.select_option("#round", "")
    newly = page.locator(".said > article[data-kind~=newly]").count()
    page.click("#filters [data-kind=newly]")
    assert shown.count() == min(newly, 12) > 0
    page.click("[data-kind='']")
    prompt = page.locator(".said .prompt").first.inner_text()
    page.fill("#find", prompt.upper())
    assert shown.count() >= 1
    assert all(prompt in a.inner_text() for a in shown.all())
    page.fill("#find", "nobody said this")
    assert shown.count() == 0
    assert "None of the attempts" in page.inner_text("#tally")


def test_more_attempts_come_when_asked_for(page):
    shown = page.locator(".said > article:visible")
    every = page.locator(".said > article").count()
    page.click("#more")
    assert shown.count() == min(36, every) > 12


def test_curves_can_be_drawn_against_tokens_and_seconds(page):
    xs = "document.querySelector('.tall [data-chart]').data.find(t => t.name === 'pass@1' && !t.fill).x"
    assert page.evaluate(xs) == [1, 2, 3]
    axes = page.evaluate("JSON.parse(document.getElementById('axes').textContent)")
    page.click("[data-switch=x] [value=tokens]")
    assert page.evaluate(xs) == axes["tokens"][1:]
    lines = "document.querySelector('.tall [data-chart]').layout.shapes.map(s => s.x0)"
    assert page.evaluate(lines) == [axes["tokens"][2]]  # the alarm, after round 2
    page.click("[data-switch=x] [value=seconds]")
    assert page.evaluate(xs) == axes["seconds"][1:]
    page.click("[data-switch=x] [value=round]")
    assert page.evaluate(xs) == [1, 2, 3]


def test_claims_and_alarms_are_marked_on_the_large_chart(page):
    traces = page.evaluate(
        "document.querySelector('.tall [data-chart]').data.map(t => [t.name, t.x, t.y])"
    )
    found = {name: (x, y) for name, x, y in traces}
    assert found["pass@1, claimed"] == ([0, 3], [0.25, 0.5])
    assert found["alarms"][0] == [2]
    assert "higher, and the intervals do not touch" in page.inner_text("main")
    assert "wasted groups after round 2" in page.inner_text(".alarms")


def test_a_link_opens_what_it_leads_to(page):
    page.click("#more")
    link = page.locator(".said a[href^='#task-']:visible").last
    goal = link.get_attribute("href")
    link.click()
    page.wait_for_function(f"document.querySelector('{goal}').open")
    assert page.locator(f"{goal} .columns article").count() >= 2


def test_samples_of_one_round_are_followed_at_a_time(page):
    shown = page.locator(".origin:visible")
    for index in ("1", "3"):
        page.select_option("#origin-round", index)
        assert {o.get_attribute("data-round") for o in shown.all()} == {index}
    shown.first.locator("summary").click()
    words = shown.first.inner_text()
    for part in ("task", "attempt in round 3", "verdict", "sample in round 3", "policy@3"):
        assert part in words


def test_hostile_text_does_nothing(browser, run_page, finished, tmp_path):
    data = report_data(finished)
    said = tuple(replace(s, prompt=HOSTILE, id=HOSTILE, tag=HOSTILE) for s in data.said.said)
    place = tmp_path / "report.html"
    page_text = report.render(replace(data, said=replace(data.said, said=said)))
    place.write_text(page_text, encoding="utf-8", errors="backslashreplace")
    with open_page(browser, place) as page:
        page.fill("#find", "alert(1)")
        assert page.locator(".said > article:visible").count() == 12
        assert page.locator("img").count() == 0
        assert page.troubles == []


@pytest.mark.parametrize("which", ["run_page", "compare_page"])
def test_without_scripts_the_tables_still_stand(browser, request, which):
    path = request.getfixturevalue(which)
    with open_page(browser, path, java_script_enabled=False) as page:
        assert page.locator("table:visible").count() >= 3
        assert "pass@1" in page.inner_text("main")


def test_the_comparison_switches_metric_axis_and_cost(browser, compare_page):
    with open_page(browser, compare_page) as page:
        scroll_through(page)
        assert page.locator("[data-shown-by=metric]:visible").count() == 1
        page.click("[data-switch=metric] [value='pass@4']")
        assert page.locator("[data-value='pass@4']:visible").count() == 1
        assert page.locator("[data-value='pass@1']:visible").count() == 0
        last = "document.querySelectorAll('.tall [data-chart]')[0].data.find(t => t.name === 'grpo' && !t.fill).x.at(-1)"
        by_tokens = page.evaluate(last)
        page.click("[data-switch=axis] [value=seconds]")
        assert by_tokens == pytest.approx(1.1e6)
        assert page.evaluate(last) == pytest.approx(1.1 * 60 * 2.6)
        page.click("[data-switch=cost] [value=updates]")
        assert page.troubles == []
        assert all(arm in page.inner_text("h1") for arm in ARMS)
