"""Which steps are rehearsed, for which parameters, and what that says of the others.

A small optimizer is rehearsed whole, each parameter for itself. Of a large one, one parameter
of each kind of circumstances is, an excerpt of its rows where it is large: most optimizers do
to each element what they do to the others, and where one does not, the real step gives other
bits than the rehearsal, and the next one is rehearsed with all of its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from sweep.watching.cases import Case, Circumstances
from sweep.watching.digests import by_part, have_nonzero
from sweep.watching.families import Call
from sweep.watching.findings import Cause
from sweep.watching.parts import one_part, parts
from sweep.watching.rehearsal import Rehearsed, rehearse
from sweep.watching.understudy import Wanted

WHOLE_ELEMENTS, WHOLE_TENSORS = 1 << 16, 32
"""Up to so many elements and tensors an optimizer is rehearsed whole."""

EXCERPT_ELEMENTS = 1 << 14
"""About so many elements of a large parameter are rehearsed at first."""

MOST_ELEMENTS = 1 << 22
"""A parameter with more is rehearsed by an excerpt or not at all."""

ATTEMPTS = 3
"""Rehearsals of a kind that may prove wrong before its cause is left unknown."""

NOT_ASKED = "causes were not asked for"
NOT_REHEARSED = "it had kept still in the same circumstances before, so the step was not rehearsed"
OTHERWISE = "the step did not give the bits of its rehearsal"
TOO_LARGE = "it is too large to be rehearsed whole, and its rows are not independent of each other"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What makes two parameters of one optimizer move for the same reason."""

    circumstances: Circumstances | None
    is_nonzero: bool
    has_history: bool
    of_rows: bool


class Rehearsals:
    """What was rehearsed of one optimizer's steps, and what it taught."""

    def __init__(self) -> None:
        self._of: dict[int, Rehearsed] = {}
        self._kind_of: dict[int, _Kind] = {}
        self._predicted: dict[_Kind, bool] = {}
        self._known: dict[_Kind, Cause] = {}
        self._failed: Counter[_Kind] = Counter()
        self._reason: str | None = None

    def rehearse(self, optimizer: Optimizer, call: Call, doubtful: Sequence[Case]) -> None:
        """Rehearses the step as far as that may tell something that is not known."""
        self._of, self._predicted, self._reason = {}, {}, None
        self._kind_of = kinds = _kinds(optimizer, doubtful)
        unknown = [each for each in doubtful if self._is_unknown(kinds[id(each.parameter)])]
        if not unknown:
            return
        held = [p for group in optimizer.param_groups for p in group["params"]]
        others: list[Tensor] = []
        if len(held) <= WHOLE_TENSORS and sum(p.numel() for p in held) <= WHOLE_ELEMENTS:
            wanted = [Wanted(each.parameter, each.where) for each in unknown]
            known = {id(each.parameter) for each in unknown}
            others = [parameter for parameter in held if id(parameter) not in known]
        else:
            wanted = self._representatives(unknown)
        found, reason = rehearse(optimizer, call, wanted, others)
        if reason is not None:
            self._reason = reason
            self._failed.update({kinds[id(each.parameter)] for each in unknown})
        self._of = {id(each.wanted.parameter): each for each in found}
        self._predicted = {kinds[key]: each.moves for key, each in self._of.items()}

    def forget(self) -> None:
        """Lets go of what was rehearsed of the step at hand, tensors and all."""
        self._of, self._kind_of = {}, {}

    def first(self, cases: Iterable[Case]) -> list[Case]:
        """The cases, those first for which the step was rehearsed."""
        listed = list(cases)
        if self._of:
            listed.sort(key=lambda case: id(case.parameter) not in self._of)
        return listed

    def moves(self, parameter: Tensor) -> bool | None:
        """Whether the step will move the parameter; None where nothing is known of it."""
        own, kind = self._of.get(id(parameter)), self._kind_of.get(id(parameter))
        if own is not None or kind is None:
            return None if own is None else own.moves
        return self._predicted.get(kind, kind in self._known or None)

    def explain(self, parameter: Tensor) -> Cause:
        """Why the step moved the parameter: as rehearsed, if it went so, or as others of its kind.

        To be asked in the order of `first`.
        """
        own, kind = self._of.get(id(parameter)), self._kind_of.get(id(parameter))
        if own is None or kind is None:
            known = None if kind is None else self._known.get(kind)
            return known or Cause(None, self._reason or NOT_REHEARSED)
        found = own.explanation if own.came_true() else None
        if found is not None and found.causes is not None:
            self._known[kind] = found
        else:
            self._failed[kind] += 1
        return found or Cause(None, OTHERWISE)

    def _is_unknown(self, kind: _Kind) -> bool:
        return kind not in self._known and self._failed[kind] < ATTEMPTS

    def _representatives(self, doubtful: Sequence[Case]) -> list[Wanted]:
        """One of each kind, the smallest, cut to some of its rows where it is large."""
        chosen: dict[_Kind, Case] = {}
        for each in sorted(doubtful, key=lambda one: one.parameter.numel()):
            chosen.setdefault(self._kind_of[id(each.parameter)], each)
        found = []
        for kind, each in chosen.items():
            rows = None if self._failed[kind] else _excerpt(each)
            if rows is not None or each.parameter.numel() <= MOST_ELEMENTS:
                found.append(Wanted(each.parameter, each.where, rows))
            else:
                self._reason = TOO_LARGE
        return found


def _kinds(optimizer: Optimizer, doubtful: Sequence[Case]) -> dict[int, _Kind]:
    """The kind of each; looks at the content of parameters and of what is kept for them."""
    nonzero = by_part(have_nonzero, [parts(each.parameter) for each in doubtful])
    kept = [_kept(optimizer.state.get(each.parameter)) for each in doubtful]
    return {
        id(each.parameter): _Kind(each.circumstances, any(own), any(state), each.where is not None)
        for each, own, state in zip(doubtful, nonzero, by_part(have_nonzero, kept), strict=True)
    }


def _kept(state: Any) -> list[Tensor]:
    """The tensors of more than one element that an optimizer keeps for a parameter."""
    values = state.values() if isinstance(state, Mapping) else ()
    tensors = [value for value in values if isinstance(value, Tensor) and value.numel() > 1]
    return [part for tensor in tensors for part in parts(tensor)]


def _excerpt(doubtful: Case) -> Tensor | None:
    """The numbers of some rows, of those in question; None where it is small or has one row."""
    part, grad = one_part(doubtful.parameter), doubtful.parameter.grad
    if part is None or part.dim() == 0 or part.numel() <= EXCERPT_ELEMENTS:
        return None
    if grad is not None and grad.layout is not torch.strided:
        return None
    most = max(1, EXCERPT_ELEMENTS * len(part) // part.numel())
    if doubtful.where is None:
        return torch.arange(min(most, len(part)), device=part.device)
    rows = doubtful.where.reshape(len(part), -1).any(dim=1)
    return rows.nonzero().flatten()[:most]
