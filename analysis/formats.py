"""How a table is written: CSV, JSON, Markdown, LaTeX, Parquet. The one list of formats.

CSV, JSON and Parquet are for programs and keep every bit. Markdown and LaTeX are for pasting
into a text, as is the report: a `ReadersTable`, in which what is the same in every row stands
once, in the caption, numbers have three significant digits and rates are percent.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Any, Literal

import pandas as pd

from analysis.exceptions import MissingLibraryError
from analysis.formulas import defused


class FileFormat(StrEnum):
    """A format that tables are written in; its value is what ``--format`` takes."""

    CSV = "csv"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"
    PARQUET = "parquet"

    @property
    def suffix(self) -> str:
        """What its files end with."""
        return {"markdown": ".md", "latex": ".tex"}.get(self.value, f".{self.value}")

    @property
    def is_for_readers(self) -> bool:
        """Whether it is for people: rounded, and only as long as one reads."""
        return self in (FileFormat.MARKDOWN, FileFormat.LATEX)


MOST_LETTERS = 36  # of a cell in LaTeX; a column with longer ones is a paragraph
MOST_LISTED = 3  # of a list in a cell, before the rest are only counted
_RATES = frozenset({"leak_rate", "none", "zero", "never", "main_effect", "total_effect"})
_KEPT = frozenset({"optimizers", "none", "zero", "never", "causes", "remedy"})
"""What a table is about, whether or not it is the same in every row."""
_DIGITS = {"lr": 6, "weight_decay": 6, "momentum": 6, "to": 6, "below": 9, "above": 9}
"""What tells rows apart has more of them than what was measured, which has three."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    '"': "''",
    "|": r"\textbar{}",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


@dataclass(frozen=True, slots=True)
class ReadersTable:
    """A table as a reader wants it.

    Attributes:
        name: its name.
        caption: what it shows, and after that what is the same in every row.
        columns: the heads of the columns that are left.
        numeric: for each of them, whether it holds numbers.
        rows: the cells as text, rounded; null is empty.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]


def for_readers(rows: pd.DataFrame, name: str, caption: str) -> ReadersTable:
    """``rows`` rounded, without columns that are empty or the same in each of several rows.

    The sweep is a column only where there are several.
    """
    same = [column for column in rows.columns if _is_same(rows[column])]
    told = [
        f"{column} {readable(column, rows[column].iloc[0])}"
        for column in same
        if rows[column].notna().all() and column != "sweep"
    ]
    kept = rows.drop(columns=same)
    columns = tuple(map(str, kept.columns))
    numeric = set(kept.select_dtypes("number"))
    cells = [[readable(column, value) for value in kept[column]] for column in columns]
    return ReadersTable(
        name=name,
        caption=f"{caption} In every row: {', '.join(told)}." if told else caption,
        columns=columns,
        numeric=tuple(column in numeric for column in columns),
        rows=tuple(zip(*cells, strict=True)),
    )


def csv_text(rows: pd.DataFrame, *, raw: bool = False) -> str:
    """CSV: floats with every digit they need to be read back exactly, null empty.

    Text that a spreadsheet would run as a formula gets a ``'`` before it, unless ``raw``.
    """
    texts = [name for name in rows.columns if pd.api.types.is_string_dtype(rows[name].dtype)]
    # The csv module leaves a lone carriage return unquoted, which would end the row.
    lone = any(rows[name].str.contains("\r", regex=False).any() for name in texts)
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if lone else csv.QUOTE_MINIMAL
    if not raw:
        rows = rows.assign(**{name: rows[name].map(defused, na_action="ignore") for name in texts})
    return str(rows.to_csv(index=False, lineterminator="\n", quoting=quoting))


def json_text(rows: pd.DataFrame) -> str:
    """An array with an object a row, a row a line; JSON has no infinity, which becomes text."""
    lines = [
        json.dumps({name: _jsonable(value) for name, value in record.items()})
        for record in rows.astype(object).to_dict("records")
    ]
    return "[" + ",".join(f"\n  {line}" for line in lines) + ("\n]\n" if lines else "]\n")


def markdown_text(table: ReadersTable) -> str:
    """A Markdown table under its caption."""
    right = ["---:" if numeric else "---" for numeric in table.numeric]
    lines = [[_markdown(name) for name in table.columns], right]
    lines += [[_markdown(cell) for cell in row] for row in table.rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{_markdown(table.caption)}**\n\n{body}\n"


def html_text(table: ReadersTable) -> str:
    """An HTML table under its caption, for a notebook: no scripts, no styles but alignment."""
    sides = ["right" if numeric else "left" for numeric in table.numeric]

    def line(tag: str, cells: Sequence[str]) -> str:
        pairs = zip(cells, sides, strict=True)
        row = (f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>' for cell, side in pairs)
        return f"<tr>{''.join(row)}</tr>"

    body = "\n".join(line("td", row) for row in table.rows)
    head = f"<thead>{line('th', table.columns)}</thead>"
    return f"<p>{escape(table.caption)}</p>\n<table>{head}<tbody>\n{body}\n</tbody></table>"


def latex_text(table: ReadersTable) -> str:
    r"""A LaTeX table, for a preamble with ``\usepackage{booktabs,graphicx}``.

    One that is wider than the text is made as wide as that.
    """
    longest = [max(map(len, cells)) for cells in zip(table.columns, *table.rows, strict=True)]
    wide = sum(length > MOST_LETTERS for length in longest)
    kinds = [
        f"p{{{0.55 / wide:.2f}\\linewidth}}" if length > MOST_LETTERS else "r" if numeric else "l"
        for length, numeric in zip(longest, table.numeric, strict=True)
    ]
    body = [" & ".join(_latex(cell) for cell in row) + r" \\" for row in table.rows]
    lines = [
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{_latex(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        " & ".join(_latex(name) for name in table.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def parquet_bytes(rows: pd.DataFrame) -> bytes:
    """Parquet with the frame's types. Raises MissingLibraryError without pyarrow."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingLibraryError("Writing Parquet", "pyarrow", "leaksweep[parquet]")
    file = io.BytesIO()
    rows.to_parquet(file, engine="pyarrow", index=False)
    return file.getvalue()


