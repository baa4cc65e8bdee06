"""A sweep on a server leaves the server's password in no file."""

import psycopg
import pytest

PASSWORD = "hush-5f1c7d"


@pytest.fixture
def secret_url(postgres_url):
    """The URL of an empty PostgreSQL database, with a password in it."""
    return postgres_url.replace("postgres:@", f"postgres:{PASSWORD}@")


@pytest.mark.slow
def test_no_file_of_a_sweep_on_a_server_holds_its_password(
    leaksweep, secret_url, spec, tmp_path, monkeypatch
):
    assert PASSWORD in secret_url
    monkeypatch.chdir(tmp_path)
    db = ("--db", secret_url)
    steps = [
        ("run", spec, "--jobs", "1", "--trace", *db),
        ("status", *db),
        ("export", "--out", tmp_path / "out", "--format", "csv,markdown,latex", *db),
        ("report", "--out", tmp_path / "out" / "report.html", *db),
        ("verify", "--jobs", "1", *db),
        ("why", "1", *db),
        ("publish", "--storage", f"sqlite:///{tmp_path}/optuna.db", *db),
    ]
    for words in steps:
        ended = leaksweep(*words)
        assert ended.code == 0, ended
        assert PASSWORD not in ended.out + ended.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 15
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


def test_no_row_of_a_sweep_on_a_server_holds_its_password(leaksweep, secret_url, spec):
    leaksweep("run", spec, "--jobs", "1", "--trace", "--db", secret_url)
    with psycopg.connect(secret_url.replace("+psycopg", "")) as connection:
        for table in ("sweep", "environment", "trial", "step", "alembic_version"):
            rows = connection.execute(f"SELECT {table}::text FROM {table}").fetchall()
            assert rows
            assert PASSWORD not in str(rows)
