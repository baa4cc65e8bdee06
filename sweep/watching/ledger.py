"""The account of a watch, drawn up from what its parts have counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from sweep.watching.account import Entry, Place
from sweep.watching.advice import Loop, Situation, advice
from sweep.watching.arrivals import Arrivals
from sweep.watching.elsewhere import Elsewhere
from sweep.watching.families import Family
from sweep.watching.findings import Findings, Record, RowSet
from sweep.watching.meant import Wish
from sweep.watching.parts import elements_here
from sweep.watching.roster import LEFT, Roster, Subject

_ROWS_LISTED = 5


class Ledger:
    """Draws up the account; it only reads what it is given."""

    def __init__(
        self,
        roster: Roster,
        families: Sequence[Family],
        findings: Findings,
        frozen: Wish,
        trainable: Wish,
        loop: Loop,
    ) -> None:
        self._roster = roster
        self._families = families
        self._findings = findings
        self._frozen = frozen
        self._trainable = trainable
        self._loop = loop

    def entries(self, arrivals: Arrivals, elsewhere: Elsewhere) -> tuple[Entry, ...]:
        """A row for each parameter under each optimizer, then for what no optimizer holds."""
        subjects = {subject.name: subject for subject in self._roster}
        held = list(self._held(subjects))
        known = {entry.parameter for entry in held}
        loose = [
            self._of_subject(Entry(s.name, None, None, Place.NOWHERE), s)
            for s in self._roster.present
            if s.name not in known
        ]
        entries = [self._counted(entry, subjects, arrivals, elsewhere) for entry in held + loose]
        return (*entries, *self._strangers(), *_buffers(elsewhere))

    def _held(self, subjects: Mapping[str, Subject]) -> Iterator[Entry]:
        """Those that some optimizer holds now, or has held on some step."""
        embeddings = _embeddings(self._roster.model)
        for index, family in enumerate(self._families):
            names = [s.name for p in family.parameters if (s := self._roster.of(p)) is not None]
            recorded = [name for at, name in self._findings.records if at == index]
            for name in dict.fromkeys(names + recorded):
                record = self._findings.records.get((index, name), Record())
                left = name.endswith(LEFT) or name not in subjects
                entry = Entry(
                    parameter=name,
                    optimizer=index,
                    optimizer_name=family.name,
                    place=Place.LEFT if left else Place.HELD,
                    steps=dict(record.states),
                    moved={state: moved for state, moved in record.moves.items() if moved},
                    still=record.still,
                    zeros=record.zeros,
                    rows=None if record.moved_rows is None else len(record.moved_rows),
                    first_rows=_first(record.moved_rows),
                    outside=record.outside,
                    at_rate_zero=record.at_rate_zero,
                    in_part=record.in_part,
                    explained_step=record.explained_step,
                    causes=None if record.explanation is None else str(record.explanation),
                    unexplained=record.explanation.unexplained if record.explanation else None,
                    shares=dict(record.explanation.shares) if record.explanation else {},
                    remedy=self._remedy(record, is_embedding=name in embeddings),
                )
                yield self._of_subject(entry, subjects.get(name))

    def _of_subject(self, entry: Entry, subject: Subject | None) -> Entry:
        if subject is None:
            return entry
        return replace(
            entry,
            requires_grad=subject.parameter.requires_grad,
            meant=self._meant(subject.name),
            not_judged=subject.not_judged,
            shape=tuple(subject.parameter.shape),
            is_empty=not elements_here(subject.parameter),
        )

    def _counted(
        self,
        entry: Entry,
        subjects: Mapping[str, Subject],
        arrivals: Arrivals,
        elsewhere: Elsewhere,
    ) -> Entry:
        name = entry.parameter
        gradients = arrivals.of(subjects[name].parameter).count if name in subjects else 0
        return replace(
            entry,
            gradients=gradients,
            outside=entry.outside or elsewhere.outside[name],
            by_others=dict(elsewhere.by_others.get(name, {})),
        )

    def _meant(self, name: str) -> str:
        if name in self._frozen.now.parameters:
            return "frozen"
        if name in self._frozen.now.masks:
            return "partly frozen"
        return "trainable" if name in self._trainable.now.parameters else ""

    def _remedy(self, record: Record, *, is_embedding: bool) -> str:
        moved = record.still.moved or record.zeros.moved
        if not moved or record.state is None or record.explanation is None:
            return ""
        causes = record.explanation.causes
        return advice(
            Situation(
                state=record.state,
                remedies=record.explanation.remedies,
                is_explained=causes is not None,
                by_history=causes is not None and causes.by_history,
                by_gradient=causes is not None and causes.by_gradient,
                by_hand=record.by_hand,
                in_part=record.in_part,
                is_embedding=is_embedding,
                loop=self._loop,
            )
        )

    def _strangers(self) -> Iterator[Entry]:
        """What optimizers hold and a model never had; of picked parameters nothing is said."""
        if not self._roster.is_model:
            return
        for index, family in enumerate(self._families):
            for number, tensor in enumerate(_unknown(family, self._roster)):
                yield Entry(
                    parameter=f"tensor {number} of {family.name}",
                    optimizer=index,
                    optimizer_name=family.name,
                    place=Place.STRANGER,
                    requires_grad=tensor.requires_grad,
                    shape=tuple(tensor.shape),
                )


def _first(rows: RowSet | None) -> tuple[int, ...]:
    return () if rows is None else rows.numbers()[:_ROWS_LISTED]


def _unknown(family: Family, roster: Roster) -> list[Tensor]:
    return [tensor for tensor in family.parameters if roster.of(tensor) is None]


def _buffers(elsewhere: Elsewhere) -> list[Entry]:
    return [
        Entry(name, None, None, Place.BUFFER, outside=changes)
        for name, changes in elsewhere.buffers.items()
    ]


def _embeddings(model: nn.Module | None) -> set[str]:
    """The names of the weights of embeddings."""
    if model is None:
        return set()
    kinds = (nn.Embedding, nn.EmbeddingBag)
    named = [(name, module) for name, module in model.named_modules() if isinstance(module, kinds)]
    return {f"{name}.weight" if name else "weight" for name, _ in named}
