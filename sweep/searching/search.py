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
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.driver import Progress
from sweep.errors import DatabaseError, MisuseError
from sweep.grid import Grid
from sweep.grid.spec import Spec
from sweep.running.runner import Runner
from sweep.searching.objective import SCORE_CHANGE, Objective, values
from sweep.searching.proposals import MOST_REPEATS, Proposal, StudyInMemory
from sweep.searching.ranges import Range
from sweep.searching.samplers import Sampler, make_sampler
from sweep.searching.space import Space
from sweep.searching.study import frozen_trial, rows_so_far
from sweep.searching.told_samplers import give_state
from sweep.searching.twins import score_change, twin_of, with_score_change
from sweep.store.store import RecordedSweep, Store
from sweep.store.writer import Writer
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial, canonical_json
from sweep.values.words import Verdict

KIND = "search"
"""The ``kind`` of a searched sweep's spec."""


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

    @property
    def twins(self) -> bool:
        """Whether each proposed trial has a twin beside it."""
        return Objective.SCORE in self.objectives

    def proposed(self, row: Mapping[str, Any]) -> bool:
        """Whether the trial of ``row`` was proposed: a twin that was not has no proposal."""
        return not self.twins or row["proposal"] is not None

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
    """A study that was rebuilt from recorded trials, the rows of those, and the time it took."""

    in_memory: StudyInMemory
    rows: Sequence[Mapping[str, Any]]
    seconds: float

    @property
    def study(self) -> Study:
        """The study itself."""
        return self.in_memory.study


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
    rows = with_score_change(rows_so_far(url, search.spec.name), search.objectives)
    try:
        pairs = [_proposed(row, search, space) for row in rows if search.proposed(row)]
        if search.sampler is Sampler.CMAES:
            sampler = make_sampler(search.sampler, space, seed=search.seed, proposal=0)
            give_state((trial for trial, _ in pairs), sampler, search.objectives[0].direction)
        study = StudyInMemory([each.direction for each in search.objectives], pairs)
    except (KeyError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:160]
        raise DatabaseError(
            f"The sweep {search.spec.name!r} has a trial that the search could not have "
            f"proposed ({type(error).__name__}: {words}). Give --name for a new one.",
            url=url,
        ) from error
    return Loaded(study, rows, time.monotonic() - started)


def _proposed(
    row: Mapping[str, Any], search: Search, space: Space
) -> tuple[FrozenTrial, Proposal | None]:
    """The trial of ``row``, and what was kept of its proposal: nothing in an older database.

    It has no user attribute but its id, as Optuna copies all of them, twice.
    """
    trial = frozen_trial(row, search.objectives, space.parameters(row), space.distributions)
    trial.user_attrs = {"trial": row["id"]}
    if row["proposal"] is None:
        return trial, None
    proposal = Proposal.model_validate_json(row["proposal"])
    trial.system_attrs = dict(proposal.trial)
    return trial, proposal


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
    """Runs ``trials`` more trials of the search, and their twins; commits as it goes.

    ``study`` is told of each as it finishes. Raises as `sweep.driver.run_sweep` does; what
    was finished by then, or by an interruption, is kept.
    """
    sweep = claim_search(store, search)
    there = len(study.rows)
    most = there + trials * (2 if search.twins else 1)
    store.record_sweep(sweep.name, sweep.spec, most)
    started, ran = time.monotonic(), Counter[Verdict]()
    dialogue = _Dialogue.of(search, space, study)

    def progress() -> Progress:
        return Progress(most, there, ran, time.monotonic() - started)

    observe(progress())
    with (
        Writer(store, sweep.id) as writer,
        closing(runner.run(dialogue.proposals(trials))) as outcomes,
    ):
        for outcome in outcomes:
            writer.put(replace(outcome, proposal=dialogue.hear(outcome)))
            ran[outcome.verdict] += 1
            observe(progress())
    if most > there + ran.total():
        store.record_sweep(sweep.name, sweep.spec, there + ran.total())
    return Searched(progress(), dialogue.exhausted)


