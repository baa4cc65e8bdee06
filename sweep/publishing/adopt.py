"""Trials out of an Optuna storage, as a sweep of this program.

A study has settings and values, but no verdict. What `publish` wrote has all of it, in user
attributes, and comes in as it was recorded. Of any other study only the settings are taken:
they are run anew here, and what the study says of them is put beside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from sweep.errors import MisuseError, SweepMismatchError, nearest
from sweep.grid.spec import MAX_GRIDS, Spec
from sweep.publishing.optuna_storage import opened_storage
from sweep.publishing.published import FINGERPRINT, MARK, outcome_of
from sweep.searching.study import recorded_rows
from sweep.store.store import Store
from sweep.values.setting import MAX_TEXT, canonical_json
from sweep.values.words import Axis, ZeroGrad

MAX_PLANNED = 10_000_000


@dataclass(frozen=True, slots=True)
class TheirStudy:
    """A study as it was read: its finished trials, and the mark that `publish` left on it.

    ``mark`` is None for a study that somebody else made.
    """

    name: str
    trials: tuple[FrozenTrial, ...]
    mark: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Adopted:
    """A published sweep that came in: its name, and how many trials there are and were left."""

    sweep: str
    trials: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Compared:
    """A trial of theirs beside the one that was run here; ``here`` is a row of ``trial``."""

    theirs: FrozenTrial
    here: Mapping[str, Any] | None


def read_study(storage: str, name: str | None = None) -> TheirStudy:
    """The study of that name, or the only one; the storage is only read.

    Raises NotThereError and DatabaseError as `opened_storage` does, and MisuseError for a name
    that it has not got.
    """
    with opened_storage(storage) as opened:
        chosen = _study_named(optuna.get_all_study_names(opened.storage), name)
        study = optuna.load_study(study_name=chosen, storage=opened.storage)
        mark = study.user_attrs.get(MARK)
        if mark is not None and not isinstance(mark, dict):
            raise MisuseError(
                f"The study's user attribute {MARK!r} is not what this program writes."
            )
        finished = (t for t in study.get_trials(deepcopy=False) if t.state.is_finished())
        return TheirStudy(chosen, tuple(finished), mark)


def adopt_published(study: TheirStudy, db: str, *, name: str | None = None) -> Adopted:
    """Records the trials of a published ``study`` as the sweep that they were; commits once.

    Trials that were added to it since, and have no attributes of ours, are left out. Raises
    MisuseError for a trial that was not published as it stands, SweepMismatchError where
    ``db`` has another sweep of that name; then nothing was written.
    """
    sweep, spec, planned = _planned(study, name)
    ours = [trial for trial in study.trials if FINGERPRINT in trial.user_attrs]
    outcomes = [outcome_of(trial.number, trial.params, trial.user_attrs) for trial in ours]
    with Store.open(db) as store:
        there = store.sweep(sweep)
        if there is not None and there.spec != spec:
            raise SweepMismatchError(sweep, "it was planned otherwise than the published one")
        store.write(store.record_sweep(sweep, spec, planned).id, outcomes)
    distinct = {outcome.planned.fingerprint for outcome in outcomes}
    return Adopted(sweep, len(distinct), len(study.trials) - len(ours))


def planned_spec(
    study: TheirStudy,
    *,
    workload: str | None = None,
    steps: int | None = None,
    optimizer: str | None = None,
    name: str | None = None,
) -> Spec:
    """The settings of a ``study`` that somebody else made, each once, as a spec to run.

    A parameter that a trial lacks has its default, and grads are set to None, as torch does.
    Raises MisuseError for a parameter that is no axis, for code that the study names, and for
    more settings than a spec has grids; SpecError for a value that the axis does not take.
    """
    if not study.trials:
        raise MisuseError(f"The study {study.name[:MAX_TEXT]!r} has no finished trial.")
    points = [_point(trial, optimizer) for trial in study.trials]
    distinct = list({canonical_json(point): point for point in points}.values())
    if len(distinct) > MAX_GRIDS:
        raise MisuseError(
            f"The study has {len(distinct):,} different settings, and a sweep takes at most "
            f"{MAX_GRIDS:,} that are no grid. Copy the best of them to a study of their own."
        )
    raw: dict[str, Any] = {"name": name or study.name, "grid": distinct}
    raw |= {"workload": workload} if workload else {}
    raw |= {"steps": steps} if steps else {}
    return Spec.checked(raw, "the study")


def compared(study: TheirStudy, db: str, sweep: str, *, optimizer: str | None) -> list[Compared]:
    """Each trial of ``study`` beside the trial of the same setting in the sweep; reads only.

    ``here`` is None for a setting that cannot exist and was left out.
    """
    rows = recorded_rows(db, sweep)
    found = []
    for trial in study.trials:
        point = _point(trial, optimizer)  # of which an axis that does not apply is null in a row
        alike = (row for row in rows if all(row[a] in (None, *point[a]) for a in point))
        found.append(Compared(trial, next(alike, None)))
    return found


def _study_named(names: Sequence[str], name: str | None) -> str:
    listed = ", ".join(repr(known[:MAX_TEXT]) for known in names[:12]) or "none"
    if name is None and len(names) == 1:
        return names[0]
    if name is None:
        raise MisuseError(f"Which study? The storage has {listed}. Give its name with --study.")
    if name not in names:
        close = nearest(name[:MAX_TEXT], [known[:MAX_TEXT] for known in names])
        hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise MisuseError(f"No study is named {name[:MAX_TEXT]!r}.{hint} Studies: {listed}.")
    return name


def _planned(study: TheirStudy, name: str | None) -> tuple[str, str, int]:
    """The sweep's name, its spec as canonical JSON, and the number of its trials."""
    mark = study.mark or {}
    try:
        spec = json.loads(mark["spec"])
        planned, sweep = mark["planned"], name or mark["sweep"]
        text = canonical_json(spec | {"name": sweep})
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise MisuseError(
            f"The study does not say how its sweep was planned: {error!r}."
        ) from error
    if not isinstance(planned, int) or not 0 <= planned <= MAX_PLANNED:
        raise MisuseError(f"The study says that {str(planned)[:40]} trials were planned.")
    if not isinstance(sweep, str) or not sweep.isprintable() or not 0 < len(sweep) <= MAX_TEXT:
        raise MisuseError("The study's sweep has no name that prints; give one with --name.")
    return sweep, text, planned


