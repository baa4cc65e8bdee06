"""Samplers of Optuna's kind that keep nothing beside the study.

Optuna's own keep where they are in attributes of the trials that they proposed, which the
database has not got: rebuilt from it, a study would begin its sequence, population or
covariance anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from cmaes import CMA  # type: ignore[import-untyped]
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import qmc  # type: ignore[import-untyped]

_RANKED = (TrialState.COMPLETE, TrialState.PRUNED)

FIRST_SIGMA = 1 / 6
"""The step of the first generation of CMA-ES, in widths of the range; Optuna's own."""


class Sobol(BaseSampler):
    """A scrambled Sobol sequence over all parameters, words among them; one point a proposal.

    A conditional parameter has a coordinate of its own, which goes unused where it is none.
    """

    def __init__(self, names: Sequence[str], *, seed: int, place: int) -> None:
        sequence = qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng(seed))
        point = sequence.fast_forward(place).random(1)[0] if place else sequence.random(1)[0]
        self._point = dict(zip(names, map(float, point), strict=True))

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Nothing: every parameter is asked for by itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing, likewise."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The point's coordinate as a value."""
        return value_at(param_distribution, self._point[param_name])


class Tpe(TPESampler):
    """TPE that finds what all trials share by their parameters' names, which is half its work."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters to draw together; none for several objectives, as Optuna has it."""
        if len(study.directions) > 1:
            return {}
        return _shared(study.get_trials(deepcopy=False, states=_RANKED))


class Generations(NSGAIISampler):
    """NSGA-II whose generations are the completed trials in their order, so many at a time."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The parameters that are crossed over."""
        return _shared(_completed(study))

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """The generation of a trial that is proposed now."""
        return len(_completed(study)) // self._size

    def get_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The trials of ``generation``."""
        first = generation * self._size
        return _completed(study)[first : first + self._size]

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The parents of ``generation``, in one order whether they were chosen before or now."""
        parents = super().get_parent_population(study, generation)
        return sorted(parents, key=lambda trial: trial.number)

    @property
    def _size(self) -> int:
        return self.population_size or 1


class Evolution(BaseSampler):
    """CMA-ES over the numbers that all settings have; what else there is is drawn at random.

    Its distribution is brought to where it is by telling it all generations anew.
    """

    def __init__(self, numbers: Mapping[str, BaseDistribution], *, seed: int) -> None:
        self._numbers = numbers
        self._seed = seed
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The numbers that all settings have."""
        return dict(self._numbers)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A point of the generation that is due."""
        size = len(search_space)
        told, sign = _completed(study), 1 if study.direction == StudyDirection.MINIMIZE else -1
        evolution = CMA(
            mean=np.full(size, 0.5),
            sigma=FIRST_SIGMA,
            bounds=np.array([[0.0, 1.0]] * size),
            seed=self._seed,
        )
        population = evolution.population_size
        for first in range(0, len(told) - population + 1, population):
            generation = told[first : first + population]
            evolution.tell([(self._place(each), sign * (each.value or 0.0)) for each in generation])
        point = evolution.ask()
        return {
            name: value_at(distribution, float(coordinate))
            for (name, distribution), coordinate in zip(search_space.items(), point, strict=True)
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value drawn at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _place(self, trial: FrozenTrial) -> npt.NDArray[np.float64]:
        pairs = self._numbers.items()
        return np.array([place_of(kind, float(trial.params[name])) for name, kind in pairs])


def value_at(distribution: BaseDistribution, place: float) -> Any:
    """The value of ``distribution`` at ``place``, which is in [0, 1].

    >>> round(value_at(FloatDistribution(1e-4, 1.0, log=True), 0.5), 9)
    0.01
    >>> value_at(IntDistribution(2, 4), 0.99), value_at(CategoricalDistribution("ab"), 0.0)
    (4, 'a')
    """
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[min(int(place * len(choices)), len(choices) - 1)]
        case IntDistribution(low=low, high=high):
            return min(low + int(place * (high - low + 1)), high)
        case FloatDistribution(low=low, high=high, log=True):
            found = float(np.exp(np.log(low) + place * (np.log(high) - np.log(low))))
            return min(max(found, low), high)
        case FloatDistribution(low=low, high=high):
            return min(low + place * (high - low), high)
    raise TypeError(distribution)


def place_of(distribution: BaseDistribution, value: float) -> float:
    """The place in [0, 1] of a number of ``distribution``: the other way round.

    >>> place_of(FloatDistribution(0.0, 4.0), 1.0), place_of(IntDistribution(2, 4), 3)
    (0.25, 0.5)
    """
    match distribution:
        case IntDistribution(low=low, high=high):
            return (value - low + 0.5) / (high - low + 1)
        case FloatDistribution(low=low, high=high, log=True):
            return float(np.log(value / low) / np.log(high / low))
        case FloatDistribution(low=low, high=high):
            return (value - low) / (high - low)
    raise TypeError(distribution)


def _shared(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The parameters of several values that all of ``trials`` have; a name has one distribution."""
    if not trials:
        return {}
    kinds = trials[0].distributions
    names = set(kinds).intersection(*(trial.params for trial in trials))
    return {name: kinds[name] for name in sorted(names) if not kinds[name].single()}


def _completed(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
