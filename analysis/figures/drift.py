"""How far the layer drifts on frozen steps, beside how far it trains on attached ones."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures.look import FAINT, HUES, IS_CHOSEN, SHAPES, finished, inline
from analysis.figures.phrases import counted
from analysis.schema import AXES, CAUSES, SETTING

NEEDS = ("sweep", *SETTING, "verdict", "total_drift", "attached_motion", *CAUSES)
MOST_POINTS = 2_000  # settings; what a reader can tell apart ends far below
MOST_MIXTURES = len(HUES) - 1  # colours left for sets of causes beside the one for the rest

_NAMES = {cause: cause.removeprefix("by_").replace("_", " ") for cause in CAUSES}
_OTHER = "another mixture"
_MEASURES = ("attached_motion", "total_drift")
_UNIT = "sum of L2 norms"
_POWER = (  # 1e+8 is shorter than its zeros
    "datum.value > 1e4 || datum.value < 1e-3"
    " ? format(datum.value, '.0e') : format(datum.value, '~g')"
)
_LOG: dict[str, Any] = {
    "scale": alt.Scale(type="log", nice=False, padding=10),
    "axis": alt.Axis(labelExpr=_POWER, tickCount=6, labelOverlap="greedy"),
}


def drift_against_motion(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """Drift against attached motion on log axes, a point for each leaking setting.

    A point is the median over seeds; both are in the parameter's own units, summed over
    steps. A log axis has no place for 0 or infinity: such settings are counted in words.
    Raises NothingToDrawError where no setting has a place.
    """
    settings = _settings(frame)
    finite, moving = _placed(settings)
    drawn = settings[finite & moving]
    if drawn.empty:
        raise NothingToDrawError("no leaking setting has a finite drift and motion above 0")
    ratio = float((drawn["total_drift"] / drawn["attached_motion"]).median())
    points = drawn.iloc[:: -(-len(drawn) // MOST_POINTS)]
    count = counted(len(drawn), "leaking setting")
    subtitle = f"{count}, seeds folded{_left_out(settings, points)}"
    return finished(_layers(points), title(ratio), subtitle)


def title(ratio: float) -> str:
    """The finding: how far the median leaking setting drifts, against its attached motion."""
    return f"A typical leak moves the layer {ratio:.2f} times as far as training does"


def _settings(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a setting with a leaking trial: its axes, median measures, causes and trials."""
    leaks = frame[frame["verdict"] == "leaks"]
    keys = ["sweep", *SETTING]
    groups = leaks.groupby(keys, observed=True, dropna=False)
    rows = groups[list(_MEASURES)].median()
    found = groups[list(CAUSES)].max().fillna(False).astype(bool)
    rows["causes"] = [_mixture(flags) for flags in found.itertuples(index=False)]
    rows["leaks"] = groups.size()
    return rows.reset_index()


def _placed(settings: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Whether each setting's measures are finite, and whether they are above 0."""
    drift, motion = settings["total_drift"], settings["attached_motion"]
    finite = (drift < math.inf) & (motion < math.inf)  # null is not
    return finite, (drift > 0) & (motion > 0)


def _mixture(flags: tuple[bool, ...]) -> str:
    names = [_NAMES[cause] for cause, found in zip(CAUSES, flags, strict=True) if found]
    return " + ".join(names) or "unattributed"


def _left_out(settings: pd.DataFrame, points: pd.DataFrame) -> str:
    """What the picture does not show, in words."""
    still = int((settings["attached_motion"] == 0).sum())
    infinite = int((~_placed(settings)[0]).sum())
    drawable = len(settings) - still - infinite
    notes = [f"{len(points):,} of them drawn"] if len(points) < drawable else []
    notes += [f"{still:,} with no attached motion not shown"] if still else []
    notes += [f"{infinite:,} that diverged not shown"] if infinite else []
    return "".join(f"; {note}" for note in notes)


def _layers(points: pd.DataFrame) -> Any:
    counts = points["causes"].value_counts()
    words = [str(word) for word in counts.index[:MOST_MIXTURES]]
    points = points.assign(causes=points["causes"].where(points["causes"].isin(words), _OTHER))
    words += [_OTHER] if len(counts) > MOST_MIXTURES else []
    legend = alt.Legend(title="causes at the first leak", columns=2, labelLimit=240)
    named: dict[str, Any] = {"sort": words, "legend": legend}
    colours = alt.Scale(domain=words, range=list(HUES[: len(words)]))
    shapes = alt.Scale(domain=words, range=list(SHAPES[: len(words)]))
    marks = (
        alt.Chart(inline(points[[*AXES, *_MEASURES, "causes", "leaks"]]))
        .transform_filter(IS_CHOSEN)
        .mark_point(filled=True, opacity=0.7, size=36)
        .encode(
            x=alt.X("attached_motion:Q", title=f"attached motion, {_UNIT}", **_LOG),
            y=alt.Y("total_drift:Q", title=f"drift on frozen steps, {_UNIT}", **_LOG),
            color=alt.Color("causes:N", scale=colours, **named),
            shape=alt.Shape("causes:N", scale=shapes, **named),
            tooltip=_tooltip(),
        )
    )
    return alt.layer(_as_far(points), marks).properties(width=340, height=250)


def _tooltip() -> list[alt.Tooltip]:
    axes = [alt.Tooltip(name, type="nominal") for name in (*AXES, "causes", "leaks")]
    return axes + [alt.Tooltip(name, type="quantitative", format=".3g") for name in _MEASURES]


def _as_far(points: pd.DataFrame) -> Any:
    """The line on which the layer drifts exactly as far as it trains."""
    ends = [points[list(_MEASURES)].min().max(), points[list(_MEASURES)].max().min()]
    line = pd.DataFrame(dict.fromkeys(_MEASURES, ends))
    dashed = alt.Chart(inline(line)).mark_line(color=FAINT, strokeDash=[4, 3], strokeWidth=1)
    return dashed.encode(x="attached_motion:Q", y="total_drift:Q")
