"""Which optimizers leak, by how gradients are cleared and how and when the layer is frozen."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.schema import CLEARINGS, FREEZES, USUAL_FREEZES, in_order
from analysis.tables.rates import rates

MOST_APART = 30  # with more optimizers, those with the same rates share a row
MOST_COLUMNS = 3  # panels side by side

_WORD = {"none": "set to None", "zero": "zeroed", "never": "never cleared"}
_COUNTS = ("trials", "leaks", "inert", "failed")


def leak_rate_heatmap(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Leak rate by optimizer (rows) and zero_grad (columns), a panel for each way of freezing.

    Panels are told apart by schedule and freeze; ways of freezing with the same rates in every
    cell share one, and so do, where there are more than `MOST_APART`, optimizers a row. Raises
    NothingToDrawError where no trial leaks or holds.
    """
    cells = rates(frame, ["optimizer", "zero_grad", "schedule", "freeze"])
    if not cells["trials"].sum():
        raise NothingToDrawError("no trial leaks or holds")
    cells = cells.assign(row=_shared_rows(cells), panel=_shared_panels(cells))
    return look.titled(
        _panels(cells), _title(cells), f"Percent of trials that leak{_remarks(cells)}"
    )


def _title(cells: pd.DataFrame) -> str:
    """What the rates say of a layer frozen as people freeze one, without a full stop.

    Of the other ways of freezing where the sweep has none of those: a way that writes zeros
    into the grad would be blamed on how gradients are cleared.
    """
    ways = in_order("freeze", cells["freeze"])
    asked = [way for way in ways if way in USUAL_FREEZES] or ways
    cells = cells[cells["freeze"].isin(asked)]
    said = _said(cells)
    if asked != ways:
        return f"Frozen by {look.joined(asked, 'or')}: {said}"
    return said[0].upper() + said[1:]


def _said(cells: pd.DataFrame) -> str:
    trials = cells.groupby(["optimizer", "zero_grad"])[["trials", "leaks"]].sum().reset_index()
    trials = trials[trials["trials"] > 0]
    leaking = {
        word: in_order("optimizer", own.loc[own["leaks"] > 0, "optimizer"])
        for word, own in trials.groupby("zero_grad")
    }
    words = [word for word in CLEARINGS if word in leaking]
    if not any(leaking.values()):
        return "no optimizer leaks"
    with_none = leaking.get("none", [])
    if "none" in leaking and len(with_none) <= look.MOST_IN_TITLE and len(words) > 1:
        who = look.joined(with_none) if with_none else "no optimizer"
        verb = "leak" if len(with_none) > 1 else "leaks"
        return f"with grads set to None, {'only ' if with_none else ''}{who} {verb}"
    parts = [
        f"{len(leaking[word])} of {(trials['zero_grad'] == word).sum()} with grads {_WORD[word]}"
        for word in words
    ]
    return f"optimizers that leak in some trial: {', '.join(parts)}"


def _shared_rows(cells: pd.DataFrame) -> pd.Series:
    """The name of the row that each cell's optimizer is drawn in."""
    optimizers = in_order("optimizer", cells["optimizer"])
    if len(optimizers) <= MOST_APART:
        return cells["optimizer"]
    groups: dict[object, list[str]] = {}
    for name, own in cells.groupby("optimizer"):
        groups.setdefault(_pattern(own, ["zero_grad", "schedule", "freeze"]), []).append(str(name))
    names: dict[str, str] = {}
    for group in groups.values():
        first = in_order("optimizer", group)[0]
        others = look.counted(len(group) - 1, "other")
        names |= dict.fromkeys(group, first if len(group) == 1 else f"{first} and {others}")
    return cells["optimizer"].map(names)


