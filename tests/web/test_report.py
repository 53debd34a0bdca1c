"""The page about a run: one file, whole, and no text of a model becomes HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from askesis.errors import RunError
from askesis.lab import report_said
from askesis.lab.report_attempts import Judged, Said, Spoken, short
from askesis.lab.report_data import MAX_POINTS, axes, curves, report_data
from askesis.lab.report_said import SaidData
from askesis.measure.alarms.alarm import Alarm
from askesis.store.run_store import RunStore
from askesis.web import report
from askesis.web.charts import band
from askesis.web.page import write_page
from askesis.web.report import write_report
from askesis.web.run_charts import learning_charts

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\x1b[31m\ud800"


class Tags(HTMLParser):
    """All tags of a page, with where it reaches outside itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.inside: list[str] = []
        self.outside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href") and value:
                (self.inside if value.startswith("#") else self.outside).append(value)


@pytest.fixture(scope="module")
def data(finished):
    return report_data(finished)


@pytest.fixture(scope="module")
def page(data) -> str:
    return report.render(data)


def test_the_page_needs_nothing_outside_itself(page):
    tags = Tags(page)
    assert tags.outside == []
    assert "link" not in tags.tags
    assert "iframe" not in tags.tags
    assert "@import" not in page
    assert len(page) < 2_500_000


def test_every_link_leads_somewhere_and_no_name_is_given_twice(page):
    tags = Tags(page)
    assert set(tags.inside) <= {f"#{name}" for name in tags.ids}
    assert len(tags.ids) == len(set(tags.ids))


def test_the_page_shows_what_happened(page, finished):
    for part in ("letters", "3 of 3", "policy@0", "finished", "the plan is done", "verifier"):
        assert part in page
    with RunStore.open(finished) as store:
        said = {a.task.prompt for a in store.read("attempts")}
    shown = set(re.findall(r'<pre class="prompt">(.*?)</pre>', page))
    assert shown
    assert shown <= said
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_right_and_wrong_attempts_are_both_shown(data):
    said = data.said.said
    assert {"right", "wrong"} <= {s.verdict for s in said}
    assert data.said.rounds == (1, 2, 3)
    assert any(s.learnt for s in said if s.verdict == "right")
    assert not any(s.learnt for s in said if s.verdict == "wrong")


# ---------------------------------------------------------------- tasks across rounds, origins


def solved(finished) -> dict[str, dict[int, list[bool]]]:
    """Task -> round -> right or not, counted here from the records alone."""
    found: dict[str, dict[int, list[bool]]] = {}
    with RunStore.open(finished) as store:
        value = {v.about.attempt: v.value for v in store.read("verdicts")}
        for index in range(3):
            for a in store.read("attempts", {"round": index}):
                if a.purpose.value == "train":
                    row = found.setdefault(a.task.id, {})
                    row.setdefault(index + 1, []).append(value[a.id] >= 1)
    return found


def test_tasks_across_rounds_are_counted_right(finished, data):
    counted = solved(finished)
    repeated = {t: r for t, r in counted.items() if len(r) > 1}
    assert data.said.num_repeated == len(repeated) > 0
    assert data.said.num_newly == sum(
        not any(r[min(r)]) and any(any(v) for v in r.values()) for r in repeated.values()
    )
    for history in data.said.histories:
        rounds = repeated[history.task]
        assert dict(history.strip) == {n: sum(v) / len(v) for n, v in rounds.items()}
        for cell in history.cells:
            assert (cell.num, cell.num_right) == (len(rounds[cell.round]), sum(rounds[cell.round]))
            assert cell.said.task == history.task
            assert cell.said.round == cell.round
        first, last = (sum(rounds[n]) / len(rounds[n]) for n in (min(rounds), max(rounds)))
        assert history.change == (
            "learnt" if last > first else "lost" if last < first
            else "always" if all(all(v) for v in rounds.values())
            else "mixed" if any(any(v) for v in rounds.values()) else "never"
        )  # fmt: skip


