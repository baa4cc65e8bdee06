"""What the report says of each sweep, gathered from the database as plain values.

Owns the choice and the order; `analysis.report.page` and its template own the markup. No
text is escaped here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NoTrialsError, SweepMissingError
from analysis.figures import Figure, draw, of_trials
from analysis.figures.phrases import counted
from analysis.folded import Readings
from analysis.report.run_facts import Fact, Repeat, grid_facts, repeat, run_facts
from analysis.report.table_view import TableView, table_view
from analysis.runs import load_runs
from analysis.schema import CAUSE_FLAGS, COUNT, SETTING_KEYS, SweepKind, in_order
from analysis.sweeps import SweepRecord, load_sweeps
from analysis.tables import SUMMARIES

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
"""The page's own font, in which the figures' texts are measured, too."""


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
        optimizers: those of its trials, for the filter.
        verdicts: each verdict with its number of trials.
        headline: how many trials leak, and what moves their layers, in sentences.
        run: what was run, where, and how far it got.
        grid: each axis with the values that were run.
        rules: the findings in words, those of most optimizers first.
        figures: what could be drawn.
        left_out: the figures that could not, each with the reason.
        tables: the summary tables.
        repeat: the commands that run the sweep again.
    """

    name: str
    optimizers: tuple[str, ...]
    verdicts: tuple[tuple[str, int], ...]
    headline: tuple[str, ...]
    run: tuple[Fact, ...]
    grid: tuple[Fact, ...]
    rules: tuple[RuleView, ...]
    figures: tuple[FigureView, ...]
    left_out: tuple[str, ...]
    tables: tuple[TableView, ...]
    repeat: Repeat


def sections(url: str, sweep: str | None = None) -> list[Section]:
    """A section for the sweep, or for each sweep that has trials, oldest first.

    Raises NoTrialsError where there is none, and what `analysis.load.load_trials` raises.
    """
    records = load_sweeps(url)
    wanted = [record for record in records if sweep in (None, record.name)]
    if sweep is not None and not wanted:
        raise SweepMissingError(sweep, [record.name for record in records])
    runs = [(record, load_runs(url, record.name)) for record in wanted]
    made = [_section(url, record, ran) for record, ran in runs if len(ran)]
    if not made:
        raise NoTrialsError("The database" if sweep is None else f"The sweep {sweep!r}")
    return made


@dataclass(frozen=True, slots=True)
class _Words:
    """What the words of a section are made from."""

    needs: tuple[str, ...] = ("sweep", *SETTING_KEYS, "seed", "verdict", *CAUSE_FLAGS)
    only: None = None
    kinds: frozenset[SweepKind] = frozenset(SweepKind)


def _section(url: str, record: SweepRecord, runs: pd.DataFrame) -> Section:
    readings = Readings(url, record.name, [_Words(), *SUMMARIES.values(), *of_trials()])
    frame = readings.of(_Words())
    counts = frame.groupby("verdict", observed=False)[COUNT].sum()
    tables = {name: t.make(readings.of(t)) for name, t in SUMMARIES.items()}
    drawn = list(draw(url, record.name, readings))
    return Section(
        name=record.name,
        optimizers=tuple(in_order("optimizer", frame["optimizer"].unique())),
        verdicts=tuple((w, int(counts.get(w, 0))) for w in ("leaks", "holds", "inert", "failed")),
        headline=tuple(headline(frame)),
        run=run_facts(record, frame, runs),
        grid=grid_facts(frame),
        rules=tuple(_rules(tables["rules"])),
        figures=tuple(_figure(one.figure, one.chart) for one in drawn if one.chart is not None),
        left_out=tuple(f"{d.figure.name}: {d.reason}." for d in drawn if d.chart is None),
        tables=tuple(table_view(SUMMARIES[name], rows) for name, rows in tables.items()),
        repeat=repeat(record),
    )


def headline(frame: pd.DataFrame) -> list[str]:
    """The sentences that a reader in a hurry needs: how many leak, and what moves them."""
    number = frame.groupby("verdict", observed=False)[COUNT].sum()
    leaks = frame[frame["verdict"] == "leaks"]
    conclusive = int(number.get("leaks", 0) + number.get("holds", 0))
    if not conclusive:
        return ["No trial leaks or holds: nothing can be said."]
    told = f"{number.get('leaks', 0):,} of {counted(conclusive, 'trial')} leak."
    return [told, *_cause_sentences(leaks)]


_SAID = {
    "by_history": "the optimizer's history",
    "by_decay": "weight decay",
    "by_gradient": "a gradient",
    "by_intrinsic": "the optimizer's own term",
    "despite_none": "the step itself, though the grad is None,",
}


def _cause_sentences(leaks: pd.DataFrame) -> list[str]:
    counts = {
        cause: int(leaks.loc[leaks[cause].fillna(False).astype(bool), COUNT].sum())
        for cause in CAUSE_FLAGS
    }
    ranked = sorted((c for c in CAUSE_FLAGS if counts[c]), key=lambda cause: -counts[cause])
    if not ranked:
        return []
    parts = [f"{_SAID[cause]} in {counts[cause]:,}" for cause in ranked]
    return [f"What moves the layer, alone, at the first leak: {'; '.join(parts)}."]


def _rules(rules: pd.DataFrame) -> list[RuleView]:
    """The rules, each once with all its optimizers; those of most optimizers first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rules.itertuples():
        remark = "" if row.exact else f"wrong about {row.exceptions:,} of {row.trials:,} trials"
        groups.setdefault((str(row.rule), remark), []).append(str(row.optimizer))
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), len(item[0][0])))
    return [
        RuleView(tuple(in_order("optimizer", names)), rule, remark)
        for (rule, remark), names in ranked
    ]


def _figure(figure: Figure, chart: alt.TopLevelMixin) -> FigureView:
    """The figure without its title, background and margins, which are the page's."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    heading = spec.pop("title")
    title, subtitle = " ".join(heading["text"]), " ".join(heading["subtitle"])
    spec["description"] = f"{title}. {figure.caption}"
    spec["config"] = {**spec["config"], "background": "transparent", "padding": 2, "font": FONT}
    return FigureView(figure.name, title, subtitle, figure.caption, spec)


def all_optimizers(made: Sequence[Section]) -> list[str]:
    """The optimizers of all sections, in order."""
    return in_order("optimizer", [name for section in made for name in section.optimizers])
