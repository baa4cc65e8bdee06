"""An Optuna storage, a journal in a file or tables in a database, by Optuna's public classes.

Optuna writes a journal entry by entry and waits each time until it is on the disk; here a
journal's new trials are held and appended at once, which takes a tenth of the time and adds all
of them or none. Tables are written as Optuna does it, trial by trial.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import DatabaseError, LeaksweepError, NotThereError
from sweep.searching.study import quiet_optuna
from sweep.store.engine import READS_ONLY, writing_engine
from sweep.store.failures import database_error
from sweep.store.url import DatabaseUrl, parse_url, without_password

JOURNALS = (".log", ".journal")
"""How the name of a journal ends that is not there yet."""
_TABLES = ("studies", "trials", "trial_params", "trial_values", "trial_user_attributes")
"""Tables that each SQL storage has."""


@dataclass(frozen=True, slots=True)
class OptunaStorage:
    """Where studies are.

    Attributes:
        shown: the path, or the URL without its password.
        storage: what Optuna reads and writes it by.
        journal: the journal's file; None for a database.
    """

    shown: str
    storage: BaseStorage
    journal: Path | None

    @contextmanager
    def adding(self) -> Iterator[BaseStorage]:
        """What trials are added by; those of a journal are appended on leaving, all or none."""
        if self.journal is None:
            yield self.storage
        else:
            held = _HeldJournal(self.journal)
            yield JournalStorage(held)
            held.append()


class _HeldJournal(BaseJournalBackend):
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
        if not self._before:
            for entry in self._file.read_logs(0):
                self._before += 1
                yield entry
        yield from self._held[max(0, log_number_from - self._before) :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
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


@contextmanager
def opened_storage(given: str, *, create: bool = False) -> Iterator[OptunaStorage]:
    """The storage at the path or URL, to be read; to be written where ``create`` makes it.

    Raises NotThereError for one that is not there, and DatabaseError, having changed nothing,
    for a URL of another kind and for what is no storage. Whatever Optuna raises inside comes out
    as DatabaseError, too: a storage can be of anybody's making.
    """
    journal = _journal(given)
    url = None if journal else parse_url(given)
    shown = str(journal) if url is None else url.shown
    opened = _tables(url, create) if url else _read_journal(Path(shown), create)
    with _explained(shown, url), quiet_optuna(), opened as storage:
        yield OptunaStorage(shown, storage, journal)


def _journal(given: str) -> Path | None:
    """The file of a journal, by its first byte or, where there is none, by its name."""
    if "://" in given or "\0" in given:
        return None
    path = Path(given.strip())
    if path.is_file():
        with path.open("rb") as file:
            first = file.read(1)
        if first:
            return path if first == b"{" else None
    return path if path.suffix in JOURNALS and not path.is_dir() else None


@contextmanager
def _read_journal(path: Path, create: bool) -> Iterator[BaseStorage]:
    if not path.exists() and not create:
        raise NotThereError(f"There is no Optuna storage at {path}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if create and path.exists():
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            if file.read() not in (b"", b"\n"):
                raise DatabaseError(
                    f"{path} ends in the middle of an entry, as after a full disk; what is added "
                    f"to it could not be read. Take off its last line, or name another --storage.",
                    url=str(path),
                )
    yield JournalStorage(JournalFileBackend(str(path)))


@contextmanager
def _tables(url: DatabaseUrl, create: bool) -> Iterator[BaseStorage]:
    if url.path is not None and not url.path.exists():
        if not create:
            raise NotThereError(f"There is no Optuna storage at {url.shown}.")
        url.path.parent.mkdir(parents=True, exist_ok=True)
    _check_tables(url, create)
    text = url.text.replace("{", "{{").replace("}", "}}")  # Optuna formats it
    if url.path is not None and not create:
        text = f"sqlite:///file:{url.path.absolute().as_uri()[7:]}?mode=ro&uri=true"
    storage = RDBStorage(text, skip_table_creation=not create)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _check_tables(url: DatabaseUrl, create: bool) -> None:
    """Raises DatabaseError for another program's database, NotThereError for an empty one.

    Views in the place of tables are another's, too: one could be endless.
    """
    engine = writing_engine(url)
    try:
        with engine.execution_options(**{READS_ONLY: True}).connect() as connection:
            tables = inspect(connection).get_table_names()
    finally:
        engine.dispose()
    if set(_TABLES) <= set(tables) or (not tables and create):
        return
    if not tables:
        raise NotThereError(f"There is no Optuna storage at {url.shown}: it is empty.")
    raise DatabaseError(
        f"{url.shown} is no Optuna storage: it has other tables, such as {tables[0]!r}. Name "
        f"another with --storage.",
        url=url.shown,
    )


@contextmanager
def _explained(shown: str, url: DatabaseUrl | None) -> Iterator[None]:
    """Turns what is raised over the storage into a DatabaseError."""
    try:
        yield
    except LeaksweepError:
        raise
    except Exception as error:
        cause = error.__cause__ if isinstance(error.__cause__, SQLAlchemyError) else error
        if url is not None and isinstance(cause, SQLAlchemyError | OSError):
            raise database_error(url, "use", cause) from error
        words = without_password(" ".join(str(error).split()))[:300]
        raise DatabaseError(
            f"Optuna cannot use {shown}: {type(error).__name__}: {words}", url=shown
        ) from error
