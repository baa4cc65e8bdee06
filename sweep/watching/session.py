"""`watch`: the hooks on while a ``with`` block runs, and off again when it ends."""

from __future__ import annotations

import html
import time
import weakref
from types import TracebackType
from typing import Any, Literal, Self

import pandas as pd
from torch import distributed

from sweep.errors import LeakError, MisuseError, UnknownNameError
from sweep.watching.account import as_frame, leak_table
from sweep.watching.advice import Loop
from sweep.watching.cases import Question
from sweep.watching.findings import Leak
from sweep.watching.meant import Frozen, Wish
from sweep.watching.observation import Observation, families_of
from sweep.watching.roster import Roster, Watchable
from sweep.watching.sentences import failure_message, summary

Granularity = Literal["parameter", "row"]
_GRANULARITIES = ("parameter", "row")
_ROWS_SHOWN = 50
_WATCHED: weakref.WeakSet[Any] = weakref.WeakSet()


def watch(
    model: Watchable,
    *optimizers: Any,
    frozen: Frozen | None = None,
    trainable: Frozen | None = None,
    zeros_count: bool = True,
    granularity: Granularity = "parameter",
    causes: bool = True,
) -> Watch:
    """A context manager that finds the parameters which ``step()`` moves without a gradient.

    A leak is a parameter that a step changed though it found no gradient of that step's own in
    ``.grad``: None, zeros that nothing brought, or what the step before left there. Training
    goes on bit for bit as it would without.

    Args:
        model: a module, or named parameters (pairs or a mapping).
        optimizers: those whose steps are looked at, or wrappers of them. Parameters of theirs
            that are not the model's are not judged.
        frozen: what must not move on any step, even if a gradient reaches it: names of
            parameters, or of modules for all they contain, with ``*`` for anything; modules
            and parameters themselves; or a mapping from names to masks (boolean, of the
            parameter's shape or one value a row; or the numbers of rows) that say which part.
        trainable: what must move, likewise named: `Watch.raise_if_any` tells what did not.
        zeros_count: whether zeros that autograd brings are a gradient, so that what moves on
            them is told of and is no leak. False is right where a hook or a mask zeroes
            gradients in the backward pass, and for parameters that DDP hands zeros.
        granularity: ``"row"`` judges each index of a parameter's first dimension by itself,
            such as the embedding of a word that was in no batch.
        causes: whether leaks are explained, by rehearsing on copies the steps that show them.

    Raises:
        MisuseError: an optimizer that is none, that has none of the model's parameters, or
            that another watch already looks at; a model without names, or one that keeps
            them in flat shards (FSDP1, DeepSpeed); a mask that does not fit.
        UnknownNameError: names that the model lacks, with the nearest; an unknown granularity.
    """
    if granularity not in _GRANULARITIES:
        raise UnknownNameError("granularity", str(granularity), _GRANULARITIES)
    roster = Roster(model)
    families = families_of(optimizers, roster)
    question = Question(
        frozen=Wish("frozen", frozen, roster),
        trainable=Wish("trainable", trainable, roster),
        zeros_count=zeros_count,
        rows=granularity == "row",
        causes=causes,
    )
    return Watch(Observation(roster, families, question))


