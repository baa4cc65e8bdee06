"""The summary tables as files.

Owns which tables go where, and that a file is whole or absent: whoever reads one sees the old
one or the new, never a half. `analysis.formats` owns what is in it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from analysis.exceptions import NoTrialsError, UnknownChoiceError
from analysis.folded import Readings, load_folded
from analysis.formats import FileFormat, written
from analysis.tables import SUMMARIES

MOST_READ = 60
"""Of a table in a format for readers; a longer one is for programs."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """What became of one table in one format: its file, or the reason why there is none."""

    path: Path
    reason: str = ""


def export_tables(
    database: str,
    out_dir: str | os.PathLike[str],
    *,
    sweep: str | None = None,
    formats: Sequence[str] = ("csv",),
    raw: bool = False,
    every: bool = False,
) -> list[TableFile]:
    """Each table of `SUMMARIES` in each format, in that order, written or left out.

    Makes ``out_dir`` where it is missing and replaces files of the same names, each in one
    step, so that a reader never sees half of one. Unless ``every``, a table without rows is
    left out, and so is, in a format for readers, one of more than `MOST_READ` rows; a file
    of its name that is there from before is then removed.

    Args:
        database: a file's path or a URL.
        out_dir: the folder for the files.
        sweep: the sweep's name; None for all, which every table tells apart.
        formats: values of `analysis.formats.FileFormat`.
        raw: leave text in CSV as it is even where a spreadsheet would run it as a formula.
        every: write empty and long tables, too.

    Raises:
        UnknownChoiceError: a format that does not exist.
        MissingLibraryError: a format whose library is not installed.
        NoTrialsError: nothing was recorded yet.
        AnalysisError: anything that `load_trials` raises.
    """
    for name in formats:
        if name not in tuple(FileFormat):
            raise UnknownChoiceError("format", name, tuple(FileFormat))
    chosen = [FileFormat(name) for name in dict.fromkeys(formats)]
    if load_folded(database, sweep, columns=["sweep"]).empty:
        raise NoTrialsError("The database" if sweep is None else f"The sweep {sweep!r}")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    files: list[TableFile] = []
    readings = Readings(database, sweep, SUMMARIES.values())
    for summary in SUMMARIES.values():
        rows = summary.make(readings.of(summary))
        for choice in chosen:
            path = folder / f"{summary.name}{choice.suffix}"
            reason = "" if every else _left_out(len(rows), choice)
            files.append(TableFile(path, reason))
            if reason:
                path.unlink(missing_ok=True)
                continue
            content = written(rows, summary.name, summary.caption, choice, raw=raw)
            with whole_file(path) as unfinished:
                unfinished.write_bytes(content)
    return files


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The path of a file to write, beside ``path``, which takes its place in one step.

    Where writing raises, ``path`` is as it was and nothing is left behind. The name of what is
    being written is short, as a system takes no name longer than the longest that it has.
    """
    unfinished = path.with_name(f".{uuid.uuid4().hex[:12]}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _left_out(rows: int, choice: FileFormat) -> str:
    if not rows:
        return "it has no rows"
    if choice.is_for_readers and rows > MOST_READ:
        return f"its {rows:,} rows are too many to read"
    return ""
