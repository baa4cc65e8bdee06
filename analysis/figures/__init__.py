"""The figures: each a function of a tidy frame that gives a chart, and the list of them.

`FIGURES` is the one place that names them. Export, report and gallery read it; a new figure
is a function and a row here. A figure shows one sweep. Its title states what its data say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import axis_effects, drift, heatmap, remedy_matrix, trace
from analysis.readings import Readings
from analysis.sweeps import load_steps


class Rows(Enum):
    """What a figure's frame has a row for."""

    TRIALS = "trials"
    STEPS = "steps"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Attributes:
        name: its name, and that of its files.
        make: the chart, from a frame of one sweep; raises NothingToDrawError.
        rows: what the frame has a row for.
        needs: the columns of the frame that it reads.
        caption: what is drawn and how to read it, in a sentence or two.
    """

    name: str
    make: Callable[[pd.DataFrame], alt.TopLevelMixin]
    rows: Rows
    needs: tuple[str, ...]
    caption: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure's chart, or the reason why there is none."""

    figure: Figure
    chart: alt.TopLevelMixin | None
    reason: str = ""


_ALL = (
    Figure(
        "leak_rate_heatmap",
        heatmap.leak_rate_heatmap,
        Rows.TRIALS,
        heatmap.NEEDS,
        "Percent of trials in which the frozen layer moved, by optimizer and by how gradients "
        "are cleared. A dash is where no trial proves anything.",
    ),
    Figure(
        "leak_rate_by_axis",
        axis_effects.leak_rate_by_axis,
        Rows.TRIALS,
        axis_effects.NEEDS,
        "Leak rate by each value of each axis that varies, over all other axes.",
    ),
    Figure(
        "drift_against_motion",
        drift.drift_against_motion,
        Rows.TRIALS,
        drift.NEEDS,
        "One point a leaking setting. On the dashed line, the layer moves as far on the steps "
        "on which it is frozen as on those on which it is not.",
    ),
    Figure(
        "remedies_matrix",
        remedy_matrix.remedies_matrix,
        Rows.TRIALS,
        remedy_matrix.NEEDS,
        "Percent of leaks that a remedy stops, and how many of how many. A remedy changes one "
        "axis of a leaking setting, as its row says; no cell where it was not tried.",
    ),
    Figure(
        "article_trace",
        trace.article_trace,
        Rows.STEPS,
        trace.NEEDS,
        "The loss before each step, and the largest change of any element of the layer by it. "
        "Triangles are steps on which the layer was frozen; on the dashed line it did not move.",
    ),
)

FIGURES: Mapping[str, Figure] = MappingProxyType({figure.name: figure for figure in _ALL})
"""Every figure by name, in the order of the report."""


TRIAL_NEEDS = tuple(figure.needs for figure in _ALL if figure.rows is Rows.TRIALS)
"""The columns that each figure about trials reads."""


def draw(url: str, sweep: str, readings: Readings | None = None) -> Iterator[Drawn]:
    """Each figure of `FIGURES` drawn from one sweep, or why it has nothing to draw.

    ``readings`` are the sweep's where there are some already. Raises what
    `analysis.load.load_trials` raises.
    """
    readings = readings or Readings(url, sweep, TRIAL_NEEDS)
    steps = load_steps(url, sweep)
    for figure in FIGURES.values():
        frame = steps if figure.rows is Rows.STEPS else readings.of(figure.needs)
        try:
            yield Drawn(figure, figure.make(frame))
        except NothingToDrawError as nothing:
            yield Drawn(figure, None, str(nothing))
