"""A sweep as an Optuna study: the trials that the study lacks, added by Optuna's own functions.

The database is only read. The next publish does what one that was killed has not done; to a
journal, all trials are added at once or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import MisuseError
from sweep.publishing.optuna_storage import OptunaStorage, opened_storage
from sweep.publishing.published import (
    FINGERPRINT,
    MARK,
    axis_distributions,
    axis_parameters,
    user_attributes,
)
from sweep.searching.objective import Objective
from sweep.searching.study import frozen_trial, recorded_rows
from sweep.store.checked import not_ours
from sweep.store.models import EnvironmentRow, SweepRow
from sweep.store.query import SweepStatus, checked_rows, sweep_status
from sweep.store.url import parse_url
from sweep.values.outcome import Environment
from sweep.values.words import Verdict


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did.

    Attributes:
        study: the study's name, which is the sweep's.
        storage: the storage's path, or its URL without its password.
        added: trials that it added.
        there: trials of ours that the study had already.
        anew: whether the study was there and was made anew.
    """

    study: str
    storage: str
    added: int
    there: int
    anew: bool


def publish(
    url: str,
    sweep: str | None,
    storage: str,
    *,
    objectives: Sequence[Objective],
    observe: Callable[[int, bool], None] = lambda _trials, _at_once: None,
) -> Published:
    """Adds to the study of the sweep's name in ``storage`` what it lacks, and makes it if need be.

    ``sweep`` may be left out where the database has one. ``observe`` is told how many trials are
    about to be added, and whether at once. A trial that had failed when it was published and was
    run again since is added as a new one. A study that has other values for its parameters than
    the sweep has by now is made anew.

    Raises MisuseError for a study that is not this sweep's, has other objectives, or cannot be
    made anew as it has trials of others; DatabaseError and NotThereError as `opened_storage` and
    `run_query` do.
    """
    status = _chosen(url, sweep)
    name = status.name
    rows = recorded_rows(url, name)
    if not rows:
        raise MisuseError(f"The sweep {name!r} has no trials yet; `leaksweep run` records some.")
    (said,) = checked_rows(url, SweepRow, ("spec", "planned"), where=f"id = {status.id:d}")
    mark, shown = {"sweep": name, **said, "objectives": list(objectives)}, parse_url(url).shown
    known = {row.pop("id"): Environment(**row) for row in checked_rows(url, EnvironmentRow)}
    for row in rows:
        if row["environment_id"] not in known:
            raise not_ours(shown, f"trial.environment_id is {row['environment_id']}, which is none")
    distributions = axis_distributions(rows)
    twins = {row["fingerprint"]: row for row in rows}
    with opened_storage(storage, create=True) as opened:
        study, anew = _study(opened, name, mark, objectives, distributions)
        new = _lacking(study, rows)
        observe(len(new), opened.journal is not None)
        made = (
            frozen_trial(
                row,
                objectives,
                twins,
                axis_parameters(row),
                distributions,
                user_attrs=user_attributes(row, known[row["environment_id"]]),
            )
            for row in new
        )
        if new:
            with opened.adding() as adding:
                optuna.load_study(study_name=name, storage=adding).add_trials(made)
    return Published(name, opened.shown, len(new), len(rows) - len(new), anew)


def _chosen(url: str, sweep: str | None) -> SweepStatus:
    statuses = sweep_status(url, sweep)
    if len(statuses) == 1:
        return statuses[0]
    names = ", ".join(repr(status.name) for status in statuses[:12])
    raise MisuseError(
        f"Which sweep? The database has {names}. Give its name: leaksweep publish NAME."
        if statuses
        else "The database has no sweep yet; `leaksweep run` makes one."
    )


def _study(
    opened: OptunaStorage,
    name: str,
    mark: Mapping[str, Any],
    objectives: Sequence[Objective],
    distributions: Mapping[str, BaseDistribution],
) -> tuple[Study, bool]:
    """The sweep's study, made where there is none with these distributions; whether anew."""
    there = name in optuna.get_all_study_names(opened.storage)
    if there:
        study = optuna.load_study(study_name=name, storage=opened.storage)
        _check_ours(study, mark)
        if not any(_differs(trial, distributions) for trial in _ours(study)):
            return study, False
        _check_alone(study)
        optuna.delete_study(study_name=name, storage=opened.storage)
    study = optuna.create_study(
        study_name=name,
        storage=opened.storage,
        directions=[objective.direction for objective in objectives],
    )
    study.set_user_attr(MARK, dict(mark))
    return study, there


def _check_ours(study: Study, mark: Mapping[str, Any]) -> None:
    """Raises MisuseError for a study that is not this sweep's."""
    found, name = study.user_attrs.get(MARK), study.study_name
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


def _check_alone(study: Study) -> None:
    """Raises MisuseError for a study to which others have added trials."""
    others = len(study.get_trials(deepcopy=False)) - sum(1 for _ in _ours(study))
    if others:
        raise MisuseError(
            f"The sweep has values that the study {study.study_name!r} does not know, and Optuna "
            f"lets no parameter have new ones, so that it would have to be made anew; {others:,} "
            f"trials in it are others'. Use another --storage."
        )


def _listed(objectives: object) -> str:
    names = objectives if isinstance(objectives, list) else [objectives]
    return ", ".join(str(name)[:40] for name in names)


def _ours(study: Study) -> Iterator[FrozenTrial]:
    """The trials that were published."""
    return (t for t in study.get_trials(deepcopy=False) if FINGERPRINT in t.user_attrs)


def _differs(trial: FrozenTrial, distributions: Mapping[str, BaseDistribution]) -> bool:
    return any(distributions.get(name) != kind for name, kind in trial.distributions.items())


def _lacking(study: Study, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The trials that the study has not got, by fingerprint and whether they failed."""
    there = {(t.user_attrs[FINGERPRINT], t.state is TrialState.FAIL) for t in _ours(study)}
    return [r for r in rows if (r["fingerprint"], r["verdict"] == Verdict.FAILED) not in there]
