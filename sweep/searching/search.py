"""A search: settings are proposed, run and recorded, until as many trials have run as asked.

    database ──► study ──► proposals ──► trials in processes ──► the one writer ──► database
                   ▲                              │
                   └────────── told ──────────────┘

A searched sweep is a sweep whose spec says how it was searched. Its study is rebuilt from its
trials, so that nothing has to be kept in step; what was proposed and did not finish is
proposed again, or something better is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from sweep.driver import Progress, run_trials
from sweep.errors import DatabaseError
from sweep.grid.spec import Spec
from sweep.running.runner import Runner
from sweep.searching.claims import claim_search
from sweep.searching.objective import Objective, Rows, twin_of
from sweep.searching.ranges import Range, range_text
from sweep.searching.samplers import give_state, make_sampler
from sweep.searching.space import Space
from sweep.searching.study import (
    MOST_REPEATS,
    Proposal,
    StudyInMemory,
    frozen_trial,
    rows_so_far,
    told_values,
)
from sweep.store.rows import trial_row
from sweep.store.store import Store
from sweep.values.outcome import Outcome
from sweep.values.setting import PlannedTrial, canonical_json
from sweep.values.words import Sampler


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched, for what and how: all that decides which settings are proposed.

    Attributes:
        spec: the grid to begin from: its words, and the values of what has no range.
        ranges: the numbers that are explored, by name.
        objectives: what the worst, or best, of is looked for.
        sampler: how settings are chosen.
        seed: of the choice, not of the trials.
    """

    spec: Spec
    ranges: Mapping[str, Range]
    objectives: tuple[Objective, ...]
    sampler: Sampler
    seed: int = 0

    def space(self) -> Space:
        """The settings that may be proposed. Raises SpecError as `Space` does."""
        return Space(self.spec, self.ranges, apart=self.sampler is Sampler.TPE)

    def how(self) -> dict[str, Any]:
        """How the grid is searched, as the sweep's spec says it."""
        return {
            "ranges": [range_text(*each) for each in self.ranges.items()],
            "objectives": [each.value for each in self.objectives],
            "sampler": self.sampler.value,
            "seed": self.seed,
        }

    @property
    def twins(self) -> bool:
        """Whether each proposed trial has a twin beside it, which was not proposed."""
        return Objective.SCORE in self.objectives

    def twin(self, planned: PlannedTrial) -> PlannedTrial | None:
        """The twin of a proposed trial; None where it has none."""
        return twin_of(planned) if self.twins else None


def run_search(
    store: Store,
    dialogue: Dialogue,
    runner: Runner,
    *,
    trials: int,
    observe: Callable[[Progress], None] = lambda _: None,
) -> Progress:
    """Runs ``trials`` more trials of the search, and their twins; where the sweep then stands.

    Its ``planned`` is recorded trials and those asked for. Commits as it goes, and tells
    ``dialogue`` of each trial as it finishes. Raises as `sweep.driver.run_sweep` does; what was
    finished by then, or by an interruption, is kept.
    """
    search, there = dialogue.search, len(dialogue.shown)
    sweep = claim_search(store, search.spec, search.how())
    most = there + trials * (2 if search.twins else 1)
    store.record_sweep(sweep.name, sweep.spec, most)
    begun = Progress(most, there, {}, 0.0)
    observe(begun)

    def kept(outcome: Outcome) -> Outcome:
        return replace(outcome, proposal=dialogue.hear(outcome))

    proposals = dialogue.proposals(trials)
    done = run_trials(store, sweep, proposals, runner, begun, observe, kept=kept)
    if most > there + done.finished:
        store.record_sweep(sweep.name, sweep.spec, there + done.finished)
    return done


def rebuilt(url: str, search: Search, space: Space) -> Dialogue:
    """The dialogue that goes on from the search's recorded trials, if there are any; reads only.

    Raises DatabaseError for trials that are not of the search, and what `rows_so_far` raises.
    """
    rows = rows_so_far(url, search.spec.name)
    try:
        return Dialogue(search, space, rows)
    except (KeyError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())[:160]
        raise DatabaseError(
            f"The sweep {search.spec.name!r} has a trial that the search could not have "
            f"proposed ({type(error).__name__}: {words}). Give --name for a new one.",
            url=url,
        ) from error


