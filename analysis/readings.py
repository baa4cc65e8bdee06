"""The trials of one sweep, or of all, for whoever makes several things of them. Reads only.

Most tables and figures read the same columns. Each kind of reading is done once, and what is
made of it takes from the frame what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from analysis.folded import FOLDABLE, OF_EACH, load_folded
from analysis.load import load_trials


class Readings:
    """Trials as frames with at least the columns asked for, each read when first asked for.

    Each frame is of one state of the database, and two of them may be of different ones.

    Args:
        url: any SQLAlchemy URL.
        sweep: a sweep's name; None for all of them.
        wants: each set of columns that will be asked for.
    """

    def __init__(self, url: str, sweep: str | None, wants: Iterable[Sequence[str]]) -> None:
        self._url = url
        self._sweep = sweep
        self._wants = [columns for columns in wants if FOLDABLE.issuperset(columns)]
        self._folded: dict[bool, pd.DataFrame] = {}

    def of(self, columns: Sequence[str], verdict: str | None = None) -> pd.DataFrame:
        """The trials with these ``columns``, folded where that can be.

        Of one ``verdict`` alone where it cannot. Raises as `analysis.load.load_trials` does.
        """
        if not FOLDABLE.issuperset(columns):
            return load_trials(self._url, self._sweep, columns=columns, verdict=verdict)
        each = _of_each(columns)
        if each not in self._folded:
            alike = [want for want in (*self._wants, columns) if _of_each(want) == each]
            names = list(dict.fromkeys(name for want in alike for name in want))
            self._folded[each] = load_folded(self._url, self._sweep, columns=names)
        return self._folded[each]


def _of_each(columns: Sequence[str]) -> bool:
    return any(name in OF_EACH for name in columns)
