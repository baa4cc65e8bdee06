"""Chooses the two learning rates at which the preset `cost` trains each optimizer.

    python results/choose_rates.py

Trains digits at every rate of a grid, remedied (grads set to None) and without weight decay, and
writes what each rate reaches to sweep/grid/presets/cost_rates.csv, beside the preset. A rate is
as good as its worst schedule: the median score over three seeds there. An optimizer learns digits
if its best rate reaches `LEARNS`. The preset has that rate and, of those that reach `NEARLY` of
it, the one that is farthest from it; a test holds preset and file together.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from leaksweep import run

HERE = Path(__file__).parent
RATES_FILE = HERE.parent / "sweep" / "grid" / "presets" / "cost_rates.csv"
LEARNS = 0.8
NEARLY = 0.9

RATES = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
_SHARED = {
    "lr": RATES,
    "zero_grad": ["none"],
    "schedule": ["alternate", "every:4", "after:50"],
    "seed": [100, 101, 102],  # not those of the preset
}
_DEFAULTS = (
    *("Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"),
    *("Adafactor", "Rprop", "ASGD", "Muon"),
)
SPEC: dict[str, Any] = {
    "name": "rates",
    "workload": "digits",
    "grid": [
        {"optimizer": ["SGD"], "momentum": [0.9], **_SHARED},
        {"optimizer": list(_DEFAULTS), **_SHARED},
        # Of LBFGS, None is no remedy.
        {"optimizer": ["LBFGS"], "freeze": ["own_optimizer"], **_SHARED},
    ],
}


def reached(trials: pd.DataFrame) -> pd.DataFrame:
    """What each rate reaches, a row an optimizer and rate; no score, as of a failed trial, is 0."""
    trials = trials.assign(score=trials["score"].fillna(0.0))
    of_schedule = trials.groupby(["optimizer", "lr", "schedule"], observed=True)["score"]
    worst = of_schedule.median().groupby(["optimizer", "lr"], observed=True).min()
    return worst.rename("score").round(4).reset_index()


def chosen(rates: pd.DataFrame) -> dict[str, tuple[float, ...]]:
    """The rates of the preset by optimizer, rising; none for those that do not learn."""
    found = {}
    for name, each in rates.groupby("optimizer", sort=True):
        best = each.loc[each["score"].idxmax()]
        if best["score"] < LEARNS:
            continue
        good = each[each["score"] >= NEARLY * best["score"]]
        far = good.loc[(good["lr"].map(math.log) - math.log(best["lr"])).abs().idxmax()]
        found[str(name)] = tuple(sorted({float(best["lr"]), float(far["lr"])}))
    return found


def main() -> None:
    """Trains what is missing, writes the file, prints what is chosen."""
    trials = run(SPEC, db=HERE / "rates.db").trials()
    rates = reached(trials)
    rates.to_csv(RATES_FILE, index=False)
    for name, found in chosen(rates).items():
        sys.stdout.write(f"{name}: {found}\n")


if __name__ == "__main__":
    main()
