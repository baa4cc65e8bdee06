"""What the report says of each sweep, gathered from the database as plain values.

What a sweep is decides what is said of it: a grid has rules and rates, a search its worst
settings, its front or its edges, a watch a row a parameter. Owns the choice and the order;
`analysis.report.page` and its template own the markup. No text is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError, NoTrialsError, SweepMissingError
from analysis.figures import draw, of_trials
from analysis.figures.look import counted, joined
from analysis.figures.pareto import pareto_front
from analysis.figures.verdict_edges import edge_figure
from analysis.folded import Readings, load_folded
from analysis.formats import ReadersTable, csv_text, for_readers
from analysis.found import (
    CHANGE_OF_SCORE,
    SMALLER,
    edges,
    pareto,
    with_change_of_score,
    worst_first,
)
from analysis.load import SweepRecord, load_runs, load_sweeps, load_trials
from analysis.report.run_facts import Fact, Repeat, grid_facts, repeat, run_facts
from analysis.schema import COUNT, SETTING_AXES, VERDICTS, SweepKind, as_words, in_order
from analysis.tables import SUMMARIES, WATCHED_TABLE, Summary

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
"""The page's own font, in which the figures' texts are measured, too."""
MOST_WORST = 10  # settings of a search
_TOLD = ("sweep", *SETTING_AXES, "workload", "steps", "seed", "verdict")
_SAFE_IN_URI = ",;:/()=+*'!~@$"


@dataclass(frozen=True, slots=True)
class FigureView:
    """A figure: its words, and its Vega-Lite spec without them."""

    name: str
    title: str
    subtitle: str
    caption: str
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TableView:
    """One table of the page.

    Attributes:
        shown: its caption, heads and cells.
        optimizer: the place of the column with the optimizer, or with several joined by
            commas; None where there is none.
        csv: all columns and digits, as a ``data:`` URI.
    """

    shown: ReadersTable
    optimizer: int | None
    csv: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule in words, the optimizers it holds for, and what to know about its exactness."""

    optimizers: tuple[str, ...]
    rule: str
    remark: str


@dataclass(frozen=True, slots=True)
class Section:
    """Everything the report says of one sweep.

    Attributes:
        name: the sweep's name.
        kind: what it is.
        optimizers: those of its trials, for the filter.
        verdicts: each verdict with its number of trials, or of parameters.
        unfinished: what is not recorded yet, in a sentence; empty where all is.
        lead: what comes before all else, in sentences.
        rules: the findings in words, those of most optimizers first.
        answer: the figure beside them.
        figures: what else could be drawn.
        left_out: the figures that could not, each with the reason.
        tables: the tables, those that come first open.
        facts: what was run, where, and how far it got; each axis with its values.
        repeat: the commands that run it again; None where that cannot be.
    """

    name: str
    kind: SweepKind
    optimizers: tuple[str, ...] = ()
    verdicts: tuple[tuple[str, int], ...] = ()
    unfinished: str = ""
    lead: tuple[str, ...] = ()
    rules: tuple[RuleView, ...] = ()
    answer: FigureView | None = None
    figures: tuple[FigureView, ...] = ()
    left_out: tuple[str, ...] = ()
    tables: tuple[TableView, ...] = ()
    facts: tuple[Fact, ...] = ()
    repeat: Repeat | None = None


def sections(database: str, sweep: str | None = None) -> list[Section]:
    """A section for the sweep, or for each sweep that has trials, oldest first.

    Raises NoTrialsError where there is none, and what `analysis.load.load_trials` raises.
    """
    records = load_sweeps(database)
    wanted = [record for record in records if sweep in (None, record.name)]
    if sweep is not None and not wanted:
        raise SweepMissingError(sweep, [record.name for record in records])
    made = [_section(database, record) for record in wanted]
    if not any(made):
        raise NoTrialsError("The database" if sweep is None else f"The sweep {sweep!r}")
    return [section for section in made if section is not None]


def _section(database: str, record: SweepRecord) -> Section | None:
    runs = load_runs(database, record.name)
    if runs.empty:
        return None
    frame = load_folded(database, record.name, columns=_TOLD)
    numbers = frame.groupby("verdict", observed=True)[COUNT].sum()
    recorded = int(numbers.sum())
    told = f"{recorded:,} of {record.planned:,} trials are recorded, and what follows is of those."
    shared = {
        "optimizers": tuple(in_order("optimizer", frame["optimizer"].unique())),
        "verdicts": tuple((word, int(numbers[word])) for word in VERDICTS if word in numbers),
        "unfinished": f"Not complete: {told}" if recorded < record.planned else "",
        "facts": (*run_facts(record, frame, runs), *grid_facts(frame)),
    }
    return Section(record.name, record.kind, **(shared | _PARTS[record.kind](database, record)))


def _of_grid(database: str, record: SweepRecord) -> dict[str, Any]:
    """Rules and the heat map first, then what every trial did, then all else."""
    readings = Readings(database, record.name, [*SUMMARIES.values(), *of_trials()])
    drawn = list(draw(database, record.name, readings))
    views = [_figure(d.figure.name, d.figure.caption, d.chart) for d in drawn if d.chart]
    found = _summaries(readings, SUMMARIES)
    return found | {
        "lead": () if found["rules"] else ("No trial leaks or holds: nothing can be said.",),
        "answer": next((view for view in views if view.name == "leak_rate_heatmap"), None),
        "figures": tuple(view for view in views if view.name != "leak_rate_heatmap"),
        "left_out": tuple(f"{d.figure.name}: {d.reason}." for d in drawn if d.chart is None),
        "repeat": repeat(record),
    }


