"""Databases of other programs, of other versions, and that are none; and the migrations."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from sweep.errors import DatabaseError
from sweep.store import migrate, revision
from sweep.store.models import Base
from sweep.store.query import run_query
from sweep.store.store import Store
from sweep.values.outcome import StepRecord
from sweep.values.words import GradState

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "leaksweep_next"
down_revision = "{head}"


def upgrade():
    with op.batch_alter_table("trial") as trial:
        trial.add_column(sa.Column("added", sa.Integer()))
    {more}
"""


def contents(url):
    """Everything that is in a SQLite file, as SQL text."""
    connection = sqlite3.connect(path_of(url))
    dump = list(connection.iterdump())
    connection.close()
    return dump


def path_of(url):
    return Path(url.removeprefix("sqlite:///"))


def execute(url, *statements):
    path_of(url).parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path_of(url))
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


@pytest.fixture
def next_revision(tmp_path, monkeypatch):
    """Makes a later revision known, with more statements in it if need be."""

    def add(more="pass"):
        scripts = tmp_path / "scripts"
        shutil.copytree(migrate.SCRIPTS, scripts, dirs_exist_ok=True)
        (scripts / "versions" / "leaksweep_next.py").write_text(
            NEXT.format(more=more, head=revision.HEAD)
        )
        monkeypatch.setattr(revision, "REVISIONS", (*revision.REVISIONS, "leaksweep_next"))
        for module in (revision, migrate):
            monkeypatch.setattr(module, "HEAD", "leaksweep_next")
        monkeypatch.setattr(migrate, "SCRIPTS", scripts)

    return add


def test_models_and_migrations_agree(database_url):
    Store.open(database_url).close()
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_constraints_of_models_and_migrations_agree(database_url):
    Store.open(database_url).close()
    engine = create_engine(database_url)
    with engine.connect() as connection:
        for table in Base.metadata.sorted_tables:
            checks = inspect(connection).get_check_constraints(table.name)
            expected = {each.name for each in table.constraints if hasattr(each, "sqltext")}
            assert {check["name"] for check in checks} == expected
    engine.dispose()


def test_the_known_revisions_are_those_of_the_scripts():
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(reversed([script.revision for script in scripts])) == revision.REVISIONS


def test_opening_again_changes_nothing(sqlite_url, make):
    with Store.open(sqlite_url) as store:
        store.write(store.record_sweep("mine", "{}", 1).id, [make.outcome()])
    before = contents(sqlite_url)
    Store.open(sqlite_url).close()
    assert contents(sqlite_url) == before


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["CREATE TABLE theirs (a)"], "is the database of another program"),
        (
            ["CREATE TABLE alembic_version (version_num)", "CREATE TABLE studies (a)"],
            "is the database of another program",
        ),
        (
            [
                "CREATE TABLE alembic_version (version_num)",
                "INSERT INTO alembic_version VALUES ('v3.0.0.d')",
                "CREATE TABLE trial (a)",
            ],
            "is the database of another program",
        ),
        (["CREATE TABLE alembic_version (other)"], "Cannot .* no such column|another program"),
    ],
)
def test_another_programs_database_is_refused_unchanged(sqlite_url, statements, message):
    execute(sqlite_url, *statements)
    before = path_of(sqlite_url).read_bytes()
    with pytest.raises(DatabaseError, match=message):
        Store.open(sqlite_url)
    with pytest.raises(DatabaseError, match=message):
        run_query(sqlite_url, "SELECT 1")
    assert path_of(sqlite_url).read_bytes() == before
    assert len(list(path_of(sqlite_url).parent.iterdir())) == 1


def test_a_newer_schema_is_refused_unchanged(sqlite_url):
    Store.open(sqlite_url).close()
    execute(sqlite_url, "UPDATE alembic_version SET version_num = 'leaksweep_9999'")
    before = contents(sqlite_url)
    with pytest.raises(DatabaseError, match=r"written by a newer leaksweep.*'leaksweep_9999'"):
        Store.open(sqlite_url)
    with pytest.raises(DatabaseError, match="update leaksweep to use it"):
        run_query(sqlite_url, "SELECT 1")
    assert contents(sqlite_url) == before


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"\0" * 5000])
def test_a_file_that_is_no_database_is_refused_unchanged(sqlite_url, content):
    path_of(sqlite_url).parent.mkdir()
    path_of(sqlite_url).write_bytes(content)
    with pytest.raises(DatabaseError, match="that file is no SQLite database"):
        Store.open(sqlite_url)
    with pytest.raises(DatabaseError, match="that file is no SQLite database"):
        run_query(sqlite_url, "SELECT 1")
    assert path_of(sqlite_url).read_bytes() == content


def test_a_truncated_database_is_refused(sqlite_url, make):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 1)
        store.write(sweep.id, [make.outcome(seed) for seed in range(500)])
    whole = path_of(sqlite_url).read_bytes()
    path_of(sqlite_url).write_bytes(whole[: len(whole) // 2 + 100])
    with pytest.raises(DatabaseError, match="the file is damaged"):
        list(run_query(sqlite_url, "SELECT * FROM trial"))


def test_an_empty_file_becomes_a_database(sqlite_url):
    path_of(sqlite_url).parent.mkdir()
    path_of(sqlite_url).touch()
    with Store.open(sqlite_url) as store:
        assert store.sweep("mine") is None


def test_an_older_schema_is_migrated_and_its_rows_and_steps_are_kept(
    sqlite_url, make, next_revision
):
    with Store.open(sqlite_url) as store:
        sweep = store.record_sweep("mine", "{}", 1)
        step = StepRecord(0, True, 1.0, GradState.ZERO, True, 0.5)
        store.write(sweep.id, [make.outcome(steps=(step,))])
    before = contents(sqlite_url)
    next_revision()
    with Store.open(sqlite_url) as store:
        assert list(store.missing(sweep.id, [make.planned()])) == []
    with run_query(sqlite_url, "SELECT added, count(*) FROM trial, step, leak") as result:
        assert list(result) == [(None, 1)]
    backup = path_of(sqlite_url).with_name("sweep.db.backup-1")
    assert contents(f"sqlite:///{backup}") == before


def test_a_migration_that_fails_changes_nothing(sqlite_url, next_revision):
    Store.open(sqlite_url).close()
    before = contents(sqlite_url)
    next_revision('op.execute("SELECT no_such_function()")')
    with pytest.raises(DatabaseError, match="no such function"):
        Store.open(sqlite_url)
    assert contents(sqlite_url) == before


def test_rows_that_refer_to_nothing_are_not_migrated(sqlite_url, make, next_revision):
    with Store.open(sqlite_url) as store:
        store.write(store.record_sweep("mine", "{}", 1).id, [make.outcome()])
    execute(sqlite_url, "DELETE FROM sweep")
    before = contents(sqlite_url)
    next_revision()
    with pytest.raises(DatabaseError, match="rows in trial that refer to rows which are not there"):
        Store.open(sqlite_url)
    assert contents(sqlite_url) == before


def test_a_second_backup_does_not_overwrite_the_first(sqlite_url):
    Store.open(sqlite_url).close()
    names = [migrate.back_up(path_of(sqlite_url)).name for _ in range(2)]
    assert names == ["sweep.db.backup-1", "sweep.db.backup-2"]
