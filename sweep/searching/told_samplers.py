"""Optuna's samplers that draw parameters together, told which: a setting need not have them all.

By themselves they take the parameters of the first trial, or those that all trials so far have
had, and what comes later without one of them, or with another, is drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.searching.objective import Direction

GENERATION = "cma:generation"
"""The attribute of a trial that says of which generation of CMA-ES it is."""
STATE = "cma:optimizer"
"""How the attributes begin that hold the pickled state of CMA-ES."""


class Sequence(QMCSampler):
    """A scrambled Sobol sequence; a coordinate that a setting has no parameter for goes unused."""

    def __init__(self, parameters: Mapping[str, BaseDistribution], *, seed: int) -> None:
        super().__init__(scramble=True, seed=seed, warn_independent_sampling=False)
        self._parameters = parameters

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All parameters that there are."""
        return dict(self._parameters)


class Evolution(CmaEsSampler):
    """CMA-ES over the numbers that all settings have; what else there is is drawn at random."""

    def __init__(self, numbers: Mapping[str, BaseDistribution], *, seed: int) -> None:
        super().__init__(seed=seed, warn_independent_sampling=False)
        self._numbers = numbers

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The numbers that all settings have."""
        return dict(self._numbers)


def give_state(trials: Iterable[FrozenTrial], sampler: BaseSampler, direction: Direction) -> None:
    """Puts the state of CMA-ES where Optuna looks for it: at a trial of the last generation.

    Optuna keeps it as a pickle, which could run anything, so that the database has nothing but
    the number of each trial's generation. The state is what Optuna's own sampler makes of it
    when it is told of one generation after the other.
    """
    generations: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE and GENERATION in trial.system_attrs:
            generations.setdefault(trial.system_attrs[GENERATION], []).append(trial)
    state: dict[str, str] = {}
    for number in sorted(generations):
        first, *others = generations[number]
        kept = dict(first.system_attrs)
        first.system_attrs = kept | state
        if number == max(generations):
            return
        state = _after([first, *others], sampler, direction)
        first.system_attrs = kept


def _after(
    generation: Iterable[FrozenTrial], sampler: BaseSampler, direction: Direction
) -> dict[str, str]:
    """The attributes with the state after ``generation``, which has the state before it."""
    study = optuna.create_study(direction=direction, sampler=sampler)
    study.add_trials(generation)
    _ = study.ask().relative_params  # it is only now that Optuna asks the sampler
    found = study.get_trials(deepcopy=False)[-1].system_attrs
    return {name: value for name, value in found.items() if name.startswith(STATE)}
