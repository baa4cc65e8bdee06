"""How far the layer moves on frozen steps against how far it trains, by what moves it."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.formats import percent
from analysis.schema import SETTING_KEYS
from analysis.tables.cause_counts import cause_sets

FEWEST = 30  # settings whose shares make a curve; fewer are points in a row for each set
MOST_PANELS = 6  # sets of causes with a panel of their own; the rarer ones share the last
_RATIO = "drift_ratio: frozen / attached"
_SHOWN = ("optimizer", "lr", "weight_decay", "momentum", "zero_grad", "schedule", "freeze")


def drift_ratio_by_cause(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """For each set of causes, the share of leaking settings up to each drift_ratio.

    A setting's ratio is the median over its leaking seeds. A log axis has no place for 0 or
    infinity, and where the layer never trained there is none: such settings are counted in
    words. Raises NothingToDrawError where no setting has a place.
    """
    settings = _settings(frame)
    placed = settings[(settings["ratio"] > 0) & (settings["ratio"] < math.inf)]
    if placed.empty:
        raise NothingToDrawError("no leaking setting has a finite drift_ratio above 0")
    few = len(placed) < FEWEST
    chart = _rows(placed) if few else _panels(placed)
    what = "A point" if few else "Each step up"
    subtitle = f"{what} is one leaking setting, its seeds folded{_left_out(settings)}"
    return look.titled(chart, _title(placed), subtitle)


def _title(placed: pd.DataFrame) -> str:
    """In how many settings of this sweep the layer moves farther frozen than trained."""
    farther = int((placed["ratio"] > 1).sum())
    return (
        f"In {farther:,} of this sweep's {look.counted(len(placed), 'leaking setting')} "
        f"({percent(farther / len(placed))}%) the layer moves farther while frozen than while it "
        f"trains"
    )


def _settings(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a setting with a leaking trial: its axes, median drift_ratio, and causes."""
    leaks = frame[frame["verdict"] == "leaks"]
    leaks = leaks.assign(causes=cause_sets(leaks))
    groups = leaks.groupby(["sweep", *SETTING_KEYS], observed=True, dropna=False)
    # The seeds of a setting nearly always agree on the causes; where not, the setting has them all.
    sets = groups["causes"].unique().map(lambda found: " / ".join(sorted(found)))
    return pd.DataFrame({"ratio": groups["drift_ratio"].median(), "causes": sets}).reset_index()


def _left_out(settings: pd.DataFrame) -> str:
    """What the picture does not show, in words."""
    untrained = int(settings["ratio"].isna().sum())
    infinite = int((settings["ratio"] == math.inf).sum())
    notes = [f"{untrained:,} whose layer never trained not shown"] if untrained else []
    notes += [f"{infinite:,} that diverged not shown"] if infinite else []
    return "".join(f"; {note}" for note in notes)


def _rows(placed: pd.DataFrame) -> Any:
    """A point for each setting, in a row for its set of causes."""
    x = alt.X("ratio:Q", title=_RATIO, **look.log_axis(placed["ratio"]))
    y = alt.Y("causes:N", title=None, axis=alt.Axis(labelLimit=160, grid=True))
    points = look.chosen(placed[[*_SHOWN, "ratio", "causes"]]).encode(x=x, y=y)
    shown = alt.layer(look.dashed(x=1.0), _marked(points, 40))
    return shown.properties(width=240, height=alt.Step(22))


def _panels(placed: pd.DataFrame) -> Any:
    """The share of settings up to each ratio, in a panel for each set of causes."""
    rows = placed.assign(causes=look.frequent(placed["causes"], MOST_PANELS))
    x = alt.X("ratio:Q", title=_RATIO, **look.log_axis(rows["ratio"]))
    y = alt.Y("share:Q", title="share of settings", axis=alt.Axis(format="%", tickCount=3))
    base = alt.Chart().encode(x=x, y=y)
    steps = base.mark_line(interpolate="step-after", color=look.HUES[0], strokeWidth=1.5)
    panel = alt.layer(look.dashed(x=1.0), steps, _marked(base, 14))
    panel = panel.properties(width=155 if rows["causes"].nunique() > 1 else 320, height=90)
    shown = rows[[*_SHOWN, "ratio", "causes"]]
    first: list[Any] = [alt.SortField("ratio", order="ascending")]
    return look.faceted(panel, "causes", shown, last=(look.OTHERS,), spacing=12).transform_window(
        share="cume_dist()", sort=first, groupby=["causes"]
    )


def _marked(base: Any, size: int) -> Any:
    """A point a setting, that says which."""
    shown = look.tips(*_SHOWN, "ratio")
    return base.mark_point(filled=True, color=look.HUES[0], size=size, opacity=0.6).encode(
        tooltip=shown
    )
