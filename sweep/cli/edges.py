"""What `leaksweep search --edge` prints and writes at its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sweep.cli.screen import print_table, say
from sweep.values.words import Axis

if TYPE_CHECKING:
    import pandas as pd

    from sweep.searching.edge import EdgeSearch, Found

DIGITS = 9
"""Enough to tell the sides of an edge apart."""


def print_edges(search: EdgeSearch, found: Found, db: str, out: Path | None) -> None:
    """Prints every edge, and writes them with all points to ``out`` if that is given."""
    from sweep.store.url import parse_url

    axis, name = search.along.name, search.spec.name
    edges = edge_frame(search, found)
    if found.edges:
        alike = [str(a) for a in Axis if a in edges and edges[a].nunique() < 2]
        shown = edges.drop(columns=alike)
        rows = [[_cell(value) for value in row] for row in shown.itertuples(index=False)]
        print_table(
            list(map(str, shown.columns)),
            rows,
            title=f"{name}: where along {axis} the verdict changes",
        )
    else:
        _say_all_the_same(search, found)
    progress = found.progress
    say(
        f"{name}: ran {progress.finished:,} trials in {progress.seconds:.1f} s, "
        f"{progress.planned:,} in all, recorded in {parse_url(db).shown}."
    )
    if out is not None:
        _write(out, search, found, edges)


def edge_frame(search: EdgeSearch, found: Found) -> pd.DataFrame:
    """A row an edge: the axes that stay, both sides with their verdicts, and the drift.

    ``drift`` is how far the layer moved in the trial beside the edge that leaks; NaN where
    neither does.
    """
    import pandas as pd

    axis = search.along.name
    rows = []
    for edge in found.edges:
        stays = {a.value: getattr(edge.below.setting, a) for a in Axis if a != axis}
        sides = (edge.row_below, edge.row_above)
        drift = [side["total_drift"] for side in sides if side["verdict"] == "leaks"]
        rows.append(
            stays
            | {
                "below": getattr(edge.below.setting, axis),
                "above": getattr(edge.above.setting, axis),
                "verdict_below": str(edge.row_below["verdict"]),
                "verdict_above": str(edge.row_above["verdict"]),
                "drift": drift[0] if drift else float("nan"),
            }
        )
    measured = ("below", "above", "verdict_below", "verdict_above", "drift")
    columns = [*(a.value for a in Axis if a != axis), *measured]
    return pd.DataFrame(rows, columns=columns)


def _say_all_the_same(search: EdgeSearch, found: Found) -> None:
    verdicts = sorted({str(row["verdict"]) for _, row in found.points})
    along = f"from {search.along.low:g} to {search.along.high:g}"
    if len(verdicts) == 1:
        said = f"the verdict is {verdicts[0]} at all of the values tried {along}"
    else:
        said = f"each setting keeps its verdict {along} ({', '.join(verdicts)})"
    say(f"{search.spec.name}: no edge along {search.along.name}: {said}.")


def _write(out: Path, search: EdgeSearch, found: Found, edges: pd.DataFrame) -> None:
    from analysis.exceptions import NothingToDrawError
    from analysis.figures.pareto import write_figure
    from analysis.figures.verdict_edges import edge_figure

    out.mkdir(parents=True, exist_ok=True)
    edges.to_csv(out / "edges.csv", index=False)
    written = [out / "edges.csv"]
    try:
        figure = edge_figure(_points(search, found), edges, search.along.name, log=search.along.log)
        written += write_figure(figure, out / "edges")
    except NothingToDrawError as nothing:
        say(f"No figure: {nothing}.")
    say(f"Wrote {', '.join(map(str, written))}.")


def _points(search: EdgeSearch, found: Found) -> pd.DataFrame:
    """A row a trial: the value along the axis, the verdict, the drift, and the optimizer."""
    import pandas as pd

    rows = [
        {
            "optimizer": planned.setting.optimizer,
            "value": getattr(planned.setting, search.along.name),
            "verdict": str(row["verdict"]),
            "drift": row["total_drift"],
        }
        for planned, row in found.points
    ]
    return pd.DataFrame(rows)


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value)
