"""An Optuna journal in a file whose new entries are held in memory until they are appended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileBackend


class HeldJournal(BaseJournalBackend):
    """The journal as it was when it was first read, and what was added to it here since.

    What others append meanwhile is not seen, and stays: trials are numbered by their order in
    the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = JournalFileBackend(str(path))
        self._before = 0  # entries that were read from the file
        self._held: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """The entries from that number on."""
        if not self._before:
            for entry in self._file.read_logs(0):
                self._before += 1
                yield entry
        yield from self._held[max(0, log_number_from - self._before) :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Holds ``logs``."""
        self._held += logs

    def append(self) -> None:
        """Appends what is held to the file, in one piece and under Optuna's own lock.

        Where that fails, as on a full disk, the file is as long as it was: with half an entry at
        its end, nobody could add to it any more.
        """
        if not self._held:  # of nothing Optuna makes an empty line, which it cannot read
            return
        size = self._path.stat().st_size
        try:
            self._file.append_logs(self._held)
        except BaseException:
            os.truncate(self._path, size)
            raise
        self._held = []
