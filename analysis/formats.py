"""How a summary table becomes a file: CSV, Markdown, LaTeX, Parquet.

`FORMATS` is the one list of them, which export and the command line read. CSV and Parquet
are for programs and keep every bit; Markdown and LaTeX are for pasting into a text, so
numbers are rounded to three significant digits and rates are given as percent.
"""

from __future__ import annotations

import csv
import importlib.util
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd

from analysis.exceptions import MissingLibraryError
from analysis.formulas import defused
from analysis.schema import CLEARINGS
from analysis.tables import Table

_RATES = frozenset({"leak_rate", *CLEARINGS})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


@dataclass(frozen=True, slots=True)
class Format:
    """One file format: its name, its suffix, and the writer of a frame to a path.

    The writer is given the frame, what table it is, the file, and whether text is to be
    left raw (which only CSV minds).
    """

    name: str
    suffix: str
    write: Callable[[pd.DataFrame, Table, Path, bool], None]


def write_csv(rows: pd.DataFrame, table: Table, path: Path, raw: bool) -> None:
    """Write UTF-8 CSV: floats with every digit they need to be read back exactly, null empty.

    Text that a spreadsheet would run as a formula gets a ``'`` before it, unless ``raw``.
    """
    safe = rows if raw else _without_formulas(rows)
    # The csv module leaves a lone carriage return unquoted, which would end the row.
    lone = any(safe[name].str.contains("\r", regex=False).any() for name in _texts(safe))
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if lone else csv.QUOTE_MINIMAL
    safe.to_csv(path, index=False, encoding="utf-8", lineterminator="\n", quoting=quoting)


def write_markdown(rows: pd.DataFrame, table: Table, path: Path, raw: bool) -> None:
    """Write a Markdown table under its caption, rounded and escaped."""
    right = ["---:" if pd.api.types.is_numeric_dtype(kind) else "---" for kind in rows.dtypes]
    lines = [[_markdown(name) for name in rows.columns], right]
    lines += [[_markdown(cell) for cell in row] for row in _rounded(rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    path.write_text(f"**{_markdown(table.caption)}**\n\n{body}\n", encoding="utf-8")


def write_latex(rows: pd.DataFrame, table: Table, path: Path, raw: bool) -> None:
    r"""Write a LaTeX table for ``\usepackage{booktabs}``, rounded and escaped."""
    numeric = [pd.api.types.is_numeric_dtype(kind) for kind in rows.dtypes]
    head = " & ".join(_latex(name) for name in rows.columns)
    body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in _rounded(rows)]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{''.join('r' if right else 'l' for right in numeric)}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_parquet(rows: pd.DataFrame, table: Table, path: Path, raw: bool) -> None:
    """Write Parquet with the frame's types; raises MissingLibraryError without pyarrow."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingLibraryError("Writing Parquet", "pyarrow", "leaksweep[parquet]")
    rows.to_parquet(path, engine="pyarrow", index=False)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        choice.name: choice
        for choice in (
            Format("csv", ".csv", write_csv),
            Format("markdown", ".md", write_markdown),
            Format("latex", ".tex", write_latex),
            Format("parquet", ".parquet", write_parquet),
        )
    }
)
"""Every format by the name that ``--format`` takes."""


def _without_formulas(rows: pd.DataFrame) -> pd.DataFrame:
    safe = {name: rows[name].map(defused, na_action="ignore") for name in _texts(rows)}
    return rows.assign(**safe)


def _texts(rows: pd.DataFrame) -> list[str]:
    """The columns of text; every table's are of pandas' string type."""
    return [name for name in rows.columns if pd.api.types.is_string_dtype(rows[name].dtype)]


def _rounded(rows: pd.DataFrame) -> list[list[str]]:
    """Every cell as a reader wants it, row by row."""
    columns = [[shown(str(name), value) for value in rows[name]] for name in rows.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def shown(name: str, value: Any) -> str:
    """A cell of column ``name`` as a reader wants it: rounded, rates as percent, null empty."""
    if pd.isna(value):
        return ""
    if name in _RATES and isinstance(value, float):
        return f"{percent(value)}%"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.3g}"
    return _CONTROL.sub(" ", str(value))


def percent(rate: float) -> str:
    """A rate in [0, 1] as percent without decimals; 0 and 100 are kept for the exact values.

    >>> percent(0.5), percent(0.999), percent(0.001), percent(1.0)
    ('50', '>99', '<1', '100')
    """
    rounded = round(100 * rate)
    if rounded == 0 and rate > 0:
        return "<1"
    if rounded == 100 and rate < 1:
        return ">99"
    return str(rounded)


def _markdown(text: str) -> str:
    escaped = re.sub(r"[\\`*\[\]|]|\b_|_\b", r"\\\g<0>", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)