def _of_search(database: str, record: SweepRecord) -> dict[str, Any]:
    """The edges of a verdict, or the worst settings and the front; no table with a row a trial."""
    trials = load_trials(database, record.name)
    searched = record.read["search"]
    first = (_of_edges if "edge" in searched else _of_objectives)(trials, searched)
    kept = {name: each for name, each in SUMMARIES.items() if name != "by_setting"}
    rest = _summaries(Readings(database, record.name, kept.values()), kept)
    tables = (*first["tables"], *rest["tables"])
    return rest | first | {"tables": tables, "repeat": repeat(record)}


def _summaries(readings: Readings, wanted: Mapping[str, Summary]) -> dict[str, Any]:
    """The tables, and the rules in words."""
    made = {name: each.make(readings.of(each)) for name, each in wanted.items()}
    views = (table_view(name, wanted[name].caption, rows) for name, rows in made.items())
    return {"rules": tuple(_rules(made["rules"])), "tables": tuple(views)}


def _of_objectives(trials: pd.DataFrame, searched: Mapping[str, Any]) -> dict[str, Any]:
    names = [CHANGE_OF_SCORE if name == "score" else name for name in searched["objectives"]]
    trials = with_change_of_score(trials)
    wanted = joined([f"the {'smallest' if n in SMALLER else 'largest'} {n}" for n in names])
    ranked, front = worst_first(trials, names), pareto(trials, names)
    columns = [*names, *SETTING_AXES, "seed", "verdict", "causes", "id"]
    told = f"Settings were proposed by {searched['sampler']}, which looked for {wanted}."
    if CHANGE_OF_SCORE in names:
        told += (
            " score_change is a trial's score, less that of the trial that differs in freeze = "
            "grad_none alone; it is 0 for one that holds."
        )
    tables = [("worst", f"The settings with {wanted.split(' and ')[0]}.", ranked.head(MOST_WORST))]
    answer = None
    if len(names) > 1:
        tables.insert(
            0, ("front", f"No trial of the search beats these in {joined(names)}.", front)
        )
        kinds = pd.Series("searched", trials.index).mask(trials["id"].isin(front["id"]), "front")
        points = trials.loc[ranked.index].assign(kind=kinds)
        with suppress(NothingToDrawError):
            answer = _figure("front", "", pareto_front(points, x=names[1], y=names[0]))
    return {
        "lead": (told,),
        "answer": answer,
        "tables": tuple(table_view(name, said, rows[columns]) for name, said, rows in tables),
    }


def _of_edges(trials: pd.DataFrame, searched: Mapping[str, Any]) -> dict[str, Any]:
    axis, _, ends = str(searched["edge"]).partition("=")
    found = edges(trials, axis)
    said = f"Where along {axis} the verdict changes, all else equal."
    answer = None
    with suppress(NothingToDrawError):
        answer = _figure("edges", "", edge_figure(trials, found, axis, log="log" in ends))
    return {
        "lead": (f"Along {axis}, the verdict changes in {counted(len(found), 'place')}.",),
        "answer": answer,
        "tables": (table_view("edges", said, found.drop(columns="drift")),),
    }


def _of_watch(database: str, record: SweepRecord) -> dict[str, Any]:
    """A row a parameter, and nothing that only a grid can say."""
    rows = WATCHED_TABLE.table(database, record.name)
    moved = int((rows["moved"] > 0).sum())
    told = f"{moved:,} of {counted(len(rows), 'parameter')} moved on a step to keep still on."
    view = table_view(WATCHED_TABLE.name, WATCHED_TABLE.caption, rows)
    return {"lead": (told,), "tables": (view,), "verdicts": ()}


_PARTS: Mapping[SweepKind, Callable[[str, SweepRecord], dict[str, Any]]] = {
    SweepKind.GRID: _of_grid,
    SweepKind.SEARCH: _of_search,
    SweepKind.WATCH: _of_watch,
}
"""The one place where what a sweep is decides what is said of it."""


def _rules(rules: pd.DataFrame) -> Iterator[RuleView]:
    """The rules, each once with all its optimizers; those of most optimizers first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rules.itertuples():
        short = not str(row.rule).startswith("no short rule")
        wrong = f"wrong about {row.exceptions:,} of {row.trials:,} trials"
        remark = wrong if short and not row.exact else ""
        groups.setdefault((str(row.rule), remark), []).append(str(row.optimizer))
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), len(item[0][0])))
    for (rule, remark), names in ranked:
        yield RuleView(tuple(in_order("optimizer", names)), rule, remark)


def _figure(name: str, caption: str, chart: alt.TopLevelMixin) -> FigureView:
    """The figure without its title, background and margins, which are the page's."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    heading = spec.pop("title")
    title, subtitle = " ".join(heading["text"]), " ".join(heading["subtitle"])
    spec["description"] = f"{title}. {caption}"
    spec["config"] = {**spec["config"], "background": "transparent", "padding": 2, "font": FONT}
    return FigureView(name, title, subtitle, caption, spec)


def table_view(name: str, caption: str, rows: pd.DataFrame) -> TableView:
    """The table's rows for the report; see `TableView`."""
    rows = as_words(rows)
    shown = for_readers(rows, name, caption)
    places = [shown.columns.index(n) for n in ("optimizer", "optimizers") if n in shown.columns]
    uri = f"data:text/csv;charset=utf-8,{quote(csv_text(rows), safe=_SAFE_IN_URI)}"
    return TableView(shown, places[0] if places else None, uri)
