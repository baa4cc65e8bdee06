"""The rows of torch.optim.

LBFGS runs with ``max_iter = 4``: with torch's default of 20 each step holds up to 25
forward and backward passes, and a trial takes minutes.

The constructors' own values of the axes are declared here too, so that a grid can be counted
without torch, which takes seconds to import; a test holds them to the constructors.
"""

from __future__ import annotations

from typing import Any

from sweep.optimizers.entry import BETA1, OptimizerEntry


def _row(
    name: str, *, lr: float, decay: float = 0.0, own_momentum: float = 0.0, **declared: object
) -> OptimizerEntry:
    """The row of a class, with its constructor's values of the axes that it has."""
    return OptimizerEntry(
        name=name,
        target=f"torch.optim:{name}",
        collection="torch",
        distribution="torch",
        always_there=True,
        axis_defaults={"lr": lr, "weight_decay": decay, "momentum": own_momentum},
        **declared,  # type: ignore[arg-type]  # the dataclass checks the names at import
    )


_BETA1: dict[str, Any] = {**BETA1, "own_momentum": 0.9}

ROWS = (
    _row("SGD", lr=0.001, momentum="momentum", elementwise=True),
    _row("Adam", lr=0.001, **_BETA1, elementwise=True),
    _row("AdamW", lr=0.001, decay=0.01, **_BETA1, elementwise=True),
    _row("Adamax", lr=0.002, **_BETA1, elementwise=True),
    _row("NAdam", lr=0.002, **_BETA1, elementwise=True),
    _row("RAdam", lr=0.001, **_BETA1, elementwise=True),
    _row("RMSprop", lr=0.01, momentum="momentum", elementwise=True),
    _row("Adagrad", lr=0.01, elementwise=True),
    _row("Adadelta", lr=1.0, elementwise=True),
    _row("Adafactor", lr=0.01),
    _row("Rprop", lr=0.01, weight_decay=None, elementwise=True),
    _row("ASGD", lr=0.01, elementwise=True),
    _row("Muon", lr=0.001, decay=0.1, momentum="momentum", own_momentum=0.95, matrices_only=True),
    _row(
        "LBFGS",
        lr=1.0,
        weight_decay=None,
        options={"max_iter": 4},
        needs_closure=True,
        param_groups=False,
    ),
    _row("SparseAdam", lr=0.001, weight_decay=None, **_BETA1, sparse=True),
)
