"""The account: how everything that a watch looked at fared, a row each.

Every sentence of the summary can be read off it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import Any

import pandas as pd
from torch import nn

from sweep.watching.advice import Loop, advice
from sweep.watching.elsewhere import Elsewhere
from sweep.watching.families import Family
from sweep.watching.findings import Cause, Leak, Record
from sweep.watching.parts import elements_here
from sweep.watching.roster import LEFT, Subject
from sweep.watching.states import State
from sweep.watching.stepping import Shared


class Place(StrEnum):
    """Where a row's tensor is."""

    HELD = "optimizer"  # the model's, held by a watched optimizer
    NOWHERE = "no optimizer"  # the model's, held by none that is watched
    LEFT = "left the model"  # held by a watched optimizer, and the model's no longer
    STRANGER = "not the model's"  # held by a watched optimizer, and never seen in the model
    BUFFER = "buffer"  # of a module that is frozen


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One row of the account.

    Attributes:
        parameter: the tensor's name.
        place: where the tensor is.
        optimizer: which of the watched optimizers holds it, counting from 0; None for none.
        optimizer_name: that one's class.
        record: how it fared on that one's steps.
        remedy: what to do; empty if nothing is to be done.
        outside: how often something else than a step of that optimizer had moved it.
        by_others: by the class of an optimizer that is not watched: how many of its steps
            moved it.
        gradients: how many gradients autograd brought it.
        requires_grad: whether it requires gradients as the watch ends.
        meant: ``frozen``, ``partly frozen`` or ``trainable``, as the user said; empty if unsaid.
        not_judged: why it is judged no longer; None if it is.
        shape: the tensor's.
        is_empty: whether this process holds no element of it.
    """

    parameter: str
    place: Place
    optimizer: int | None = None
    optimizer_name: str | None = None
    record: Record = field(default_factory=Record)
    remedy: str = ""
    outside: int = 0
    by_others: Mapping[str, int] = field(default_factory=dict)
    gradients: int = 0
    requires_grad: bool = False
    meant: str = ""
    not_judged: str | None = None
    shape: tuple[int, ...] = ()
    is_empty: bool = False

    @property
    def explanation(self) -> Cause:
        """Why it moved; empty if it did not."""
        return self.record.explanation or Cause(None)

    @property
    def causes(self) -> str | None:
        """What moved it, in the words of the column ``causes``; None if nothing did."""
        return None if self.record.explanation is None else str(self.record.explanation)

    @property
    def rows(self) -> int | None:
        """How many rows leaked on some step; None where whole parameters are judged."""
        found = self.record.moved_rows
        return None if found is None else len(found)


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
        found = [entry for entry in self.entries if entry.record.still.moved]
        return sorted(found, key=lambda entry: entry.record.still.first or 0)

    @property
    def untrained(self) -> list[Entry]:
        """Those that were to train and did not, under any optimizer."""
        moved = {e.parameter for e in self.entries if e.record.moves[State.FRESH] or e.by_others}
        wanted = [entry for entry in self.present if entry.meant == "trainable"]
        return [entry for entry in wanted if entry.parameter not in moved]


Columns = Mapping[str, tuple[str, Callable[[Any], Any]]]
"""By a column's name: its type, and what gives its value of a row."""


def _as_it_is(kind: str, *names: str) -> Columns:
    return {name: (kind, attrgetter(name)) for name in names}


def _by_state(prefix: str, counts: Callable[[Entry], Mapping[State, int]]) -> Columns:
    def count_of(state: State) -> Callable[[Entry], int]:
        return lambda entry: counts(entry).get(state, 0)

    return {f"{prefix}_{state}": ("int64", count_of(state)) for state in State}


_COLUMNS: Columns = {
    **_as_it_is("string", "parameter"),
    **_as_it_is("Int64", "optimizer"),
    **_as_it_is("string", "optimizer_name"),
    "place": ("string", lambda entry: str(entry.place)),
    **_by_state("steps", lambda entry: entry.record.states),
    **_by_state("moved", lambda entry: entry.record.moves),
    "leaks": ("int64", attrgetter("record.still.moved")),
    "moved_on_zeros": ("int64", attrgetter("record.zeros.moved")),
    "first_step": ("Int64", attrgetter("record.told.first")),
    "last_step": ("Int64", attrgetter("record.told.last")),
    "largest_change": ("float64", attrgetter("record.told.largest_change")),
    **_as_it_is("Int64", "rows"),
    **_as_it_is("int64", "outside"),
    "by_others": ("string", lambda entry: _listed(entry.by_others, "{}: {}")),
    **_as_it_is("int64", "gradients"),
    **_as_it_is("bool", "requires_grad"),
    **_as_it_is("string", "causes"),
    "unexplained": ("string", attrgetter("explanation.unexplained")),
    "shares": ("string", lambda entry: _listed(entry.explanation.shares, "{} {:.0%}")),
    **_as_it_is("string", "remedy", "meant", "not_judged"),
}
_LEAK_COLUMNS: Columns = {
    **_as_it_is("string", "parameter"),
    **_as_it_is("int64", "step"),
    "change": ("float64", attrgetter("max_change")),
    "grad": ("string", lambda leak: str(leak.grad)),
    "cause": ("string", lambda leak: leak.explanation and str(leak.explanation)),
    **_as_it_is("int64", "optimizer"),
}
_ROWS: Columns = {"rows": ("int64", lambda leak: len(leak.moved_rows or ()))}


