"""The page that `leaksweep serve` opens, in a real browser, on a database full of hostile text."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from sweep.serve.metadata import TITLE
from sweep.serve.queries import QUERIES
from sweep.store.store import Store
from sweep.values.outcome import Causes, Environment, Measurement, Outcome, StepRecord
from sweep.values.setting import PlannedTrial, Setting
from sweep.values.words import GradState, Verdict, ZeroGrad

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">'\"&<b>"
ENVIRONMENT = Environment("2.13.0", "3.11.9", "Linux", "cpu", 1, "0.1.0")
OPTIMIZERS = ("Adam", "SGD", HOSTILE)
NARROW = {"width": 390, "height": 844}
PAGES = (
    "/",
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


def test_the_front_page_asks_the_question_and_links_every_answer(page, address):
    page.goto(address)
    assert page.locator("h1").inner_text() == TITLE
    links = page.locator("ul.questions a")
    assert links.all_inner_texts() == [query.question for query in QUERIES]
    for place, query in enumerate(QUERIES):
        page.goto(address)
        with page.expect_navigation():
            links.nth(place).click()
        assert page.locator("h1").inner_text() == query.question
        assert page.locator("table.rows-and-columns tbody tr").count() > 0, query.name
        assert page.locator(".message-error").count() == 0


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


def test_reloading_shows_what_was_recorded_since(page, tmp_path):
    with Served(tmp_path) as served:
        page.goto(f"{served.address}/results/progress")
        assert (cells(page, "percent"), cells(page, "state")) == (["50.0"], ["running"])
        served.record_the_rest()
        page.reload()
        assert (cells(page, "percent"), cells(page, "state")) == (["100.0"], ["complete"])


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


@pytest.mark.parametrize("path", ["/", "/results/progress", "/results/trial", "/results/trace"])
def test_a_page_fits_a_telephone(page, address, path):
    page.set_viewport_size(NARROW)
    page.goto(address + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_the_table_is_not_far_below_the_meanings_of_its_columns(page, address):
    page.goto(f"{address}/results/trial")
    meanings = page.locator("dl.column-descriptions")
    assert "What `leaksweep why` takes." in meanings.inner_text()
    assert meanings.bounding_box()["height"] < 200
