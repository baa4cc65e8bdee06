"""Optuna's samplers by name: what proposes the next setting, given the trials so far.

Each is made anew for each proposal, from the search's seed and the number of the proposal;
what it keeps besides, it keeps in the study, see `sweep.searching.study`. So what a search
proposes next depends on what is recorded and on nothing else, whether it was interrupted or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna import samplers
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, PartialFixedSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweep.errors import MisuseError
from sweep.searching.objective import Direction, Objective
from sweep.searching.space import OPTIMIZER, Space
from sweep.values.words import Sampler

POPULATION = 50
"""Trials in a generation of NSGA-II; its first one is drawn at random."""
TURN_EVERY = 2
"""One in so many of TPE's proposals is of the optimizer whose turn it is."""
GENERATION = "cma:generation"
"""The attribute of a trial that says of which generation of CMA-ES it is."""
STATE = "cma:optimizer"
"""How the attributes begin that hold the pickled state of CMA-ES."""


def check_sampler(sampler: Sampler, objectives: Sequence[Objective], space: Space) -> None:
    """Raises MisuseError where ``sampler`` cannot search ``space`` for ``objectives``."""
    if sampler is not Sampler.CMAES:
        return
    if len(objectives) > 1:
        raise MisuseError(
            f"--sampler cmaes takes one objective; {', '.join(objectives)} came. Take nsgaii or "
            f"tpe for several."
        )
    if not space.common:
        raise MisuseError(
            "--sampler cmaes needs a range of numbers that every optimizer of the search has, "
            "and there is none. Add --range lr=1e-4:1:log or the like, choose optimizers that "
            "share one with --set optimizer=..., or take --sampler tpe."
        )


def make_sampler(
    sampler: Sampler, space: Space, *, seed: int, proposal: int, attempt: int = 0
) -> BaseSampler:
    """The sampler for proposal number ``proposal`` of the search with that seed, both from 0.

    ``attempt`` tells apart the proposals made in its place while each was of a known setting.
    """
    draw = int(np.random.SeedSequence((seed, proposal, attempt)).generate_state(1)[0])
    match sampler:
        case Sampler.TPE:
            return _in_turn(samplers.TPESampler(seed=draw, constant_liar=True), space, proposal)
        case Sampler.RANDOM:
            return samplers.RandomSampler(seed=draw)
        case Sampler.QMC:  # of a scrambled sequence; a coordinate that is not needed goes unused
            return _Sequence(space.distributions, seed=seed, scramble=True)
        case Sampler.NSGAII:
            return samplers.NSGAIISampler(population_size=POPULATION, seed=draw)
        case Sampler.CMAES:  # over the numbers that all have; what else there is, at random
            return _Evolution({n: space.distributions[n] for n in space.common}, seed=draw)


def _in_turn(sampler: BaseSampler, space: Space, proposal: int) -> BaseSampler:
    """``sampler``, or for a proposal that is an optimizer's turn, ``sampler`` for that one alone.

    TPE stays with the optimizer that was best so far, and would leave one whose worst settings
    are rare after a few trials of it.
    """
    if proposal % TURN_EVERY or OPTIMIZER not in space.distributions:
        return sampler
    turn = space.optimizers[proposal // TURN_EVERY % len(space.optimizers)]
    return PartialFixedSampler({OPTIMIZER: turn}, sampler)


class _Told(BaseSampler):
    """A sampler that draws parameters together, told which: a setting need not have them all.

    By themselves Optuna's take the parameters of the first trial, or those that all trials so far
    have had, and what comes later without one of them, or with another, is drawn at random.
    """

    def __init__(self, parameters: Mapping[str, BaseDistribution], **options: Any) -> None:
        super().__init__(**(options | {"warn_independent_sampling": False}))
        self._parameters = parameters

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(self._parameters)


class _Sequence(_Told, samplers.QMCSampler): ...


class _Evolution(_Told, samplers.CmaEsSampler): ...


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
