"""The report in a real browser: what a reader sees, and what it must never do."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from analysis.report.page import report
from analysis.tables import SUMMARIES
from sweep.store.store import Store
from sweep.values.outcome import Causes, Environment, Measurement, Outcome, StepRecord
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import GradState, Verdict, ZeroGrad

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">'\"&<b>"
ENVIRONMENT = Environment("2.13.0", "3.11.9", "Linux", "cpu", 1, "0.1.0")
OPTIMIZERS = ("Adam", "SGD", HOSTILE)
DRIFTS = {"Adam": 3.0, "SGD": 20.0, HOSTILE: 0.5}


def trial(optimizer, zero_grad):
    """Leaks unless grads are set to None; fails where the name is hostile and they are."""
    leaks = zero_grad is not ZeroGrad.NONE
    failed = optimizer == HOSTILE and not leaks
    verdict = Verdict.FAILED if failed else Verdict.LEAKS if leaks else Verdict.HOLDS
    drift = DRIFTS[optimizer] if leaks else 0.0
    measurement = Measurement(10, 9 * leaks, 1 if leaks else None, drift, drift, 2.0, drift / 2,
                              1.1, 0.9, False)  # fmt: skip
    steps = tuple(
        StepRecord(step, bool(step % 2), 1.1, GradState.ZERO, leaks or not step % 2, drift / 100)
        for step in range(6)
    )
    return Outcome(
        planned=PlannedTrial(Setting(optimizer, 1.0, 0.0, 0.9, zero_grad), HOSTILE, 20, "{}"),
        environment=ENVIRONMENT,
        optimizer_package="torch 2.13.0",
        verdict=verdict,
        measurement=None if failed else measurement,
        causes=Causes(True, False, zero_grad is ZeroGrad.NEVER, False, False) if leaks else None,
        sideways=None if failed else False,
        train_seconds=0.25,
        error=f"ValueError: {HOSTILE}" if failed else None,
        finished_at=datetime(2026, 11, 23, 5, 30, tzinfo=UTC),
        steps=steps,
    )


@pytest.fixture(scope="module")
def report_uri(tmp_path_factory):
    """The address of the report of a sweep whose every text is hostile."""
    folder = tmp_path_factory.mktemp("report")
    url = f"sqlite:///{folder / 'sweep.db'}"
    outcomes = [trial(optimizer, way) for optimizer in OPTIMIZERS for way in ZeroGrad]
    with Store.open(url) as store:
        sweep = store.record_sweep(HOSTILE, '{"name":"</script>"}', len(outcomes))
        store.write(sweep.id, outcomes)
    return report(url, folder / "report.html").as_uri()


@pytest.fixture
def opened(page, report_uri):
    """The report when all of its figures are drawn."""
    page.goto(report_uri)
    page.wait_for_selector("body[data-drawn]")
    return page


def choose(page, *names):
    """Leave only ``names`` chosen in the filter, by hand."""
    page.locator("#filter summary").click()
    page.locator("#none").click()
    for name in names:
        page.get_by_label(name, exact=True).check()
    page.wait_for_selector(f"body[data-filtered='{len(names)}']")


def table(page, name):
    """The table, opened."""
    details = page.locator("details.table", has=page.locator(f"summary b:text-is('{name}')"))
    if details.get_attribute("open") is None:
        details.locator("summary").click()
    return details.locator("table")


def column(of, place):
    """The cells that are shown in the column at ``place``, counting from 1."""
    cells = of.locator(f"tbody tr:visible td:nth-child({place})").all_text_contents()
    return [cell.strip() for cell in cells]


def test_every_figure_is_drawn(opened):
    figures = opened.locator("[data-figure]")
    assert figures.count() == 5
    for figure in figures.all():
        assert figure.locator("svg").bounding_box()["height"] > 50
        assert figure.locator("svg .role-mark path, svg .role-mark text").count() > 3


def test_nothing_is_complained_of_or_fetched(opened, report_uri):
    choose(opened, "Adam")
    assert opened.heard.complaints == []
    assert opened.heard.requests == [report_uri]


def test_no_text_of_the_database_is_run_or_becomes_markup(opened):
    assert opened.title() == f"leaksweep: {HOSTILE}"
    assert opened.locator("img").count() == 0
    assert opened.locator("h2 .name").text_content() == HOSTILE
    assert column(table(opened, "failures"), 2) == [f"ValueError: {HOSTILE}"]
    opened.locator(".mark-rect.role-mark path").first.hover()
    opened.wait_for_selector("#vg-tooltip-element.visible")
    assert opened.locator("img, #vg-tooltip-element b").count() == 0


def test_a_script_that_got_into_the_page_would_not_run(opened):
    opened.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.owned = 1';"
        " document.body.append(s); }"
    )
    assert opened.evaluate("window.owned") is None


def test_the_filter_acts_on_figures_tables_and_rules(opened):
    counts = opened.locator("[data-figure$=leak_rate_by_axis] .mark-text.role-mark text")
    assert counts.all_text_contents() == ["0% → 100%  (2)", "0% → 100%  (2)"]
    choose(opened, "SGD")
    assert counts.all_text_contents() == ["0% → 100%  (1)", "0% → 100%  (1)"]
    assert all("SGD" in cell for cell in column(table(opened, "results"), 1))
    assert set(column(table(opened, "by_optimizer"), 1)) == {"SGD"}
    assert set(opened.locator(".rules dt span:visible").all_text_contents()) == {"SGD"}


def test_titles_that_the_filter_does_not_change_say_that_they_are_over_all(opened):
    notes = opened.locator("figure h4 .overall")
    assert not any(note.is_visible() for note in notes.all())
    choose(opened, "SGD")
    assert notes.count() == 5
    assert all(note.is_visible() for note in notes.all())


@pytest.mark.parametrize("width", [1280, 390])
def test_rules_and_the_heat_map_are_on_the_first_screen(opened, width):
    height = {1280: 900, 390: 844}[width]
    opened.set_viewport_size({"width": width, "height": height})
    for place in (".rules dd", "[data-figure$=leak_rate_heatmap] svg"):
        box = opened.locator(place).first.bounding_box()
        assert box["y"] + min(box["height"], 100) <= height, place


def test_a_figure_without_a_chosen_optimizer_says_so(opened):
    choose(opened, "SGD")
    trace = opened.locator("[data-figure$=article_trace]")
    assert trace.locator(".nothing").is_visible()
    assert trace.locator("svg").is_hidden()


def test_choosing_all_again_shows_everything(opened):
    heat = opened.locator("[data-figure$=leak_rate_heatmap] .mark-rect.role-mark path")
    count = heat.count()
    choose(opened, "SGD")
    assert heat.count() < count
    opened.locator("#all").click()
    opened.wait_for_selector("body[data-filtered=all]")
    assert heat.count() == count


def test_seeking_narrows_the_choices(opened):
    opened.locator("#filter summary").click()
    opened.locator("#seek").fill("sg")
    assert opened.locator("#filter li:visible").all_text_contents() == [" SGD"]


def test_a_table_sorts_by_number_and_back_by_keyboard(opened):
    drifts = table(opened, "by_optimizer")
    place = drifts.locator("th").all_text_contents().index("max_drift") + 1
    head = drifts.locator(f"th:nth-child({place}) button")
    head.focus()
    opened.keyboard.press("Enter")
    assert column(drifts, place) == ["0.5", "3", "20"]
    opened.keyboard.press("Enter")
    assert column(drifts, place) == ["20", "3", "0.5"]
    assert drifts.locator("th[aria-sort=descending]").count() == 1


def test_each_table_can_be_kept_as_csv(opened):
    links = opened.locator("a[download]")
    names = links.evaluate_all("links => links.map(link => link.getAttribute('download'))")
    assert names == [f"{name}.csv" for name in SUMMARIES]
    text = unquote(links.first.get_attribute("href"))
    assert text.startswith("data:text/csv;charset=utf-8,sweep,optimizers,lr,weight_decay")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_never_scrolls_sideways(opened, width):
    opened.set_viewport_size({"width": width, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") == width
