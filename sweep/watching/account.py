"""The account: how everything that a watch looked at fared, a row each.

Every sentence of the summary can be read off it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

from sweep.watching.advice import Loop
from sweep.watching.findings import Fared, Leak
from sweep.watching.states import State


class Place(StrEnum):
    """Where a row's tensor is."""

    HELD = "optimizer"  # the model's, held by a watched optimizer
    NOWHERE = "no optimizer"  # the model's, held by none that is watched
    LEFT = "left the model"  # held by a watched optimizer, and the model's no longer
    STRANGER = "not the model's"  # held by a watched optimizer, and never seen in the model
    BUFFER = "buffer"  # of a module that is frozen


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the account.

    Attributes:
        parameter: the tensor's name.
        optimizer: which of the watched optimizers holds it, counting from 0; None for none.
        optimizer_name: that one's class.
        place: where the tensor is.
        steps: on how many steps its grad was in each state.
        moved: on how many of those the step moved it.
        still: the steps on which it, or the part in question, was to keep still.
        zeros: those on which autograd brought zeros, where they count as a gradient.
        rows: how many rows leaked on some step; None where whole parameters are judged.
        first_rows: the first few of them.
        outside: how often something else than a step of that optimizer had moved it.
        by_others: by the class of an optimizer that is not watched: how many of its steps
            moved it.
        gradients: how many gradients autograd brought it.
        requires_grad: whether it requires gradients as the watch ends.
        at_rate_zero: steps on which a gradient of the step's own did not move it and the
            learning rate was 0.
        causes: what moved it, in the words of the column ``causes``; None if nothing did.
        explained_step: on which step that was so: the first that could be explained.
        unexplained: why the causes are unknown; None if they are known.
        shares: by cause, how far it moves the parameter alone, over the whole movement.
        remedy: what to do; empty if nothing is to be done.
        meant: ``frozen``, ``partly frozen`` or ``trainable``, as the user said; empty if unsaid.
        not_judged: why it is judged no longer; None if it is.
        shape: the tensor's.
        in_part: whether rows or elements of it are judged, and not the whole.
        is_empty: whether this process holds no element of it.
    """

    parameter: str
    optimizer: int | None
    optimizer_name: str | None
    place: Place
    steps: Mapping[State, int] = field(default_factory=dict)
    moved: Mapping[State, int] = field(default_factory=dict)
    still: Fared = field(default_factory=Fared)
    zeros: Fared = field(default_factory=Fared)
    rows: int | None = None
    first_rows: tuple[int, ...] = ()
    outside: int = 0
    by_others: Mapping[str, int] = field(default_factory=dict)
    gradients: int = 0
    requires_grad: bool = False
    at_rate_zero: int = 0
    causes: str | None = None
    explained_step: int | None = None
    unexplained: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    remedy: str = ""
    meant: str = ""
    not_judged: str | None = None
    shape: tuple[int, ...] = ()
    in_part: bool = False
    is_empty: bool = False

    @property
    def total_steps(self) -> int:
        """How many steps of its optimizer were judged."""
        return sum(self.steps.values())

    @property
    def moved_steps(self) -> int:
        """How many of them moved it."""
        return sum(self.moved.values())

    @property
    def reached(self) -> int:
        """On how many of them there was a gradient of the step's own."""
        return self.steps.get(State.FRESH, 0)

    @property
    def told(self) -> Fared:
        """The leaks; where there are none, the movements on zeros that came."""
        return self.still if self.still.moved or not self.zeros.moved else self.zeros