@dataclass(slots=True)
class _Dialogue:
    """Asks the study for settings and tells it what they came to.

    Attributes:
        shown: what each trial that has finished showed, by fingerprint.
        known: the fingerprints of the settings that were proposed, or run as twins.
        proposed: how many proposals there were, now or before.
        exhausted: whether it gave up to find another.
    """

    search: Search
    space: Space
    in_memory: StudyInMemory
    shown: dict[str, Mapping[str, Any]]
    known: set[str]
    proposed: int
    exhausted: bool = False
    _open: dict[str, tuple[Trial, Proposal]] = field(default_factory=dict)
    _waiting: dict[str, list[PlannedTrial]] = field(default_factory=dict)

    @classmethod
    def of(cls, search: Search, space: Space, loaded: Loaded) -> _Dialogue:
        """The one that goes on from what was recorded."""
        shown = {row["fingerprint"]: row for row in loaded.rows}
        proposed = sum(map(search.proposed, loaded.rows))
        return cls(search, space, loaded.in_memory, shown, set(shown), proposed)

    def proposals(self, count: int) -> Iterator[PlannedTrial]:
        """``count`` new settings, each chosen when it is asked for; fewer where there are none.

        A twin comes before its setting, so that after an interruption none is without it.
        """
        for _ in range(count):
            planned = self._new()
            if planned is None:
                self.exhausted = True
                return
            twin = twin_of(planned) if self.search.twins else None
            if twin is not None and twin.fingerprint not in self.known:
                self.known.add(twin.fingerprint)
                yield twin
            yield planned

    def hear(self, outcome: Outcome) -> str | None:
        """Tells the study what it can; what is to be kept of the trial's proposal, as JSON.

        None for a twin, which was not proposed.
        """
        planned = outcome.planned
        self.shown[planned.fingerprint] = _row(outcome)
        for waiting in self._waiting.pop(planned.fingerprint, ()):
            self._tell(waiting)
        if planned.fingerprint not in self._open:
            return None
        kept = self._open[planned.fingerprint][1]
        twin = twin_of(planned) if self.search.twins else None
        if twin is None or twin.fingerprint in self.shown:
            self._tell(planned)
        else:
            self._waiting.setdefault(twin.fingerprint, []).append(planned)
        return canonical_json(kept.model_dump(exclude_defaults=True))

    def _tell(self, planned: PlannedTrial) -> None:
        trial, _ = self._open.pop(planned.fingerprint)
        row = self.shown[planned.fingerprint]
        if self.search.twins:
            twin = twin_of(planned)
            beside = None if twin is None else self.shown.get(twin.fingerprint)
            row = {**row, SCORE_CHANGE: score_change(row, beside)}
        found = values(row, self.search.objectives)
        unranked = TrialState.FAIL if row["verdict"] == Verdict.FAILED else TrialState.PRUNED
        self.in_memory.study.tell(trial, found, state=unranked if found is None else None)

    def _new(self) -> PlannedTrial | None:
        study = self.in_memory.study
        for attempt in range(MOST_REPEATS):
            study.sampler = make_sampler(
                self.search.sampler,
                self.space,
                seed=self.search.seed,
                proposal=self.proposed,
                attempt=attempt,
            )
            trial, planned = self._asked(study)
            if planned.fingerprint not in self.known:
                self.known.add(planned.fingerprint)
                self.proposed += 1
                kept = self.in_memory.proposal(trial.number)
                self._open[planned.fingerprint] = (trial, kept)
                return planned
            study.tell(trial, state=TrialState.FAIL)  # which no sampler learns from
        return None

    def _asked(self, study: Study) -> tuple[Trial, PlannedTrial]:
        """A new trial. Raises DatabaseError where what is recorded makes no sense to Optuna."""
        try:
            trial = study.ask()
            return trial, self.space.suggest(trial)
        except Exception as error:
            raise DatabaseError(
                f"The search {self.search.spec.name!r} cannot go on from what is recorded of it: "
                f"{type(error).__name__}: {str(error)[:200]}. Give --name for a new one.",
                url="",
            ) from error


def _row(outcome: Outcome) -> dict[str, Any]:
    """What `sweep.searching.objective.values` asks of a row of ``trial``."""
    if outcome.measurement is None:
        return {"verdict": outcome.verdict, Objective.SCORE.value: None}
    measured = {each.value: getattr(outcome.measurement, each.value) for each in Objective}
    return measured | {"verdict": outcome.verdict, "diverged": outcome.measurement.diverged}


def _difference(recorded: str, spec: str) -> str:
    """The first thing in which two specs differ, as a phrase; the recorded one may be anything."""
    try:
        return _first_difference(json.loads(recorded), json.loads(spec))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return "its spec is none that this program writes"


def _first_difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
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