class Watch:
    """What `watch` returns: a context manager that holds what was found, during and after.

    Attributes:
        findings: how each parameter fared, as plain values.
        seconds: how long the block ran.
    """

    def __init__(self, observation: Observation) -> None:
        self.findings = observation.findings
        self.seconds = 0.0
        self._observation = observation
        self._rows = observation.question.rows
        self._started = 0.0

    def advising(self, loop: Loop) -> Self:
        """The same, whose advice is what can be done in that loop: a Trainer's arguments, say."""
        self._observation.loop = loop
        return self

    def __enter__(self) -> Self:
        if self._started:
            raise MisuseError("A watch is entered once; call watch(...) again for another.")
        for member in self._observation.members:
            if member in _WATCHED:
                raise MisuseError(
                    f"This {type(member).__name__} is being watched already. One watch of an "
                    f"optimizer at a time: end the other one first, or use what it finds."
                )
        self._started = time.perf_counter()
        members = self._observation.members
        _WATCHED.update(members)
        try:
            self._observation.begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def leaks(self) -> tuple[Leak, ...]:
        """The leaks so far, parameter by parameter, in the order in which they first leaked.

        Of each parameter the first hundred are kept, and the later ones counted.
        """
        self._observation.settle()
        return tuple(self.findings.leaks())

    @property
    def held_bytes(self) -> int:
        """The size of what is held of parameters now; 0 once the block has ended."""
        return self._observation.held_bytes

    def table(self) -> pd.DataFrame:
        """One row a leak: ``parameter``, ``step``, ``change``, ``grad``, ``cause``, ``optimizer``.

        ``step`` counts that optimizer's steps under watch from 0, ``change`` is the largest
        absolute change of an element, ``cause`` is missing for all but the leak that was
        explained. Where rows are watched, ``rows`` is the number of rows that moved.
        """
        return leak_table(self.leaks, with_rows=self._rows)

    def account(self) -> pd.DataFrame:
        """How everything fared, a row a parameter and optimizer that holds it.

        ``steps_STATE`` counts the steps on which its grad was in that state (``none``,
        ``left_zeros``, ``zeros_came``, ``stale``, ``fresh``) and ``moved_STATE`` those that
        moved it. ``leaks`` counts the steps that moved it though it was to keep still,
        ``moved_on_zeros`` those on zeros that autograd brought; ``first_step``, ``last_step``
        and ``largest_change`` (NaN if it became NaN) are of the former, or else of the latter.
        ``causes``, ``shares`` and ``remedy`` are of the first that was explained.
        ``place`` says where the tensor is: rows follow for parameters in ``no optimizer``
        that is watched, for those that ``left the model``, for tensors that are ``not the
        model's``, and for each ``buffer`` of a frozen module. ``outside`` counts the steps
        before which something else had moved it, ``by_others`` the steps of optimizers that
        are not watched, ``gradients`` what autograd brought it.
        """
        return as_frame(self._observation.account().entries)

    def gather(self, group: Any = None) -> pd.DataFrame:
        """The accounts of all processes, with a column ``rank``: each judges its own shards.

        Collective: every process of the ``torch.distributed`` group calls it, and each gets all
        of it. Nothing is asked of others before that.
        """
        own = self.account()
        if not (distributed.is_available() and distributed.is_initialized()):
            return own.assign(rank=0)
        found: list[Any] = [None] * distributed.get_world_size(group)
        distributed.all_gather_object(found, own, group)
        frames: list[pd.DataFrame] = [each.assign(rank=rank) for rank, each in enumerate(found)]
        return pd.concat(frames, ignore_index=True)

    def summary(self) -> str:
        """What was found, for people: a digest of the account, a screen at most."""
        return summary(self._observation.account())

    def _repr_html_(self) -> str:
        """The summary and the account, for notebooks."""
        frame = self.account().to_html(max_rows=_ROWS_SHOWN, index=False)
        return (
            f"<pre>{html.escape(self.summary())}</pre>"
            f"<details><summary>The account</summary>{frame}</details>"
        )

    def raise_if_any(self) -> None:
        """Raises LeakError if anything leaked, or what was to train did not.

        The message names parameters, causes and remedies.
        """
        account = self._observation.account()
        wrong = [entry.parameter for entry in (*account.leaking, *account.untrained)]
        if wrong:
            raise LeakError(failure_message(account), parameters=tuple(dict.fromkeys(wrong)))

    def save(self, url: str, name: str) -> None:
        """Records what was found as the sweep ``name`` of the database at ``url``; commits.

        Each parameter that was to keep still on some step becomes a trial; the account is in
        the sweep's spec. Raises SweepMismatchError where that name is taken, MisuseError where
        it is none, and DatabaseError where the database fails.
        """
        from sweep.watching.record import save

        seconds = self.seconds or time.perf_counter() - self._started
        save(url, name, self._observation, seconds=seconds)

    def _end(self) -> None:
        members = self._observation.members
        try:
            self._observation.end()
        finally:
            _WATCHED.difference_update(members)
            self.seconds = time.perf_counter() - self._started
