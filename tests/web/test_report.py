"""The page: one file, whole, and no text of a model becomes HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from askesis.errors import RunError
from askesis.lab.report_data import MAX_POINTS, Said, curves, report_data, short
from askesis.store.run_store import RunStore
from askesis.web import report
from askesis.web.report import write_report

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\x1b[31m\ud800"


class Tags(HTMLParser):
    """All tags of a page, with where it reaches outside itself."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.outside += [
            v for k, v in attrs if k in ("src", "href") and v and not v.startswith("#")
        ]


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory) -> str:
    return write_report(finished, tmp_path_factory.mktemp("page") / "report.html").read_text()


def test_the_page_needs_nothing_outside_itself(page):
    tags = Tags()
    tags.feed(page)
    assert tags.outside == []
    assert "link" not in tags.tags
    assert "iframe" not in tags.tags
    assert "@import" not in page
    assert len(page) < 2_500_000


def test_the_page_shows_what_happened(page, finished):
    for part in (
        "letters",
        "3 of 3",
        "policy@0",
        "finished: the plan is done",
        "pass@1",
        "verifier",
    ):
        assert part in page
    with RunStore.open(finished) as store:
        said = {a.task.prompt for a in store.read("attempts")}
    shown = set(re.findall(r'<pre class="prompt">(.*?)</pre>', page))
    assert shown
    assert shown <= said
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_right_and_wrong_attempts_are_both_shown(finished):
    data = report_data(finished)
    assert {"right", "wrong"} <= {s.verdict for s in data.said}
    assert data.said_rounds == (1, 2, 3)
    assert any(s.learnt for s in data.said if s.verdict == "right")
    assert not any(s.learnt for s in data.said if s.verdict == "wrong")


def test_hostile_text_stays_text(finished, monkeypatch):
    data = report_data(finished)
    evil = Said(
        1, HOSTILE, short(HOSTILE), (("policy", short(HOSTILE)), ("world", short(HOSTILE))),
        "wrong", 0.0, HOSTILE, "ended", False, 3, HOSTILE, HOSTILE, False, HOSTILE, HOSTILE,
    )  # fmt: skip
    object.__setattr__(data, "said", (evil,))
    object.__setattr__(data.run, "recipe", HOSTILE)
    object.__setattr__(data.run, "failures", (("explore", HOSTILE, 1),))
    object.__setattr__(data.run, "config", {"world": HOSTILE})
    before = Tags()
    before.feed(report.render(report_data(finished)))
    made = report.render(data)
    after = Tags()
    after.feed(made)
    assert "alert(1)" in made  # it is there, as text
    assert after.tags.count("script") == before.tags.count("script") == 3
    assert after.tags.count("img") == 0
    made.encode("utf-8", "backslashreplace")


def test_control_characters_and_length_are_tamed():
    assert short("a\x1b[31mb\u202ec") == "a\\x1b[31mb\\u202ec"
    assert len(short("x" * 10_000_000)) < 4000


def test_a_long_run_gives_short_curves_with_its_bands():
    rows = [(i, {"k": float(i), "k/low": i - 1.0, "k/high": i + 1.0}) for i in range(10_000)]
    (curve,) = curves(rows, bands=True)
    assert len(curve.x) <= MAX_POINTS
    assert curve.averaged == 25
    assert curve.y[0] == 12.0  # the mean of 0 .. 24
    assert curve.low[0] == 11.0
    assert curve.high[0] == 13.0


def test_what_is_not_finite_leaves_a_gap():
    (curve,) = curves([(0, {"k": 1.0}), (1, {"k": float("nan")}), (2, {"k": float("inf")})])
    assert curve.y == [1.0, None, None]


def test_a_page_can_be_written_while_the_run_goes_on(letters_run):
    store = RunStore.open(letters_run, write=True)
    try:
        store.rollback()
        store.commit_round(3, "main", metrics={"measure/pass@1": 0.5}, seconds={"learn": 1.0})
        text = write_report(letters_run).read_text()
    finally:
        store.close()
    assert "The run was going on when this page was written" in text
    assert "4 of 3" in text


def test_a_run_without_rounds_has_a_page_too(tmp_path):
    from askesis.config import to_tree
    from askesis.recipes.rft import rft

    RunStore.create(tmp_path / "r", config=to_tree(rft()), manifest={"python": "3"}).close()
    text = write_report(tmp_path / "r").read_text()
    assert "No round has been committed yet" in text


def test_a_page_that_cannot_be_written_is_one_clear_error(finished, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_report(finished, tmp_path / "file" / "report.html")
    with pytest.raises(RunError, match="no run at"):
        write_report(tmp_path / "nothing")
