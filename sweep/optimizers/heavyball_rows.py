"""The rows of heavyball 3.2: every optimizer class in its top module.

Tested against that module. Its optimizers set each grad to None inside ``step``.
"""

from __future__ import annotations

from sweep.optimizers.entry import OptimizerEntry


def _row(name: str, **declared: object) -> OptimizerEntry:
    return OptimizerEntry(
        name=f"heavyball.{name}",
        target=f"heavyball:{name}",
        collection="heavyball",
        distribution="heavyball",
        install="leaksweep[atlas]",
        surroundings=f"{__package__}.surroundings:eager_heavyball",
        **declared,  # type: ignore[arg-type]  # the dataclass checks the names at import
    )


_BETA1 = {"momentum": "betas[0]", "momentum_below": 1.0}
_BETA = {"momentum": "beta", "momentum_below": 1.0}

_NO_RULE = "is the base of a family, without an update rule of its own"

ROWS = (
    _row("ADOPT", **_BETA1),
    _row("AdEMAMix", **_BETA1),
    _row("AdamC", **_BETA1),
    _row("AdamW", **_BETA1),
    _row("HeavyKLSOAP", **_BETA1),
    _row("HeavyKLShampoo", **_BETA1),
    _row("HeavySOAP", **_BETA1),
    _row("HeavySOAPAdEMAMix", **_BETA1),
    _row("HeavySOAPNAdam", **_BETA1),
    _row("HeavySOLP", **_BETA1),
    # Takes betas and reads the second alone, as RMSprop does.
    _row("HyperBallAdamW"),
    _row("KLSOAP", **_BETA1),
    _row("KLShampoo", **_BETA1),
    _row("LATHER", **_BETA1),
    _row("LaProp", **_BETA1),
    _row("LaPropOrtho", **_BETA1),
    _row("MSAMLaProp", **_BETA1),
    _row("Muon", **_BETA1),
    _row("MuonAdamW", **_BETA1),
    _row("MuonLaProp", **_BETA1),
    _row("NAdam", **_BETA1),
    _row("OrthoLaProp", **_BETA1),
    _row("PSGDBase", lr=None, weight_decay=None, cannot=_NO_RULE),
    _row("PSGDKron", **_BETA1),
    _row("PSGDLRA", **_BETA, options={"rank": 4}),
    _row("PSGDPRO", **_BETA1),
    _row("QSGD", **_BETA1),
    _row("RMSprop"),
    _row("SAMWrapper", lr=None, weight_decay=None, needs_closure=True),
    _row("SFAdamW", **_BETA1),
    _row("SGD", **_BETA),
    _row("SOAP", **_BETA1),
    _row("SOAPAdEMAMix", **_BETA1),
    _row("SOAPBase", lr=None, weight_decay=None, cannot=_NO_RULE),
    _row("SOAPNAdam", **_BETA1),
    _row("SOLP", **_BETA1),
    _row("SUDSAdamW", **_BETA1),
    _row("Scion", **_BETA1),
    _row("SignLaProp", **_BETA1),
    _row(
        "SplitOpt",
        lr=None,
        weight_decay=None,
        cannot="is handed an optimizer for each part of the parameters",
    ),
    _row("UnscaledAdamW", **_BETA1),
)