def _shared_panels(cells: pd.DataFrame) -> pd.Series:
    """The name of the panel that each cell is drawn in: its schedules and its ways of freezing.

    What has the same rates in every cell shares one; a line that names all there are is left out.
    """
    ways: dict[tuple[Any, object], list[Any]] = {}
    for (schedule, way), own in cells.groupby(["schedule", "freeze"]):
        ways.setdefault((schedule, _pattern(own, ["optimizer", "zero_grad"])), []).append(way)
    groups: dict[tuple[tuple[str, ...], object], list[str]] = {}
    for (schedule, pattern), alike in ways.items():
        groups.setdefault((tuple(alike), pattern), []).append(schedule)
    names: dict[tuple[str, str], str] = {}
    for (freezes, _), schedules in groups.items():
        lines = [
            word
            for axis, group in (("schedule", schedules), ("freeze", freezes))
            for word in in_order(axis, group)
            if len(group) < cells[axis].nunique()
        ]
        names |= {(schedule, way): "\n".join(lines) for schedule in schedules for way in freezes}
    pairs = zip(cells["schedule"], cells["freeze"], strict=True)
    return pd.Series([names[pair] for pair in pairs], cells.index)


def _pattern(cells: pd.DataFrame, axes: list[str]) -> frozenset[tuple[object, ...]]:
    """The rates of cells with what tells them apart."""
    return frozenset(
        zip(*(cells[name] for name in axes), cells["leak_rate"].fillna(-1), strict=True)
    )


def _remarks(cells: pd.DataFrame) -> str:
    """What the percents are over, what shares a row, and what a dash is, where there are such."""
    pooled = {axis for axes in cells["pools"].dropna() for axis in axes.split(", ")}
    said = f", over {look.joined([a for a in ('lr', 'momentum', 'weight_decay') if a in pooled])}"
    notes = said if pooled else ""
    if (cells["row"] != cells["optimizer"]).any():
        rows = f"share one of {cells['row'].nunique()} rows"
        notes += f". {cells['optimizer'].nunique()} optimizers: those with the same rates {rows};"
        notes += " the table results names them"
    notes += ". A dash: none leaks or holds" if (cells["trials"] == 0).any() else ""
    tried = cells.groupby(["row", "zero_grad", "panel"]).ngroups
    whole = cells["row"].nunique() * cells["zero_grad"].nunique() * cells["panel"].nunique()
    return notes + (". No cell: not run" if tried < whole else "")


def _panels(cells: pd.DataFrame) -> Any:
    words = in_order("zero_grad", cells["zero_grad"])
    panels = list(dict.fromkeys(cells.sort_values("panel", key=_placed)["panel"]))
    columns = min(len(panels), MOST_COLUMNS)
    step = min(44, 306 // (columns * len(words)))
    data = look.inline(cells[["row", "optimizer", "zero_grad", "panel", *_COUNTS]])
    base = alt.Chart().encode(
        x=alt.X("zero_grad:N", sort=words, title="zero_grad", axis=look.BARE_AXIS),
        y=alt.Y("row:N", sort=_by_rate(cells), title=None, axis=look.BARE_AXIS),
    )
    shown = {"row": "optimizer", "zero_grad": "zero_grad", "panel": "frozen"}
    shown |= {name: name for name in (*_COUNTS, "optimizers")}
    cell = look.rate_cells(base, look.LEAK_RAMP, "percent:N", look.tips(**shown))
    panel = alt.layer(*cell, width=alt.Step(step), height=alt.Step(19))
    lines = alt.Header(title=None, labelExpr="split(datum.label, '\\n')")
    facet = alt.Facet("panel:N", sort=panels, header=lines)
    chart = panel.facet(facet, data=data, columns=columns, spacing=10)
    alike = alt.AggregatedFieldDef(op="distinct", field="optimizer", **{"as": "optimizers"})
    return (
        look.summed(chart, _COUNTS, ["row", "zero_grad", "panel"], optimizers=alike)
        .transform_calculate(rate="datum.trials > 0 ? datum.leaks / datum.trials : null")
        .transform_calculate(percent=look.RATE_TEXT)
    )


def _placed(panels: pd.Series) -> pd.Series:
    """The place of each panel: by its first schedule, then by its first way of freezing."""
    lines = panels.str.split("\n")
    schedules = in_order("schedule", (line for line in lines.explode() if line not in FREEZES))
    order = [*schedules, *FREEZES]
    return lines.map(lambda own: [order.index(line) for line in own])


def _by_rate(cells: pd.DataFrame) -> list[str]:
    """The rows from the highest leak rate to the lowest."""
    counts = cells.groupby("row")[["leaks", "trials"]].sum()
    rate = counts["leaks"] / counts["trials"].clip(lower=1)
    return list(rate.sort_values(ascending=False, kind="stable").index)
