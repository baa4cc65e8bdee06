"""A watch of somebody's own loop: did what was to keep still move, why, and what to do."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from analysis.tables.cause_counts import CAUSED, cause_sets

WATCHED = (
    *("sweep", "optimizer", "options", "steps", "frozen_steps", "leaked_steps"),
    *("first_leak_step", "max_drift", "zero_grad", "verdict", *CAUSED, "unexplained"),
)
"""The columns that `watched` is made from."""

_FOUND = {"none": "None", "zero": "zeros", "never": "not cleared"}
_APART = "give it an optimizer of its own, and leave out that one's step() while it is frozen"
_REMEDY = {
    "none": f"its optimizer moves it though its grad is None: {_APART}",
    "zero": "let its grad be None, not zeros: optimizer.zero_grad(set_to_none=True)",
    "never": "set its grad to None before the step",
}
"""What keeps a parameter still, by what step() found in its grad."""


def watched(frame: pd.DataFrame) -> pd.DataFrame:
    """One row for each parameter that was to keep still on some step; those that moved first.

    Columns: ``sweep``, ``parameter``, ``optimizer``; ``steps`` that the optimizer took, on how
    many of them the parameter was to keep still (``still_steps``: no gradient of the step's own
    reached it, or it was named as frozen) and on how many of those it ``moved``; the ``first`` of
    them, counting from 0; ``max_drift``; ``grad``, what step() found in its grad then, or at the
    first step to keep still; ``causes``, and ``unexplained`` where they were not found;
    ``remedy``, null for what kept still.
    """
    moved = frame["verdict"] == "leaks"
    grad = frame["zero_grad"].astype(str)
    despite = frame["despite_none"].fillna(False).astype(bool)
    remedy = grad.mask(despite, "none").map(_REMEDY)
    rows = pd.DataFrame(
        {
            "sweep": frame["sweep"].astype("string"),
            "parameter": [_parameter(text) for text in frame["options"]],
            "optimizer": frame["optimizer"].astype("string"),
            "steps": frame["steps"],
            "still_steps": frame["frozen_steps"],
            "moved": frame["leaked_steps"],
            "first": frame["first_leak_step"],
            "max_drift": frame["max_drift"].where(moved),
            "grad": grad.map(_FOUND),
            "causes": cause_sets(frame).where(moved),
            "unexplained": frame["unexplained"],
            "remedy": remedy.where(moved),
        }
    )
    words = ("parameter", "grad", "causes", "unexplained", "remedy")
    order = rows.assign(held=~moved).sort_values(["sweep", "held", "first"], kind="stable").index
    return rows.loc[order].astype(dict.fromkeys(words, "string")).reset_index(drop=True)


def _parameter(options: Any) -> str:
    """The parameter's name, with its optimizer's place where that is not the first."""
    read = json.loads(str(options))
    place = int(read.get("optimizer", 0))
    return f"{read['parameter']}{f' (optimizer {place})' if place else ''}"
