"""The page that `leaksweep serve` opens, in a real browser, on a database full of hostile text."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest

from sweep.serve.metadata import QUERIES, TITLE
from sweep.store.store import Store
from sweep.values.outcome import Causes, Environment, Measurement, Outcome, StepRecord
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import GradState, Verdict, ZeroGrad

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">'\"&<b>"
ENVIRONMENT = Environment("2.13.0", "3.11.9", "Linux", "cpu", 1, "0.1.0")
OPTIMIZERS = ("Adam", "SGD", HOSTILE)
NARROW = {"width": 390, "height": 844}
SWEEP = f"/sweep/{quote(HOSTILE, safe='')}"
PAGES = (
    "/",
    SWEEP,
    f"{SWEEP}/trials",
    f"{SWEEP}/trials?verdict=leaks&sort=max_drift&order=desc",
    f"{SWEEP}/results",
    f"{SWEEP}/failures",
    f"{SWEEP}/by_optimizer?optimizer=Adam",
    "/trial/1",
    "/trial/2",
    "/compare?trial=1&trial=2",
    "/results",
    "/results/trial",
    "/results/trial/1",
    "/results/step",
    "/results/leak",
    "/results/leak_rate_by_setting",
    *(f"/results/{query.name}" for query in QUERIES),
)


def trial(optimizer, zero_grad, seed):
    """Leaks unless grads are set to None; fails where the name is hostile and they are."""
    leaks = zero_grad is not ZeroGrad.NONE
    failed = optimizer == HOSTILE and not leaks
    verdict = Verdict.FAILED if failed else Verdict.LEAKS if leaks else Verdict.HOLDS
    measurement = Measurement(
        10, 9 * leaks, 1 if leaks else None, 0.5, 0.5, 2.0, 0.25, 1.1, 0.9, False
    )
    setting = Setting(optimizer, 1.0, 0.0, 0.9, zero_grad, seed=seed)
    return Outcome(
        planned=PlannedTrial(setting, HOSTILE, 20, "{}"),
        environment=ENVIRONMENT,
        optimizer_package=HOSTILE,
        verdict=verdict,
        measurement=None if failed else measurement,
        causes=Causes(True, False, False, False, False) if leaks else None,
        sideways=None if failed else False,
        train_seconds=0.25,
        error=f"ValueError: {HOSTILE}" if failed else None,
        finished_at=datetime.now(UTC),
        steps=(StepRecord(0, False, 1.1, GradState.ZERO, True, 0.5),),
    )


TRIALS = [
    trial(optimizer, zero_grad, seed)
    for seed in range(2)
    for optimizer in OPTIMIZERS
    for zero_grad in ZeroGrad
]
HALF = len(TRIALS) // 2


class Served:
    """The page on the first half of a sweep, as a process of its own; a context manager.

    Attributes:
        address: where it is.
    """

    def __init__(self, folder):
        self._url = f"sqlite:///{folder / 'sweep.db'}"
        self._record(TRIALS[:HALF])

    def __enter__(self):
        command = [sys.executable, "-m", "sweep", "serve", "--db", self._url, "--port", "0"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        line = self._process.stderr.readline()
        self.address = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        return self

    def __exit__(self, *raised):
        self._process.terminate()
        self._process.communicate()

    @contextmanager
    def running(self):
        """Says that the sweep is being run."""
        with Store.open(self._url) as store, store.running(1):
            yield

    def record_the_rest(self):
        self._record(TRIALS[HALF:])

    def _record(self, trials):
        with Store.open(self._url) as store:
            sweep = store.record_sweep(HOSTILE, '{"name":"</script>"}', len(TRIALS))
            now = datetime.now(UTC)  # the page tells a sweep that runs by it
            store.write(sweep.id, [replace(trial, finished_at=now) for trial in trials])


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The address of a page that the tests share."""
    with Served(tmp_path_factory.mktemp("serve")) as served:
        yield served.address


def cells(page, column):
    """The texts of a column of the table on the page."""
    return page.locator(f"table.rows-and-columns td.col-{column}").all_inner_texts()


def test_the_front_page_has_each_sweep_and_leads_to_its_trials_and_tables(page, address):
    page.goto(address)
    assert page.locator("h1").inner_text() == TITLE
    card = page.locator("ul.sweeps li")
    assert HOSTILE in card.inner_text()
    assert "6 leaks" in card.inner_text()
    assert "9 of 18 planned trials recorded" in card.inner_text()
    for name, heading in (("Trials", "Trials"), ("Tables", HOSTILE)):
        page.goto(address)
        with page.expect_navigation():
            card.get_by_role("link", name=name, exact=True).click()
        assert heading in page.locator("h1").inner_text()


def test_a_table_leads_to_a_card_and_back(page, address):
    page.goto(f"{address}{SWEEP}/failures")
    with page.expect_navigation():
        page.locator("td a").first.click()
    assert page.locator("h1").inner_text().startswith("Trial ")
    assert "ValueError" in page.locator("pre.error").inner_text()
    with page.expect_navigation():
        page.get_by_role("link", name="trials").click()
    assert page.locator("tbody tr").count() == HALF


