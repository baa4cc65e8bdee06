import pytest

from sweep.serve.metadata import DATABASE, QUERIES, metadata
from sweep.store.describe import describe_schema

TOLD = metadata()
TABLES = TOLD["databases"][DATABASE]["tables"]
SCHEMA = {table.name: table for table in describe_schema()}


@pytest.mark.parametrize("table", SCHEMA.values(), ids=lambda table: table.name)
def test_every_column_is_told_in_the_words_of_the_schema(table):
    told = TABLES[table.name]
    assert told["description"] == table.meaning
    assert told["columns"] == {column.name: column.meaning for column in table.columns}


@pytest.mark.parametrize("name", SCHEMA)
def test_facets_units_and_labels_are_columns_that_there_are(name):
    told = TABLES[name]
    named = {*told["facets"], *told["units"], *filter(None, [told.get("label_column")])}
    assert named <= {column.name for column in SCHEMA[name].columns}


def test_what_is_not_ours_to_show_is_hidden():
    assert {name for name, told in TABLES.items() if told.get("hidden")} == {"alembic_version"}


def test_no_question_hides_a_table():
    assert not {query.name for query in QUERIES} & TABLES.keys()
