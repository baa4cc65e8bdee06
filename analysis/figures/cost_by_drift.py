"""What leaks cost against how far they move the layer, by what moves it."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.exceptions import NothingToDrawError
from analysis.figures import look
from analysis.tables.cost_pairs import cost

MOST_CAUSES = 5  # sets of causes with a panel of their own; the rarer ones share the last
_NEVER = "grads never cleared"
_DRIFT = "total_drift / frozen_norm"
_CHANGE = "change of score"
_FINDINGS = ("worse", "better", "no difference shown")
_TOLD = (
    *("optimizer", "lr", "weight_decay", "momentum", "zero_grad", "schedule"),
    *("score_change", "score_low", "score_high", "relative_drift", "seeds", "finding"),
)


def cost_by_drift(frame: pd.DataFrame) -> alt.TopLevelMixin:
    """A point for each leaking setting with a twin: its change of score against its drift.

    Where grads are never cleared, the other layers' learning differs from the twin's, too:
    these settings have a panel of their own.

    Raises NothingToDrawError where no leaking setting has a score, a twin that holds and a
    relative drift above 0.
    """
    table = cost(frame)
    placed = table[table["relative_drift"] > 0] if len(table) else table
    if not len(placed):
        raise NothingToDrawError("no leaking setting has a score and a twin that holds")
    never = placed["zero_grad"].astype("string") == "never"
    causes = placed["causes"].astype("string").fillna("unexplained")
    shown = placed.assign(
        panel=look.frequent(causes.mask(never), MOST_CAUSES).fillna(_NEVER),
        finding=placed["finding"].where(placed["finding"].isin(_FINDINGS[:2]), _FINDINGS[2]),
    )[[*_TOLD, "causes", "panel"]]
    chart = look.faceted(_panel(shown), "panel", shown, last=(look.OTHERS, _NEVER), spacing=16)
    bars = "A point is one setting, the bar its 95% interval; below the line the leak costs score"
    return look.titled(chart.resolve_scale(x="independent"), _title(table), bars)


def _title(table: pd.DataFrame) -> str:
    """What the leak alone costs, where there are such settings."""
    zeroed = table[table["zero_grad"].astype("string") == "zero"]
    told, which = (zeroed, " with zeroed grads") if len(zeroed) else (table, "")
    worse, better = ((told["finding"] == word).sum() for word in ("worse", "better"))
    return (
        f"Of {look.counted(len(told), 'leaking setting')}{which}, {worse:,} end worse than their "
        f"remedied twin, {better:,} better; of the others no difference can be shown"
    )


def _panel(shown: pd.DataFrame) -> Any:
    x = alt.X("relative_drift:Q", title=_DRIFT, **look.log_axis(shown["relative_drift"]))
    base = alt.Chart().encode(x=x)
    color = alt.Color(
        "finding:N",
        title=None,
        scale=alt.Scale(domain=list(_FINDINGS), range=[look.HUES[1], look.HUES[2], look.HUES[0]]),
        legend=alt.Legend(orient="bottom"),
    )
    low = alt.Y("score_low:Q", title=_CHANGE)
    bars = base.mark_rule(opacity=0.35).encode(y=low, y2="score_high:Q", color=color)
    points = base.mark_point(filled=True, size=18, opacity=0.7).encode(
        y=alt.Y("score_change:Q", title=_CHANGE), color=color, tooltip=look.tips(*_TOLD)
    )
    return alt.layer(look.dashed(y=0.0), bars, points).properties(width=155, height=120)
