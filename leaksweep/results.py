"""Sweeps from Python: run one, load one, and look at what it shows, in a notebook too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from sweep.store.url import DEFAULT_PATH, parse_url

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


def run(
    spec: str | Path | Mapping[str, Any] | None = None,
    *,
    preset: str | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002  # named as the option is
    workload: str | None = None,
    steps: int | None = None,
    name: str | None = None,
    db: str | Path = DEFAULT_PATH,
    jobs: int | None = None,
    trace: bool = False,
    retry_failed: bool = False,
    progress: bool = True,
) -> Results:
    """Runs what a sweep still lacks, and returns the sweep; the same call again resumes it.

    Commits each trial as it finishes. An interruption keeps what was finished.

    Args:
        spec: a TOML file's path, or the same as a mapping:
            ``{"name": "mine", "grid": [{"optimizer": ["SGD"], "lr": [0.1]}]}``.
        preset: or the name of a grid that comes with the program; ``"article"`` if neither
            is given.
        set: values by axis that replace that axis in every grid, one or a list:
            ``{"lr": [1, 0.1], "seed": 0}``.
        workload: what is trained, in place of the spec's.
        steps: of each trial, in place of the spec's.
        name: the sweep's in the database, in place of the spec's.
        db: the database, as a file's path or an SQLAlchemy URL.
        jobs: trials at once; one a core if left out.
        trace: whether each step of a trial is recorded, too.
        retry_failed: whether failed trials are run again.
        progress: whether to show how far it is, on stderr or in the notebook.

    Raises:
        LeaksweepError: a spec that does not hold together, a name that is not known, a
            database that cannot be used; the message says what would be right.
    """
    from sweep.cli.run import DEFAULT_PRESET, grid_run
    from sweep.grid import Grid
    from sweep.grid.spec_file import chosen_spec, with_overrides
    from sweep.running.runner import Runner

    _check("spec", spec, (str, Path, Mapping, NoneType), "a TOML file's path or a mapping")
    _check("preset", preset, (str, NoneType), "a preset's name")
    _check("set", set, (Mapping, NoneType), 'a mapping such as {"lr": [1, 0.1]}')
    _check("jobs", 1 if jobs is None else jobs, (int,), "a count of at least 1", at_least=1)
    chosen = with_overrides(
        chosen_spec(spec, preset, DEFAULT_PRESET),
        set=[f"{axis}={_listed(values)}" for axis, values in (set or {}).items()],
        workload=workload,
        steps=steps,
        name=name,
        trace=trace or None,
    )
    runner = Runner(jobs, trace=chosen.trace)
    grid, url = Grid(chosen), _url(db)
    again = "the same call"
    with grid_run(grid, url, runner, retry_failed=retry_failed, shown=progress, again=again):
        return Results(url, chosen.name)


def load(db: str | Path = DEFAULT_PATH, sweep: str | None = None) -> Results:
    """The recorded sweep of that name in the database ``db``; reads only.

    ``db`` is a file's path or an SQLAlchemy URL. Without ``sweep`` it is the one that is
    there, or all of them. Raises NotThereError where there is no database or no such sweep,
    with the nearest names.
    """
    from sweep.store.query import sweep_status

    url = _url(db)
    found = sweep_status(url, sweep)
    return Results(url, found[0].name if len(found) == 1 else None)


@dataclass(frozen=True, slots=True)
class Results:
    """A recorded sweep, or all of a database: its trials and its tables, read when asked for.

    Shows itself in a notebook as the table that ends `leaksweep run`.

    Attributes:
        db: the database's URL.
        sweep: the sweep's name; None for all that are in the database.
    """

    db: str
    sweep: str | None

    def trials(self) -> pd.DataFrame:
        """One row a trial: its setting, verdict, causes and measures, in the order of ids.

        `leaksweep show schema` says what the columns mean.
        """
        from analysis.load import load_trials

        with _told_as_ours():
            return load_trials(self.db, self.sweep)

    def table(self, name: str) -> pd.DataFrame:
        """The summary table of that name, one of `tables`. Raises MisuseError for another."""
        from analysis.tables import summary_table

        with _told_as_ours():
            return summary_table(name, self.db, self.sweep)

    def figure(self, name: str) -> alt.TopLevelMixin:
        """The chart of that name, one of `figures`, which a notebook shows.

        Raises NotThereError where the trials have nothing that it shows, and MisuseError for
        another name and where these are the results of all sweeps, as a figure is of one.
        """
        from analysis.figures import figure_of
        from sweep.errors import MisuseError

        if self.sweep is None:
            raise MisuseError("A figure shows one sweep; load it by its name: load(db, sweep).")
        with _told_as_ours():
            return figure_of(name, self.db, self.sweep)

    @property
    def tables(self) -> dict[str, str]:
        """What each summary table shows, by its name."""
        from analysis.tables import SUMMARIES

        return {name: table.caption for name, table in SUMMARIES.items()}

    @property
    def figures(self) -> dict[str, str]:
        """What each figure shows, by its name."""
        from analysis.figures import FIGURES

        return {name: figure.caption for name, figure in FIGURES.items()}

    def _repr_html_(self) -> str:
        from analysis.formats import for_readers, html_text
        from analysis.tables import summary_of

        table = summary_of("results", self.db, self.sweep)
        return html_text(for_readers(table.table(self.db, self.sweep), table.name, table.caption))

    def __repr__(self) -> str:
        whole = "all sweeps" if self.sweep is None else f"sweep {self.sweep!r}"
        return f"<leaksweep.Results: {whole} of {parse_url(self.db).shown}>"


def _check(
    name: str, value: Any, kinds: tuple[type, ...], needed: str, *, at_least: int | None = None
) -> None:
    """Raises MisuseError for an argument that is of none of these kinds, or too small."""
    from sweep.errors import MisuseError

    is_one = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_one or (at_least is not None and value < at_least):
        raise MisuseError(f"{name} is {needed}, not {value!r}.")


def _listed(values: Any) -> str:
    several = isinstance(values, Iterable) and not isinstance(values, str)
    return ",".join(map(str, values if several else (values,)))


def _url(db: str | Path) -> str:
    _check("db", db, (str, Path), "a file's path or an SQLAlchemy URL")
    return parse_url(db).text


@contextmanager
def _told_as_ours() -> Iterator[None]:
    """What `analysis` raises, which imports nothing of `sweep`, as the LeaksweepError it is."""
    from analysis.exceptions import AnalysisError
    from sweep.errors import EXIT_MISUSE, MisuseError, NotThereError

    try:
        yield
    except AnalysisError as error:
        ours = MisuseError if error.exit_code == EXIT_MISUSE else NotThereError
        raise ours(str(error)) from None
