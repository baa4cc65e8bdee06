"""What the report says of each sweep, gathered from the database as plain values.

What a sweep is decides what is said of it: a grid has rules and rates, a search its worst
settings, its front or its edges, a watch a row a parameter. Owns the choice and the order;
`analysis.report.page` and its template own the markup. No text is escaped here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError, NoTrialsError, SweepMissingError
from analysis.figures import Figure, draw, of_trials
from analysis.figures.look import counted, joined
from analysis.figures.pareto import DrawnObjective, pareto_front
from analysis.figures.verdict_edges import edge_figure
from analysis.folded import Readings, Reads
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
from analysis.report.table_view import TableView, table_view
from analysis.schema import COUNT, SETTING_AXES, VERDICTS, SweepKind, in_order
from analysis.tables import SUMMARIES, WATCHED_TABLE

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
"""The page's own font, in which the figures' texts are measured, too."""
MOST_WORST = 10  # settings of a search


@dataclass(frozen=True, slots=True)
class FigureView:
    """A figure: its words, and its Vega-Lite spec without them."""

    name: str
    title: str
    subtitle: str
    caption: str
    spec: dict[str, Any]


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


_OF_THE_SWEEP = Reads(needs=("sweep", *SETTING_AXES, "workload", "steps", "seed", "verdict"))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the parts of a section are taken from."""

    database: str
    record: SweepRecord
    readings: Readings
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """The summary table of that name, made once."""
        if name not in self.tables:
            self.tables[name] = SUMMARIES[name].make(self.readings.of(SUMMARIES[name]))
        return self.tables[name]

    def views(self, *but: str) -> list[TableView]:
        """All summary tables but some."""
        every = (summary for summary in SUMMARIES.values() if summary.name not in but)
        return [table_view(s.name, s.caption, self.table(s.name)) for s in every]


def _section(database: str, record: SweepRecord) -> Section | None:
    runs = load_runs(database, record.name)
    if runs.empty:
        return None
    wants: list[Reads] = [*SUMMARIES.values(), *of_trials()]
    source = _Source(database, record, Readings(database, record.name, wants))
    frame = source.readings.of(_OF_THE_SWEEP)
    numbers = frame.groupby("verdict", observed=True)[COUNT].sum()
    recorded = int(numbers.sum())
    told = f"{recorded:,} of {record.planned:,} trials are recorded, and what follows is of those."
    shared = {
        "optimizers": tuple(in_order("optimizer", frame["optimizer"].unique())),
        "verdicts": tuple((word, int(numbers[word])) for word in VERDICTS if word in numbers),
        "unfinished": f"Not complete: {told}" if recorded < record.planned else "",
        "facts": (*run_facts(record, frame, runs), *grid_facts(frame)),
    }
    return Section(record.name, record.kind, **(shared | _PARTS[record.kind](source)))


def _of_grid(source: _Source) -> dict[str, Any]:
    """Rules and the heat map first, then what every trial did, then all else."""
    drawn = list(draw(source.database, source.record.name, source.readings))
    views = [_figure(each.figure, each.chart) for each in drawn if each.chart is not None]
    rules = source.table("rules")
    return {
        "lead": () if len(rules) else ("No trial leaks or holds: nothing can be said.",),
        "rules": tuple(_rules(rules)),
        "answer": next((view for view in views if view.name == "leak_rate_heatmap"), None),
        "figures": tuple(view for view in views if view.name != "leak_rate_heatmap"),
        "left_out": tuple(f"{d.figure.name}: {d.reason}." for d in drawn if d.chart is None),
        "tables": tuple(source.views()),
        "repeat": repeat(source.record),
    }


def _of_search(source: _Source) -> dict[str, Any]:
    """The edges of a verdict, or the worst settings and the front."""
    trials = load_trials(source.database, source.record.name)
    searched = source.record.read["search"]
    parts = _of_edges if "edge" in searched else _of_objectives
    found = parts(trials, searched)
    rest = source.views("by_setting")  # a row a trial
    return found | {
        "rules": tuple(_rules(source.table("rules"))),
        "tables": (*found["tables"], *rest),
        "repeat": repeat(source.record),
    }


