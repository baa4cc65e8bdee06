"""The summary tables as files.

Owns which tables go where and that a file is whole or absent; `analysis.formats` owns what
is in it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.exceptions import NoTrialsError, UnknownChoiceError
from analysis.folded import load_folded
from analysis.formats import FORMATS, Format
from analysis.readings import Readings
from analysis.tables import SUMMARIES, Table


def export(
    url: str,
    out_dir: str | os.PathLike[str],
    *,
    sweep: str | None = None,
    formats: Sequence[str] = ("csv",),
    raw: bool = False,
) -> list[Path]:
    """The files written: each table of `SUMMARIES` in each format, in that order.

    Makes ``out_dir`` where it is missing and replaces files of the same names, each in one
    step, so that a reader never sees half of one. A table with nothing to tell is a file
    with its header alone.

    Args:
        url: the database.
        out_dir: the folder for the files.
        sweep: the sweep's name; None for all, which every table tells apart.
        formats: names of `analysis.formats.FORMATS`.
        raw: leave text in CSV as it is even where a spreadsheet would run it as a formula.

    Raises:
        UnknownChoiceError: a format that does not exist.
        MissingLibraryError: a format whose library is not installed.
        NoTrialsError: nothing was recorded yet.
        AnalysisError: anything that `load_trials` raises.
    """
    chosen = [_format(name) for name in dict.fromkeys(formats)]
    if load_folded(url, sweep, columns=["sweep"]).empty:
        raise NoTrialsError("The database" if sweep is None else f"The sweep {sweep!r}")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    readings = Readings(url, sweep, [table.needs for table in SUMMARIES.values()])
    for table in SUMMARIES.values():
        rows = table.make(readings.of(table.needs, table.only))
        written += [_write(rows, table, choice, folder, raw) for choice in chosen]
    return written


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise UnknownChoiceError("format", name, tuple(FORMATS))
    return FORMATS[name]


def _write(rows: pd.DataFrame, table: Table, choice: Format, folder: Path, raw: bool) -> Path:
    """Write a neighbour of the file and rename it over: the rename is the atomic step."""
    path = folder / f"{table.name}{choice.suffix}"
    unfinished = folder / f".{path.name}.{os.getpid()}"
    try:
        choice.write(rows, table, unfinished, raw)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
