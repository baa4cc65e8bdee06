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
from typing import TYPE_CHECKING

from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from sweep.errors import DatabaseError, LeaksweepError, NotThereError
from sweep.searching.study import quiet_optuna
from sweep.store.engine import READS_ONLY, writing_engine
from sweep.store.failures import database_error
from sweep.store.url import DatabaseUrl, parse_url, without_password

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

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
            return
        from optuna.storages import JournalStorage

        from sweep.publishing.held_journal import HeldJournal

        held = HeldJournal(self.journal)
        yield JournalStorage(held)
        held.append()


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
    with _explained(shown, url), quiet_optuna():
        if url is not None:
            with _tables(url, create) as storage:
                yield OptunaStorage(shown, storage, None)
            return
        yield OptunaStorage(shown, _read_journal(Path(shown), create), Path(shown))


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


def _read_journal(path: Path, create: bool) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if not path.exists() and not create:
        raise NotThereError(f"There is no Optuna storage at {path}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    if create and path.exists() and not _ends_with_an_entry(path):
        raise DatabaseError(
            f"{path} ends in the middle of an entry, as after a full disk; what is added to it "
            f"could not be read. Take off its last line, or name another --storage.",
            url=str(path),
        )
    return JournalStorage(JournalFileBackend(str(path)))


def _ends_with_an_entry(path: Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read() in (b"", b"\n")


@contextmanager
def _tables(url: DatabaseUrl, create: bool) -> Iterator[BaseStorage]:
    from optuna.storages import RDBStorage

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
