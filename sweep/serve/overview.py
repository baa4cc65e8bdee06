"""The sweeps at a glance: how many trials ended how, and whether anybody goes on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sweep.serve.cells import sweep_address
from sweep.store.activity import Activity, activity
from sweep.store.query import SweepStatus
from sweep.values.words import Verdict

MOST_ON_A_PAGE = 50
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
        state: what has become of it.
        address: where its page is.
        begun, last: when it was recorded and when its last trial finished, UTC, to the minute.
        minutes_left: at the pace of the latest trials; None where it does not run.
    """

    status: SweepStatus
    state: SweepState
    address: str
    begun: str
    last: str
    minutes_left: float | None

    @property
    def parts(self) -> list[tuple[str, int]]:
        """The bar: trials by verdict, and those that remain; without what there are none of."""
        counts = [(verdict.value, getattr(self.status, verdict)) for verdict in Verdict]
        return [part for part in [*counts, ("remaining", self.status.remaining)] if part[1]]


def glance(url: str, status: SweepStatus) -> Glance:
    """The sweep of that status at a glance. Reads only; raises as `activity` does."""
    now = activity(url, status.id)
    state = _state(status, now)
    goes_on = state is SweepState.RUNNING and now.a_second
    return Glance(
        status=status,
        state=state,
        address=sweep_address(status.id, status.name),
        begun=_minute(status.created_at),
        last=_minute(now.last_at) if now.last_at else "",
        minutes_left=status.remaining / now.a_second / 60 if goes_on and now.a_second else None,
    )


def _state(status: SweepStatus, now: Activity) -> SweepState:
    running = now.running
    if running is None:  # the system cannot tell
        running = now.last_at is not None and datetime.now(UTC) - now.last_at < _QUIET
    if running:
        return SweepState.RUNNING
    if status.remaining == 0:
        return SweepState.COMPLETE
    return SweepState.INTERRUPTED if status.done + status.failed else SweepState.PLANNED


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
