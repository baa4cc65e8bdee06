"""A database of each released schema, kept in tests/data/, is opened by today's code."""

import runpy
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine, insert, select

from sweep.running.runner import Runner
from sweep.store import migrate, revision
from sweep.store.describe import describe_schema
from sweep.store.models import TABLES, Base
from sweep.store.query import run_query, sweep_status
from sweep.store.revision import ADDED
from sweep.store.store import Store
from sweep.store.views import VIEWS
from sweep.verifying.rerun import replayed
from sweep.verifying.trial_sources import open_trials

DATA = Path(__file__).parents[2] / "data"
KEPT = sorted(DATA.glob("leaksweep_*.sqlite3"))
"""One file a schema, made by tests/data/make_database.py when the schema was today's."""

kept_databases = pytest.mark.parametrize("kept", KEPT, ids=lambda path: path.stem)


def reading(path):
    """A connection that leaves nothing beside the file."""
    return closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True))


def rows(path, name):
    """The rows of a table or view, in one order, by column."""
    with reading(path) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
    return sorted(found, key=repr)


def names(path, kind):
    with reading(path) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite%'"
        return {name for (name,) in connection.execute(query, (kind,))}


@pytest.fixture
def opened(tmp_path):
    """Copies a kept database, opens the copy as a driver does, and returns its path."""

    def copy_and_open(kept):
        path = tmp_path / "sweep.db"
        shutil.copy(kept, path)
        Store.open(f"sqlite:///{path}").close()
        return path

    return copy_and_open


def test_a_database_of_every_schema_is_kept():
    assert [path.stem for path in KEPT] == list(revision.REVISIONS)


@kept_databases
def test_every_row_of_every_table_is_still_there(kept, opened):
    path = opened(kept)
    for table in names(kept, "table") - {"alembic_version"}:
        before, after = rows(kept, table), rows(path, table)
        still = set(before[0]) - {"platform"}
        assert [{name: row[name] for name in still} for row in after] == [
            {name: row[name] for name in still} for row in before
        ]
    assert rows(path, "alembic_version") == [{"version_num": revision.HEAD}]


@kept_databases
def test_every_view_says_what_it_said(kept, opened):
    path = opened(kept)
    kept_views = names(kept, "view")
    assert kept_views
    assert names(path, "view") >= kept_views
    for view in kept_views:
        before, after = rows(kept, view), rows(path, view)
        assert [{name: row[name] for name in before[0]} for row in after] == [
            as_today(row) for row in before
        ]


def as_today(row):
    """A row of a view as it was: `despite None` is no cause now, and drift is that of leaks."""
    if row.get("leaks") == 0:
        row = row | {"max_drift": None}
    causes = row.get("causes")
    return row if causes is None else row | {"causes": causes.removesuffix(", despite None")}


@pytest.mark.parametrize("kept", KEPT[:2], ids=lambda path: path.stem)
def test_what_an_old_environment_says_is_taken_apart_and_the_rest_is_null(kept, opened):
    (row,) = rows(opened(kept), "environment")
    said = {"system": "Linux glibc 2.36", "machine": "x86_64", "cpu_capability": "AVX2"}
    assert {name: row[name] for name in said} == said
    assert (row["cpu"], row["blas"], row["blas_mode"]) == (None, None, None)


@kept_databases
def test_a_copy_of_an_older_one_is_kept_beside_it(kept, opened):
    path = opened(kept)
    backup = path.with_name("sweep.db.backup-1")
    if kept.stem == revision.HEAD:
        assert not backup.exists()
        return
    with reading(kept) as before, reading(backup) as after:
        assert list(after.iterdump()) == list(before.iterdump())


@kept_databases
def test_it_can_be_read_without_being_migrated(kept, tmp_path):
    path = Path(shutil.copy(kept, tmp_path / "sweep.db"))
    before = path.read_bytes()
    (status,) = sweep_status(f"sqlite:///{path}")
    assert (status.planned, status.done, status.failed, status.remaining) == (8, 6, 1, 1)
    with run_query(f"sqlite:///{path}", "SELECT count(*) FROM leak") as result:
        assert list(result) == [(status.leaks,)]
    assert path.read_bytes() == before


