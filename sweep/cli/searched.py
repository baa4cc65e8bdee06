"""What `leaksweep search` prints and writes at its end: the worst found, or the Pareto front."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from pathlib import Path
from typing import TYPE_CHECKING

from sweep.cli.output import Format, cell_text, print_rows
from sweep.cli.screen import say
from sweep.values.words import Axis

if TYPE_CHECKING:
    import pandas as pd
    from altair import TopLevelMixin

    from sweep.grid.spec import Spec
    from sweep.searching.search import Search

WORST_SHOWN = 5
FRONT_SHOWN = 20
REFERENCE = Path(__file__).parents[2] / "results" / "reference"
"""The committed results of the presets, where the program runs from its repository."""

_SHOWN = (*(axis.value for axis in Axis), "options", "verdict")
_WORDS = (Axis.OPTIMIZER, Axis.ZERO_GRAD, Axis.SCHEDULE, Axis.FREEZE, Axis.SEED)


@dataclass(frozen=True, slots=True)
class GridTrials:
    """The trials of a grid that have all objectives, and where they were found."""

    where: str
    trials: pd.DataFrame


def print_found(
    grid: Spec, search: Search, trials: pd.DataFrame, db: str, out: Path | None
) -> None:
    """Prints what the search of ``trials`` has come to, beside the trials of ``grid``.

    For one objective its worst trials, for several their Pareto front, which is written to
    ``out``, too, if that is given.
    """
    from analysis.found import pareto

    objectives = _columns(search)
    theirs = grid_trials(db, grid, search)
    ours = _ranked(trials, objectives)
    several = len(objectives) > 1
    chosen = pareto(ours, objectives) if several else ours
    shown = chosen.head(FRONT_SHOWN if several else WORST_SHOWN)
    what = "Pareto front" if several else f"worst {objectives[0]}"
    title = f"{search.spec.name}: {what} of {len(trials):,} trials"
    _print(shown, theirs, objectives, title)
    if len(shown) < len(chosen) and several:
        say(f"{len(chosen):,} trials are on the front; --out DIR writes them all.")
    _say_which_is_worse(chosen, theirs, search)
    if out is not None:
        _write(out, search, chosen, ours, theirs)


def grid_trials(db: str, grid: Spec, search: Search) -> GridTrials | None:
    """The trials of the sweep of ``grid``, which has its name in ``db``, the worst first.

    Of a preset that is not recorded there, those of the committed results. Only trials of the
    grid's workload, number of steps and words, which may have been replaced by others; None
    where there are none. A sweep that was searched, too, is no grid.
    """
    for where, trials in _sources(db, grid.name):
        found = _ranked(trials[_is_of(grid, trials)], _columns(search))
        if len(found):
            return GridTrials(where, found)
    return None


def _sources(db: str, name: str) -> Iterator[tuple[str, pd.DataFrame]]:
    import pandas as pd

    from analysis.exceptions import SweepMissingError
    from analysis.load import load_trials
    from analysis.schema import SweepKind, typed

    with suppress(SweepMissingError):
        yield f"the sweep {name!r}", load_trials(db, name, kinds=frozenset({SweepKind.GRID}))
    path = REFERENCE / name / "trials.csv.gz"
    if path.is_file() and path.parent.parent == REFERENCE:
        yield f"results/reference/{name}", typed(pd.read_csv(path, low_memory=False))


def _is_of(grid: Spec, trials: pd.DataFrame) -> pd.Series:
    """Whether the grid has each trial's workload, steps and words; its numbers may be others."""
    alike = (trials["workload"] == grid.workload) & (trials["steps"] == grid.steps)
    words = [
        reduce(and_, (trials[axis].isin([*getattr(each, axis)]) for axis in _WORDS))
        for each in grid.grid
    ]
    return alike & reduce(or_, words)


