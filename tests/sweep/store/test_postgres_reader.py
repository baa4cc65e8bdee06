"""What `leaksweep sql` may and may not do to a PostgreSQL database."""

import sys

import psycopg
import pytest

from sweep.errors import DatabaseError, NotThereError, QueryRefusedError
from sweep.store.query import run_query
from sweep.store.store import Store


@pytest.fixture(scope="module")
def filled(postgres_server, make):
    """The URL of a database with 5000 trials and a sequence."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE filled")
    url = postgres_server.replace("/postgres?", "/filled?")
    with Store.open(url) as store:
        sweep = store.record_sweep("mine", "{}", 5000)
        store.write(sweep.id, [make.outcome(seed) for seed in range(5000)])
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SEQUENCE counter")
        body = "BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN 1; END"
        connection.execute(f"CREATE FUNCTION hidden() RETURNS int LANGUAGE plpgsql AS $${body}$$")
        for kind in ("int", "trial"):
            connection.execute(
                f"CREATE FUNCTION evil({kind}) RETURNS int LANGUAGE plpgsql AS $${body}$$"
            )
        connection.execute("CREATE VIEW ends_the_session AS SELECT hidden()")
    return url


def read_all(url, sql, timeout_s):
    with run_query(url, sql, timeout_s=timeout_s) as result:
        return list(result)


def test_columns_and_rows_come_back(filled):
    with run_query(filled, "SELECT seed, '%s{}' AS text FROM trial ORDER BY seed;") as result:
        assert result.columns == ("seed", "text")
        assert list(result) == [(seed, "%s{}") for seed in range(5000)]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM trial",
        "WITH a AS (DELETE FROM trial RETURNING id) SELECT * FROM a",
        "SELECT 1; DELETE FROM trial",
        "COMMIT; DELETE FROM trial",
        "COMMIT",
        "SET TRANSACTION READ WRITE",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SELECT nextval('counter')",
        "SELECT setval('counter', 7)",
        "SELECT lo_create(0)",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_export(0, '/tmp/leaksweep-copy')",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        'SELECT "pg_terminate_backend"(1)',
        'SELECT U&"pg\\005fterminate_backend"(1)',
        "SELECT PG_CATALOG . /* */ PG_RELOAD_CONF ()",
        "SELECT 1 LIMIT pg_cancel_backend(1)::int",
        "SELECT set_config('role', 'postgres', true)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT pg_logical_emit_message(false, 'a', 'b')",
        "SELECT pg_stat_reset()",
        "SELECT pg_notify('x', 'y')",
        "SELECT evil(1)",
        "SELECT trial.evil FROM trial",
        "SELECT dblink_exec('dbname=filled', 'DELETE FROM trial')",
        "SELECT query_to_xml('DELETE FROM trial', true, true, '')",
        "SELECT 1 INTO copy",
        "SELECT * FROM trial FOR UPDATE",
        "CREATE TEMP TABLE x (a int)",
        "COPY trial TO '/tmp/leaksweep-copy'",
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/leaksweep-copy'",
        "DO $$ BEGIN DELETE FROM trial; END $$",
        "CALL nothing()",
        "VACUUM",
        "LISTEN x",
        "",
        "SELEC 1",
        "SELECT nothing FROM trial",
        "SELECT $1",
        "SELECT '\ud800'",
        "SELECT 1 / 0",
    ],
)
def test_what_would_write_or_is_no_query_is_refused_and_changes_nothing(filled, sql):
    with pytest.raises(QueryRefusedError, match=r"^The database refused the query: "):
        run_query(filled, sql)
    with psycopg.connect(filled) as connection:
        assert connection.execute("SELECT count(*) FROM trial").fetchone() == (5000,)
        assert connection.execute("SELECT last_value FROM counter").fetchone() == (1,)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pg_sleep(20)",
        "SELECT count(*) FROM generate_series(1, 1000000000)",
        "SELECT pg_sleep(0.0001), x FROM generate_series(1, 1000000) AS x",
    ],
)
def test_an_endless_query_is_stopped_at_its_timeout(filled, sql):
    message = r"stopped: it ran for more than 0.5 seconds"
    with pytest.raises(QueryRefusedError, match=message):
        read_all(filled, sql, timeout_s=0.5)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT random() < 1",
        "SELECT pg_database_size(current_database()) > 0",
        "SELECT now() > 'epoch'",
    ],
)
def test_functions_that_only_tell_something_are_answered(filled, sql):
    assert read_all(filled, sql, timeout_s=5) == [(True,)]


def test_an_error_half_way_is_refused_in_the_databases_words(filled):
    sql = "SELECT 1 / (4000 - x) FROM generate_series(1, 5000) AS x"
    with (
        run_query(filled, sql) as result,
        pytest.raises(QueryRefusedError, match="division by zero"),
    ):
        list(result)


def test_a_connection_that_is_lost_is_a_database_error(filled):
    sql = "SELECT * FROM ends_the_session"
    with pytest.raises(DatabaseError, match="Cannot read postgresql"):
        run_query(filled, sql)


def test_an_empty_database_holds_no_sweep(postgres_url):
    with pytest.raises(NotThereError, match="holds no sweep yet"):
        run_query(postgres_url, "SELECT 1")


def test_another_programs_database_is_refused(postgres_url):
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        connection.execute("CREATE TABLE theirs (a int)")
    with pytest.raises(DatabaseError, match="database of another program"):
        run_query(postgres_url, "SELECT 1")


@pytest.mark.parametrize("url", ["postgresql://me:hush@127.0.0.1:1/x", "postgresql://me:hush@[/x"])
def test_no_message_shows_the_password(url):
    with pytest.raises(DatabaseError, match=r"Cannot read .*me:\*\*\*@") as caught:
        run_query(url, "SELECT 1")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("use", [lambda url: run_query(url, "SELECT 1"), Store.open])
def test_a_driver_that_is_not_installed_is_named_with_its_extra(monkeypatch, use):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseError, match=r"pip install 'leaksweep\[cluster\]'"):
        use("postgresql://me@127.0.0.1:1/x")
