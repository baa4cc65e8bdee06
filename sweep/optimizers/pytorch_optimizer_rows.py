"""The rows of pytorch-optimizer 4.1, under the names of its own ``load_optimizer``.

Tested against that library's list: a release that adds, drops or renames one fails a test.
"""

from __future__ import annotations

from functools import partial

from sweep.optimizers.entry import BETA, BETA1, MOMENTUM, STEPS, row_of

_row = partial(row_of, "pytorch_optimizer", "pytorch_optimizer", install="leaksweep[atlas]")

# Without the mark they raise; with it on every group, every layer is theirs, none AdamW's.
_MUON = {"group_options": {"use_muon": True}}

# Without these in its groups each of them is plain AdamW. Rank 2 fits the narrowest layer.
_LOW_RANK = {
    "group_options": {"rank": 2, "update_proj_gap": 10, "scale": 1.0, "projection_type": "std"}
}

_LONE_GROUP = {"surroundings": f"{__package__}.surroundings:lone_process_group"}

_FUSED = "moves the parameters inside backward; its step() raises NotImplementedError"

ROWS = (
    # Takes an lr "for compatibility" and reads none.
    _row("a2grad", "A2Grad", weight_decay=None, lr=None),
    _row("accsgd", "AccSGD"),
    _row("adabelief", "AdaBelief", **BETA1),
    _row("adabound", "AdaBound", **BETA1),
    _row("adadelta", "AdaDelta"),
    # Its own relative_step = True would compute the step size and never read lr.
    _row("adafactor", "AdaFactor", **BETA1, options={"relative_step": False}),
    _row("adagc", "AdaGC", **BETA1),
    _row("adago", "AdaGO", **MOMENTUM, **_MUON),
    _row("adahessian", "AdaHessian", **BETA1, create_graph=True),
    # betas[0] scales a momentum that is computed for each element; it is no coefficient.
    _row("adai", "Adai"),
    _row("adalite", "Adalite", **BETA1),
    _row("adalomo", "AdaLOMO", takes_model=True, cannot=_FUSED),
    _row("adam", "Adam", **BETA1),
    _row("adamax", "AdaMax", **BETA1),
    _row("adamc", "AdamC", **BETA1),
    _row("adamg", "AdamG", **BETA1),
    _row("adammini", "AdamMini", **BETA1, takes_model=True, param_groups=False),
    _row("adamod", "AdaMod", **BETA1),
    _row("adamp", "AdamP", **BETA1),
    _row("adams", "AdamS", **BETA1),
    _row("adamuon", "AdaMuon", **BETA1, **_MUON, matrices_only=True),
    _row("adamw", "AdamW", **BETA1),
    _row("adamwsn", "AdamWSN", **BETA1),
    _row("adan", "Adan", **BETA1),
    _row("adanorm", "AdaNorm", **BETA1),
    _row("adapnm", "AdaPNM", **BETA1),
    # Moves on gradients keep_num steps old: with its own 10 it would wait out a short trial.
    _row("adashift", "AdaShift", weight_decay=None, **BETA1, options={"keep_num": 2}),
    _row("adasmooth", "AdaSmooth"),
    _row("adatam", "AdaTAM", **BETA1),
    _row("ademamix", "AdEMAMix", **BETA1),
    _row("adopt", "ADOPT", **BETA1),
    # Averages several momenta, one a beta; no single one of them is the coefficient.
    _row("aggmo", "AggMo"),
    _row("aida", "Aida", **BETA1),
    _row("alice", "Alice", **BETA1),
    # Takes the smaller of max_lr and a step size from the loss; its own max_lr is no bound.
    _row(
        "alig",
        "AliG",
        lr="max_lr",
        rate_key="max_lr",
        weight_decay=None,
        **MOMENTUM,
        needs_closure=True,
        axis_defaults={"lr": 0.1},
    ),
    _row("amos", "Amos", weight_decay="extra_l2", decay_key="extra_l2", **MOMENTUM),
    _row("ano", "Ano", **BETA1),
    _row("apollo", "APOLLO", **BETA1, **_LOW_RANK),
    _row("apollodqn", "ApolloDQN", **BETA),
    _row("asgd", "ASGD"),
    _row("avagrad", "AvaGrad", **BETA1),
    _row("bcos", "BCOS", **BETA),
    # num_data scales the noise it adds to the parameters; a short trial has 256 rows.
    _row(
        "bsam",
        "BSAM",
        **BETA1,
        needs_closure=True,
        backward_first=True,
        options={"num_data": 256, "foreach": False},
    ),
    _row("came", "CAME", **BETA1),
    _row("conda", "Conda", **BETA1),
    _row("dadaptadagrad", "DAdaptAdaGrad", **MOMENTUM),
    _row("dadaptadam", "DAdaptAdam", **BETA1),
    _row("dadaptadan", "DAdaptAdan", **BETA1),
    _row("dadaptlion", "DAdaptLion", **BETA1),
    _row("dadaptsgd", "DAdaptSGD", **MOMENTUM),
    _row("dash", "DASH", **BETA1),
    _row("demo", "DeMo", momentum="compression_decay", momentum_below=1.0, **_LONE_GROUP),
    _row("diffgrad", "DiffGrad", **BETA1),
    _row("distributedmuon", "DistributedMuon", **MOMENTUM, **_MUON, **_LONE_GROUP),
    _row("dualadam", "DualAdam", **BETA1),
    # For matrices its betas average squared gradients: there is no first moment.
    _row("emofact", "EmoFact"),
    _row("emolynx", "EmoLynx", **BETA1),
    _row("emonavi", "EmoNavi", **BETA1),
    _row("exadam", "EXAdam", **BETA1),
    _row("fadam", "FAdam", **BETA1),
    _row("fira", "Fira", **BETA1, **_LOW_RANK),
    _row("flashadamw", "FlashAdamW", **BETA1),
    _row("focus", "FOCUS", **BETA1),
    _row("fromage", "Fromage", weight_decay=None),
    # lambda_2 is its L2 penalty; beta steadies the step size and is no momentum.
    _row("ftrl", "FTRL", weight_decay="lambda_2", decay_key="lambda_2"),
    _row("galore", "GaLore", **BETA1, **_LOW_RANK),
    _row("grams", "Grams", **BETA1),
    _row("gravity", "Gravity", weight_decay=None, **BETA),
    _row("grokfastadamw", "GrokFastAdamW", **BETA1),
    _row("kate", "Kate"),
    _row("kron", "Kron", **MOMENTUM),
    _row("lamb", "Lamb", **BETA1),
    _row("laprop", "LaProp", **BETA1),
    _row("lars", "LARS", **MOMENTUM),
    # With its own max_iter = 20 a trial takes minutes.
    _row(
        "lbfgs",
        "LBFGS",
        weight_decay=None,
        needs_closure=True,
        param_groups=False,
        options={"max_iter": 4},
    ),
    _row("lion", "Lion", **BETA1),
    _row("lomo", "LOMO", weight_decay=None, takes_model=True, cannot=_FUSED),
    _row("lorarite", "LoRARite", **BETA1),
    _row("madgrad", "MADGRAD", **MOMENTUM),
    # Wraps AdamW when handed parameters, and passes on what it does not know itself.
    _row(
        "magma",
        "Magma",
        **BETA1,
        axis_defaults={"lr": 1e-3, "weight_decay": 0.01, "momentum": 0.9},
        options={"betas[1]": 0.999},
    ),
    _row("mars", "MARS", **BETA1),
    _row("msvag", "MSVAG", weight_decay=None, **BETA),
    _row("muon", "Muon", **MOMENTUM, **_MUON),
    _row("muonclip", "MuonClip", **MOMENTUM, **_MUON),
    _row("nadam", "NAdam", **BETA1),
    # beta averages squared gradients, as racs, srmm and vsgd average theirs.
    _row("nero", "Nero", weight_decay=None),
    _row("normuon", "NorMuon", **MOMENTUM, **_MUON),
    _row("novograd", "NovoGrad", **BETA1),
    _row("padam", "PAdam", **BETA1),
    _row("pid", "PID", **MOMENTUM),
    _row("pnm", "PNM", **BETA1),
    _row("prodigy", "Prodigy", **BETA1),
    _row("qhadam", "QHAdam", **BETA1),
    _row("qhm", "QHM", **MOMENTUM),
    _row("racs", "RACS"),
    _row("radam", "RAdam", **BETA1),
    _row("ranger", "Ranger", **BETA1),
    _row("ranger21", "Ranger21", **BETA1, options={"num_iterations": STEPS}),
    _row("rmsprop", "RMSprop", momentum="momentum"),
    _row("rose", "ROSE"),
    # Trains only what starts below threshold; its own lr, 1e-3 exp(-350 threshold), is then 0.
    _row("sara", "SaRA", **BETA1, axis_defaults={"lr": 1e-3}, options={"threshold": 1.0}),
    _row("scalableshampoo", "ScalableShampoo", **BETA1),
    _row("schedulefreeadamw", "ScheduleFreeAdamW", **BETA1, train_mode=True),
    _row("schedulefreeradam", "ScheduleFreeRAdam", **BETA1, train_mode=True),
    _row("schedulefreesgd", "ScheduleFreeSGD", **MOMENTUM, train_mode=True),
    # momentum is the weight of the new gradient, the complement of what the axis means.
    _row("scion", "SCION"),
    _row("scionlight", "SCIONLight"),
    _row("sgd", "SGD", momentum="momentum"),
    _row("sgdp", "SGDP", momentum="momentum"),
    _row("sgdsai", "SGDSaI", **MOMENTUM),
    _row("sgdw", "SGDW", **MOMENTUM),
    _row("shampoo", "Shampoo", **MOMENTUM),
    _row("signsgd", "SignSGD", **MOMENTUM),
    _row("simplifiedademamix", "SimplifiedAdEMAMix", **BETA1),
    _row("sm3", "SM3", weight_decay=None, **MOMENTUM),
    _row("soap", "SOAP", **BETA1),
    _row("sophiah", "SophiaH", **BETA1, create_graph=True),
    _row("spam", "SPAM", **BETA1),
    _row("spectralsphere", "SpectralSphere", **MOMENTUM, matrices_only=True),
    _row("splus", "SPlus", **BETA1, train_mode=True),
    _row("srmm", "SRMM", weight_decay=None),
    _row("stableadamw", "StableAdamW", **BETA1),
    _row("stablespam", "StableSPAM", **BETA1),
    _row("swats", "SWATS", **BETA1),
    _row("tam", "TAM", **MOMENTUM),
    _row("tiger", "Tiger", **BETA),
    _row("vsgd", "VSGD"),
    _row("yogi", "Yogi", **BETA1),
)
