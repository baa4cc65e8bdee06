"""Settings and lists in words, as the cells of tables have them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import pandas as pd

MOST_LISTED = 3  # of a list in a cell, before the rest are only counted


def first_few(texts: Sequence[str]) -> str | None:
    """The first few of ``texts``, the others counted; None for none.

    >>> first_few(["a", "b"]), first_few(["a", "b", "c", "d", "e"])
    ('a; b', 'a; b; c; and 2 more')
    """
    more = len(texts) - MOST_LISTED
    return "; ".join([*texts[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]) or None


def assigned(pairs: Iterable[tuple[Hashable, Any]]) -> str:
    """Each axis with its value, but those that are null.

    >>> assigned([("lr", 0.1), ("momentum", None), ("freeze", "detach")])
    'lr=0.1 freeze=detach'
    """
    return " ".join(
        f"{axis}={value:.12g}" if isinstance(value, float) else f"{axis}={value}"
        for axis, value in pairs
        if not pd.isna(value)
    )
