"""The rows of timm 1.0's factory: each name's class and the defaults the factory binds to it.

timm needs a torchvision built for the installed torch, which the CPU build of torch does
not have, so it is in no extra: where it does not import, each of these is unavailable with
that reason. Tested against the factory's own list, where timm imports.
"""

from __future__ import annotations

from functools import partial

from sweep.optimizers.entry import BETA1, MOMENTUM, row_of

_row = partial(row_of, "timm", "timm.optim", install="timm")

# What timm's own factory passes where it is told nothing, for classes that would refuse
# their own defaults: Nesterov's momentum needs a momentum.
_MOMENTUM_0_9 = {"momentum": "momentum", "axis_defaults": {"momentum": 0.9}}
_SGDP = {"momentum": "momentum", "axis_defaults": {"lr": 1e-3, "momentum": 0.9}}
_LR = {"axis_defaults": {"lr": 1e-3}}

# What the letters of the factory's names bind, which each class has in its own way.
_CAUTIOUS, _NESTEROV, _TRUST_CLIP = {"caution": True}, {"nesterov": True}, {"trust_clip": True}
_CORRECTED, _DECOUPLED = {"corrected_weight_decay": True}, {"decoupled_decay": True}
_PROX, _NO_PROX = {"no_prox": False}, {"no_prox": True}

_APEX = "needs apex, which needs CUDA"
_BITSANDBYTES = "needs bitsandbytes with CUDA"