_SCORE_CHANGE_IS = (
    "score_change is a trial's score, less that of the trial that differs in freeze = grad_none "
    "alone; it is 0 for one that holds."
)


def _of_objectives(trials: pd.DataFrame, searched: Mapping[str, Any]) -> dict[str, Any]:
    names = [CHANGE_OF_SCORE if name == "score" else name for name in searched["objectives"]]
    trials = with_change_of_score(trials)
    wanted = joined([f"the {'smallest' if n in SMALLER else 'largest'} {n}" for n in names])
    ranked, front = worst_first(trials, names), pareto(trials, names)
    columns = [*names, *SETTING_AXES, "seed", "verdict", "causes", "id"]
    told = f"Settings were proposed by {searched['sampler']}, which looked for {wanted}."
    if CHANGE_OF_SCORE in names:
        told += f" {_SCORE_CHANGE_IS}"
    tables = [("worst", f"The settings with {wanted.split(' and ')[0]}.", ranked.head(MOST_WORST))]
    answer = None
    if len(names) > 1:
        tables.insert(
            0, ("front", f"No trial of the search beats these in {joined(names)}.", front)
        )
        kinds = pd.Series("searched", trials.index).mask(trials["id"].isin(front["id"]), "front")
        y, x = (DrawnObjective(name, name not in SMALLER) for name in names[:2])
        points = trials.loc[ranked.index].assign(kind=kinds)
        answer = _drawn("front", lambda: pareto_front(points, x, y))
    return {
        "lead": (told,),
        "answer": answer,
        "tables": tuple(table_view(name, said, rows[columns]) for name, said, rows in tables),
    }


def _of_edges(trials: pd.DataFrame, searched: Mapping[str, Any]) -> dict[str, Any]:
    axis, _, ends = str(searched["edge"]).partition("=")
    found = edges(trials, axis)
    points = trials.assign(value=trials[axis], drift=trials["total_drift"])
    said = f"Where along {axis} the verdict changes, all else equal."
    return {
        "lead": (f"Along {axis}, the verdict changes in {counted(len(found), 'place')}.",),
        "answer": _drawn("edges", lambda: edge_figure(points, found, axis, log="log" in ends)),
        "tables": (table_view("edges", said, found.drop(columns="drift")),),
    }


def _of_watch(source: _Source) -> dict[str, Any]:
    """A row a parameter, and nothing that only a grid can say."""
    rows = WATCHED_TABLE.table(source.database, source.record.name)
    moved = int((rows["moved"] > 0).sum())
    told = f"{moved:,} of {counted(len(rows), 'parameter')} moved on a step to keep still on."
    view = table_view(WATCHED_TABLE.name, WATCHED_TABLE.caption, rows)
    return {"lead": (told,), "tables": (view,), "verdicts": ()}


_PARTS: Mapping[SweepKind, Callable[[_Source], dict[str, Any]]] = {
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


def _drawn(name: str, make: Callable[[], alt.TopLevelMixin]) -> FigureView | None:
    try:
        return _view(name, "", make())
    except NothingToDrawError:
        return None


def _figure(figure: Figure, chart: alt.TopLevelMixin) -> FigureView:
    return _view(figure.name, figure.caption, chart)


def _view(name: str, caption: str, chart: alt.TopLevelMixin) -> FigureView:
    """The figure without its title, background and margins, which are the page's."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    heading = spec.pop("title")
    title, subtitle = " ".join(heading["text"]), " ".join(heading["subtitle"])
    spec["description"] = f"{title}. {caption}"
    spec["config"] = {**spec["config"], "background": "transparent", "padding": 2, "font": FONT}
    return FigureView(name, title, subtitle, caption, spec)


def all_optimizers(made: Sequence[Section]) -> list[str]:
    """The optimizers of all sections, in order."""
    return in_order("optimizer", [name for section in made for name in section.optimizers])
