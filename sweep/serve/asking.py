"""Asking other people's SQL in processes that are killed when they take too long.

SQLite looks up between instructions alone, and one instruction, such as a LIKE over a long
text, can take hours. A process that runs one is ended and another takes its place; one that
answers in time is asked again.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from sweep.errors import QueryRefusedError, SystemLimitError
from sweep.serve import answering
from sweep.serve.answering import SqlAnswer, SqlQuestion
from sweep.store.failures import timed_out

GRACE_S = 1.0  # for SQLite to end by itself, and for the answer to come over
START_S = 10.0  # for a process to begin
_ROOT = str(Path(__file__).parents[2])
_BEGIN = (
    f"import sys; sys.path.append(sys.argv[3]); "
    f"from {answering.__name__} import answer_questions; answer_questions()"
)


class Asker:
    """Processes that ask the database at the path ``db``. For several threads."""

    def __init__(self, db: str) -> None:
        self._db = db
        self._idle: list[_Process] = []

    def ask(self, question: SqlQuestion) -> SqlAnswer:
        """The answer. Raises what `answering.answer` does, and QueryRefusedError at its limit.

        Raises SystemLimitError where the system has no process for it.
        """
        try:
            process = self._idle.pop()
        except IndexError:
            process = _Process(self._db)
        try:
            answer = process.asked(question)
        except BaseException:
            process.kill()
            raise
        self._idle.append(process)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Ends the processes that wait for a question; the others end at their limits."""
        while self._idle:
            self._idle.pop().kill()


class _Process:
    def __init__(self, db: str) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            # -P: no module of the current folder is taken for one of Python's. A session of its
            # own: Ctrl-C is for the page, which ends it.
            command = [sys.executable, "-P", "-c", _BEGIN, str(theirs.fileno()), db, _ROOT]
            try:
                self._process = subprocess.Popen(  # noqa: S603  # our own code
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                raise SystemLimitError("process", error) from error
            self._connection = Connection(os.dup(ours.fileno()))
        if not self._connection.poll(START_S):
            self.kill()
            raise timed_out(START_S)

    def asked(self, question: SqlQuestion) -> SqlAnswer | Exception:
        """What it answers, or the exception that this ended in. Raises QueryRefusedError."""
        try:
            self._connection.recv()  # that it is ready
            self._connection.send(question)
            if not self._connection.poll(question.limit_s + GRACE_S):
                raise timed_out(question.limit_s)
            answer: SqlAnswer | Exception = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            raise QueryRefusedError("The query took more than the process that ran it.") from error
        return answer

    def kill(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.wait()