def test_newly_solved_is_right_now_tried_before_and_never_solved(finished, data):
    counted = solved(finished)
    for s in data.said.said:
        before = [v for n, row in counted[s.task].items() if n < s.round for v in row]
        assert s.newly == (s.verdict == "right" and bool(before) and not any(before))


def test_what_became_of_the_attempts_adds_up(finished, data):
    counted = [v for rounds in solved(finished).values() for row in rounds.values() for v in row]
    flows = {(what, learnt): num for what, learnt, num in data.said.flows}
    assert sum(flows.values()) == len(counted)
    assert flows["right", True] + flows.get(("right", False), 0) == sum(counted)
    assert ("wrong", True) not in flows


def test_a_sample_is_followed_back_to_its_attempt_and_task_and_on_to_its_snapshot(finished, data):
    assert data.origins
    with RunStore.open(finished) as store:
        attempts = {a.id: a for a in store.read("attempts")}
        sources = {s.sources for s in store.read("samples")}
        num = len(list(store.read("samples", {"round": 0})))
    for o in data.origins:
        (said,) = o.sources
        assert (said.id,) in sources
        attempt = attempts[said.id]
        assert o.tasks[said.task].origin == attempt.task.origin == "generated"
        assert said.turns[0].text == attempt.turns[0].text
        assert said.snapshot == f"policy@{o.round - 1}"
        assert o.became == f"policy@{o.round}"
        assert 0 < o.num_weighted < o.num_tokens
    assert {o.num_siblings for o in data.origins if o.round == 1} == {num}


@pytest.mark.slow
def test_a_huge_run_has_histories_of_a_sample_of_its_tasks(finished, monkeypatch):
    monkeypatch.setattr(report_said, "MANY_ATTEMPTS", 40)
    few = report_data(finished)
    assert few.said.every == 3
    whole = solved(finished)
    assert few.said.num_repeated < sum(len(r) > 1 for r in whole.values())
    assert "one task in 3, chosen by a hash" in " ".join(report.notices(few))


# ---------------------------------------------------------------- hostile and long


def test_hostile_text_stays_text(data, page):
    evil = Said(
        round=1, id=HOSTILE, task=HOSTILE, prompt=short(HOSTILE),
        turns=(Spoken("policy", short(HOSTILE), HOSTILE), Spoken(HOSTILE, short(HOSTILE))),
        verdict="wrong", value=0.0, judged=(Judged(HOSTILE, HOSTILE, 0.0, HOSTILE, HOSTILE),),
        snapshot=HOSTILE, reference=HOSTILE, tag=HOSTILE, hint=HOSTILE, error=HOSTILE,
    )  # fmt: skip
    said = replace(data.said, said=(evil,))
    alarm = Alarm(HOSTILE, 0, "measure/pass@1", 1.0, 0.5, HOSTILE, HOSTILE, HOSTILE)
    run = replace(
        data.run, recipe=HOSTILE, failures=(("explore", HOSTILE, 1),), config={"w": HOSTILE}
    )
    origin = replace(data.origins[0], sources=(evil,), became=HOSTILE)
    made = report.render(replace(data, run=run, said=said, origins=(origin,), alarms=(alarm,)))
    before, after = Tags(page), Tags(made)
    assert "alert(1)" in made  # it is there, as text
    assert after.tags.count("script") == before.tags.count("script") == 4
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
    area = band("k", [1, 2, 3], [0.0, None, 0.5], [1.0, None, 1.5])
    assert area["x"] == [1, 1, None, 3, 3]
    assert area["y"] == [1.0, 0.0, None, 1.5, 0.5]


def test_axes_count_tokens_and_seconds_from_the_start(data):
    assert data.axes["round"] == (0, 1, 2, 3)
    generated = [line.costs["generated/train"] for line in data.run.lines]
    assert data.axes["tokens"] == (0, generated[0], sum(generated[:2]), sum(generated))
    assert data.axes["seconds"][0] == 0
    lines = [replace(data.run.lines[0], round=i) for i in range(5000)]
    long = axes(lines)
    assert len(long["round"]) <= MAX_POINTS + 1
    assert long["round"][-1] == 5000


# ---------------------------------------------------------------- alarms and claims


