"""What `leaksweep search` prints and writes at its end: the worst found, or the Pareto front."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweep.cli.output import cell_text
from sweep.cli.screen import print_table, say
from sweep.values.words import Axis

if TYPE_CHECKING:
    import pandas as pd

    from sweep.grid.spec import Spec
    from sweep.searching.search import Loaded, Search
    from sweep.searching.worst import GridTrials, Ranked

WORST_SHOWN = 5
FRONT_SHOWN = 20


def print_found(grid: Spec, search: Search, found: Loaded, db: str, out: Path | None) -> None:
    """Prints what the search of ``found`` has come to, beside the trials of ``grid``.

    For one objective its worst trials, for several their Pareto front, which is written to
    ``out``, too, if that is given.
    """
    from sweep.searching.worst import front, grid_trials, ranked, worst

    objectives = search.objectives
    theirs = grid_trials(db, grid, objectives, searched=search.spec.name)
    ours = ranked(found.rows, objectives)
    several = len(objectives) > 1
    chosen = front(found.study, found.rows, objectives) if several else worst(ours, objectives[0])
    shown = chosen[: FRONT_SHOWN if several else WORST_SHOWN]
    lines = [("found", each) for each in shown] + list(_of_grid(theirs, search))
    what = "Pareto front" if several else f"worst {objectives[0].column}"
    _print(lines, search, f"{search.spec.name}: {what} of {len(found.rows):,} trials")
    if len(shown) < len(chosen) and several:
        say(f"{len(chosen):,} trials are on the front; --out DIR writes them all.")
    _say_which_is_worse(chosen, theirs, search)
    if out is not None:
        _write(out, search, chosen, ours, theirs)


def _of_grid(theirs: GridTrials | None, search: Search) -> Iterator[tuple[str, Ranked]]:
    """The grid's worst trial by each objective."""
    from sweep.searching.worst import worst

    for place, objective in enumerate(search.objectives):
        if theirs is not None:
            yield "grid", worst(theirs.trials, objective, place)[0]


def _print(lines: Sequence[tuple[str, Ranked]], search: Search, title: str) -> None:
    heads = ("", *_columns(search), *Axis, "options", "verdict", "trial")
    rows = [
        (
            whose,
            *(f"{value:.6g}" for value in trial.values),
            *(cell_text(trial.row[axis]) for axis in Axis),
            _options(trial.row["options"]),
            str(trial.row["verdict"]),
            cell_text(trial.row.get("id")),
        )
        for whose, trial in lines
    ]
    numeric = frozenset(range(1, len(search.objectives) + 1))
    print_table(heads, rows, title=title, numeric=numeric)


def _say_which_is_worse(
    chosen: Sequence[Ranked], theirs: GridTrials | None, search: Search
) -> None:
    from sweep.searching.worst import worst

    if theirs is None:
        say("The grid itself is not recorded; `leaksweep run` records it to compare with.")
        return
    if not chosen:
        return
    for place, objective in enumerate(search.objectives):
        ours = worst(chosen, objective, place)[0].values[place]
        grids = worst(theirs.trials, objective, place)[0].values[place]
        word = "smallest" if objective.direction == "minimize" else "largest"
        say(
            f"The {word} {objective.column} found is {ours:.6g}; the grid's is {grids:.6g} "
            f"({len(theirs.trials):,} trials, {theirs.where})."
        )


def _write(
    out: Path,
    search: Search,
    chosen: Sequence[Ranked],
    ours: Sequence[Ranked],
    theirs: GridTrials | None,
) -> None:
    """Writes the front as CSV, and all trials by the first two objectives as a figure."""
    import pandas as pd

    from analysis.exceptions import NothingToDrawError
    from analysis.figures.drawn_files import write_figure
    from analysis.figures.pareto import DrawnObjective, pareto_front
    from analysis.formulas import defused
    from analysis.whole_file import whole_file

    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(_records(chosen, search))
    written = [out / "front.csv"]
    safe = table.map(lambda cell: defused(cell) if isinstance(cell, str) else cell)
    with whole_file(written[0]) as unfinished:
        safe.to_csv(unfinished, index=False)
    if len(search.objectives) > 1:
        y, x = (DrawnObjective(o.column, o.direction == "maximize") for o in search.objectives[:2])
        try:
            figure = pareto_front(_points(search, chosen, ours, theirs), x, y)
            written += write_figure(figure, out / "front")
        except NothingToDrawError as nothing:
            say(f"No figure: {nothing}.")
    say(f"Wrote {', '.join(map(str, written))}.")


def _points(
    search: Search, chosen: Sequence[Ranked], ours: Sequence[Ranked], theirs: GridTrials | None
) -> pd.DataFrame:
    import pandas as pd

    of_front = {each.row["id"] for each in chosen}
    others = [each for each in ours if each.row["id"] not in of_front]
    kinds = (("grid", theirs.trials if theirs else ()), ("searched", others), ("front", chosen))
    records = [
        record | {"kind": kind} for kind, trials in kinds for record in _records(trials, search)
    ]
    return pd.DataFrame(records, columns=[*_columns(search), *Axis, "verdict", "options", "kind"])


def _records(trials: Sequence[Ranked], search: Search) -> list[dict[str, Any]]:
    names = (*Axis, "verdict", "options")
    return [
        dict(zip(_columns(search), each.values, strict=True))
        | {name: each.row[name] for name in names}
        for each in trials
    ]


def _columns(search: Search) -> list[str]:
    return [objective.column for objective in search.objectives]


def _options(text: str) -> str:
    """The options without what JSON needs and people do not."""
    pairs = json.loads(text).items()
    return ", ".join(f"{name}={cell_text(value)}" for name, value in pairs)
