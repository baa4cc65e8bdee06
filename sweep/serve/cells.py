"""A value as a page shows it: rounded to what a reader takes in, whole in its title, linked.

Tables of ours and of Datasette's are made of these; templates own the markup.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from sweep.store.url import DEFAULT_PATH
from sweep.values.words import Verdict

_TRIALS = frozenset({"trial", "trial_id", "example_id", "trial_ids"})
_LONGEST_NAME = 200  # of a sweep that is its own address
_LONGEST_TEXT = 300
_VERDICTS = frozenset(map(str, Verdict))
MOST_SHOWN = 100_000  # letters of a value of which all is there to be seen


@dataclass(frozen=True, slots=True)
class Cell:
    """One value.

    Attributes:
        text: what is read.
        title: the whole value where the text is less; else empty.
        link: where it leads, or empty.
        is_number: whether it stands on the right, in figures of one width.
        verdict: the verdict that it is, or empty.
    """

    text: str
    title: str = ""
    link: str = ""
    is_number: bool = False
    verdict: str = ""


def cell(column: str, value: Any, *, text: str | None = None) -> Cell:
    """``value`` of a column of that name; ``text`` in place of how it would be rounded."""
    if value is None:
        return Cell("")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = f"{value!r}" if is_number else _as_text(value)
    shown = _rounded(value, whole) if text is None else text
    return Cell(
        text=shown,
        title=whole[:MOST_SHOWN] if shown != whole else "",
        link=trial_address(value) if column in _TRIALS and isinstance(value, int) else "",
        is_number=is_number,
        verdict=whole if column == "verdict" and whole in _VERDICTS else "",
    )


def trial_address(trial_id: int) -> str:
    """Where a trial's card is."""
    return f"/trial/{trial_id}"


def sweep_address(number: int, name: str) -> str:
    """Where a sweep's page is: by its name, or by its id where no address holds the name."""
    plain = name.strip(".") and not name.startswith("~") and len(name) <= _LONGEST_NAME
    return f"/sweep/{quote(name, safe='')}" if plain else f"/sweep/~{number}"


def db_option(path: str) -> str:
    """What a command needs to find the database there: nothing where it finds it by itself."""
    return "" if path == DEFAULT_PATH else f" --db {shlex.quote(path)}"


def query_string(args: Mapping[str, Sequence[str]], **changed: str | None) -> str:
    """The arguments as a query, with some of them ``changed``, or left out where None."""
    kept = {name: values for name, values in args.items() if name not in changed}
    kept |= {name: [value] for name, value in changed.items() if value is not None}
    return "?" + urlencode(kept, doseq=True, safe="/", quote_via=quote)


def _rounded(value: Any, whole: str) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return whole if len(whole) <= _LONGEST_TEXT else f"{whole[:_LONGEST_TEXT]}…"


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
