"""The rows of pytorch-optimizer 4.1, under the names of its own ``load_optimizer``.

Tested against that library's list: a release that adds, drops or renames one fails a test.
"""

from __future__ import annotations

from sweep.optimizers.entry import STEPS, FirstArgument, OptimizerEntry


def _row(name: str, class_name: str, **declared: object) -> OptimizerEntry:
    return OptimizerEntry(
        name=f"pytorch_optimizer.{name}",
        target=f"pytorch_optimizer:{class_name}",
        collection="pytorch_optimizer",
        distribution="pytorch-optimizer",
        install="leaksweep[atlas]",
        **declared,  # type: ignore[arg-type]  # the dataclass checks the names at import
    )


_BETA1 = {"momentum": "betas[0]", "momentum_below": 1.0}
_MOMENTUM = {"momentum": "momentum", "momentum_below": 1.0}

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
    _row("adabelief", "AdaBelief", **_BETA1),
    _row("adabound", "AdaBound", **_BETA1),
    _row("adadelta", "AdaDelta"),
    # Its own relative_step = True would compute the step size and never read lr.
    _row("adafactor", "AdaFactor", **_BETA1, options={"relative_step": False}),
    _row("adagc", "AdaGC", **_BETA1),
    _row("adago", "AdaGO", **_MOMENTUM, **_MUON),
    _row("adahessian", "AdaHessian", **_BETA1, create_graph=True),
    # betas[0] scales a momentum that is computed for each element; it is no coefficient.
    _row("adai", "Adai"),
    _row("adalite", "Adalite", **_BETA1),
    _row("adalomo", "AdaLOMO", first_argument=FirstArgument.MODEL, cannot=_FUSED),
    _row("adam", "Adam", **_BETA1),
    _row("adamax", "AdaMax", **_BETA1),
    _row("adamc", "AdamC", **_BETA1),
    _row("adamg", "AdamG", **_BETA1),
    _row("adammini", "AdamMini", **_BETA1, first_argument=FirstArgument.MODEL, param_groups=False),
    _row("adamod", "AdaMod", **_BETA1),
    _row("adamp", "AdamP", **_BETA1),
    _row("adams", "AdamS", **_BETA1),
    _row("adamuon", "AdaMuon", **_BETA1, **_MUON, matrices_only=True),
    _row("adamw", "AdamW", **_BETA1),
    _row("adamwsn", "AdamWSN", **_BETA1),
    _row("adan", "Adan", **_BETA1),
    _row("adanorm", "AdaNorm", **_BETA1),
    _row("adapnm", "AdaPNM", **_BETA1),
    # Moves on gradients keep_num steps old: with its own 10 it would wait out a short trial.
    _row("adashift", "AdaShift", weight_decay=None, **_BETA1, options={"keep_num": 2}),
    _row("adasmooth", "AdaSmooth"),
    _row("adatam", "AdaTAM", **_BETA1),
    _row("ademamix", "AdEMAMix", **_BETA1),
    _row("adopt", "ADOPT", **_BETA1),
    # Averages several momenta, one a beta; no single one of them is the coefficient.
    _row("aggmo", "AggMo"),
    _row("aida", "Aida", **_BETA1),
    _row("alice", "Alice", **_BETA1),
    # Takes the smaller of max_lr and a step size from the loss; its own max_lr is no bound.
    _row(
        "alig",
        "AliG",
        lr="max_lr",
        rate_key="max_lr",
        weight_decay=None,
        **_MOMENTUM,
        needs_closure=True,
        axis_defaults={"lr": 0.1},
    ),
    _row("amos", "Amos", weight_decay="extra_l2", decay_key="extra_l2", **_MOMENTUM),
    _row("ano", "Ano", **_BETA1),
    _row("apollo", "APOLLO", **_BETA1, **_LOW_RANK),
    _row("apollodqn", "ApolloDQN", momentum="beta", momentum_below=1.0),
    _row("asgd", "ASGD"),
    _row("avagrad", "AvaGrad", **_BETA1),
    _row("bcos", "BCOS", momentum="beta", momentum_below=1.0),
    # num_data scales the noise it adds to the parameters; a short trial has 256 rows.
    _row(
        "bsam",
        "BSAM",
        **_BETA1,
        needs_closure=True,
        backward_first=True,
        options={"num_data": 256, "foreach": False},
    ),
    _row("came", "CAME", **_BETA1),
    _row("conda", "Conda", **_BETA1),
    _row("dadaptadagrad", "DAdaptAdaGrad", **_MOMENTUM),
    _row("dadaptadam", "DAdaptAdam", **_BETA1),
    _row("dadaptadan", "DAdaptAdan", **_BETA1),
    _row("dadaptlion", "DAdaptLion", **_BETA1),
    _row("dadaptsgd", "DAdaptSGD", **_MOMENTUM),
    _row("dash", "DASH", **_BETA1),
    _row("demo", "DeMo", momentum="compression_decay", momentum_below=1.0, **_LONE_GROUP),
    _row("diffgrad", "DiffGrad", **_BETA1),
    _row("distributedmuon", "DistributedMuon", **_MOMENTUM, **_MUON, **_LONE_GROUP),
    _row("dualadam", "DualAdam", **_BETA1),
    # For matrices its betas average squared gradients: there is no first moment.
    _row("emofact", "EmoFact"),
    _row("emolynx", "EmoLynx", **_BETA1),
    _row("emonavi", "EmoNavi", **_BETA1),
    _row("exadam", "EXAdam", **_BETA1),
    _row("fadam", "FAdam", **_BETA1),
    _row("fira", "Fira", **_BETA1, **_LOW_RANK),
    _row("flashadamw", "FlashAdamW", **_BETA1),
    _row("focus", "FOCUS", **_BETA1),
    _row("fromage", "Fromage", weight_decay=None),
    # lambda_2 is its L2 penalty; beta steadies the step size and is no momentum.
    _row("ftrl", "FTRL", weight_decay="lambda_2", decay_key="lambda_2"),
    _row("galore", "GaLore", **_BETA1, **_LOW_RANK),
    _row("grams", "Grams", **_BETA1),
    _row("gravity", "Gravity", weight_decay=None, momentum="beta", momentum_below=1.0),
    _row("grokfastadamw", "GrokFastAdamW", **_BETA1),
    _row("kate", "Kate"),
    _row("kron", "Kron", **_MOMENTUM),
    _row("lamb", "Lamb", **_BETA1),
    _row("laprop", "LaProp", **_BETA1),
    _row("lars", "LARS", **_MOMENTUM),
    # With its own max_iter = 20 a trial takes minutes.
    _row(
        "lbfgs",
        "LBFGS",
        weight_decay=None,
        needs_closure=True,
        param_groups=False,
        options={"max_iter": 4},
    ),
    _row("lion", "Lion", **_BETA1),
    _row("lomo", "LOMO", weight_decay=None, first_argument=FirstArgument.MODEL, cannot=_FUSED),
    _row("lorarite", "LoRARite", **_BETA1),
    _row("madgrad", "MADGRAD", **_MOMENTUM),
    # Wraps AdamW when handed parameters, and passes on what it does not know itself.
    _row(
        "magma",
        "Magma",
        **_BETA1,
        axis_defaults={"lr": 1e-3, "weight_decay": 0.01, "momentum": 0.9},
        options={"betas[1]": 0.999},
    ),
    _row("mars", "MARS", **_BETA1),
    _row("msvag", "MSVAG", weight_decay=None, momentum="beta", momentum_below=1.0),
    _row("muon", "Muon", **_MOMENTUM, **_MUON),
    _row("muonclip", "MuonClip", **_MOMENTUM, **_MUON),
    _row("nadam", "NAdam", **_BETA1),
    # beta averages squared gradients, as racs, srmm and vsgd average theirs.
    _row("nero", "Nero", weight_decay=None),
    _row("normuon", "NorMuon", **_MOMENTUM, **_MUON),
    _row("novograd", "NovoGrad", **_BETA1),
    _row("padam", "PAdam", **_BETA1),
    _row("pid", "PID", **_MOMENTUM),
    _row("pnm", "PNM", **_BETA1),
    _row("prodigy", "Prodigy", **_BETA1),
    _row("qhadam", "QHAdam", **_BETA1),
    _row("qhm", "QHM", **_MOMENTUM),
    _row("racs", "RACS"),
    _row("radam", "RAdam", **_BETA1),
    _row("ranger", "Ranger", **_BETA1),
    _row("ranger21", "Ranger21", **_BETA1, options={"num_iterations": STEPS}),
    _row("rmsprop", "RMSprop", momentum="momentum"),
    _row("rose", "ROSE"),
    # Trains only what starts below threshold; its own lr, 1e-3 exp(-350 threshold), is then 0.
    _row("sara", "SaRA", **_BETA1, axis_defaults={"lr": 1e-3}, options={"threshold": 1.0}),
    _row("scalableshampoo", "ScalableShampoo", **_BETA1),
    _row("schedulefreeadamw", "ScheduleFreeAdamW", **_BETA1, train_mode=True),
    _row("schedulefreeradam", "ScheduleFreeRAdam", **_BETA1, train_mode=True),
    _row("schedulefreesgd", "ScheduleFreeSGD", **_MOMENTUM, train_mode=True),
    # momentum is the weight of the new gradient, the complement of what the axis means.
    _row("scion", "SCION"),
    _row("scionlight", "SCIONLight"),
    _row("sgd", "SGD", momentum="momentum"),
    _row("sgdp", "SGDP", momentum="momentum"),
    _row("sgdsai", "SGDSaI", **_MOMENTUM),
    _row("sgdw", "SGDW", **_MOMENTUM),
    _row("shampoo", "Shampoo", **_MOMENTUM),
    _row("signsgd", "SignSGD", **_MOMENTUM),
    _row("simplifiedademamix", "SimplifiedAdEMAMix", **_BETA1),
    _row("sm3", "SM3", weight_decay=None, **_MOMENTUM),
    _row("soap", "SOAP", **_BETA1),
    _row("sophiah", "SophiaH", **_BETA1, create_graph=True),
    _row("spam", "SPAM", **_BETA1),
    _row("spectralsphere", "SpectralSphere", **_MOMENTUM, matrices_only=True),
    _row("splus", "SPlus", **_BETA1, train_mode=True),
    _row("srmm", "SRMM", weight_decay=None),
    _row("stableadamw", "StableAdamW", **_BETA1),
    _row("stablespam", "StableSPAM", **_BETA1),
    _row("swats", "SWATS", **_BETA1),
    _row("tam", "TAM", **_MOMENTUM),
    _row("tiger", "Tiger", momentum="beta", momentum_below=1.0),
    _row("vsgd", "VSGD"),
    _row("yogi", "Yogi", **_BETA1),
)