@dataclass(frozen=True, slots=True)
class Account:
    """The rows, what optimizers there are (by number, class and steps taken), whose loop it is."""

    entries: tuple[Entry, ...]
    optimizers: tuple[tuple[str, int], ...]
    loop: Loop = Loop.OWN

    @property
    def present(self) -> list[Entry]:
        """The rows of the model's parameters as it is; one that two optimizers hold has two."""
        return [each for each in self.entries if each.place in (Place.HELD, Place.NOWHERE)]

    @property
    def leaking(self) -> list[Entry]:
        """Those that leaked, in the order in which they first did."""
        found = [entry for entry in self.entries if entry.still.moved]
        return sorted(found, key=lambda entry: entry.still.first or 0)

    @property
    def untrained(self) -> list[Entry]:
        """Those that were to train and did not, under any optimizer."""
        moved = {e.parameter for e in self.entries if e.moved.get(State.FRESH) or e.by_others}
        wanted = [entry for entry in self.present if entry.meant == "trainable"]
        return [entry for entry in wanted if entry.parameter not in moved]


_COUNTED = tuple(State)
_DTYPES = {
    "parameter": "string",
    "optimizer": "Int64",
    "optimizer_name": "string",
    "place": "string",
    **{f"{what}_{state}": "int64" for what in ("steps", "moved") for state in _COUNTED},
    "leaks": "int64",
    "moved_on_zeros": "int64",
    "first_step": "Int64",
    "last_step": "Int64",
    "largest_change": "float64",
    "rows": "Int64",
    "outside": "int64",
    "by_others": "string",
    "gradients": "int64",
    "requires_grad": "bool",
    "causes": "string",
    "unexplained": "string",
    "shares": "string",
    "remedy": "string",
    "meant": "string",
    "not_judged": "string",
}


_LEAK_DTYPES = {
    "parameter": "string",
    "step": "int64",
    "change": "float64",
    "grad": "string",
    "cause": "string",
    "optimizer": "int64",
}


def rows_of(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The account as plain values, a dict a row; the keys are the columns of `as_frame`."""
    return [_row(entry) for entry in entries]


def as_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """The account; `sweep.watching.session.Watch.account` says what its columns are."""
    rows = rows_of(entries)
    return pd.DataFrame({name: [row[name] for row in rows] for name in _DTYPES}).astype(_DTYPES)


def leak_table(leaks: Sequence[Leak], *, with_rows: bool) -> pd.DataFrame:
    """One row a leak, in order; the columns are `sweep.watching.session.Watch.table`'s."""
    columns = {
        "parameter": [leak.parameter for leak in leaks],
        "step": [leak.step for leak in leaks],
        "change": [leak.max_change for leak in leaks],
        "grad": [str(leak.grad) for leak in leaks],
        "cause": [None if leak.explanation is None else str(leak.explanation) for leak in leaks],
        "optimizer": [leak.optimizer for leak in leaks],
    }
    frame = pd.DataFrame(columns).astype(_LEAK_DTYPES)
    if with_rows:
        frame["rows"] = pd.Series([len(leak.moved_rows or ()) for leak in leaks], dtype="int64")
    return frame


def largest(fared: Fared) -> float | None:
    """The largest change of an element; NaN if one became NaN, None if nothing was measured."""
    if fared.became_nan:
        return math.nan
    return fared.largest if fared.measured else None


def _row(entry: Entry) -> dict[str, Any]:
    counts = {
        f"{what}_{state}": held.get(state, 0)
        for what, held in (("steps", entry.steps), ("moved", entry.moved))
        for state in _COUNTED
    }
    told = entry.told
    kept = asdict(entry)
    for name in (
        "steps",
        "moved",
        "still",
        "zeros",
        "at_rate_zero",
        "explained_step",
        "shape",
        "first_rows",
        "in_part",
        "is_empty",
    ):
        del kept[name]
    return (
        kept
        | counts
        | {
            "place": str(entry.place),
            "leaks": entry.still.moved,
            "moved_on_zeros": entry.zeros.moved,
            "first_step": told.first,
            "last_step": told.last,
            "largest_change": largest(told),
            "by_others": ", ".join(f"{name}: {moved}" for name, moved in entry.by_others.items()),
            "shares": ", ".join(f"{name} {share:.0%}" for name, share in entry.shares.items()),
        }
    )
