"""Recorded trials as Optuna has trials, and what it keeps beside those that it proposed.

Of a proposal that is its number in its study, and the attributes that its sampler set: of which
generation it is, how far a sequence has come, who the parents are. All are numbers, so that a
database from anywhere can hold nothing that would run; see `sweep.searching.samplers.give_state`.
Reads a database, and never writes one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import Study, create_study
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import BaseModel, ConfigDict, Field, model_validator

from sweep.errors import NotThereError
from sweep.searching.objective import Direction, Objective, Rows, values
from sweep.store.checked import not_ours
from sweep.store.models import TrialRow
from sweep.store.query import checked_rows, sweep_id
from sweep.store.url import parse_url
from sweep.values.words import Axis, Verdict

MOST_REPEATS = 200
"""Proposals in a row that were made before; after as many there seems to be nothing new."""

_Count = Annotated[int, Field(ge=0)]
_Attributes = Annotated[dict[str, _Count | list[_Count]], Field(max_length=100)]


def recorded_rows(url: str, sweep: str) -> list[dict[str, Any]]:
    """The sweep's trials, in the order in which they finished.

    Raises NotThereError where there is no such sweep, as `checked_rows` does, and DatabaseError
    for a number that no grid and no search could have.
    """
    where, shown = f"sweep_id = {sweep_id(url, sweep):d}", parse_url(url).shown
    rows = list(checked_rows(url, TrialRow, where=where, order="finished_at, id"))
    for row in rows:
        for name in (Axis.LR, Axis.WEIGHT_DECAY, Axis.MOMENTUM):
            if row[name] is not None and not 0 <= row[name] < math.inf:
                raise not_ours(shown, f"trial.{name} is {row[name]}")
    return rows


def rows_so_far(url: str, sweep: str) -> list[dict[str, Any]]:
    """As `recorded_rows`; none where there is no such sweep yet."""
    try:
        return recorded_rows(url, sweep)
    except NotThereError:
        return []


def told_values(
    row: Mapping[str, Any], objectives: Sequence[Objective], known: Rows
) -> tuple[TrialState, tuple[float, ...] | None]:
    """How the trial of ``row`` ended, for a study, and its values of ``objectives``.

    FAIL for a failed trial, and PRUNED, which a sampler takes for worse than any, for one that
    has no values; see `sweep.searching.objective.values`.
    """
    found = values(row, objectives, known)
    unranked = TrialState.FAIL if row["verdict"] == Verdict.FAILED else TrialState.PRUNED
    return unranked if found is None else TrialState.COMPLETE, found


def frozen_trial(
    row: Mapping[str, Any],
    objectives: Sequence[Objective],
    known: Rows,
    parameters: Mapping[str, Any],
    distributions: Mapping[str, BaseDistribution],
    user_attrs: dict[str, Any] | None = None,
    system_attrs: dict[str, Any] | None = None,
) -> FrozenTrial:
    """The trial of ``row`` with the values of ``objectives``, for a study of their directions.

    ``known`` are the rows among which its twin is looked for; ``distributions`` may have more
    than ``parameters`` needs.
    """
    state, found = told_values(row, objectives, known)
    trial = create_trial(
        state=state,
        values=found,
        params=dict(parameters),
        distributions={name: distributions[name] for name in parameters},
        user_attrs=user_attrs,
        system_attrs=system_attrs,
    )
    ended = row["finished_at"].astimezone().replace(tzinfo=None)  # Optuna's times are local
    trial.datetime_complete = ended
    trial.datetime_start = ended - timedelta(seconds=row["train_seconds"])
    return trial


class Proposal(BaseModel):
    """What is kept of the proposal of one trial.

    Attributes:
        number: the trial's number in its study.
        trial: the attributes that the sampler gave it.
        study: those of the study that it changed since the proposal before.

    Raises ValueError for what no sampler keeps: they count trials, so that none of their
    numbers is larger than the trial's own.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    number: _Count
    trial: _Attributes = {}
    study: _Attributes = {}

    @model_validator(mode="after")
    def _counts_trials(self) -> Proposal:
        kept = [*self.trial.values(), *self.study.values()]
        flat = [n for each in kept for n in (each if isinstance(each, list) else [each])]
        if max(flat, default=0) > self.number:
            raise ValueError("a number is larger than that of the trial")
        return self


class StudyInMemory:
    """A study with the numbers and attributes that its trials had when they were proposed.

    Attributes:
        study: the study.
    """

    def __init__(
        self,
        directions: Iterable[Direction],
        trials: Iterable[tuple[FrozenTrial, Proposal | None]] = (),
    ) -> None:
        """A trial without a proposal comes first. Raises ValueError for an impossible number."""
        self._storage = InMemoryStorage()
        self.study: Study = create_study(storage=self._storage, directions=list(directions))
        self._id = self._storage.get_study_id_from_name(self.study.study_name)
        pairs = sorted(trials, key=lambda pair: -1 if pair[1] is None else pair[1].number)
        self.study.add_trials(_in_their_places(pairs))
        for _, proposal in pairs:
            for name, value in (proposal.study if proposal else {}).items():
                self._storage.set_study_system_attr(self._id, name, value)
        self._recorded = self._attributes()

    def proposal(self, number: int) -> Proposal:
        """What is to be kept of the proposal of trial ``number``, which was made just now."""
        trial = self.study.get_trials(deepcopy=False)[number]
        now = self._attributes()
        changed = {name: now[name] for name in now if now[name] != self._recorded.get(name)}
        self._recorded = now
        return Proposal(number=number, trial=_counts(trial.system_attrs), study=changed)

    def _attributes(self) -> dict[str, Any]:
        return _counts(self._storage.get_study_system_attrs(self._id))


def _counts(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are numbers: the others are made anew, or are of use only at once."""
    return {name: value for name, value in attributes.items() if isinstance(value, int | list)}


def _in_their_places(pairs: list[tuple[FrozenTrial, Proposal | None]]) -> Iterator[FrozenTrial]:
    """The trials by their numbers; what lies between was proposed, and was known already."""
    last = pairs[-1][1] if pairs else None
    if last is not None and last.number >= MOST_REPEATS * len(pairs):
        raise ValueError(f"{len(pairs):,} trials, and one of them is number {last.number}")
    place = 0
    for trial, proposal in pairs:
        while proposal is not None and place < proposal.number:
            yield create_trial(state=TrialState.FAIL)
            place += 1
        yield trial
        place += 1


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna without its log and without its remarks on what is experimental."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