class Dialogue:
    """Asks a study in memory for settings and tells it what they came to.

    Attributes:
        search: what is looked for.
        shown: what each trial that has finished showed, a row of ``trial``, by fingerprint.
        exhausted: whether it gave up to find another setting.
    """

    def __init__(self, search: Search, space: Space, rows: Sequence[Mapping[str, Any]]) -> None:
        """The one that goes on from ``rows``; raises ValueError or the like for others' rows."""
        self.shown: dict[str, Mapping[str, Any]] = {row["fingerprint"]: row for row in rows}
        proposed = [row for row in rows if not search.twins or row["proposal"] is not None]
        pairs = [_proposed(row, self.shown, search, space) for row in proposed]
        if search.sampler is Sampler.CMAES:
            sampler = make_sampler(search.sampler, space, seed=search.seed, proposal=0)
            give_state((trial for trial, _ in pairs), sampler, search.objectives[0].direction)
        self.search = search
        self.exhausted = False
        self._space = space
        self._in_memory = StudyInMemory([each.direction for each in search.objectives], pairs)
        self._known = set(self.shown)  # and what was proposed, or run as a twin, since
        self._proposed = len(proposed)
        self._open: dict[str, tuple[PlannedTrial, Trial, Proposal]] = {}

    @property
    def study(self) -> Study:
        """The study itself."""
        return self._in_memory.study

    def proposals(self, count: int) -> Iterator[PlannedTrial]:
        """``count`` new settings, each chosen when it is asked for; fewer where there are none.

        A twin comes before its setting, so that after an interruption none is without it.
        """
        for _ in range(count):
            planned = self._new()
            if planned is None:
                self.exhausted = True
                return
            twin = self.search.twin(planned)
            if twin is not None and twin.fingerprint not in self._known:
                self._known.add(twin.fingerprint)
                yield twin
            yield planned

    def hear(self, outcome: Outcome) -> str | None:
        """Tells the study what it can; what is to be kept of the trial's proposal, as JSON.

        None for a twin, which was not proposed. Of a trial that ended before its twin, the study
        is told when that ends.
        """
        fingerprint = outcome.planned.fingerprint
        self.shown[fingerprint] = trial_row(outcome, 0, 0)
        asked = self._open.get(fingerprint)
        for planned, trial, _ in list(self._open.values()):
            both = (planned, self.search.twin(planned))
            if all(each is None or each.fingerprint in self.shown for each in both):
                self._tell(planned, trial)
        return canonical_json(asked[-1].model_dump(exclude_defaults=True)) if asked else None

    def _tell(self, planned: PlannedTrial, trial: Trial) -> None:
        del self._open[planned.fingerprint]
        row = self.shown[planned.fingerprint]
        state, found = told_values(row, self.search.objectives, self.shown)
        self.study.tell(trial, found, state=state)

    def _new(self) -> PlannedTrial | None:
        for attempt in range(MOST_REPEATS):
            self.study.sampler = make_sampler(
                self.search.sampler,
                self._space,
                seed=self.search.seed,
                proposal=self._proposed,
                attempt=attempt,
            )
            trial, planned = self._asked()
            if planned.fingerprint not in self._known:
                self._known.add(planned.fingerprint)
                self._proposed += 1
                kept = self._in_memory.proposal(trial.number)
                self._open[planned.fingerprint] = (planned, trial, kept)
                return planned
            self.study.tell(trial, state=TrialState.FAIL)  # which no sampler learns from
        return None

    def _asked(self) -> tuple[Trial, PlannedTrial]:
        """A new trial. Raises DatabaseError where what is recorded makes no sense to Optuna."""
        try:
            trial = self.study.ask()
            return trial, self._space.suggest(trial)
        except Exception as error:
            raise DatabaseError(
                f"The search {self.search.spec.name!r} cannot go on from what is recorded of it: "
                f"{type(error).__name__}: {str(error)[:200]}. Give --name for a new one.",
                url="",
            ) from error


def _proposed(
    row: Mapping[str, Any], known: Rows, search: Search, space: Space
) -> tuple[FrozenTrial, Proposal | None]:
    """The trial of ``row``, and what was kept of its proposal: nothing in an older database.

    It has no user attributes, as Optuna copies all of them, twice.
    """
    kept = row["proposal"]
    proposal = None if kept is None else Proposal.model_validate_json(kept)
    trial = frozen_trial(
        row,
        search.objectives,
        known,
        space.parameters(row),
        space.distributions,
        system_attrs=dict(proposal.trial) if proposal else {},
    )
    return trial, proposal
