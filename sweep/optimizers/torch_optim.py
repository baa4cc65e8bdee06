"""The rows of torch.optim.

LBFGS runs with ``max_iter = 4``: with torch's default of 20 each step holds up to 25
forward and backward passes, and a trial takes minutes.

The constructors' own values of the axes are declared here too, so that a grid can be counted
without torch, which takes seconds to import; a test holds them to the constructors.
"""

from __future__ import annotations

from functools import partial

from sweep.optimizers.entry import OptimizerEntry

_torch = partial(OptimizerEntry, collection="torch", distribution="torch", always_there=True)


def _plain(name: str, *, lr: float, **declared: object) -> OptimizerEntry:
    """An optimizer without a first-moment memory."""
    own = {"lr": lr, "weight_decay": 0.0}
    return _torch(name, f"torch.optim:{name}", axis_defaults=own, **declared)  # type: ignore[arg-type]


def _with_momentum(
    name: str, *, lr: float, momentum: float, decay: float = 0.0, **declared: object
) -> OptimizerEntry:
    own = {"lr": lr, "weight_decay": decay, "momentum": momentum}
    target = f"torch.optim:{name}"
    return _torch(name, target, axis_defaults=own, momentum="momentum", **declared)  # type: ignore[arg-type]


def _with_beta1(name: str, *, lr: float, decay: float = 0.0, **declared: object) -> OptimizerEntry:
    return _torch(
        name,
        f"torch.optim:{name}",
        axis_defaults={"lr": lr, "weight_decay": decay, "momentum": 0.9},
        momentum="betas[0]",
        momentum_below=1.0,
        **declared,  # type: ignore[arg-type]  # the dataclass checks the names at import
    )


ROWS = (
    _with_momentum("SGD", lr=0.001, momentum=0.0, elementwise=True),
    _with_beta1("Adam", lr=0.001, elementwise=True),
    _with_beta1("AdamW", lr=0.001, decay=0.01, elementwise=True),
    _with_beta1("Adamax", lr=0.002, elementwise=True),
    _with_beta1("NAdam", lr=0.002, elementwise=True),
    _with_beta1("RAdam", lr=0.001, elementwise=True),
    _with_momentum("RMSprop", lr=0.01, momentum=0.0, elementwise=True),
    _plain("Adagrad", lr=0.01, elementwise=True),
    _plain("Adadelta", lr=1.0, elementwise=True),
    _plain("Adafactor", lr=0.01),
    _plain("Rprop", lr=0.01, weight_decay=None, elementwise=True),
    _plain("ASGD", lr=0.01, elementwise=True),
    _with_momentum("Muon", lr=0.001, momentum=0.95, decay=0.1, matrices_only=True),
    _plain(
        "LBFGS",
        lr=1.0,
        weight_decay=None,
        options={"max_iter": 4},
        needs_closure=True,
        param_groups=False,
    ),
    _with_beta1("SparseAdam", lr=0.001, weight_decay=None, sparse=True),
)
