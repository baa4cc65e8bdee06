"""A value as a page shows it: rounded to what a reader takes in, whole in its title, linked.

Tables of ours and of Datasette's are made of these; templates own the markup.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from sweep.store.url import DEFAULT_PATH
from sweep.values.words import Verdict

_TRIALS = frozenset({"id", "trial", "trial_id", "example_id", "trial_ids"})
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


def cell(column: str, value: Any, text: str | None = None) -> Cell:
    """``value`` of a column of that name; ``text`` in place of how it would be rounded.

    An ``id`` is taken for a trial's.
    """
    if value is None:
        return Cell("")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = f"{value!r}" if is_number else _as_text(value)
    if text is None:
        long = whole[:_LONGEST_TEXT] + "…" if len(whole) > _LONGEST_TEXT else whole
        text = f"{value:.4g}" if isinstance(value, float) else long
    return Cell(
        text=text,
        title=whole[:MOST_SHOWN] if text != whole else "",
        link=f"/trial/{value}" if column in _TRIALS and isinstance(value, int) else "",
        is_number=is_number,
        verdict=whole if column == "verdict" and whole in _VERDICTS else "",
    )


def sweep_address(number: int, name: str) -> str:
    """Where a sweep's page is: by its name, or by its id where no address holds the name."""
    plain = name.strip(".") and not name.startswith("~") and len(name) <= _LONGEST_NAME
    return f"/sweep/{quote(name, safe='')}" if plain else f"/sweep/~{number}"


def db_option(path: str) -> str:
    """What a command needs to find the database there: nothing where it finds it by itself."""
    return "" if path == DEFAULT_PATH else f" --db {shlex.quote(path)}"


def query_string(args: Any, **changed: str | None) -> str:
    """Datasette's arguments as a query, with some of them ``changed``, or left out where None."""
    kept = {name: args.getlist(name) for name in args if name not in changed}
    kept |= {name: [value] for name, value in changed.items() if value is not None}
    return "?" + urlencode(kept, doseq=True, safe="/", quote_via=quote)


def _as_text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
