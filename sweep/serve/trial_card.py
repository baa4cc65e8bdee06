"""One trial as a card: its verdict and why, its setting, its numbers and its twins."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from sweep.serve.cells import Cell, cell, trial_address
from sweep.serve.step_picture import StepPicture, step_picture
from sweep.store.describe import describe_schema
from sweep.values.words import Axis, Verdict

NUMBERS = (
    *("leaked_steps", "frozen_steps", "first_leak_step", "max_drift", "total_drift"),
    *("attached_motion", "drift_ratio", "frozen_norm", "initial_loss", "final_loss"),
    *("score", "diverged", "sideways", "despite_none", "train_seconds"),
)
_FLAGS = frozenset({"diverged", "sideways", "despite_none"})
_SETTING = (*(axis.value for axis in Axis), "workload", "steps", "options", "optimizer_package")
_PLACE = ("torch", "python", "leaksweep", "system", "machine", "cpu", "device", "threads")
_SAME = tuple(name for name in _SETTING if name not in ("zero_grad", "optimizer_package"))
_TRIAL = """
SELECT trial.*, sweep.name AS sweep, sweep.spec AS spec FROM trial
JOIN sweep ON sweep.id = trial.sweep_id WHERE trial.id = ?
"""
_TWINS = f"""
SELECT id, zero_grad, verdict, max_drift FROM trial
WHERE sweep_id = ? AND id != ? AND {" AND ".join(f"{name} IS ?" for name in _SAME)}
ORDER BY zero_grad LIMIT 10
"""  # noqa: S608 names of ours


@dataclass(frozen=True, slots=True)
class Twin:
    """A trial that differs in how gradients are cleared alone."""

    id: int
    zero_grad: Cell
    verdict: Cell
    max_drift: Cell
    address: str


@dataclass(frozen=True, slots=True)
class TrialCard:
    """Everything a trial's page shows.

    Attributes:
        id, sweep, sweep_id: which it is.
        verdict: its verdict.
        because: what moved the layer, or why that is not known, as a sentence; may be empty.
        setting, numbers, place: names with their meanings and values.
        error: what it raised; None if it did not.
        picture: its steps; None where they were not recorded.
        twins: the same setting with gradients cleared in another way.
        why: the command that explains it; None for a parameter that was watched.
        finished: when, UTC.
    """

    id: int
    sweep: str
    sweep_id: int
    verdict: Cell
    because: str
    setting: list[tuple[str, str, Cell]]
    numbers: list[tuple[str, str, Cell]]
    place: list[tuple[str, str, Cell]]
    error: str | None
    picture: StepPicture | None
    twins: list[Twin]
    why: str | None
    finished: str


def trial_card(connection: sqlite3.Connection, trial_id: int, db: str) -> TrialCard | None:
    """The card of that trial; None where there is none. ``db`` is what commands name it by."""
    trial = connection.execute(_TRIAL, (trial_id,)).fetchone()
    if trial is None:
        return None
    environment = connection.execute(
        "SELECT * FROM environment WHERE id = ?", (trial["environment_id"],)
    ).fetchone()
    return TrialCard(
        id=trial_id,
        sweep=str(trial["sweep"]),
        sweep_id=trial["sweep_id"],
        verdict=cell("verdict", trial["verdict"]),
        because=_because(trial),
        setting=_told("trial", trial, _SETTING),
        numbers=_told("trial", trial, NUMBERS),
        place=_told("environment", environment, _PLACE) if environment else [],
        error=None if trial["error"] is None else cell("error", trial["error"]).text,
        picture=step_picture(connection, trial_id),
        twins=_twins(connection, trial),
        why=None if _is_watch(trial["spec"]) else f"leaksweep why {trial_id}{db}",
        finished=str(trial["finished_at"])[:19],
    )


def side_by_side(
    connection: sqlite3.Connection, ids: list[int]
) -> list[tuple[str, list[Cell], bool]]:
    """Rows of a comparison: a name, its value in each trial, and whether these are the same."""
    marks = ", ".join("?" * len(ids))
    chosen = f"SELECT * FROM trial WHERE id IN ({marks})"  # noqa: S608 question marks
    rows = connection.execute(chosen, ids)
    by_id = {row["id"]: row for row in rows}
    trials = [by_id[each] for each in ids if each in by_id]
    lines = []
    for name in ("id", "verdict", "causes", *_SETTING, *NUMBERS):
        values = [_flagged(name, trial[name]) for trial in trials]
        if any(value is not None for value in values):
            cells = [cell("trial" if name == "id" else name, value) for value in values]
            lines.append((name, cells, len(set(values)) == 1))
    return lines


def _told(table: str, row: sqlite3.Row, names: tuple[str, ...]) -> list[tuple[str, str, Cell]]:
    known = next(each for each in describe_schema() if each.name == table).columns
    meanings = {column.name: column.meaning for column in known}
    return [
        (name, meanings[name], cell(name, _flagged(name, row[name])))
        for name in names
        if row[name] is not None and row[name] != "{}"
    ]


def _flagged(name: str, value: object) -> object:
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


def _twins(connection: sqlite3.Connection, trial: sqlite3.Row) -> list[Twin]:
    given = (trial["sweep_id"], trial["id"], *(trial[name] for name in _SAME))
    return [
        Twin(
            row["id"],
            cell("zero_grad", row["zero_grad"]),
            cell("verdict", row["verdict"]),
            cell("max_drift", row["max_drift"]),
            trial_address(row["id"]),
        )
        for row in connection.execute(_TWINS, given)
    ]


def _is_watch(spec: object) -> bool:
    try:
        read = json.loads(str(spec))
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and read.get("kind") == "watch"
