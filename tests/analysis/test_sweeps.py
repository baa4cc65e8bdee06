import pytest

from analysis.exceptions import UnreadableDatabaseError
from analysis.schema import SweepKind
from analysis.sweeps import load_sweeps


def test_sweeps_come_oldest_first_with_what_they_are(database):
    specs = {"b": '{"kind":"search","search":{"seed":0}}', "c": '{"kind":"watch"}'}
    records = load_sweeps(database(a=[{}], b=[], c=[{}], specs=specs))
    assert [(record.name, record.kind, record.planned) for record in records] == [
        ("a", SweepKind.GRID, 1),
        ("b", SweepKind.SEARCH, 0),
        ("c", SweepKind.WATCH, 1),
    ]
    assert records[1].read["search"] == {"seed": 0}


@pytest.mark.parametrize("spec", ["[]", "1", "{", '{"grid":[1]}', '{"search":3}', '{"kind":"x"}'])
def test_a_spec_that_is_none_is_told(database, spec):
    with pytest.raises(UnreadableDatabaseError, match="holds what is not of its kind"):
        load_sweeps(database(s=[], specs={"s": spec}))
