"""The exceptions this program raises on purpose, and the exit code each ends with.

    LeaksweepError
    ├── MisuseError              exit 2: what was asked cannot be done as it stands
    │   ├── SpecError            a grid file, preset or --set that does not hold together
    │   ├── UnknownNameError     a name that is not known; carries the nearest ones
    │   ├── SweepMismatchError   a sweep's name used for another grid
    │   ├── DatabaseError        a database that cannot be opened, read or written
    │   ├── SystemLimitError     a process or thread that the system refuses
    │   ├── ClusterError         a cluster that cannot be reached, was lost or cannot run trials
    │   └── QueryRefusedError    a query that would write, or that the database rejects
    ├── NotThereError            exit 1: the thing asked for is not there
    ├── WorkloadError            a workload that cannot be trained as it says; fails its trial
    └── LeakError                exit 1: watched parameters that moved; an AssertionError, too

Each message says what was needed, what came, what is valid and what to do.
Exceptions carry their data as attributes, so that a caller need not parse the
message.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXIT_NOT_THERE = 1
EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130


class LeaksweepError(Exception):
    """The root of everything that this program raises on purpose."""

    exit_code = EXIT_MISUSE


class MisuseError(LeaksweepError):
    """What was asked for cannot be done as it stands; nothing was changed."""


class SpecError(MisuseError):
    """A spec that does not hold together.

    Attributes:
        where: the file, preset or option that was wrong, as the user knows it.
        key: the dotted key inside it, empty when the whole is wrong.
    """

    def __init__(self, message: str, *, where: str, key: str = "") -> None:
        place = f"{where}, {key}" if key else where
        super().__init__(f"{place}: {message}")
        self.where = where
        self.key = key
        self.message = message


class UnknownNameError(MisuseError):
    """A name that is not known.

    Attributes:
        kind: what was looked for, such as ``"optimizer"``.
        name: what came.
        nearest: the closest valid names, best first.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str], *, hint: str = "") -> None:
        candidates = list(valid)
        self.kind = kind
        self.name = name
        self.nearest = nearest(name, candidates)
        message = f"Unknown {kind} {name!r}."
        if self.nearest:
            message += f" Did you mean {' or '.join(self.nearest)}?"
        elif len(candidates) <= 12:
            message += f" Valid: {', '.join(candidates)}."
        super().__init__(f"{message} {hint}".rstrip())


class SweepMismatchError(MisuseError):
    """The name of a recorded sweep, used with a grid that does not contain the recorded one."""

    def __init__(self, name: str, difference: str) -> None:
        super().__init__(
            f"The database has a sweep named {name!r} with another grid: {difference}. "
            f"A grid that contains the old one would extend it. "
            f"Give this one a name of its own with --name, or use another --db."
        )
        self.name = name
        self.difference = difference


class DatabaseError(MisuseError):
    """A database that cannot be opened, read or written.

    Attributes:
        url: its URL with the password left out.
    """

    def __init__(self, message: str, *, url: str) -> None:
        super().__init__(message)
        self.url = url


class ClusterError(MisuseError):
    """A cluster that cannot be reached, was lost on the way, or cannot run trials.

    What was finished before is kept.
    """


class SystemLimitError(MisuseError):
    """A process or thread that the system refuses; ``why`` is what it said.

    What was finished before is kept.
    """

    def __init__(self, what: str, why: object) -> None:
        super().__init__(
            f"No {what} could be started: {why}. What was finished is recorded, and the same "
            f"command goes on from there. Lower --jobs, or raise what limits processes, threads "
            f"or memory (`ulimit -a`)."
        )


class QueryRefusedError(MisuseError):
    """A query that would write, or that the database rejects."""


class NotThereError(LeaksweepError):
    """The thing asked for is not there."""

    exit_code = EXIT_NOT_THERE


class WorkloadError(LeaksweepError):
    """A workload that cannot be trained as it says; the trial is recorded as failed."""


class LeakError(LeaksweepError, AssertionError):
    """Watched parameters that moved though they were to keep still; what tests fail with.

    Attributes:
        parameters: their names, in the order in which they first leaked.
    """

    exit_code = EXIT_NOT_THERE

    def __init__(self, message: str, *, parameters: tuple[str, ...]) -> None:
        super().__init__(message)
        self.parameters = parameters


LONGEST_ERROR = 2000
"""Characters of a stranger's error that are kept."""


def error_text(error: BaseException, *, longest: int = LONGEST_ERROR) -> str:
    """The type and message of ``error``, whatever its ``str`` does, cut at ``longest``.

    >>> error_text(KeyError("lr"))
    "KeyError: 'lr'"
    """
    name = type(error).__name__
    try:
        text = f"{name}: {error}".rstrip(": ")
    except Exception:  # noqa: BLE001  # a stranger's __str__ may raise anything
        return name
    return text if len(text) <= longest else f"{text[:longest]}..."


def nearest(name: str, valid: Iterable[str], *, most: int = 2) -> list[str]:
    """The valid names closest to ``name``, best first, at most ``most``; case is ignored.

    A name with the same letters in another order is nearest of all.

    >>> nearest("Adma", ["Adamax", "Adam", "SGD"])
    ['Adam', 'Adamax']
    """
    by_lower = {candidate.lower(): candidate for candidate in valid}
    wanted = name.lower()
    close = difflib.get_close_matches(wanted, by_lower, n=most + 1, cutoff=0.6)
    close.sort(key=lambda match: sorted(match) != sorted(wanted))
    return [by_lower[match] for match in close[:most]]
