"""Does a trial that is run again show what was recorded?

`records` reads what was recorded, `replay` runs it again, and `comparison` holds the two
against each other. Nothing is written.
"""

from sweep.verifying.comparison import Comparison, Difference
from sweep.verifying.records import Record, Records, open_records
from sweep.verifying.rerun import replayed, sample

__all__ = [
    "Comparison",
    "Difference",
    "Record",
    "Records",
    "open_records",
    "replayed",
    "sample",
]
