"""The figures as files, PNG and SVG, for papers and pages."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import altair as alt
import vl_convert

from analysis.exceptions import NoTrialsError
from analysis.export import whole_file
from analysis.figures import draw
from analysis.folded import load_folded
from analysis.load import load_sweeps

_LONGEST = 100  # characters of a sweep's name in that of a file
PNG_SCALE = 2  # device pixels for each of the figure's, for print


@dataclass(frozen=True, slots=True)
class FigureFiles:
    """What became of one figure: its files, or the reason why there are none."""

    name: str
    paths: tuple[Path, ...]
    reason: str = ""


def export_figures(
    url: str, out_dir: str | os.PathLike[str], *, sweep: str | None = None
) -> Iterator[FigureFiles]:
    """Writes each figure as PNG and SVG, and yields what became of it.

    Files are called ``NAME.png`` and ``NAME.svg``; where several sweeps are drawn, with the
    sweep before it, ``SWEEP-NAME.png``. Makes ``out_dir`` where it is missing and replaces
    each file in one step.

    Raises:
        SweepMissingError: there is no sweep of that name.
        NoTrialsError: nothing was recorded yet.
        AnalysisError: anything that `analysis.load.load_trials` raises.
    """
    with_trials = set(load_folded(url, sweep, columns=["sweep"])["sweep"])
    filled = [record.name for record in load_sweeps(url) if record.name in with_trials]
    if not filled:
        raise NoTrialsError("The database" if sweep is None else f"The sweep {sweep!r}")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    prefixes = _prefixes(filled)
    for name in filled:
        for drawn in draw(url, name):
            stem = prefixes[name] + drawn.figure.name
            if drawn.chart is None:
                yield FigureFiles(stem, (), drawn.reason)
                continue
            yield FigureFiles(stem, write_figure(drawn.chart, folder / stem))


def write_figure(chart: alt.TopLevelMixin, stem: Path) -> tuple[Path, Path]:
    """Writes ``chart`` as PNG and SVG beside each other, replacing each file in one step."""
    spec = json.dumps(chart.to_dict(validate=False))
    png, svg = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    with whole_file(png) as unfinished:
        unfinished.write_bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
    with whole_file(svg) as unfinished:
        unfinished.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
    return png, svg


def _prefixes(sweeps: list[str]) -> dict[str, str]:
    """What goes before a figure's name for each sweep: a part of a file's name, and distinct.

    >>> _prefixes(["a b"]), _prefixes(["../a", "b"])
    ({'a b': ''}, {'../a': 'a-', 'b': 'b-'})
    >>> _prefixes(["a", "a-2", "a!", "A"])
    {'a': 'a-', 'a-2': 'a-2-', 'a!': 'a-3-', 'A': 'A-4-'}
    """
    if len(sweeps) == 1:
        return {sweeps[0]: ""}
    found: dict[str, str] = {}
    for name in sweeps:
        plain = re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-")[:_LONGEST] or "sweep"
        tries = (f"{plain}-", *(f"{plain}-{number}-" for number in range(2, len(sweeps) + 2)))
        taken = {prefix.lower() for prefix in found.values()}  # some systems know no case
        found[name] = next(prefix for prefix in tries if prefix.lower() not in taken)
    return found
