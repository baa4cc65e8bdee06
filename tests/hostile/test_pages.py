"""Other people's databases in a browser: whatever is in one, a page answers or says why not."""

import asyncio

import pytest
from strange_databases import CASES

from sweep.errors import LeaksweepError
from sweep.serve.launch import datasette
from sweep.serve.metadata import DATABASE, QUERIES
from sweep.store.sqlite_reader import read_only_connection
from sweep.store.url import parse_url

PAGES = (
    *("/", "/results", "/results/trial", "/results/step", "/results/sweep", "/results/environment"),
    *("/results/trial.json?_shape=array", "/results/trial/1"),  # bytes in a view: docs/trust.md
    *(f"/results/{query.name}" for query in QUERIES),
    *("/sweep/mine", "/sweep/~1", "/sweep/~1/trials", "/trial/1", "/trial/2"),
    *("/sweep/~1/trials?sort=lr&order=desc&optimizer=SGD", "/compare?trial=1&trial=2"),
    *(f"/sweep/~1/{name}" for name in ("results", "failures", "by_optimizer")),
)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_page_is_a_mistake_of_the_program(change, database, case, capsys):
    change(*CASES[case])
    url = parse_url(f"sqlite:///{database}")
    try:
        read_only_connection(url, database).close()
    except LeaksweepError:  # which is what `serve` asks before it opens
        return
    page = datasette(url, database)

    async def statuses():
        return {path: (await page.client.get(path)).status_code for path in PAGES}

    try:
        found = asyncio.run(statuses())
    finally:
        page.get_database(DATABASE).close()
    assert set(found.values()) <= {200, 302, 400, 404, 503}, found
    assert "Traceback" not in capsys.readouterr().err
