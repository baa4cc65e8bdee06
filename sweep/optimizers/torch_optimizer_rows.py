"""The rows of torch-optimizer 0.3.0, the library's last release (2023).

Tested against that library's own list.
"""

from __future__ import annotations

from sweep.optimizers.entry import OptimizerEntry


def _row(name: str, **declared: object) -> OptimizerEntry:
    return OptimizerEntry(
        name=f"torch_optimizer.{name}",
        target=f"torch_optimizer:{name}",
        collection="torch_optimizer",
        distribution="torch-optimizer",
        install="leaksweep[atlas]",
        **declared,  # type: ignore[arg-type]  # the dataclass checks the names at import
    )


_BETA1 = {"momentum": "betas[0]", "momentum_below": 1.0}

ROWS = (
    # The three A2Grad take an lr and read none.
    _row("A2GradExp", lr=None, weight_decay=None),
    _row("A2GradInc", lr=None, weight_decay=None),
    _row("A2GradUni", lr=None, weight_decay=None),
    _row("AccSGD"),
    _row("AdaBelief", **_BETA1),
    _row("AdaBound", **_BETA1),
    _row("AdaMod", **_BETA1),
    # Its own relative_step = True refuses an lr; its own beta1 = None means no momentum.
    _row(
        "Adafactor",
        momentum="beta1",
        momentum_below=1.0,
        axis_defaults={"lr": 1e-3, "momentum": 0.0},
        options={"relative_step": False},
    ),
    _row("Adahessian", create_graph=True, **_BETA1),
    _row("AdamP", **_BETA1),
    # Averages several momenta, one a beta; no single one of them is the coefficient.
    _row("AggMo"),
    _row("Apollo", momentum="beta", momentum_below=1.0),
    _row("DiffGrad", **_BETA1),
    _row("LARS", momentum="momentum"),
    _row("Lamb", **_BETA1),
    _row(
        "Lookahead",
        lr=None,
        weight_decay=None,
        cannot="wraps another optimizer, which it must be handed",
    ),
    _row("MADGRAD", momentum="momentum", momentum_below=1.0),
    _row("NovoGrad", **_BETA1),
    _row("PID", momentum="momentum"),
    _row("QHAdam", **_BETA1),
    _row("QHM", momentum="momentum"),
    _row("RAdam", **_BETA1),
    _row("Ranger", **_BETA1),
    _row("RangerQH", **_BETA1),
    _row("RangerVA", **_BETA1),
    _row("SGDP", momentum="momentum"),
    _row("SGDW", momentum="momentum"),
    _row("SWATS", **_BETA1),
    _row("Shampoo", momentum="momentum"),
    _row("Yogi", **_BETA1),
)
