"""Does a trial that is run again show what was recorded?

`trial_sources` read what was recorded, `rerun` runs it again, and `comparison` holds the two
against each other. Nothing is written.
"""

from sweep.verifying.comparison import Comparison, Difference
from sweep.verifying.recorded_trial import RecordedTrial
from sweep.verifying.rerun import replayed, sample
from sweep.verifying.trial_sources import TrialSource, open_trials

__all__ = [
    "Comparison",
    "Difference",
    "RecordedTrial",
    "TrialSource",
    "open_trials",
    "replayed",
    "sample",
]