def _point(trial: FrozenTrial, optimizer: str | None) -> dict[str, list[Any]]:
    """A grid of the one setting that the trial's parameters and ``optimizer`` stand for.

    Whole numbers are reals on the axes that are real.
    """
    unknown = next((name for name in trial.params if name not in list(Axis)), None)
    if unknown is not None:
        close = nearest(unknown[:MAX_TEXT], list(Axis))
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise MisuseError(
            f"The study's parameter {unknown[:MAX_TEXT]!r} has no axis here.{hint} "
            f"Axes: {', '.join(Axis)}. Nothing was adopted."
        )
    point = {Axis.ZERO_GRAD.value: ZeroGrad.NONE.value, **trial.params}
    if optimizer is not None:
        point[Axis.OPTIMIZER.value] = optimizer
    if Axis.OPTIMIZER not in point:
        raise MisuseError(
            f"Trial {trial.number} has no parameter 'optimizer'. Say which it was with --optimizer."
        )
    if optimizer is None and ":" in str(point["optimizer"]):
        raise MisuseError(
            f"Trial {trial.number} names code to import and run as its optimizer, "
            f"{str(point['optimizer'])[:MAX_TEXT]!r}. If you trust it, give it by --optimizer."
        )
    real = (Axis.LR, Axis.WEIGHT_DECAY, Axis.MOMENTUM)
    return {n: [float(v) if n in real and type(v) is int else v] for n, v in point.items()}
