"""The rows of torch.optim.

LBFGS runs with ``max_iter = 4``: with torch's default of 20 each step holds up to 25
forward and backward passes, and a trial takes minutes.
"""

from __future__ import annotations

from functools import partial

from sweep.optimizers.entry import OptimizerEntry


def _row(name: str, **declared: object) -> OptimizerEntry:
    return partial(
        OptimizerEntry,
        name=name,
        target=f"torch.optim:{name}",
        collection="torch",
        distribution="torch",
    )(**declared)  # type: ignore[arg-type]  # the dataclass checks the names at import


_BETA1 = {"momentum": "betas[0]", "momentum_below": 1.0}

ROWS = (
    _row("SGD", momentum="momentum"),
    _row("Adam", **_BETA1),
    _row("AdamW", **_BETA1),
    _row("Adamax", **_BETA1),
    _row("NAdam", **_BETA1),
    _row("RAdam", **_BETA1),
    _row("RMSprop", momentum="momentum"),
    _row("Adagrad"),
    _row("Adadelta"),
    _row("Adafactor"),
    _row("Rprop", weight_decay=None),
    _row("ASGD"),
    _row("Muon", momentum="momentum", matrices_only=True),
    _row(
        "LBFGS",
        weight_decay=None,
        options={"max_iter": 4},
        needs_closure=True,
        param_groups=False,
    ),
    _row("SparseAdam", weight_decay=None, sparse=True, **_BETA1),
)