def written(
    rows: pd.DataFrame, name: str, caption: str, choice: FileFormat, *, raw: bool = False
) -> bytes:
    """The table as the content of a file; text is UTF-8. ``raw`` is as `csv_text` has it."""
    if choice is FileFormat.PARQUET:
        return parquet_bytes(rows)
    if choice is FileFormat.CSV:
        return csv_text(rows, raw=raw).encode()
    if choice is FileFormat.JSON:
        return json_text(rows).encode()
    make = latex_text if choice is FileFormat.LATEX else markdown_text
    return make(for_readers(rows, name, caption)).encode()


def readable(name: str, value: Any) -> str:
    """A cell of column ``name`` as a reader wants it: rounded, rates as percent, null empty."""
    if pd.isna(value):
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return f"{percent(value)}%" if name in _RATES else f"{value:.{_DIGITS.get(name, 3)}g}"
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
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


def first_few(texts: Sequence[str]) -> str | None:
    """The first few of ``texts``, the others counted; None for none.

    >>> first_few(["a", "b"]), first_few(["a", "b", "c", "d", "e"])
    ('a; b', 'a; b; c; and 2 more')
    """
    more = len(texts) - MOST_LISTED
    return "; ".join([*texts[:MOST_LISTED], *([f"and {more} more"] if more > 0 else [])]) or None


def assigned(pairs: Iterable[tuple[Hashable, Any]]) -> str:
    """Each axis with its value, but those that are null.

    >>> assigned([("lr", 0.1), ("momentum", None), ("freeze", "detach")])
    'lr=0.1 freeze=detach'
    """
    return " ".join(
        f"{axis}={value:.12g}" if isinstance(value, float) else f"{axis}={value}"
        for axis, value in pairs
        if not pd.isna(value)
    )


def _is_same(column: pd.Series) -> bool:
    """Whether a column says nothing of a row: empty, or the same in each of several rows."""
    several = (len(column) > 1 or column.name == "sweep") and column.nunique(dropna=False) == 1
    kept = column.name in _KEPT and column.notna().any()
    return bool(not kept and (several or (len(column) and column.isna().all())))


def _jsonable(value: Any) -> Any:
    if pd.isna(value):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.item() if hasattr(value, "item") else value


def _markdown(text: str) -> str:
    escaped = re.sub(r"[\\`*\[\]|]|\b_|_\b", r"\\\g<0>", text)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _latex(text: str) -> str:
    """``text`` with nothing that LaTeX takes for its own; what its fonts may lack is a ``?``."""
    known = (sign if sign.isascii() or "À" <= sign <= "ÿ" else "?" for sign in text)
    return "".join(_LATEX.get(sign, sign) for sign in known)
