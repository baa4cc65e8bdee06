"""The rows of timm 1.0's factory: each name's class and the defaults the factory binds to it.

timm needs a torchvision built for the installed torch, which the CPU build of torch does
not have, so it is in no extra: where it does not import, each of these is unavailable with
that reason. Tested against the factory's own list, where timm imports.
"""

from __future__ import annotations

from sweep.optimizers.entry import OptimizerEntry


def _row(name: str, target: str, **declared: object) -> OptimizerEntry:
    return OptimizerEntry(
        name=f"timm.{name}",
        target=target,
        collection="timm",
        distribution="timm",
        install="timm",
        **declared,  # type: ignore[arg-type]  # the dataclass checks the names at import
    )


_BETA1 = {"momentum": "betas[0]", "momentum_below": 1.0}
_MOMENTUM = {"momentum": "momentum", "momentum_below": 1.0}

# What timm's own factory passes where it is told nothing, for classes that would refuse
# their own defaults: Nesterov's momentum needs a momentum.
_MOMENTUM_0_9 = {"momentum": "momentum", "axis_defaults": {"momentum": 0.9}}
_SGDP = {"momentum": "momentum", "axis_defaults": {"lr": 1e-3, "momentum": 0.9}}
_LR = {"axis_defaults": {"lr": 1e-3}}

_APEX = "needs apex, which needs CUDA"
_BITSANDBYTES = "needs bitsandbytes with CUDA"

