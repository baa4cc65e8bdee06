import subprocess
import sys

from sqlalchemy import create_engine, inspect

from sweep.store.describe import describe_schema
from sweep.store.store import Store


def test_what_is_described_is_what_the_database_has(sqlite_url):
    Store.open(sqlite_url).close()
    engine = create_engine(sqlite_url)
    inspector = inspect(engine)
    described = {table.name: [each.name for each in table.columns] for table in describe_schema()}
    names = [*inspector.get_table_names(), *inspector.get_view_names()]
    found = {name: [each["name"] for each in inspector.get_columns(name)] for name in names}
    engine.dispose()
    assert described == {name: each for name, each in found.items() if name != "alembic_version"}


def test_every_table_view_and_column_has_a_meaning_and_a_type():
    for table in describe_schema():
        assert table.meaning
        assert all(column.meaning and column.type for column in table.columns), table.name


def test_nothing_of_the_store_imports_torch_or_pandas():
    modules = "sys, sweep.store.describe, sweep.store.writer"
    code = f"import {modules}; print({{'torch', 'pandas'}} & {{*sys.modules}})"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout == "set()\n"
