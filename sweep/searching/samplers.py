"""Optuna's samplers by name: what proposes the next setting, given the trials so far.

Each is made anew for each proposal, from the search's seed and the number of the proposal;
what it keeps besides, it keeps in the study, see `sweep.searching.proposals`. So what a search
proposes next depends on what is recorded and on nothing else, whether it was interrupted or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from sweep.errors import MisuseError
from sweep.searching.objective import Objective

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from sweep.searching.space import Space

POPULATION = 50
"""Trials in a generation of NSGA-II; its first one is drawn at random."""
TURN_EVERY = 2
"""One in so many of TPE's proposals is of the optimizer whose turn it is."""


class Sampler(StrEnum):
    """How a search chooses the next setting."""

    TPE = "tpe"
    QMC = "qmc"
    RANDOM = "random"
    NSGAII = "nsgaii"
    CMAES = "cmaes"


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
    import numpy as np
    from optuna import samplers

    from sweep.searching import told_samplers

    draw = int(np.random.SeedSequence((seed, proposal, attempt)).generate_state(1)[0])
    match sampler:
        case Sampler.TPE:
            return _in_turn(samplers.TPESampler(seed=draw, constant_liar=True), space, proposal)
        case Sampler.RANDOM:
            return samplers.RandomSampler(seed=draw)
        case Sampler.QMC:
            return told_samplers.Sequence(space.distributions, seed=seed)
        case Sampler.NSGAII:
            return samplers.NSGAIISampler(population_size=POPULATION, seed=draw)
        case Sampler.CMAES:
            numbers = {name: space.distributions[name] for name in space.common}
            return told_samplers.Evolution(numbers, seed=draw)


def _in_turn(sampler: BaseSampler, space: Space, proposal: int) -> BaseSampler:
    """``sampler``, or for a proposal that is an optimizer's turn, ``sampler`` for that one alone.

    TPE stays with the optimizer that was best so far, and would leave one whose worst settings
    are rare after a few trials of it.
    """
    from optuna.samplers import PartialFixedSampler

    from sweep.searching.space import OPTIMIZER

    if proposal % TURN_EVERY or OPTIMIZER not in space.distributions:
        return sampler
    turn = space.optimizers[proposal // TURN_EVERY % len(space.optimizers)]
    return PartialFixedSampler({OPTIMIZER: turn}, sampler)
