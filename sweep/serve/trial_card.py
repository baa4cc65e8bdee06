"""One trial as a card: its verdict and why, its setting, its numbers and its twins."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from sweep.serve.cells import Cell, cell
from sweep.serve.step_picture import StepPicture, step_picture
from sweep.store.describe import describe_schema
from sweep.values.words import Axis, Verdict

_NUMBERS = (
    *("leaked_steps", "frozen_steps", "first_leak_step", "max_drift", "total_drift"),
    *("attached_motion", "drift_ratio", "frozen_norm", "initial_loss", "final_loss"),
    *("score", "diverged", "sideways", "despite_none", "train_seconds"),
)
_FLAGS = frozenset({"diverged", "sideways", "despite_none"})
_SETTING = (*(axis.value for axis in Axis), "workload", "steps", "options", "optimizer_package")
_PLACE = ("torch", "python", "leaksweep", "system", "machine", "cpu", "device", "threads")
_SAME = tuple(name for name in _SETTING if name not in ("zero_grad", "optimizer_package"))
_TRIAL = f"""
SELECT trial.*, sweep.name AS sweep, {", ".join(_PLACE)},
    CASE WHEN json_valid(sweep.spec) THEN json_extract(sweep.spec, '$.kind') END AS kind
FROM trial JOIN sweep ON sweep.id = trial.sweep_id
LEFT JOIN environment ON environment.id = trial.environment_id WHERE trial.id = ?
"""  # noqa: S608 names of ours
_TWINS = f"""
SELECT id, zero_grad, verdict, max_drift FROM trial
WHERE sweep_id = ? AND id != ? AND {" AND ".join(f"{name} IS ?" for name in _SAME)}
ORDER BY zero_grad LIMIT 10
"""  # noqa: S608 names of ours

Told = list[tuple[str, str, Cell]]
"""Names with their meanings and values."""


@dataclass(frozen=True, slots=True)
class TrialCard:
    """Everything a trial's page shows.

    Attributes:
        trial: its row, with the name of its ``sweep`` and the ``kind`` that its spec says.
        because: what moved the layer, or why that is not known, as a sentence; may be empty.
        setting, numbers, place: what was trained, measured, and where.
        picture: its steps; None where they were not recorded.
        twins: rows of the same setting with gradients cleared in another way.
    """

    trial: sqlite3.Row
    because: str
    setting: Told
    numbers: Told
    place: Told
    picture: StepPicture | None
    twins: list[sqlite3.Row]


def trial_card(connection: sqlite3.Connection, trial_id: int) -> TrialCard | None:
    """The card of that trial; None where there is none."""
    trial = connection.execute(_TRIAL, (trial_id,)).fetchone()
    if trial is None:
        return None
    twin = (trial["sweep_id"], trial_id, *(trial[name] for name in _SAME))
    return TrialCard(
        trial=trial,
        because=_because(trial),
        setting=_told("trial", trial, _SETTING),
        numbers=_told("trial", trial, _NUMBERS),
        place=_told("environment", trial, _PLACE),
        picture=step_picture(connection, trial_id),
        twins=connection.execute(_TWINS, twin).fetchall(),
    )


def side_by_side(
    connection: sqlite3.Connection, ids: Sequence[int]
) -> list[tuple[str, list[Cell], bool]]:
    """Rows of a comparison: a name, its value in each trial, and whether these are the same."""
    marks = ", ".join("?" * len(ids))
    chosen = f"SELECT * FROM trial WHERE id IN ({marks})"  # noqa: S608 question marks
    by_id = {row["id"]: row for row in connection.execute(chosen, ids)}
    trials = [by_id[each] for each in ids if each in by_id]
    lines = []
    for name in ("id", "verdict", "causes", *_SETTING, *_NUMBERS):
        values = [_value(trial, name) for trial in trials]
        if any(value is not None for value in values):
            lines.append((name, [cell(name, value) for value in values], len(set(values)) == 1))
    return lines


def _told(table: str, row: sqlite3.Row, names: Sequence[str]) -> Told:
    known = next(each for each in describe_schema() if each.name == table).columns
    meanings = {column.name: column.meaning for column in known}
    return [
        (name, meanings[name], cell(name, _value(row, name)))
        for name in names
        if row[name] is not None and row[name] != "{}"
    ]


def _value(row: sqlite3.Row, name: str) -> object:
    value = row[name]
    return bool(value) if name in _FLAGS and isinstance(value, int) else value


def _because(trial: sqlite3.Row) -> str:
    if trial["verdict"] == Verdict.HOLDS:
        return "The layer kept still on every frozen step."
    if trial["verdict"] == Verdict.INERT:
        return "The layer never moved, though it had attached steps: this proves nothing."
    if trial["verdict"] != Verdict.LEAKS:
        return ""
    moved = f"The layer moved on {trial['leaked_steps']} of {trial['frozen_steps']} frozen steps"
    first = f"{moved}, first on step {trial['first_leak_step']}."
    if trial["causes"] is None:
        why = trial["unexplained"] or "they were not recorded"
        return f"{first} What moved it was not found: {why}."
    return f"{first} The smallest sets of sources that move it there: {trial['causes']}."
