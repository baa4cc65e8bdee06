"""The figures: each a function of a tidy frame that gives a chart, and the list of them.

`FIGURES` is the one place that names them. Export, report and gallery read it; a new figure
is a function and a row here. A figure shows one sweep. Its title states what its data say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError, UnknownChoiceError
from analysis.figures.axis_changes import leak_rate_by_axis
from analysis.figures.cost_by_drift import cost_by_drift
from analysis.figures.drift_ratios import drift_ratio_by_cause
from analysis.figures.heatmap import leak_rate_heatmap
from analysis.figures.remedy_matrix import remedies_matrix
from analysis.figures.trace import article_trace
from analysis.folded import Readings, Reads
from analysis.load import load_steps
from analysis.schema import SETTING_AXES, SETTING_KEYS, SweepKind
from analysis.tables.cause_counts import CAUSED
from analysis.tables.cost_pairs import COSTED
from analysis.tables.rates import MEASURED


@dataclass(frozen=True, slots=True)
class Figure(Reads):
    """One figure, made from the columns ``needs`` of its frame.

    Attributes:
        name: its name, and that of its files.
        make: the chart, from a frame of one sweep; raises NothingToDrawError.
        caption: what is drawn and how to read it, in a sentence or two.
        of_steps: whether the frame has a row a step, not a trial.
    """

    name: str
    make: Callable[[pd.DataFrame], alt.TopLevelMixin]
    caption: str
    of_steps: bool = False
    kinds: frozenset[SweepKind] = field(default=frozenset({SweepKind.GRID}), kw_only=True)

    def chart(
        self, database: str, sweep: str, readings: Readings | None = None
    ) -> alt.TopLevelMixin:
        """The chart of one sweep, of its ``readings`` where there are some already.

        Raises NothingToDrawError where the trials have nothing that it shows, and what
        `analysis.load.load_trials` raises.
        """
        if self.of_steps:
            return self.make(load_steps(database, sweep))
        return self.make((readings or Readings(database, sweep, [])).of(self))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure's chart, or the reason why there is none."""

    figure: Figure
    chart: alt.TopLevelMixin | None
    reason: str = ""


_ALL = (
    Figure(
        "leak_rate_heatmap",
        leak_rate_heatmap,
        "Percent of trials in which the frozen layer moved, by optimizer and by how gradients "
        "are cleared, for each schedule and way of freezing.",
        needs=("sweep", "sweep_kind", *SETTING_AXES, *MEASURED),
    ),
    Figure(
        "leak_rate_by_axis",
        leak_rate_by_axis,
        "For each change of one axis, the leak rate before it (hollow) and after it (filled), "
        "over pairs of settings that agree in everything else. The title's percents are of the "
        "variance of whether a setting leaks, as the table importance has them.",
        needs=("sweep", "sweep_kind", *SETTING_AXES, "verdict", "drift_ratio"),
    ),
    Figure(
        "drift_ratio_by_cause",
        drift_ratio_by_cause,
        "The share of leaking settings up to each drift_ratio, by what moves the layer at the "
        "first leak. At the dashed line it moves as far on frozen steps as on attached ones.",
        needs=("sweep", *SETTING_KEYS, "verdict", "drift_ratio", *CAUSED),
    ),
    Figure(
        "remedies_matrix",
        remedies_matrix,
        "Percent of leaks that a remedy stops, and how many of how many. A remedy changes one "
        "axis of a leaking trial; all remedies of a panel are tried on leaks of a layer frozen "
        "as the panel says. No cell where it was not tried.",
        needs=("sweep", *SETTING_KEYS, "seed", "verdict", *CAUSED),
    ),
    Figure(
        "cost_by_drift",
        cost_by_drift,
        "What leaks cost, each leaking setting beside its remedied twin, against how far they move "
        "the layer, by what moves it. The dashed line is no change of score.",
        needs=COSTED,
        only="scored",
    ),
    Figure(
        "article_trace",
        article_trace,
        "The loss before each step, and the largest change of any element of the layer by it. "
        "Triangles are steps on which the layer was frozen; on the strip below, it did not move.",
        needs=(
            *("id", "sweep", *SETTING_AXES, "seed"),
            *("step", "frozen", "loss", "moved", "max_change"),
        ),
        of_steps=True,
    ),
)

FIGURES: Mapping[str, Figure] = MappingProxyType({figure.name: figure for figure in _ALL})
"""Every figure by name, in the order of the report."""


def draw(database: str, sweep: str, readings: Readings | None = None) -> Iterator[Drawn]:
    """Each figure of `FIGURES` drawn from one sweep, or why it has nothing to draw.

    ``readings`` are the sweep's where there are some already. Raises what
    `analysis.load.load_trials` raises.
    """
    readings = readings or Readings(database, sweep, of_trials())
    for figure in FIGURES.values():
        try:
            yield Drawn(figure, figure.chart(database, sweep, readings))
        except NothingToDrawError as nothing:
            yield Drawn(figure, None, str(nothing))


def figure_of(name: str, database: str, sweep: str) -> alt.TopLevelMixin:
    """The chart of the figure ``name`` of one sweep; raises as `Figure.chart` does.

    Raises UnknownChoiceError for a name that no figure has.
    """
    if name not in FIGURES:
        raise UnknownChoiceError("figure", name, tuple(FIGURES))
    return FIGURES[name].chart(database, sweep)


def of_trials() -> list[Figure]:
    """The figures that are drawn from trials."""
    return [figure for figure in FIGURES.values() if not figure.of_steps]