ROWS = (
    _row("adabelief", "AdaBelief", **BETA1, options={"rectify": False}),
    _row("adadelta", "Adadelta"),
    _row("adafactor", "Adafactor", **_LR),
    _row("adafactorbv", "AdafactorBigVision", **MOMENTUM),
    _row("adafactorbvc", "AdafactorBigVision", **MOMENTUM, options=_CORRECTED),
    _row("adagrad", "Adagrad", options={"eps": 1e-08}),
    _row("adahessian", "Adahessian", **BETA1, create_graph=True),
    _row("adam", "Adam", **BETA1),
    _row("adamax", "Adamax", **BETA1),
    _row("adamc", "AdamWLegacy", **BETA1, options=_CORRECTED),
    _row("adamp", "AdamP", **BETA1, options={"wd_ratio": 0.01} | _NESTEROV),
    _row("adamuon", "Muon", **MOMENTUM, options={"algo": "adamuon"}),
    _row("adamw", "AdamW", **BETA1),
    _row("adamwlegacy", "AdamWLegacy", **BETA1),
    _row("adan", "Adan", **BETA1, options=_PROX),
    _row("adanw", "Adan", **BETA1, options=_NO_PROX),
    _row("adopt", "Adopt", **BETA1),
    _row("adoptc", "Adopt", **BETA1, options={"decoupled": True} | _CORRECTED),
    _row("adoptw", "Adopt", **BETA1, options={"decoupled": True}),
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
    _row("cadafactor", "Adafactor", **BETA1, **_LR, options={"betas": (0.9, 0.999)} | _CAUTIOUS),
    _row("cadafactorbv", "AdafactorBigVision", **MOMENTUM, options=_CAUTIOUS),
    _row("cadafactorbvc", "AdafactorBigVision", **MOMENTUM, options=_CAUTIOUS | _CORRECTED),
    _row("cadamc", "AdamWLegacy", **BETA1, options=_CAUTIOUS | _CORRECTED),
    _row("cadamp", "AdamP", **BETA1, options={"wd_ratio": 0.01} | _NESTEROV | _CAUTIOUS),
    _row("cadamw", "AdamWLegacy", **BETA1, options=_CAUTIOUS),
    _row("cadan", "Adan", **BETA1, options=_CAUTIOUS | _PROX),
    _row("cadanw", "Adan", **BETA1, options=_CAUTIOUS | _NO_PROX),
    _row("cadopt", "Adopt", **BETA1, options=_CAUTIOUS),
    _row("cadoptc", "Adopt", **BETA1, options={"decoupled": True} | _CAUTIOUS | _CORRECTED),
    _row("cadoptw", "Adopt", **BETA1, options={"decoupled": True} | _CAUTIOUS),
    _row("clamb", "Lamb", **BETA1, options=_CAUTIOUS),
    _row("clambw", "Lamb", **BETA1, options=_CAUTIOUS | _DECOUPLED),
    _row("claprop", "LaProp", **BETA1, options=_CAUTIOUS),
    _row("clion", "Lion", **BETA1, options=_CAUTIOUS),
    _row("clionc", "Lion", **BETA1, options=_CAUTIOUS | _CORRECTED),
    _row("cmars", "Mars", **BETA1, options=_CAUTIOUS),
    _row("cnadamc", "NAdamW", **BETA1, options=_CAUTIOUS | _CORRECTED),
    _row("cnadamw", "NAdamW", **BETA1, options=_CAUTIOUS),
    _row("crmsproptf", "RMSpropTF", momentum="momentum", options={"alpha": 0.9} | _CAUTIOUS),
    _row("csgdc", "SGDW", **_MOMENTUM_0_9, options=_NESTEROV | _CAUTIOUS | _CORRECTED),
    _row("csgdp", "SGDP", **_SGDP, options=_NESTEROV | _CAUTIOUS),
    _row("csgdw", "SGDW", **_MOMENTUM_0_9, options=_NESTEROV | _CAUTIOUS),
    _row("fusedadam", "apex.optimizers:FusedAdam", cannot=_APEX),
    _row("fusedadamw", "apex.optimizers:FusedAdam", cannot=_APEX),
    _row("fusedlamb", "apex.optimizers:FusedLAMB", cannot=_APEX),
    _row("fusednovograd", "apex.optimizers:FusedNovoGrad", cannot=_APEX),
    _row("fusedsgd", "apex.optimizers:FusedSGD", cannot=_APEX),
    _row("kron", "timm.optim.kron:Kron", **MOMENTUM),
    _row("kronc", "timm.optim.kron:Kron", **MOMENTUM, options=_DECOUPLED | _CORRECTED),
    _row("kronw", "timm.optim.kron:Kron", **MOMENTUM, options=_DECOUPLED),
    _row("lamb", "Lamb", **BETA1),
    _row("lambc", "Lamb", **BETA1, options=_TRUST_CLIP),
    _row("lambcd", "Lamb", **BETA1, options=_DECOUPLED | _CORRECTED),
    _row("lambcw", "Lamb", **BETA1, options=_TRUST_CLIP | _DECOUPLED),
    _row("lambw", "Lamb", **BETA1, options=_DECOUPLED),
    _row("laprop", "LaProp", **BETA1),
    _row("lapropc", "LaProp", **BETA1, options=_CORRECTED),
    _row("larc", "Lars", momentum="momentum", options=_TRUST_CLIP),
    _row("lars", "Lars", momentum="momentum"),
    _row("lion", "Lion", **BETA1),
    _row("lionc", "Lion", **BETA1, options=_CORRECTED),
    _row("madgrad", "MADGRAD", **MOMENTUM),
    _row("madgradw", "MADGRAD", **MOMENTUM, options=_DECOUPLED),
    _row("mars", "Mars", **BETA1),
    _row("momentum", "SGD", **_MOMENTUM_0_9, options={"nesterov": False}),
    _row("muon", "Muon", **MOMENTUM),
    _row("nadam", "NAdam", **BETA1),
    _row("nadamc", "NAdamW", **BETA1, options=_CORRECTED),
    _row("nadamlegacy", "NAdamLegacy", **BETA1),
    _row("nadamuon", "Muon", **MOMENTUM, options={"algo": "adamuon"} | _NESTEROV),
    _row("nadamw", "NAdamW", **BETA1),
    _row("nesterov", "SGD", **_MOMENTUM_0_9, options=_NESTEROV),
    _row("nesterovw", "SGDW", **_MOMENTUM_0_9, options=_NESTEROV),
    _row("nlarc", "Lars", **_MOMENTUM_0_9, options=_NESTEROV | _TRUST_CLIP),
    _row("nlars", "Lars", **_MOMENTUM_0_9, options=_NESTEROV),
    _row("nmuon", "Muon", **MOMENTUM, options=_NESTEROV),
    _row("novograd", "NvNovoGrad", **BETA1),
    _row("novogradc", "NvNovoGrad", **BETA1, options=_DECOUPLED | _CORRECTED),
    _row("novogradw", "NvNovoGrad", **BETA1, options=_DECOUPLED),
    _row("radabelief", "AdaBelief", **BETA1, options={"rectify": True}),
    _row("radam", "RAdam", **BETA1),
    _row("radamlegacy", "RAdamLegacy", **BETA1),
    _row("radamw", "RAdam", **BETA1, options={"decoupled_weight_decay": True}),
    _row("rmsprop", "RMSprop", momentum="momentum", options={"alpha": 0.9}),
    _row("rmsproptf", "RMSpropTF", momentum="momentum", options={"alpha": 0.9}),
    _row(
        "rmsproptfc",
        "RMSpropTF",
        momentum="momentum",
        options={"alpha": 0.9} | _DECOUPLED | _CORRECTED,
    ),
    _row("rmsproptfw", "RMSpropTF", momentum="momentum", options={"alpha": 0.9} | _DECOUPLED),
    _row("sgd", "SGD", **_MOMENTUM_0_9, options=_NESTEROV),
    _row("sgdc", "SGDW", **_MOMENTUM_0_9, options=_NESTEROV | _CORRECTED),
    _row("sgdp", "SGDP", **_SGDP, options=_NESTEROV),
    _row("sgdw", "SGDW", **_MOMENTUM_0_9, options=_NESTEROV),
)
