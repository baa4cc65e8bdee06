"""Questions to the database that run at once: counted, bounded, and left when they take too long.

SQLite looks up between instructions alone, and one instruction can take minutes. So each
question has a thread of its own, which keeps its place until it really ends, though nobody
waits for it any longer. Threads are daemons: none of them keeps the program from ending.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sweep.errors import QueryRefusedError, SystemLimitError
from sweep.store.failures import timed_out

_Answer = TypeVar("_Answer")

_GRACE_S = 1.0  # for SQLite to end by itself, which it says in better words
_PATIENCE_S = 5.0  # for a place


class Places:
    """Room for ``most`` questions at a time.

    Attributes:
        taken: how many run now, with those that nobody waits for any longer.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free = asyncio.Semaphore(most)
        self.taken = 0

    async def answer(self, question: Callable[[], _Answer], *, limit_s: float) -> _Answer:
        """What ``question`` returns or raises, asked in a thread.

        Raises QueryRefusedError where no place comes free, and for what takes longer than
        ``limit_s`` seconds: it should end by itself by then. Raises SystemLimitError where the
        system has no thread.
        """
        try:
            await asyncio.wait_for(self._free.acquire(), _PATIENCE_S)
        except TimeoutError:
            raise QueryRefusedError(
                f"{self._most} questions are being answered, and no more are taken at once. "
                f"Try again when one has ended."
            ) from None
        answer = self._asked(question)
        try:
            return await asyncio.wait_for(answer, limit_s + _GRACE_S)
        except TimeoutError:
            raise timed_out(limit_s) from None

    def _asked(self, question: Callable[[], _Answer]) -> asyncio.Future[_Answer]:
        """The answer to come, of a thread that gives its place back when it ends."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Answer] = loop.create_future()
        self.taken += 1

        def end(value: Any, error: BaseException | None) -> None:
            self.taken -= 1
            self._free.release()
            if answer.done():  # nobody waits for it
                return
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)

        def ask() -> None:
            value, raised = None, None
            try:
                value = question()
            except BaseException as error:  # noqa: BLE001 raised again where it was asked
                raised = error
            with suppress(RuntimeError):  # the page was closed meanwhile
                loop.call_soon_threadsafe(end, value, raised)

        try:
            threading.Thread(target=ask, name="leaksweep-page", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            end(None, SystemLimitError("thread", error))
        return answer
