"""The committed summaries are what the tables say of the committed trials, to the last digit."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.formats import FORMATS
from analysis.schema import CAUSE_FLAGS, TRIAL_COLUMNS, typed
from analysis.tables import SUMMARIES

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
NOT_COMPARED = {
    "importance",  # its forests take seconds
    "failures",  # it names ids, which are a database's own
}
FLAGS = ["moved", *CAUSE_FLAGS, "sideways", "diverged"]


@pytest.mark.parametrize("preset", ["article", "full", "remedies", "atlas"])
def test_the_committed_tables_are_those_of_the_committed_trials(preset, tmp_path):
    trials = pd.read_csv(
        REFERENCE / preset / "trials.csv.gz",
        dtype=dict.fromkeys(FLAGS, "boolean"),
        keep_default_na=False,
        na_values={name: [""] for name in TRIAL_COLUMNS},
    )
    frame = typed(trials.assign(sweep=preset, id=range(1, len(trials) + 1)))
    for path in sorted((REFERENCE / preset).glob("*.csv")):
        table = SUMMARIES[path.stem]
        if table.name not in NOT_COMPARED:
            made = tmp_path / path.name
            FORMATS["csv"].write(table.make(frame), table, made, False)
            pd.testing.assert_frame_equal(read(made), read(path), check_exact=True)


def read(path):
    """The file, without what depends on the order in which trials were recorded."""
    return pd.read_csv(path).drop(columns="left_settings", errors="ignore")