def test_alarms_are_told_once_and_marked_on_their_curve(data):
    alarms = tuple(
        Alarm("wasted_groups", r, "measure/pass@1", 4.0, 3.0, "they teach less", "m", "a")
        for r in (1, 2)
    )
    (told,) = report.alarms_of(replace(data, alarms=alarms))
    assert told["rounds"] == [2, 3]
    made = report.render(replace(data, alarms=alarms))
    assert "<b>wasted groups</b> after round 2 (2 times, last after round 3)" in made
    charts = learning_charts(replace(data, alarms=alarms), [told])
    (mine,) = [c for c in charts if c["title"] == "pass@1"]
    (marks,) = [t for t in mine["traces"] if t["name"] == "alarms"]
    assert marks["x"] == [2, 3]
    curve = next(c for c in data.curves["measure"] if c.key == "measure/pass@1")
    assert marks["y"] == [curve.y[1], curve.y[2]]
    assert not any(t["name"] == "alarms" for c in charts if c is not mine for t in c["traces"])


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ((0.5, 0.45, 0.55), "higher, and the intervals do not touch"),
        ((0.05, 0.02, 0.08), "lower, and the intervals do not touch"),
        ((0.22, 0.15, 0.29), "show no difference"),
        (None, "is right in 20.0 % (15.0 – 25.0) of its attempts"),
    ],
)
def test_a_claim_is_put_into_words(last, words):
    def look(name, value, low, high):
        metrics = {"pass@1": value, "pass@1/low": low, "pass@1/high": high}
        return {"snapshot": name, "world": "w", "role": "claim", "num_tasks": 9, "metrics": metrics}

    rows = [look("policy@0", 0.2, 0.15, 0.25), *([look("policy@3", *last)] if last else [])]
    decide = {**look("policy@3", 0.9, 0.8, 1.0), "role": "decide"}  # no claim
    assert words in report.claim_words([*rows, decide])


def test_no_look_means_no_claim(page):
    assert "Nobody has looked yet" in page
    assert report.claim_words([]) == ""


# ---------------------------------------------------------------- runs that are not whole


@pytest.mark.slow
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


def test_a_killed_run_says_what_is_lost_and_how_to_go_on(letters_run, data):
    lines = (*data.run.lines[:2], replace(data.run.lines[2], durable=False))
    run = replace(data.run, state="interrupted", why="", lines=lines)
    made = report.render(replace(data, run=run))
    assert "Its last 1 rounds are not durable and will be made again" in made
    assert f"askesis resume {run.path}" in made


def test_a_run_without_measured_rounds_says_so(data):
    lines = tuple(
        replace(x, metrics={k: v for k, v in x.metrics.items() if not k.startswith("measure/")})
        for x in data.run.lines
    )
    bare = replace(
        data,
        run=replace(data.run, lines=lines),
        curves={k: v for k, v in data.curves.items() if k != "measure"},
    )
    assert "No round has been measured" in report.render(bare)
    assert "No round has been measured" not in report.render(data)


def test_a_run_without_rounds_has_a_page_too(tmp_path):
    from askesis.config import to_tree
    from askesis.recipes.rft import rft

    RunStore.create(tmp_path / "r", config=to_tree(rft()), manifest={"python": "3"}).close()
    text = write_report(tmp_path / "r").read_text()
    assert "No round has been committed yet" in text
    assert report_data(tmp_path / "r").said == SaidData()


def test_a_missing_or_cut_file_is_one_clear_error(letters_run):
    place = sorted(letters_run.glob("segments/*/attempts.parquet"))[-1]
    whole = place.read_bytes()
    place.write_bytes(whole[:100])
    with pytest.raises(RunError, match=r"attempts.parquet is damaged.*found 100 bytes"):
        write_report(letters_run)
    place.unlink()
    with pytest.raises(RunError, match=r"attempts.parquet is missing.*restore it from a copy"):
        write_report(letters_run)
    assert not (letters_run / "report.html").exists()


def test_a_page_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        write_page("<p>", tmp_path / "file" / "report.html")
    with pytest.raises(RunError, match="no run at"):
        write_report(tmp_path / "nothing")
