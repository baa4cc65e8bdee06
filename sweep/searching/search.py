"""A search: settings are proposed, run and recorded, until as many trials have run as asked.

    database ──► study ──► proposals ──► trials in processes ──► the one writer ──► database
                   ▲                              │
                   └────────── told ──────────────┘

A searched sweep is a sweep whose spec says how it was searched. Its study is rebuilt from its
trials, so that nothing has to be kept in step; what was proposed and did not finish is
proposed again, or something better is.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.driver import Progress
from sweep.errors import DatabaseError, MisuseError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.running.runner import Runner
from sweep.searching.objective import Objective, values
from sweep.searching.ranges import Range
from sweep.searching.samplers import Sampler, make_sampler
from sweep.searching.space import Space
from sweep.searching.study import frozen_trial, rows_so_far
from sweep.store.store import RecordedSweep, Store
from sweep.store.writer import Writer
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial, canonical_json
from sweep.values.words import Verdict

KIND = "search"
"""The ``kind`` of a searched sweep's spec."""
MOST_REPEATS = 200
"""Proposals in a row that were made before; after as many there seems to be nothing new."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, for what and how: all that decides which settings are proposed.

    Attributes:
        spec: the grid to begin from: its words, and the values of what has no range.
        ranges: the numbers that are explored.
        objectives: what the worst, or best, of is looked for.
        sampler: how settings are chosen.
        seed: of the choice, not of the trials.
    """

    spec: Spec
    ranges: tuple[Range, ...]
    objectives: tuple[Objective, ...]
    sampler: Sampler
    seed: int = 0

    def space(self) -> Space:
        """The settings that may be proposed. Raises SpecError as `Space` does."""
        return Space(self.spec, self.ranges, apart=self.sampler is Sampler.TPE)

    def canonical(self) -> str:
        """The sweep's spec, as the database records it: the grid's, and how it is searched."""
        grid = json.loads(Grid(self.spec).canonical())
        searched = {
            "ranges": [str(each) for each in self.ranges],
            "objectives": [each.value for each in self.objectives],
            "sampler": self.sampler.value,
            "seed": self.seed,
        }
        return canonical_json(grid | {"kind": KIND, KIND: searched})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A study that was rebuilt from recorded trials, how many those were, and the time it took."""

    study: Study
    rows: Sequence[Mapping[str, Any]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Searched:
    """What one run of a search came to.

    Attributes:
        progress: where the sweep stands; ``planned`` is recorded trials and those asked for.
        exhausted: whether nothing new was proposed any more, so that fewer ran.
    """

    progress: Progress
    exhausted: bool


def rebuilt(url: str, search: Search, space: Space) -> Loaded:
    """The study of the search's recorded trials, in memory; reads only.

    An empty one where none are recorded yet. Raises DatabaseError for trials that are not of
    the search, and what `rows_so_far` raises.
    """
    started = time.monotonic()
    rows = rows_so_far(url, search.spec.name)
    try:
        trials = [_frozen(row, search, space) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise DatabaseError(
            f"The sweep {search.spec.name!r} has a trial that the search could not have "
            f"proposed ({type(error).__name__}: {str(error)[:120]}). Give --name for a new one.",
            url=url,
        ) from error
    study = optuna.create_study(directions=[each.direction for each in search.objectives])
    study.add_trials(trials)
    return Loaded(study, rows, time.monotonic() - started)


def _frozen(row: Mapping[str, Any], search: Search, space: Space) -> FrozenTrial:
    """The trial of ``row`` with no attribute but its id: Optuna copies what a trial has, twice."""
    trial = frozen_trial(row, search.objectives, space.parameters(row), space.distributions)
    trial.user_attrs = {"trial": row["id"]}
    return trial


class Claims(Protocol):
    """What is recorded as a searched sweep: its spec, and that spec as the database has it."""

    @property
    def spec(self) -> Spec:
        """The grid to begin from, with the sweep's name."""

    def canonical(self) -> str:
        """The spec to record."""


def claim_search(store: Store, search: Claims) -> RecordedSweep:
    """The searched sweep of the spec's name, recorded with no trial planned if it is new.

    Raises MisuseError for a sweep of that name that is no search, or another one.
    """
    spec = search.canonical()
    recorded = store.sweep(search.spec.name)
    if recorded is None:
        return store.record_sweep(search.spec.name, spec, 0)
    if recorded.spec != spec:
        raise MisuseError(
            f"The database has a sweep named {search.spec.name!r} that is not this search: "
            f"{_difference(recorded.spec, spec)}. Give this one a name of its own with --name, "
            f"or use another --db."
        )
    return recorded


