"""The account of a watch, drawn up from what its parts have counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from sweep.watching.account import Account, Entry, Place
from sweep.watching.advice import Loop, advice
from sweep.watching.elsewhere import Elsewhere
from sweep.watching.families import Family
from sweep.watching.findings import Record
from sweep.watching.parts import elements_here
from sweep.watching.roster import LEFT, Subject
from sweep.watching.stepping import Shared


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
