"""Our pages by real requests: what they show, how they sort, and what they say to a wrong name."""

import html
import re
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from analysis.load import load_trials
from analysis.tables import SUMMARIES, summary_table
from sweep.store.store import Store


def get(address):
    """The status and the text of an answer, its entities resolved."""
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return answer.status, html.unescape(answer.read().decode())
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, html.unescape(refused.read().decode())


def cells(text, row=0):
    """The texts of a row of the page's table."""
    body = text.partition("<tbody>")[2].split("<tr>")[1 + row]
    found = re.findall(r"<td[^>]*>(.*?)</td>", body, re.DOTALL)
    return [re.sub("<[^>]*>", "", cell).strip() for cell in found]


def shown(text):
    """What a reader sees of a page."""
    return " ".join(re.sub("<[^>]*>", " ", text.partition("<main")[2]).split())


@pytest.fixture(scope="module")
def address(serve_once):
    return serve_once


def test_the_front_page_counts_as_status_does(address, made_once_url):
    _, text = get(address)
    frame = load_trials(made_once_url)
    for sweep, trials in frame.groupby("sweep", observed=True):
        _, _, card = shown(text).partition(sweep)
        leaks = int((trials["verdict"] == "leaks").sum())
        assert card.index("complete") < card.index(f"{leaks} leaks")
        assert f"{len(trials)} of {len(trials)} planned trials recorded" in card


@pytest.mark.parametrize("name", SUMMARIES)
def test_every_summary_table_has_a_page_with_its_rows(address, made_once_url, name):
    for sweep in ("traced", "with failures"):
        status, text = get(f"{address}/sweep/{sweep.replace(' ', '%20')}/{name}")
        rows = summary_table(name, made_once_url, sweep)
        assert status == 200
        if rows.empty:
            assert "No rows" in text
        else:
            assert f"{len(rows)} row" in shown(text)
        quoted = sweep if sweep == "traced" else f"'{sweep}'"
        assert f"leaksweep table {name} {quoted} --db" in text


def test_a_summary_table_is_sorted_and_filtered(address):
    page = f"{address}/sweep/traced/by_setting"
    falling = cells(get(f"{page}?sort=max_drift&order=desc")[1])
    rising = cells(get(f"{page}?sort=max_drift&order=asc")[1])
    assert falling != rising
    filtered = shown(get(f"{page}?optimizer=Adam")[1])
    assert "SGD" not in filtered.partition("rows")[2]


def test_a_number_is_rounded_and_whole_in_its_title(address, made_once_url):
    frame = load_trials(made_once_url, "traced")
    drift = float(frame["max_drift"].max())
    _, text = get(f"{address}/sweep/traced/trials?sort=max_drift&order=desc")
    assert f'<td class="number" title="{drift!r}">{drift:.4g}</td>' in text


@pytest.mark.parametrize("file", ["csv", "json", "markdown", "latex"])
def test_a_summary_table_can_be_had_as_a_file(address, file):
    status, text = get(f"{address}/sweep/traced/by_optimizer?format={file}")
    assert status == 200
    assert "Adam" in text
    assert "<html" not in text


def test_trials_are_paged(address, monkeypatch, made_once):
    _, text = get(f"{address}/sweep/traced/trials?page=2")
    assert "No trial" in text
    _, text = get(f"{address}/sweep/traced/trials?page=x&sort=nothing&order=up")
    assert cells(text)[1] == "1"


