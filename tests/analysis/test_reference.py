"""The committed summaries are what the tables say of the committed trials, to the last digit."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.formats import csv_text
from analysis.schema import CAUSE_COLUMNS, TRIAL_COLUMNS, typed
from analysis.tables import SUMMARIES

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
NOT_COMPARED = {"failures"}  # it names ids, which are a database's own
FLAGS = ["moved", *CAUSE_COLUMNS, "sideways", "diverged"]


@pytest.mark.parametrize("preset", ["article", "full", "remedies", "atlas", "cost"])
def test_the_committed_tables_are_those_of_the_committed_trials(preset, tmp_path):
    trials = pd.read_csv(
        REFERENCE / preset / "trials.csv.gz",
        dtype=dict.fromkeys(FLAGS, "boolean"),
        keep_default_na=False,
        na_values={name: [""] for name in TRIAL_COLUMNS},
    )
    lacking = {name: None for name in TRIAL_COLUMNS if name not in trials}
    own = {"sweep": preset, "sweep_kind": "grid", "id": range(1, len(trials) + 1)}
    frame = typed(trials.assign(**(lacking | own)))
    for path in sorted((REFERENCE / preset).glob("*.csv")):
        table = SUMMARIES[path.stem]
        if table.name not in NOT_COMPARED:
            made = tmp_path / path.name
            made.write_text(csv_text(table.make(frame)), encoding="utf-8", newline="")
            pd.testing.assert_frame_equal(pd.read_csv(made), pd.read_csv(path), check_exact=True)
