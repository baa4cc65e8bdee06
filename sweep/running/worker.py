"""A worker as its owner sees it: the groups that it has, what comes back, and how it ended.

Whoever has a worker waits outside it with a clock and an eye on its memory, so that a trial
which hangs in native code, holding Python's lock, is stopped like any other. What the process
does is in `sweep.running.serving`.
"""

from __future__ import annotations

import pickle
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING

import cloudpickle

from sweep.errors import SystemLimitError
from sweep.running.fork_server import (
    ForkServer,
    current_folder,
    module_path,
    running,
    variables,
)
from sweep.running.limits import resident_mib
from sweep.running.serving import Begun, Failure, Orders

if TYPE_CHECKING:
    from sweep.running.task import Task
    from sweep.trial.groups import Group
    from sweep.values.outcome import Outcome

AHEAD_S = 0.02
"""For about how long a worker has groups ahead, so that it need not wait for the next."""
MOST_AHEAD = 8
AHEAD_BYTES = 16_384
"""What a connection surely takes while nobody reads: whoever sends more would have to wait."""
HANGS_UP_WITHIN_S = 2.0
"""How long a process that has hung up may take to end by itself."""
TRIES = 3
"""How often a worker is asked for: the server may be killed as others are."""


@dataclass(slots=True)
class Held:
    """A group that a worker has.

    Attributes:
        group: the trials.
        order: what it is sent as.
        is_sent: whether it was; what the connection may not take waits until the worker does.
        has_limits: whether they are the trials' own; making a failed outcome takes what it takes.
        came: how many of the trials' outcomes have come back.
        elsewhere: whether another worker has it, too, and this one's outcomes do not count.
    """

    group: Group
    order: bytes
    has_limits: bool
    is_sent: bool = False
    came: int = 0
    elsewhere: bool = False

    def rest(self) -> Group:
        """The trials that nobody has an outcome of."""
        return () if self.elsewhere else self.group[self.came :]


class Worker:
    """One process for trials, with the groups that it has in order: the first is running.

    Attributes:
        connection: what to wait for until `receive` has news.
        held: the groups that it has.
        ended: whether the process has hung up; `how_it_ended` says more.
    """

    def __init__(self, task: Task) -> None:
        """Starts it. Raises SystemLimitError where that cannot be done."""
        self._limits = task.limits
        self.held: deque[Held] = deque()
        self.ended = False
        self._begun: Begun | None = None
        self._begun_at_s = self._news_at_s = 0.0
        self._group_s = float("inf")  # how long the latest group took
        self.connection, theirs = Pipe()
        try:
            with theirs:
                self._server, self._pid = _forked(task.preload, theirs)
        except BaseException:
            self.connection.close()
            raise
        self._send(_orders(task))

    def can_take_more(self) -> bool:
        """Whether another group can be given to it: the next one, or one ahead."""
        if not self.held:
            return True
        if self._limits:
            return False
        ahead = min(MOST_AHEAD, int(AHEAD_S / self._group_s)) if self._group_s else MOST_AHEAD
        return len(self.held) <= ahead

    def waiting(self) -> list[Held]:
        """What it has and has not begun."""
        return [held for held in islice(self.held, 1, None) if not held.elsewhere]

    def is_needed(self) -> bool:
        """Whether it has trials that nobody else has."""
        return any(held.rest() for held in self.held)

    def give(self, order: Group | Failure) -> None:
        """Has it run a group, or make a failed outcome, after those that it has."""
        if not self.held:
            self._news_at_s = time.monotonic()
        is_failure = isinstance(order, Failure)
        group = (order.planned,) if isinstance(order, Failure) else order
        data = pickle.dumps(order, pickle.HIGHEST_PROTOCOL)
        self.held.append(Held(group, data, has_limits=bool(self._limits) and not is_failure))
        self._send_ahead()

    def receive(self) -> list[Outcome]:
        """The outcomes that have come by now; raises what kept the process from its task."""
        outcomes: list[Outcome] = []
        try:
            while self.connection.poll():
                self._take(self.connection.recv(), outcomes)
        except (EOFError, OSError):  # in the middle of a message, too
            self.ended = True
        return outcomes

    def over_limits(self) -> Failure | None:
        """The failure of a trial that is over its limits; None of another.

        What its process takes to get ready before is not the trial's.
        """
        if self._begun is None or not (self.held and self.held[0].has_limits):
            return None
        seconds, grown_mib = time.monotonic() - self._begun_at_s, 0.0
        if self._limits.memory_mib is not None:
            grown_mib = resident_mib(self._pid) - self._begun.resident_mib
        error = self._limits.broken(seconds, grown_mib)
        return Failure(self.held[0].group[0], error, seconds) if error else None

    def interrupt(self) -> None:
        """Kills it from another thread; its owner finds that it has hung up."""
        with suppress(EOFError, OSError):
            self._server.end(self._pid, 0.0)

    def how_it_ended(self) -> str:
        """Such as ``SIGKILL`` or ``EXIT(7)``; sees to the end of one that has hung up."""
        try:
            code = self._server.end(self._pid, HANGS_UP_WITHIN_S)
        except (EOFError, OSError):
            return signal.SIGKILL.name  # with its server, or by `interrupt`
        return signal.Signals(-code).name if code < 0 else f"EXIT({code})"

    def kill(self) -> None:
        """Kills it and whatever its trial has started."""
        self.ended = True
        self.connection.close()
        self.interrupt()

    def _take(self, news: Outcome | Begun | Exception, outcomes: list[Outcome]) -> None:
        if isinstance(news, Begun):
            self._begun, self._begun_at_s = news, time.monotonic()
            return
        if isinstance(news, Exception):
            raise news
        first = self.held[0]
        first.came += 1
        if not first.elsewhere:
            outcomes.append(news)
        if first.came == len(first.group):
            self.held.popleft()
            self._begun = None
            now = time.monotonic()
            self._group_s, self._news_at_s = now - self._news_at_s, now
            self._send_ahead()

    def _send_ahead(self) -> None:
        """Sends what the worker waits for, and of the rest what the connection surely takes."""
        unread = 0
        for held in self.held:
            unread += len(held.order)
            if held is not self.held[0] and unread > AHEAD_BYTES:
                break
            if not held.is_sent:
                held.is_sent = True
                self._send(held.order)

    def _send(self, data: bytes) -> None:
        with suppress(ConnectionError):  # it has ended, and reading from it will tell
            self.connection.send_bytes(data)


def _forked(preload: str, connection: Connection) -> tuple[ForkServer, int]:
    """A new worker's number and the server that it is of; tried again where that just ends."""
    for _ in range(TRIES):
        server = running(preload)
        try:
            return server, server.fork(connection.fileno())
        except EOFError:
            continue
        except OSError as error:
            raise SystemLimitError("process for trials", error) from error
    raise SystemLimitError("process for trials", "the one that they are forked from ended")


def _orders(task: Task) -> bytes:
    told = cloudpickle.dumps(task)
    return pickle.dumps(Orders(module_path(), current_folder(), variables(), told))