ROWS = (
    _row("adabelief", "timm.optim:AdaBelief", **_BETA1, options={"rectify": False}),
    _row("adadelta", "timm.optim:Adadelta"),
    _row("adafactor", "timm.optim:Adafactor", **_LR),
    _row("adafactorbv", "timm.optim:AdafactorBigVision", **_MOMENTUM),
    _row(
        "adafactorbvc",
        "timm.optim:AdafactorBigVision",
        **_MOMENTUM,
        options={"corrected_weight_decay": True},
    ),
    _row("adagrad", "timm.optim:Adagrad", options={"eps": 1e-08}),
    _row("adahessian", "timm.optim:Adahessian", **_BETA1, create_graph=True),
    _row("adam", "timm.optim:Adam", **_BETA1),
    _row("adamax", "timm.optim:Adamax", **_BETA1),
    _row("adamc", "timm.optim:AdamWLegacy", **_BETA1, options={"corrected_weight_decay": True}),
    _row("adamp", "timm.optim:AdamP", **_BETA1, options={"wd_ratio": 0.01, "nesterov": True}),
    _row("adamuon", "timm.optim:Muon", **_MOMENTUM, options={"algo": "adamuon"}),
    _row("adamw", "timm.optim:AdamW", **_BETA1),
    _row("adamwlegacy", "timm.optim:AdamWLegacy", **_BETA1),
    _row("adan", "timm.optim:Adan", **_BETA1, options={"no_prox": False}),
    _row("adanw", "timm.optim:Adan", **_BETA1, options={"no_prox": True}),
    _row("adopt", "timm.optim:Adopt", **_BETA1),
    _row(
        "adoptc",
        "timm.optim:Adopt",
        **_BETA1,
        options={"decoupled": True, "corrected_weight_decay": True},
    ),
    _row("adoptw", "timm.optim:Adopt", **_BETA1, options={"decoupled": True}),
    _row("bnbadam", "bitsandbytes.optim:Adam", cannot=_BITSANDBYTES),
    _row("bnbadam8bit", "bitsandbytes.optim:Adam8bit", cannot=_BITSANDBYTES),
    _row("bnbadamw", "bitsandbytes.optim:AdamW", cannot=_BITSANDBYTES),
    _row("bnbadamw8bit", "bitsandbytes.optim:AdamW8bit", cannot=_BITSANDBYTES),
    _row("bnbademamix", "bitsandbytes.optim:AdEMAMix", cannot=_BITSANDBYTES),
    _row("bnbademamix8bit", "bitsandbytes.optim:AdEMAMix8bit", cannot=_BITSANDBYTES),
    _row("bnblion", "bitsandbytes.optim:Lion", cannot=_BITSANDBYTES),
    _row("bnblion8bit", "bitsandbytes.optim:Lion8bit", cannot=_BITSANDBYTES),
    _row("bnbsgd", "bitsandbytes.optim:SGD", cannot=_BITSANDBYTES),
    _row("bnbsgd8bit", "bitsandbytes.optim:SGD8bit", cannot=_BITSANDBYTES),
    _row(
        "cadafactor",
        "timm.optim:Adafactor",
        **_BETA1,
        **_LR,
        options={"caution": True, "betas": (0.9, 0.999)},
    ),
    _row("cadafactorbv", "timm.optim:AdafactorBigVision", **_MOMENTUM, options={"caution": True}),
    _row(
        "cadafactorbvc",
        "timm.optim:AdafactorBigVision",
        **_MOMENTUM,
        options={"caution": True, "corrected_weight_decay": True},
    ),
    _row(
        "cadamc",
        "timm.optim:AdamWLegacy",
        **_BETA1,
        options={"caution": True, "corrected_weight_decay": True},
    ),
    _row(
        "cadamp",
        "timm.optim:AdamP",
        **_BETA1,
        options={"wd_ratio": 0.01, "nesterov": True, "caution": True},
    ),
    _row("cadamw", "timm.optim:AdamWLegacy", **_BETA1, options={"caution": True}),
    _row("cadan", "timm.optim:Adan", **_BETA1, options={"caution": True, "no_prox": False}),
    _row("cadanw", "timm.optim:Adan", **_BETA1, options={"caution": True, "no_prox": True}),
    _row("cadopt", "timm.optim:Adopt", **_BETA1, options={"caution": True}),
    _row(
        "cadoptc",
        "timm.optim:Adopt",
        **_BETA1,
        options={"decoupled": True, "caution": True, "corrected_weight_decay": True},
    ),
    _row("cadoptw", "timm.optim:Adopt", **_BETA1, options={"decoupled": True, "caution": True}),
    _row("clamb", "timm.optim:Lamb", **_BETA1, options={"caution": True}),
    _row("clambw", "timm.optim:Lamb", **_BETA1, options={"caution": True, "decoupled_decay": True}),
    _row("claprop", "timm.optim:LaProp", **_BETA1, options={"caution": True}),
    _row("clion", "timm.optim:Lion", **_BETA1, options={"caution": True}),
    _row(
        "clionc",
        "timm.optim:Lion",
        **_BETA1,
        options={"caution": True, "corrected_weight_decay": True},
    ),
    _row("cmars", "timm.optim:Mars", **_BETA1, options={"caution": True}),
    _row(
        "cnadamc",
        "timm.optim:NAdamW",
        **_BETA1,
        options={"caution": True, "corrected_weight_decay": True},
    ),
    _row("cnadamw", "timm.optim:NAdamW", **_BETA1, options={"caution": True}),
    _row(
        "crmsproptf",
        "timm.optim:RMSpropTF",
        momentum="momentum",
        options={"alpha": 0.9, "caution": True},
    ),
    _row(
        "csgdc",
        "timm.optim:SGDW",
        **_MOMENTUM_0_9,
        options={"nesterov": True, "caution": True, "corrected_weight_decay": True},
    ),
    _row("csgdp", "timm.optim:SGDP", **_SGDP, options={"nesterov": True, "caution": True}),
    _row("csgdw", "timm.optim:SGDW", **_MOMENTUM_0_9, options={"nesterov": True, "caution": True}),
    _row("fusedadam", "apex.optimizers:FusedAdam", cannot=_APEX),
    _row("fusedadamw", "apex.optimizers:FusedAdam", cannot=_APEX),
    _row("fusedlamb", "apex.optimizers:FusedLAMB", cannot=_APEX),
    _row("fusednovograd", "apex.optimizers:FusedNovoGrad", cannot=_APEX),
    _row("fusedsgd", "apex.optimizers:FusedSGD", cannot=_APEX),
    _row("kron", "timm.optim.kron:Kron", **_MOMENTUM),
    _row(
        "kronc",
        "timm.optim.kron:Kron",
        **_MOMENTUM,
        options={"decoupled_decay": True, "corrected_weight_decay": True},
    ),
    _row("kronw", "timm.optim.kron:Kron", **_MOMENTUM, options={"decoupled_decay": True}),
    _row("lamb", "timm.optim:Lamb", **_BETA1),
    _row("lambc", "timm.optim:Lamb", **_BETA1, options={"trust_clip": True}),
    _row(
        "lambcd",
        "timm.optim:Lamb",
        **_BETA1,
        options={"decoupled_decay": True, "corrected_weight_decay": True},
    ),
    _row(
        "lambcw", "timm.optim:Lamb", **_BETA1, options={"trust_clip": True, "decoupled_decay": True}
    ),
    _row("lambw", "timm.optim:Lamb", **_BETA1, options={"decoupled_decay": True}),
    _row("laprop", "timm.optim:LaProp", **_BETA1),
    _row("lapropc", "timm.optim:LaProp", **_BETA1, options={"corrected_weight_decay": True}),
    _row("larc", "timm.optim:Lars", momentum="momentum", options={"trust_clip": True}),
    _row("lars", "timm.optim:Lars", momentum="momentum"),
    _row("lion", "timm.optim:Lion", **_BETA1),
    _row("lionc", "timm.optim:Lion", **_BETA1, options={"corrected_weight_decay": True}),
    _row("madgrad", "timm.optim:MADGRAD", **_MOMENTUM),
    _row("madgradw", "timm.optim:MADGRAD", **_MOMENTUM, options={"decoupled_decay": True}),
    _row("mars", "timm.optim:Mars", **_BETA1),
    _row("momentum", "timm.optim:SGD", **_MOMENTUM_0_9, options={"nesterov": False}),
    _row("muon", "timm.optim:Muon", **_MOMENTUM),
    _row("nadam", "timm.optim:NAdam", **_BETA1),
    _row("nadamc", "timm.optim:NAdamW", **_BETA1, options={"corrected_weight_decay": True}),
    _row("nadamlegacy", "timm.optim:NAdamLegacy", **_BETA1),
    _row("nadamuon", "timm.optim:Muon", **_MOMENTUM, options={"algo": "adamuon", "nesterov": True}),
    _row("nadamw", "timm.optim:NAdamW", **_BETA1),
    _row("nesterov", "timm.optim:SGD", **_MOMENTUM_0_9, options={"nesterov": True}),
    _row("nesterovw", "timm.optim:SGDW", **_MOMENTUM_0_9, options={"nesterov": True}),
    _row(
        "nlarc",
        "timm.optim:Lars",
        **_MOMENTUM_0_9,
        options={"nesterov": True, "trust_clip": True},
    ),
    _row("nlars", "timm.optim:Lars", **_MOMENTUM_0_9, options={"nesterov": True}),
    _row("nmuon", "timm.optim:Muon", **_MOMENTUM, options={"nesterov": True}),
    _row("novograd", "timm.optim:NvNovoGrad", **_BETA1),
    _row(
        "novogradc",
        "timm.optim:NvNovoGrad",
        **_BETA1,
        options={"decoupled_decay": True, "corrected_weight_decay": True},
    ),
    _row("novogradw", "timm.optim:NvNovoGrad", **_BETA1, options={"decoupled_decay": True}),
    _row("radabelief", "timm.optim:AdaBelief", **_BETA1, options={"rectify": True}),
    _row("radam", "timm.optim:RAdam", **_BETA1),
    _row("radamlegacy", "timm.optim:RAdamLegacy", **_BETA1),
    _row("radamw", "timm.optim:RAdam", **_BETA1, options={"decoupled_weight_decay": True}),
    _row("rmsprop", "timm.optim:RMSprop", momentum="momentum", options={"alpha": 0.9}),
    _row("rmsproptf", "timm.optim:RMSpropTF", momentum="momentum", options={"alpha": 0.9}),
    _row(
        "rmsproptfc",
        "timm.optim:RMSpropTF",
        momentum="momentum",
        options={"alpha": 0.9, "decoupled_decay": True, "corrected_weight_decay": True},
    ),
    _row(
        "rmsproptfw",
        "timm.optim:RMSpropTF",
        momentum="momentum",
        options={"alpha": 0.9, "decoupled_decay": True},
    ),
    _row("sgd", "timm.optim:SGD", **_MOMENTUM_0_9, options={"nesterov": True}),
    _row(
        "sgdc",
        "timm.optim:SGDW",
        **_MOMENTUM_0_9,
        options={"nesterov": True, "corrected_weight_decay": True},
    ),
    _row("sgdp", "timm.optim:SGDP", **_SGDP, options={"nesterov": True}),
    _row("sgdw", "timm.optim:SGDW", **_MOMENTUM_0_9, options={"nesterov": True}),
)
