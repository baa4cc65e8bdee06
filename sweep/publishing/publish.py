"""A sweep as an Optuna study: the trials that the study lacks, added to it.

The database is only read. The study is written in one transaction: a publish that is killed
leaves it as it was, and the next one does what that would have done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sweep.errors import MisuseError
from sweep.publishing.published import ENVIRONMENT, FINGERPRINT, MARK, user_attributes
from sweep.publishing.storage import Tables, opened, writing
from sweep.searching.objective import Objective
from sweep.searching.study import (
    LOG_FROM,
    axis_distributions,
    axis_parameters,
    frozen_trial,
    recorded_rows,
)
from sweep.store.query import run_query, sweep_status
from sweep.values.outcome import Environment
from sweep.values.words import Verdict

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

_ENVIRONMENTS = "SELECT id, {columns} FROM environment"
_RAN_IN = """
SELECT trial.id, trial.environment_id FROM trial JOIN sweep ON sweep.id = trial.sweep_id
WHERE sweep.id = {sweep:d}
"""
_SWEEPS = "SELECT id, name, spec, planned FROM sweep"


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did.

    Attributes:
        study: the study's name, which is the sweep's.
        storage: the storage's URL without its password.
        added: trials that it added.
        there: trials of ours that the study had already.
    """

    study: str
    storage: str
    added: int
    there: int


def publish(
    url: str, sweep: str | None, storage: str, *, objectives: Sequence[Objective]
) -> Published:
    """Adds to the study of the sweep's name in ``storage`` what it lacks, and makes it if need be.

    ``sweep`` may be left out where the database has one. A trial that had failed when it was
    published and was run again since is added as a new one. Commits once. Raises MisuseError
    for a study that is not this sweep's or has other objectives, DatabaseError and
    NotThereError as `opened` and `run_query` do.
    """
    name = _chosen(url, sweep)
    rows = recorded_rows(url, name)
    if not rows:
        raise MisuseError(f"The sweep {name!r} has no trials yet; `leaksweep run` records some.")
    number, mark = _mark(url, name, objectives)
    environments = _environments(url, number)
    with opened(storage, create=True) as (parsed, optunas):
        _check_ours(optunas, name, mark)
        with writing(parsed, name) as tables:
            if tables.study_id is None:
                tables.create(name, [o.direction for o in objectives], {MARK: mark})
            new = _lacking(tables, rows)
            distributions = _distributions(tables, rows)
            tables.add(
                _frozen(row, objectives, distributions, environments[row["id"]]) for row in new
            )
    return Published(name, parsed.shown, len(new), len(rows) - len(new))


def _chosen(url: str, sweep: str | None) -> str:
    statuses = sweep_status(url, sweep)
    if len(statuses) == 1:
        return statuses[0].name
    names = ", ".join(repr(status.name) for status in statuses[:12])
    raise MisuseError(
        f"Which sweep? The database has {names}. Give its name: leaksweep publish NAME."
        if statuses
        else "The database has no sweep yet; `leaksweep run` makes one."
    )


def _mark(url: str, name: str, objectives: Sequence[Objective]) -> tuple[int, dict[str, Any]]:
    """The sweep's id, and what is written on its study."""
    with run_query(url, _SWEEPS) as found:
        number, spec, planned = next((i, s, p) for i, n, s, p in found if n == name)
    mark = {"sweep": name, "spec": spec, "planned": planned, "objectives": list(objectives)}
    return int(number), mark


def _environments(url: str, sweep: int) -> dict[int, Environment]:
    """Where each trial of the sweep ran, by the trial's id."""
    with run_query(url, _ENVIRONMENTS.format(columns=", ".join(ENVIRONMENT))) as found:
        known = {row[0]: Environment(*row[1:]) for row in found}
    with run_query(url, _RAN_IN.format(sweep=sweep)) as found:
        return {trial: known[environment] for trial, environment in found}


def _check_ours(storage: RDBStorage, name: str, mark: Mapping[str, Any]) -> None:
    """Raises MisuseError where the storage has a study of that name that is not this sweep's."""
    try:
        number = storage.get_study_id_from_name(name)
    except KeyError:
        return
    found = storage.get_study_user_attrs(number).get(MARK)
    if not isinstance(found, dict):
        raise MisuseError(
            f"The storage has a study named {name!r} that this program did not publish. Use "
            f"another --storage, or rename the study or the sweep."
        )
    if found.get("objectives") != mark["objectives"]:
        raise MisuseError(
            f"The study {name!r} was published for {_listed(found.get('objectives'))}, and a study "
            f"keeps what it is for. Give the same --objective, or another --storage."
        )


def _listed(objectives: object) -> str:
    names = objectives if isinstance(objectives, list) else [objectives]
    return ", ".join(str(name)[:40] for name in names)


def _lacking(tables: Tables, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The trials that the study has not got, by fingerprint and whether they failed."""
    there = {(value, state == "FAIL") for state, value in tables.attribute(FINGERPRINT)}
    return [r for r in rows if (r["fingerprint"], r["verdict"] == Verdict.FAILED) not in there]


def _distributions(
    tables: Tables, rows: Sequence[Mapping[str, Any]]
) -> dict[str, BaseDistribution]:
    """The distributions of all trials, old and new; those in the study are widened to them.

    A study has one distribution a parameter, and a sweep that was extended has new values.
    """
    from optuna.distributions import distribution_to_json, json_to_distribution

    distributions = axis_distributions(rows)
    for name, old in tables.distributions(FINGERPRINT).items():
        if name in distributions:
            distributions[name] = _widened(json_to_distribution(old), distributions[name])
            tables.replace_distribution(name, old, distribution_to_json(distributions[name]))
    return distributions


def _widened(old: BaseDistribution, new: BaseDistribution) -> BaseDistribution:
    """A distribution with the values of both. Categories of ``old`` keep their places."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    match old, new:
        case CategoricalDistribution(), CategoricalDistribution():
            return CategoricalDistribution(tuple(dict.fromkeys((*old.choices, *new.choices))))
        case FloatDistribution(), FloatDistribution():
            low, high = min(old.low, new.low), max(old.high, new.high)
            return FloatDistribution(low, high, log=low > 0 and high >= LOG_FROM * low)
        case IntDistribution(), IntDistribution():
            return IntDistribution(min(old.low, new.low), max(old.high, new.high))
    return new


def _frozen(
    row: Mapping[str, Any],
    objectives: Sequence[Objective],
    distributions: Mapping[str, BaseDistribution],
    environment: Environment,
) -> FrozenTrial:
    trial = frozen_trial(row, objectives, axis_parameters(row), distributions)
    trial.user_attrs = user_attributes(row, environment)
    return trial