@kept_databases
def test_unmigrated_it_has_todays_columns_and_views(kept, tmp_path):
    path = shutil.copy(kept, tmp_path / "sweep.db")
    for table in describe_schema():
        with run_query(str(path), f"SELECT * FROM {table.name}") as result:
            names = [column.name for column in table.columns]
            assert set(result.columns) - {"platform"} == set(names), table.name
            found = [dict(zip(result.columns, row, strict=True)) for row in result]
        if table.is_view:
            assert len(found) == len(rows(kept, table.name))
    with run_query(str(path), "SELECT DISTINCT causes FROM leak ORDER BY 1") as result:
        assert list(result) == [("history",)]


def test_the_columns_that_old_databases_lack_are_those_that_revisions_added():
    first = {table: set(rows(KEPT[0], table)[0]) for table in ADDED}
    for table, added in ADDED.items():
        today = {column.name for column in Base.metadata.tables[table].columns}
        assert set(added) == today - first[table]


@kept_databases
def test_its_sweep_resumes_with_the_one_trial_that_it_lacks(kept, opened):
    path = opened(kept)
    before = {row["fingerprint"]: row for row in rows(path, "trial")}
    make_database = runpy.run_path(str(DATA / "make_database.py"))
    make_database["record"](f"sqlite:///{path}")
    after = {row["fingerprint"]: row for row in rows(path, "trial")}
    assert len(after) == 8
    assert {fingerprint: after[fingerprint] for fingerprint in before} == before


@kept_databases
@pytest.mark.parametrize("migrated", [True, False], ids=["migrated", "as it is"])
def test_its_trials_still_show_what_they_showed(kept, opened, tmp_path, migrated):
    path = opened(kept) if migrated else shutil.copy(kept, tmp_path / "sweep.db")
    source = open_trials(f"sqlite:///{path}")
    comparisons = list(replayed(source, source.numbers, Runner(1, trace=True)))
    assert len(comparisons) == 7
    assert [each for each in comparisons if not each.agrees] == []


@pytest.fixture
def server(postgres_url):
    """An engine of an empty PostgreSQL database."""
    engine = create_engine(postgres_url)
    yield engine
    engine.dispose()


@kept_databases
def test_a_postgresql_database_of_that_schema_keeps_its_rows(kept, server, postgres_url):
    create_schema(server, kept.stem)
    copy_rows(kept, server)
    before = everything(server)
    Store.open(postgres_url).close()
    after = everything(server)
    for name, kept_rows in before.items():
        still = set(kept_rows[0]) - {"platform"}
        assert [{c: row[c] for c in still} for row in after[name]] == [
            {c: row[c] for c in still} for row in kept_rows
        ]
    for view in VIEWS:
        with run_query(postgres_url, f"SELECT count(*) FROM {view.name}") as result:
            assert list(result) == [(len(rows(kept, view.name)),)]
    with run_query(postgres_url, "SELECT version_num FROM alembic_version") as result:
        assert list(result) == [(revision.HEAD,)]


def create_schema(engine, old):
    """Brings an empty database to an old schema, by the migrations of that time."""
    with engine.begin() as connection:
        migrate.upgrade(connection, old)


def copy_rows(kept, server):
    """Copies every table, with the columns that it had."""
    uri = f"file:{kept}?mode=ro&immutable=1"
    source = create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True))
    there = MetaData()
    there.reflect(server, only=[table.name for table in Base.metadata.sorted_tables])
    with source.connect() as found, server.begin() as connection:
        for table in there.sorted_tables:
            connection.execute(
                insert(table), [dict(row._mapping) for row in found.execute(select(table))]
            )
    source.dispose()


def everything(engine):
    """Every row of every table by name, each a dict, in one order."""
    listed = [model.__tablename__ for model in TABLES]
    with engine.connect() as connection:
        return {
            name: sorted(
                map(dict, connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()),
                key=lambda row: repr(list(row.values())),
            )
            for name in listed
        }
