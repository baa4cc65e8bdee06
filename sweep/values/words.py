"""The closed sets of words that code, columns, commands and documents share.

Their meanings are in README.md's glossary. A member's value is what the database
and the command line show.
"""

from __future__ import annotations

from enum import StrEnum


class Axis(StrEnum):
    """One dimension of the grid."""

    OPTIMIZER = "optimizer"
    LR = "lr"
    WEIGHT_DECAY = "weight_decay"
    MOMENTUM = "momentum"
    ZERO_GRAD = "zero_grad"
    SCHEDULE = "schedule"
    FREEZE = "freeze"
    SEED = "seed"


class ZeroGrad(StrEnum):
    """What the training loop does with gradients after each step."""

    NONE = "none"  # zero_grad(set_to_none=True)
    ZERO = "zero"  # zero_grad(set_to_none=False)
    NEVER = "never"  # not called


class Freeze(StrEnum):
    """How the layer is kept from training on a frozen step."""

    DETACH = "detach"
    NO_GRAD = "no_grad"
    REQUIRES_GRAD = "requires_grad"
    GRAD_NONE = "grad_none"
    GRAD_ZERO = "grad_zero"
    LR_ZERO = "lr_zero"
    OWN_OPTIMIZER = "own_optimizer"


class Verdict(StrEnum):
    """What a trial showed."""

    LEAKS = "leaks"  # moved on at least one frozen step
    HOLDS = "holds"  # moved on no frozen step
    INERT = "inert"  # never moved although it had attached steps: proves nothing
    FAILED = "failed"  # raised


class GradState(StrEnum):
    """What an optimizer finds in ``.grad`` when it steps."""

    NONE = "none"
    ZERO = "zero"
    NONZERO = "nonzero"


class Source(StrEnum):
    """What can move a layer in a step, in the order in which sets of them are named."""

    HISTORY = "history"  # the optimizer's state
    DECAY = "decay"  # weight decay
    GRADIENT = "gradient"  # as it stands: stale, or fresh where the freezing lets one through


class Backend(StrEnum):
    """Where trials run."""

    PROCESSES = "processes"  # of this machine
    DASK = "dask"  # a cluster


class Device(StrEnum):
    """Where tensors live."""

    CPU = "cpu"
    CUDA = "cuda"


class Sampler(StrEnum):
    """How a search chooses the next setting: Optuna's samplers."""

    TPE = "tpe"
    QMC = "qmc"
    RANDOM = "random"
    NSGAII = "nsgaii"
    CMAES = "cmaes"


OWN_LOOP = "own"
"""What `watch` records as the schedule and the way of freezing: the training loop's own."""
