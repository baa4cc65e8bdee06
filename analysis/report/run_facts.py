"""What was run, as the report's facts: the grid, the environment, and how to repeat it."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.look import counted
from analysis.load import SweepRecord
from analysis.schema import COUNT, ENVIRONMENT_COLUMNS, SEEDS, SETTING_AXES, in_order

_NO_KEYS = ("grid", "options", "kind", "search")  # tables, and what a spec file does not say
MOST_SPELLED = 16  # of an axis or fact that are spelled out before the rest are only counted


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing and what it was."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """How to run a sweep again: the commands, and the spec file that they name."""

    commands: tuple[str, ...]
    spec: str


def run_facts(record: SweepRecord, frame: pd.DataFrame, runs: pd.DataFrame) -> tuple[Fact, ...]:
    """How far the sweep got, how long it took, and with what it ran: ``runs`` of `load_runs`."""
    minutes = runs["train_seconds"].sum() / 60
    facts = [
        Fact("trials", f"{runs[COUNT].sum():,} recorded of {record.planned:,} planned"),
        Fact("begun", f"{record.created_at} UTC"),
        Fact("finished", f"{runs['finished_at'].max():%Y-%m-%d %H:%M} UTC"),
        Fact("training", f"{minutes:.1f} minutes, added up over workers"),
        Fact("workload", _values(frame["workload"])),
        Fact("steps", _values(frame["steps"])),
    ]
    told = {name: name for name in ENVIRONMENT_COLUMNS if runs[name].notna().any()}
    told |= {"optimizer_package": "optimizers of"}
    recorded = (Fact(told[name], _values(runs[name], absent="not recorded")) for name in told)
    return (*facts, *recorded)


def grid_facts(frame: pd.DataFrame) -> tuple[Fact, ...]:
    """Each axis with the values that its trials have."""
    seeds = frame[SEEDS].str.split(",").explode().astype("int64")
    columns = [*(frame[axis] for axis in SETTING_AXES), seeds.rename("seed")]
    return tuple(Fact(str(column.name), _values(column)) for column in columns)


def repeat(record: SweepRecord) -> Repeat:
    """The commands that run the sweep again from its recorded grid, and draw this page."""
    name = shlex.quote(record.name)
    spec = json.loads(record.spec)
    searched = spec.get("search")
    run = "run repeat.toml" if searched is None else _search(searched, record.planned, name)
    commands = (
        f"leaksweep {run} --db sqlite:///repeat.db",
        f"leaksweep report {name} --db sqlite:///repeat.db",
    )
    return Repeat(commands, spec_toml(spec))


def _search(searched: dict[str, Any], trials: int, name: str) -> str:
    """The words that search again as the spec of a searched sweep says."""
    if "edge" in searched:
        axis, _, ends = map(shlex.quote, searched["edge"].partition("="))
        return (
            f"edge {axis} repeat.toml --name {name} --range {ends} --points {searched['points']} "
            f"--tolerance {searched['tolerance']}"
        )
    words = [f"search repeat.toml --name {name} --trials {trials}"]
    words += [f"--objective {shlex.quote(each)}" for each in searched["objectives"]]
    words += [f"--range {shlex.quote(each)}" for each in searched["ranges"]]
    return " ".join([*words, f"--sampler {searched['sampler']}", f"--seed {searched['seed']}"])


def spec_toml(spec: dict[str, Any]) -> str:
    """A recorded spec as the TOML that `leaksweep run` takes; null, which TOML lacks, is left out.

    Strings, numbers, booleans and lists of them are written alike in JSON and TOML.

    >>> print(spec_toml({"name": "s", "grid": [{"lr": [1.0]}], "options": {"SGD": {"a": True}}}))
    name = "s"
    <BLANKLINE>
    [[grid]]
    lr = [1.0]
    <BLANKLINE>
    [options."SGD"]
    a = true
    """
    plain = {key: value for key, value in spec.items() if key not in _NO_KEYS}
    blocks = [_assignments(plain)]
    blocks += [f"[[grid]]\n{_assignments(grid)}" for grid in spec.get("grid", [])]
    for optimizer, options in spec.get("options", {}).items():
        blocks.append(f"[options.{json.dumps(optimizer)}]\n{_assignments(options)}")
    return "\n\n".join(blocks)


def _assignments(values: dict[str, Any]) -> str:
    pairs = values.items()
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in pairs if value is not None)


def _values(column: pd.Series, absent: str = "not applicable") -> str:
    """The distinct values of a column: of many words the first few, of many numbers the ends."""
    known = column.dropna().unique()
    if isinstance(column.dtype, pd.CategoricalDtype):
        texts = in_order(str(column.name), map(str, known))
        more = len(texts) - MOST_SPELLED
        texts = texts[:MOST_SPELLED] + ([f"and {counted(more, 'other')}"] if more > 0 else [])
    elif len(known) > MOST_SPELLED:
        texts = [f"{len(known):,} values from {min(known):.6g} to {max(known):.6g}"]
    else:
        texts = [f"{value:.6g}" for value in sorted(known)]
    return ", ".join([*texts, absent] if column.isna().any() else texts)
