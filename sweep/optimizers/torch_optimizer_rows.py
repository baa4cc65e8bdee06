"""The rows of torch-optimizer 0.3.0, the library's last release (2023).

Tested against that library's own list.
"""

from __future__ import annotations

from functools import partial

from sweep.optimizers.entry import BETA, BETA1, MOMENTUM, row_of

_row = partial(row_of, "torch_optimizer", "torch_optimizer", install="leaksweep[atlas]")

ROWS = (
    # The three A2Grad take an lr and read none.
    _row("A2GradExp", lr=None, weight_decay=None),
    _row("A2GradInc", lr=None, weight_decay=None),
    _row("A2GradUni", lr=None, weight_decay=None),
    _row("AccSGD"),
    _row("AdaBelief", **BETA1),
    _row("AdaBound", **BETA1),
    _row("AdaMod", **BETA1),
    # Its own relative_step = True refuses an lr; its own beta1 = None means no momentum.
    _row(
        "Adafactor",
        momentum="beta1",
        momentum_below=1.0,
        axis_defaults={"lr": 1e-3, "momentum": 0.0},
        options={"relative_step": False},
    ),
    _row("Adahessian", create_graph=True, **BETA1),
    _row("AdamP", **BETA1),
    # Averages several momenta, one a beta; no single one of them is the coefficient.
    _row("AggMo"),
    _row("Apollo", **BETA),
    _row("DiffGrad", **BETA1),
    _row("LARS", momentum="momentum"),
    _row("Lamb", **BETA1),
    _row(
        "Lookahead",
        lr=None,
        weight_decay=None,
        cannot="wraps another optimizer, which it must be handed",
    ),
    _row("MADGRAD", **MOMENTUM),
    _row("NovoGrad", **BETA1),
    _row("PID", momentum="momentum"),
    _row("QHAdam", **BETA1),
    _row("QHM", momentum="momentum"),
    _row("RAdam", **BETA1),
    _row("Ranger", **BETA1),
    _row("RangerQH", **BETA1),
    _row("RangerVA", **BETA1),
    _row("SGDP", momentum="momentum"),
    _row("SGDW", momentum="momentum"),
    _row("SWATS", **BETA1),
    _row("Shampoo", momentum="momentum"),
    _row("Yogi", **BETA1),
)