def _ranked(trials: pd.DataFrame, objectives: list[str]) -> pd.DataFrame:
    """Those of ``trials`` that have all ``objectives``, as real numbers, the worst first."""
    from analysis.found import with_change_of_score, worst_first

    found = worst_first(with_change_of_score(trials), objectives)
    return found.astype(dict.fromkeys(objectives, "float64"))


def _print(
    shown: pd.DataFrame, theirs: GridTrials | None, objectives: list[str], title: str
) -> None:
    import pandas as pd

    lines = [shown.assign(whose="found")]
    if theirs is not None:
        lines += [_worst(theirs.trials, name).assign(whose="grid") for name in objectives]
    columns = ["whose", *objectives, *_SHOWN, "id"]
    rows = pd.concat([each.reindex(columns=columns) for each in lines])
    rows = rows.assign(options=rows["options"].map(_options), id=rows["id"].astype("Int64"))
    plain = rows.astype(object).where(rows.notna(), None).itertuples(index=False, name=None)
    print_rows(("", *objectives, *_SHOWN, "trial"), plain, Format.TABLE, title=title)


def _worst(trials: pd.DataFrame, objective: str) -> pd.DataFrame:
    from analysis.found import worst_first

    return worst_first(trials, [objective]).head(1)


def _say_which_is_worse(chosen: pd.DataFrame, theirs: GridTrials | None, search: Search) -> None:
    if theirs is None:
        say("The grid itself is not recorded; `leaksweep run` records it to compare with.")
        return
    if chosen.empty:
        return
    for objective in search.objectives:
        name = objective.column
        ours, grids = (_worst(each, name)[name].item() for each in (chosen, theirs.trials))
        word = "smallest" if objective.direction == "minimize" else "largest"
        say(
            f"The {word} {name} found is {ours:.6g}; the grid's is {grids:.6g} "
            f"({len(theirs.trials):,} trials, {theirs.where})."
        )


def _write(
    out: Path, search: Search, chosen: pd.DataFrame, ours: pd.DataFrame, theirs: GridTrials | None
) -> None:
    """Writes the front as CSV, and all trials by the first two objectives as a figure."""
    import pandas as pd

    from analysis.figures.pareto import DrawnObjective, pareto_front

    table = chosen[[*_columns(search), *Axis, "verdict", "options"]]
    if len(search.objectives) == 1:
        write_found(out, "front", table, None)
        return
    kinds = {"searched": ours.drop(chosen.index), "front": chosen}
    kinds |= {"grid": theirs.trials} if theirs is not None else {}
    points = pd.concat([trials.assign(kind=kind) for kind, trials in kinds.items()])
    y, x = (DrawnObjective(o.column, o.direction == "maximize") for o in search.objectives[:2])
    write_found(out, "front", table, lambda: pareto_front(points, x, y))


def write_found(
    out: Path, name: str, table: pd.DataFrame, drawn: Callable[[], TopLevelMixin] | None
) -> None:
    """Writes ``table`` as CSV and the figure of it, if there is one, as PNG and SVG; says so."""
    from analysis.exceptions import NothingToDrawError
    from analysis.figures.drawn_files import write_figure
    from analysis.formulas import defused
    from analysis.whole_file import whole_file

    out.mkdir(parents=True, exist_ok=True)
    written = [out / f"{name}.csv"]
    cells = table.astype(object)
    safe = cells.map(lambda cell: defused(cell) if isinstance(cell, str) else cell)
    with whole_file(written[0]) as unfinished:
        safe.to_csv(unfinished, index=False)
    try:
        written += write_figure(drawn(), out / name) if drawn else []
    except NothingToDrawError as nothing:
        say(f"No figure: {nothing}.")
    say(f"Wrote {', '.join(map(str, written))}.")


def _columns(search: Search) -> list[str]:
    return [objective.column for objective in search.objectives]


def _options(text: str) -> str:
    """The options without what JSON needs and people do not."""
    pairs = json.loads(text).items()
    return ", ".join(f"{name}={cell_text(value)}" for name, value in pairs)
