"""The sweeps at a glance: how many trials ended how, and whether anybody goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sweep.serve.cells import sweep_address
from sweep.store.activity import Activity, activity
from sweep.store.query import SweepStatus
from sweep.values.words import Verdict

_QUIET = timedelta(minutes=1)


class SweepState(StrEnum):
    """What has become of a sweep."""

    RUNNING = "running"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Glance:
    """A sweep at a glance.

    Attributes:
        status: its counts.
        now: what goes on in it.
        state: what has become of it.
        address: where its page is.
    """

    status: SweepStatus
    now: Activity
    state: SweepState
    address: str

    @property
    def parts(self) -> list[tuple[str, int]]:
        """The bar: trials by verdict, and those that remain; without what there are none of."""
        counts = [(verdict.value, getattr(self.status, verdict)) for verdict in Verdict]
        return [part for part in [*counts, ("remaining", self.status.remaining)] if part[1]]

    @property
    def minutes_left(self) -> float | None:
        """At the pace of the latest trials; None where it does not run."""
        if self.state is not SweepState.RUNNING or not self.now.a_second:
            return None
        return self.status.remaining / self.now.a_second / 60


def glance(url: str, status: SweepStatus) -> Glance:
    """The sweep of that status at a glance. Reads only; raises as `activity` does."""
    now = activity(url, status.id)
    return Glance(status, now, _state(status, now), sweep_address(status.id, status.name))


def _state(status: SweepStatus, now: Activity) -> SweepState:
    running = now.running
    if running is None:  # the system cannot tell
        running = now.last_at is not None and datetime.now(UTC) - now.last_at < _QUIET
    if running:
        return SweepState.RUNNING
    if status.remaining == 0:
        return SweepState.COMPLETE
    return SweepState.INTERRUPTED if status.done + status.failed else SweepState.PLANNED