def run_search(
    store: Store,
    search: Search,
    space: Space,
    study: Loaded,
    runner: Runner,
    *,
    trials: int,
    observe: Callable[[Progress], None] = lambda _: None,
) -> Searched:
    """Runs ``trials`` more trials of the search; commits as it goes.

    ``study`` is told of each as it finishes. Raises as `sweep.driver.run_sweep` does; what
    was finished by then, or by an interruption, is kept.
    """
    sweep = claim_search(store, search)
    there = len(study.rows)
    store.record_sweep(sweep.name, sweep.spec, there + trials)
    started, ran = time.monotonic(), Counter[Verdict]()
    dialogue = _Dialogue(search, space, study.study, {row["fingerprint"] for row in study.rows})

    def progress() -> Progress:
        return Progress(there + trials, there, ran, time.monotonic() - started)

    observe(progress())
    with (
        Writer(store, sweep.id) as writer,
        closing(runner.run(dialogue.proposals(trials))) as outcomes,
    ):
        for outcome in outcomes:
            writer.put(outcome)
            dialogue.tell(outcome)
            ran[outcome.verdict] += 1
            observe(progress())
    if dialogue.exhausted:
        store.record_sweep(sweep.name, sweep.spec, there + sum(ran.values()))
    return Searched(progress(), dialogue.exhausted)


@dataclass(slots=True)
class _Dialogue:
    """Asks the study for settings and tells it what they came to.

    Attributes:
        known: the fingerprints of the settings that were proposed, now or before.
        exhausted: whether it gave up to find another.
    """

    search: Search
    space: Space
    study: Study
    known: set[str]
    exhausted: bool = False
    _open: dict[str, Trial] = field(default_factory=dict)

    def proposals(self, count: int) -> Iterator[PlannedTrial]:
        """``count`` new settings, each chosen when it is asked for; fewer where there are none."""
        for _ in range(count):
            planned = self._new()
            if planned is None:
                self.exhausted = True
                return
            yield planned

    def tell(self, outcome: Outcome) -> None:
        """Tells the study of the trial of a proposed setting."""
        trial = self._open.pop(outcome.planned.fingerprint)
        found = values(_row(outcome), self.search.objectives)
        failed = outcome.verdict is Verdict.FAILED
        unranked = TrialState.FAIL if failed else TrialState.PRUNED
        self.study.tell(trial, found, state=unranked if found is None else None)

    def _new(self) -> PlannedTrial | None:
        for attempt in range(MOST_REPEATS):
            self.study.sampler = make_sampler(
                self.search.sampler,
                self.space,
                seed=self.search.seed,
                proposal=len(self.known),
                attempt=attempt,
            )
            trial = self.study.ask()
            planned = self.space.suggest(trial)
            if planned.fingerprint not in self.known:
                self.known.add(planned.fingerprint)
                self._open[planned.fingerprint] = trial
                return planned
            self.study.tell(trial, state=TrialState.FAIL)  # which no sampler learns from
        return None


def _row(outcome: Outcome) -> dict[str, Any]:
    """What `sweep.searching.objective.values` asks of a row of ``trial``."""
    if outcome.measurement is None:
        return {"verdict": outcome.verdict}
    measured = {each.value: getattr(outcome.measurement, each.value) for each in Objective}
    return measured | {"verdict": outcome.verdict, "diverged": outcome.measurement.diverged}


def _difference(recorded: str, spec: str) -> str:
    """The first thing in which two specs differ, as a phrase."""
    theirs, ours = json.loads(recorded), json.loads(spec)
    if theirs.get("kind") != KIND:
        return "it is no search, and a search is a sweep of its own"
    for name in ("workload", "steps"):
        if theirs[name] != ours[name]:
            return f"its {name} is {theirs[name]}, not {ours[name]}"
    for name, value in ours[KIND].items():
        if theirs[KIND].get(name) != value:
            return f"its {name} is {_shown(theirs[KIND].get(name))}, not {_shown(value)}"
    return "its spec has other values or options"


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
