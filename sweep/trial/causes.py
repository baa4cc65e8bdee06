"""What moved the layer: the smallest sets of sources that move it on one replayed step.

Found by replaying the step without some of its sources, never from what an optimizer is known
to do. A replay that cannot be had leaves the causes unknown, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol, TypeVar

from torch import Tensor

from sweep.errors import error_text
from sweep.trial.probe import Change, change_between, together
from sweep.values.outcome import Causes
from sweep.values.words import Source

Parameters = Mapping[str, Tensor]
"""Tensors of a model, by name."""

Sources = frozenset[Source]
T = TypeVar("T")

LONGEST_REASON = 300
"""Characters of what a replay raised that are kept."""

NOT_REPEATED = "the replay did not repeat the trial's own bits"

INTRINSIC = "intrinsic"
"""What moves a layer with every source off, as the column ``causes`` has it."""


class UnexplainedError(Exception):
    """A replay that would say nothing of the trial; its message is the reason."""


class Replayable(Protocol):
    """A step that can be run again without some of its sources of movement.

    Each method raises `UnexplainedError` where that cannot be had or would prove nothing.
    """

    def there(self) -> Sources:
        """The sources that the step had."""

    def before(self) -> Parameters:
        """The frozen parameters just before the step."""

    def without(self, off: Sources) -> Parameters:
        """Those just after it, run without the sources ``off``; with none off, as it was."""

    def without_grad(self) -> Parameters:
        """Those just after it, run as it was but with their grads set to None."""


@dataclass(frozen=True, slots=True)
class Movements:
    """What one step does to the frozen parameters, as it was and with fewer sources.

    Where the optimizer moves them with every source off (``intrinsic``), the others' movements
    are what they add to that one.

    Attributes:
        whole: the step as it was.
        intrinsic: with every source off.
        alone: with one source on, for each that is there.
        sets: with the sources of each of the smallest sets that move anything, in the order in
            which they are named.
        without_grad: the step as it was, but with the grads set to None.
    """

    whole: Change
    intrinsic: Change
    alone: Mapping[Source, Change]
    sets: Mapping[Sources, Change]
    without_grad: Change

    @property
    def causes(self) -> Causes:
        """Which of them moved anything."""
        moving = frozenset[Source]().union(*self.sets)
        named = [INTRINSIC] if self.intrinsic.moved else []
        return Causes(
            by_history=Source.HISTORY in moving,
            by_decay=Source.DECAY in moving,
            by_gradient=Source.GRADIENT in moving,
            by_intrinsic=self.intrinsic.moved,
            despite_none=self.without_grad.moved,
            sets=", ".join([*named, *map(name_of, self.sets)]),
        )


def movements(replay: Replayable) -> Movements:
    """What the step does with each subset of its sources that can be a smallest one.

    Raises `UnexplainedError`, and whatever the optimizer raises.
    """
    there, before = replay.there(), replay.before()
    nothing = replay.without(there)
    tried: dict[Sources, Change] = {}
    for sources in _by_size(there):
        if not any(tried[smaller].moved for smaller in tried if smaller < sources):
            tried[sources] = difference(nothing, replay.without(there - sources))
    moving = {sources: change for sources, change in tried.items() if change.moved}
    return Movements(
        whole=difference(before, replay.without(frozenset())),
        intrinsic=difference(before, nothing),
        alone={source: tried[frozenset({source})] for source in Source if source in there},
        sets={sources: moving[sources] for sources in sorted(moving, key=_place)},
        without_grad=difference(before, replay.without_grad()),
    )


def attribute(replay: Replayable) -> tuple[Causes | None, str | None]:
    """The causes of a step that leaked, or else why they could not be found."""
    return tried(lambda: movements(replay).causes)


def tried(replayed: Callable[[], T]) -> tuple[T | None, str | None]:
    """What ``replayed`` gives; or None, and why that cannot be told.

    An optimizer or workload may raise anything. Only KeyboardInterrupt passes.
    """
    try:
        return replayed(), None
    except UnexplainedError as error:
        return None, str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # as it says
        return None, f"a replay raised {error_text(error, longest=LONGEST_REASON)}"


def name_of(sources: Iterable[Source]) -> str:
    """A set of sources as the column ``causes`` has it.

    >>> name_of({Source.DECAY, Source.HISTORY})
    'history+decay'
    """
    listed = set(sources)
    return "+".join(source for source in Source if source in listed)


def difference(one: Parameters, other: Parameters) -> Change:
    """The change from ``one`` to ``other``, parameters of the same names, as one."""
    return together(change_between(one[name], other[name]) for name in sorted(one))


def _by_size(there: Sources) -> Iterator[Sources]:
    """The subsets of ``there`` but the empty one, the smallest first."""
    for size in range(1, len(there) + 1):
        yield from map(frozenset, combinations(sorted(there), size))


def _place(sources: Sources) -> tuple[int, str]:
    return len(sources), name_of(sources)
