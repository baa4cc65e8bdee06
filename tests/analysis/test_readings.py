import pytest

from analysis import readings as module
from analysis.readings import Readings
from analysis.schema import COUNT

RATES = ("optimizer", "verdict", "drift_ratio")
CAUSES = ("optimizer", "zero_grad", "verdict", "by_history")
PAIRS = ("optimizer", "seed", "verdict")
WHOLE = ("id", "error", "verdict")


@pytest.fixture
def reads(monkeypatch):
    """The columns of each reading that is done, in order."""
    done = []

    def noting(read):
        def noted(*words, columns, **more):
            done.append(columns)
            return read(*words, columns=columns, **more)

        return noted

    for name in ("load_trials", "load_folded"):
        monkeypatch.setattr(module, name, noting(getattr(module, name)))
    return done


def test_what_reads_alike_is_read_once(database, reads):
    readings = Readings(database(s=[{}]), None, [RATES, CAUSES, PAIRS])
    for columns in (CAUSES, RATES, PAIRS, CAUSES):
        assert set(columns) <= set(readings.of(columns))
    assert reads == [
        ["optimizer", "verdict", "drift_ratio", "zero_grad", "by_history"],
        list(PAIRS),
    ]


def test_what_cannot_be_folded_is_read_by_itself(database, reads):
    url = database(s=[{}, {"seed": 1, "verdict": "failed", "error": "ValueError: no"}])
    readings = Readings(url, "s", [WHOLE])
    assert readings.of(WHOLE, "failed")["error"].tolist() == ["ValueError: no"]
    assert len(readings.of(WHOLE)) == 2
    assert reads == [WHOLE, WHOLE]


def test_columns_that_were_not_announced_are_read_as_well(database):
    readings = Readings(database(s=[{}, {"seed": 1}]), None, [])
    assert readings.of(RATES)[COUNT].tolist() == [2]