def rows_of(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The account as plain values, a dict a row; the keys are the columns of `as_frame`."""
    return [{name: get(entry) for name, (_, get) in _COLUMNS.items()} for entry in entries]


def as_frame(entries: Iterable[Entry]) -> pd.DataFrame:
    """The account; `sweep.watching.session.Watch.account` says what its columns are."""
    return _frame(entries, _COLUMNS)


def leak_table(leaks: Iterable[Leak], *, with_rows: bool) -> pd.DataFrame:
    """One row a leak, in order; the columns are `sweep.watching.session.Watch.table`'s."""
    return _frame(leaks, {**_LEAK_COLUMNS, **(_ROWS if with_rows else {})})


def _frame(rows: Iterable[Any], columns: Columns) -> pd.DataFrame:
    listed = list(rows)
    return pd.DataFrame(
        {name: pd.Series(map(get, listed), dtype=kind) for name, (kind, get) in columns.items()}
    )


def _listed(counts: Mapping[str, Any], form: str) -> str:
    return ", ".join(form.format(name, value) for name, value in counts.items())


@dataclass(frozen=True)
class Ledger:
    """What the account is drawn up from; it is only read."""

    shared: Shared
    families: Sequence[Family]
    elsewhere: Elsewhere
    loop: Loop

    def account(self) -> Account:
        """A row for each parameter under each optimizer, then for what no optimizer holds."""
        held = list(self._held())
        known = {entry.parameter for entry in held}
        names = [subject.name for subject in self.shared.roster.present]
        loose = [self._entry(name, Place.NOWHERE) for name in names if name not in known]
        buffers = [
            Entry(name, Place.BUFFER, outside=changes)
            for name, changes in self.elsewhere.buffers.items()
        ]
        taken = self.shared.findings.steps or [0] * len(self.families)
        optimizers = zip([family.name for family in self.families], taken, strict=True)
        entries = (*held, *loose, *self._strangers(), *buffers)
        return Account(entries, tuple(optimizers), self.loop)

    @cached_property
    def _subjects(self) -> dict[str, Subject]:
        return {subject.name: subject for subject in self.shared.roster}

    def _held(self) -> Iterator[Entry]:
        """Those that some optimizer holds now, or has held on some step."""
        embeddings = _embeddings(self.shared.roster.model)
        for index, family in enumerate(self.families):
            now = [s.name for p in family.parameters if (s := self.shared.roster.of(p)) is not None]
            recorded = [name for at, name in self.shared.findings.records if at == index]
            for name in dict.fromkeys(now + recorded):
                record = self.shared.findings.records.get((index, name), Record())
                left = name.endswith(LEFT) or name not in self._subjects
                yield self._entry(
                    name,
                    Place.LEFT if left else Place.HELD,
                    optimizer=index,
                    optimizer_name=family.name,
                    record=record,
                    remedy=advice(record, self.loop, is_embedding=name in embeddings),
                )

    def _entry(self, name: str, place: Place, **under: Any) -> Entry:
        """The row of that name; ``under`` is what is known of it under some optimizer."""
        subject = self._subjects.get(name)
        if subject is not None:
            under |= {
                "gradients": self.shared.arrivals.of(subject.parameter).count,
                "requires_grad": subject.parameter.requires_grad,
                "meant": self._meant(name),
                "not_judged": subject.not_judged,
                "shape": tuple(subject.parameter.shape),
                "is_empty": not elements_here(subject.parameter),
            }
        seen = under["record"].outside if "record" in under else 0
        outside = seen or self.elsewhere.outside[name]
        by_others = dict(self.elsewhere.by_others.get(name, {}))
        return Entry(name, place, outside=outside, by_others=by_others, **under)

    def _meant(self, name: str) -> str:
        if name in self.shared.question.frozen.now.parameters:
            return "frozen"
        if name in self.shared.question.frozen.now.masks:
            return "partly frozen"
        return "trainable" if name in self.shared.question.trainable.now.parameters else ""

    def _strangers(self) -> Iterator[Entry]:
        """What optimizers hold and a model never had; of picked parameters nothing is said."""
        for index, family in enumerate(
            self.families if self.shared.roster.model is not None else ()
        ):
            unknown = [
                tensor for tensor in family.parameters if self.shared.roster.of(tensor) is None
            ]
            for number, tensor in enumerate(unknown):
                yield Entry(
                    f"tensor {number} of {family.name}",
                    Place.STRANGER,
                    optimizer=index,
                    optimizer_name=family.name,
                    requires_grad=tensor.requires_grad,
                    shape=tuple(tensor.shape),
                )


def _embeddings(model: nn.Module | None) -> set[str]:
    """The names of the weights of embeddings."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    modules = model.named_modules() if model is not None else ()
    named = [name for name, module in modules if isinstance(module, kinds)]
    return {f"{name}.weight" if name else "weight" for name in named}
