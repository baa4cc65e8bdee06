"""What goes on in a sweep at the moment: who runs it, how fast, and what came last.

Imports no SQLAlchemy, so that `leaksweep status` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sweep.store.checked import checked
from sweep.store.presence import is_running
from sweep.store.query import run_query
from sweep.store.url import parse_url

RECENT = timedelta(minutes=10)
_LATEST = """
SELECT finished_at FROM trial WHERE sweep_id = {sweep:d} ORDER BY id DESC LIMIT 500
"""


@dataclass(frozen=True, slots=True)
class Activity:
    """What goes on in a sweep.

    Attributes:
        running: whether a driver runs it; None where the system cannot tell.
        last_at: when the last of the trials that were added last finished; None without any.
        a_second: trials that finished in a second, over the last 500 of `RECENT` before that;
            None for fewer than two.
    """

    running: bool | None
    last_at: datetime | None
    a_second: float | None


def activity(url: str, sweep_id: int) -> Activity:
    """What goes on in the sweep with that id. Reads only; raises as `sweep_status` does."""
    database = parse_url(url)
    moment = partial(checked, kind=datetime, column="trial.finished_at", nullable=False)
    with run_query(url, _LATEST.format(sweep=sweep_id)) as rows:
        finished = sorted(moment(value, shown=database.shown) for (value,) in rows)
    recent = [each for each in finished if each >= finished[-1] - RECENT]
    seconds = (recent[-1] - recent[0]).total_seconds() if recent else 0.0
    return Activity(
        running=is_running(database, sweep_id),
        last_at=recent[-1] if recent else None,
        a_second=(len(recent) - 1) / seconds if seconds else None,
    )
