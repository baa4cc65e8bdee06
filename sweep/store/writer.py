"""The one writer of a sweep: takes outcomes from the driver, commits them in batches.

A thread of its own writes, so that the driver goes on handing out trials meanwhile. The
queue between them is bounded: a slow disk slows the driver down, and memory stays constant.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Self

from sweep.errors import SystemLimitError
from sweep.store.store import Store
from sweep.values.outcome import Outcome

COMMIT_EVERY_S = 0.5
MOST_AT_ONCE = 1000
QUEUED_AT_MOST = 2000

_LOOK_S = 0.2  # how often each side of the queue looks whether the other is still there


class Writer:
    """Commits the outcomes of one sweep, at least every half a second; a context manager.

    On leaving it, by an exception too, everything that was put is committed.
    """

    def __init__(self, store: Store, sweep_id: int, *, every_s: float = COMMIT_EVERY_S) -> None:
        self._store = store
        self._sweep_id = sweep_id
        self._every_s = every_s
        # None only wakes the thread up.
        self._queue: queue.Queue[Outcome | None] = queue.Queue(QUEUED_AT_MOST)
        self._thread = threading.Thread(target=self._run, name="leaksweep-writer")
        self._owner = threading.current_thread()
        self._closed = False
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        """Raises SystemLimitError where the system refuses a thread."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise SystemLimitError("thread that writes", error) from error
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self._closed = True
        self._offer(None)
        self._thread.join()
        if self._failure is None:
            return
        if error is None:
            raise self._failure
        if error is not self._failure:
            error.add_note(str(self._failure))

    def put(self, outcome: Outcome) -> None:
        """Hands ``outcome`` over; waits while the writer is behind.

        Raises DatabaseError once writing has failed.
        """
        self._offer(outcome)
        if self._failure is not None:
            raise self._failure

    def _offer(self, item: Outcome | None) -> None:
        """Queues ``item``, unless the thread has ended and nobody would take it."""
        while self._thread.is_alive():
            try:
                return self._queue.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
        return None

    def _run(self) -> None:
        try:
            while not self._is_done():
                self._store.write(self._sweep_id, self._next_batch())
        except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
            self._failure = error

    def _is_done(self) -> bool:
        """Whether nothing can come any more: an interruption may keep the owner from closing it."""
        return (self._closed or not self._owner.is_alive()) and self._queue.empty()

    def _next_batch(self) -> list[Outcome]:
        """What comes within the time from the first outcome on; none where none does."""
        batch: list[Outcome] = []
        timeout_s = _LOOK_S
        while len(batch) < MOST_AT_ONCE:
            try:
                item = self._queue.get(timeout=timeout_s)
            except queue.Empty:
                break
            if item is None:
                break
            if not batch:
                deadline = time.monotonic() + self._every_s
            batch.append(item)
            timeout_s = max(0.0, deadline - time.monotonic())
        return batch