def test_trials_are_filtered_sorted_and_compared(page, address):
    page.goto(f"{address}{SWEEP}/trials")
    page.select_option("select[name=verdict]", "leaks")
    with page.expect_navigation():
        page.get_by_role("button", name="Filter").click()
    assert page.locator("tbody .chip").all_inner_texts() == ["leaks"] * 6
    with page.expect_navigation():
        page.get_by_role("link", name="seed").click()
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("seed")
    assert page.locator("tbody .chip").all_inner_texts() == ["leaks"] * 6
    for box in page.locator("input[type=checkbox]").all()[:2]:
        box.check()
    with page.expect_navigation():
        page.get_by_role("button", name="Compare").click()
    assert page.locator("table.compare tr.differs").count() >= 1


def test_the_command_is_copied(page, address):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/trial/1")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("leaksweep why 1 --db ")


def test_a_facet_filters(page, address):
    page.goto(f"{address}/results/trial")
    facets = page.locator(".facet-info-name strong").all_inner_texts()
    names = {facet.split()[0] for facet in facets}
    assert {"verdict", "optimizer", "zero_grad"} <= names
    assert set(cells(page, "verdict")) == {"leaks", "holds", "failed"}
    with page.expect_navigation():
        page.locator(".facet-info", has_text="verdict").get_by_text("leaks", exact=True).click()
    assert set(cells(page, "verdict")) == {"leaks"}
    assert len(cells(page, "verdict")) == 6


def test_a_page_of_a_running_sweep_follows_it_where_it_was_scrolled_to(page, tmp_path):
    with Served(tmp_path) as served, served.running():
        page.goto(f"{served.address}{SWEEP}/trials")
        page.set_viewport_size({"width": 390, "height": 300})
        assert "follows its sweep by itself" in page.locator("#following").inner_text()
        page.locator("input[type=checkbox]").first.check()
        page.evaluate("scrollTo(0, 60); document.querySelector('.scroll').scrollLeft = 50")
        served.record_the_rest()
        page.locator("tbody tr").nth(len(TRIALS) - 1).wait_for()
        assert page.evaluate("[scrollY, document.querySelector('.scroll').scrollLeft]") == [60, 50]
        assert page.locator("input:checked").count() == 1


def test_a_page_of_a_finished_sweep_says_nothing_of_following(page, address):
    page.goto(f"{address}{SWEEP}/trials")
    assert page.locator("#following").count() == 0


def test_a_parameter_is_asked_for_and_taken(page, address):
    page.goto(f"{address}/results/which_settings_leak")
    page.locator("input[name=optimizer]").fill(HOSTILE)
    with page.expect_navigation():
        page.locator("input[type=submit]").click()
    assert set(cells(page, "optimizer")) == {HOSTILE}


def test_sql_of_ones_own_is_run_and_cannot_write(page, address):
    page.goto(f"{address}/results?sql=SELECT+count(*)+AS+n+FROM+trial")
    assert cells(page, "n") == ["9"]
    page.goto(f"{address}/results?sql=WITH+x+AS+(SELECT+1)+DELETE+FROM+trial")
    assert page.locator(".message-error").inner_text() == "not authorized"
    page.goto(f"{address}/results?sql=SELECT+count(*)+AS+n+FROM+trial")
    assert cells(page, "n") == ["9"]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_runs_what_the_database_says_nor_leaves_the_machine(page, address, path):
    answer = page.goto(address + path)
    page.wait_for_load_state("networkidle")
    assert answer.status == 200
    assert page.title() != "owned"
    assert page.locator("img[src=x]").count() == 0
    assert page.heard.complaints == []
    assert {urlsplit(url).netloc for url in page.heard.requests} == {urlsplit(address).netloc}


COVERED = """() => {
    const found = [];
    const parts = "h1, h2, p, a, button, select, figcaption, dt, dd";
    for (const each of document.querySelectorAll(parts)) {
        const box = each.getBoundingClientRect();
        const [x, y] = [box.left + Math.min(4, box.width / 2), box.top + box.height / 2];
        if (!box.width || x < 0 || x >= innerWidth || y < 0 || y >= innerHeight) continue;
        const scroll = each.closest(".scroll, .table-wrapper, .column-descriptions");
        if (scroll && scroll.getBoundingClientRect().bottom < y) continue;
        const top = document.elementFromPoint(x, y);
        if (top && !each.contains(top) && !top.contains(each)) found.push(each.outerHTML);
    }
    return found;
}"""


@pytest.mark.parametrize("size", [NARROW, {"width": 1280, "height": 900}], ids=["390", "1280"])
def test_nothing_is_wider_than_the_page_and_nothing_covers_anything(page, address, size):
    page.set_viewport_size(size)
    for path in PAGES:
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], path
        assert page.evaluate(COVERED) == [], path


def test_the_table_is_not_far_below_the_meanings_of_its_columns(page, address):
    page.goto(f"{address}/results/trial")
    meanings = page.locator("dl.column-descriptions")
    assert "What `leaksweep why` takes." in meanings.inner_text()
    assert meanings.bounding_box()["height"] < 200
