"""Texts that a spreadsheet would run as a formula, and how they are kept from it.

Imports nothing, so that commands which answer at once can ask, too.
"""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet takes for the start of a formula; the last four are as wide as a Kanji."""


def defused(text: str) -> str:
    """``text``, with a ``'`` before it where a spreadsheet would run it.

    >>> defused("=1+1"), defused("a=b")
    ("'=1+1", 'a=b')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