def test_the_card_of_a_leak_says_why_and_shows_its_steps(address, made_once_url, made_once):
    frame = load_trials(made_once_url, "traced")
    leak = frame[frame["verdict"] == "leaks"].iloc[0]
    status, text = get(f"{address}/trial/{leak['id']}")
    assert status == 200
    said = shown(text)
    assert f"The layer moved on {leak['leaked_steps']} of {leak['frozen_steps']} frozen" in said
    assert f"that move it there: {leak['causes']}." in said
    assert f"leaksweep why {leak['id']} --db {made_once}" in said
    assert text.count('<path class="leak"') == leak["leaked_steps"]
    assert text.count('<circle class="moved"') + text.count('<circle class="still"') == 4
    assert "gradients cleared otherwise" in said


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/sweep/tarced", "There is no sweep 'tarced'. Did you mean 'traced'?"),
        ("/sweep/traced/by_optimzer", "Did you mean by_optimizer"),
        ("/sweep/traced/%2e%2e%2f", "Unknown table"),
        ("/trial/9999", "There is no trial '9999'. Their numbers go from 1 to"),
        ("/trial/%C2%B2", "There is no trial '²'."),
        ("/trial/1e5", "There is no trial '1e5'."),
        ("/compare", "Tick trials"),
        ("/compare?trial=9999&trial=x", "Tick trials"),
        ("/results/trail", "Did you mean /results/trial"),
        ("/resluts", "Did you mean /results"),
        ("/sweep/with%20failurse", "Did you mean 'with failures'?"),
        ("/no/such/page/at/all", "There is no page '/no/such/page/at/all'."),
    ],
)
def test_a_name_that_nobody_has_is_answered_with_the_nearest(address, path, said):
    status, text = get(address + path)
    assert status == 404
    assert said in text


@pytest.mark.parametrize("table", ["trial", "step", "leak", "trace"])
def test_every_table_that_names_a_trial_leads_to_its_card(address, table):
    _, text = get(f"{address}/results/{table}")
    links = re.findall(r'href="(/results/trial/\d+|/trial/\d+)"', text)
    assert links
    assert "Trial" in re.findall("<h1>(.*)</h1>", get(address + links[0])[1])[0]


def test_a_table_that_names_a_sweep_leads_to_its_page(address):
    assert 'href="/results/sweep/1"' in get(f"{address}/results/trial")[1]
    assert "Summary tables" in get(f"{address}/results/sweep/1")[1]


@pytest.mark.slow
def test_a_report_is_made_anew_and_says_itself_what_it_may_do(address):
    with urllib.request.urlopen(f"{address}/sweep/traced/report", timeout=120) as answer:
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
        assert "traced" in answer.read().decode()


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("DELETE FROM trial WHERE sweep_id = 1", "planned"),
        ("DELETE FROM trial WHERE sweep_id = 1 AND id > 3", "interrupted"),
    ],
)
def test_a_sweep_that_nobody_runs_is_planned_or_interrupted(serve, database, url, change, state):
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("DELETE FROM step")
        opened.execute(change)
    _, address = serve(url)
    assert f"traced {state}" in shown(get(f"{address}/sweep/traced")[1])
    with Store.open(url) as store, store.running(1):
        _, text = get(f"{address}/sweep/traced")
    assert "traced running" in shown(text)
    assert "follows its sweep by itself" in text


def test_a_name_that_no_address_holds_is_found_by_its_number(serve, database, url):
    for name in ("..", "~1", "n" * 3000):
        with closing(sqlite3.connect(database)) as opened, opened:
            opened.execute("UPDATE sweep SET name = ? WHERE id = 2", (name,))
        if name == "..":
            _, address = serve(url)
        assert 'href="/sweep/~2"' in get(address)[1]
        assert get(f"{address}/sweep/~2/trials")[0] == 200


def test_a_watch_has_the_tables_of_a_watch_and_no_command_that_trains_it_again(
    serve, database, url
):
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("""UPDATE sweep SET spec = '{"kind": "watch"}' WHERE id = 1""")
        opened.execute("""UPDATE trial SET options = '{"parameter": "w"}' WHERE sweep_id = 1""")
    _, address = serve(url)
    _, text = get(f"{address}/sweep/traced")
    tables = set(re.findall(r'href="/sweep/traced/(\w+)"', text))
    assert tables == {"trials", "report", "results", "failures"}
    assert "Did what was to keep still move?" in text
    assert cells(get(f"{address}/sweep/traced/results")[1])
    assert "leaksweep why" not in get(f"{address}/trial/1")[1]
