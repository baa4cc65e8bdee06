"""The rows of heavyball 3.2: every optimizer class in its top module.

Tested against that module. Its optimizers set each grad to None inside ``step``.
"""

from __future__ import annotations

from functools import partial

from sweep.optimizers.entry import BETA, BETA1, row_of

_row = partial(
    row_of,
    "heavyball",
    "heavyball",
    install="leaksweep[atlas]",
    surroundings=f"{__package__}.surroundings:eager_heavyball",
)

_NO_RULE = "is the base of a family, without an update rule of its own"

ROWS = (
    _row("ADOPT", **BETA1),
    _row("AdEMAMix", **BETA1),
    _row("AdamC", **BETA1),
    _row("AdamW", **BETA1),
    _row("HeavyKLSOAP", **BETA1),
    _row("HeavyKLShampoo", **BETA1),
    _row("HeavySOAP", **BETA1),
    _row("HeavySOAPAdEMAMix", **BETA1),
    _row("HeavySOAPNAdam", **BETA1),
    _row("HeavySOLP", **BETA1),
    # Takes betas and reads the second alone, as RMSprop does.
    _row("HyperBallAdamW"),
    _row("KLSOAP", **BETA1),
    _row("KLShampoo", **BETA1),
    _row("LATHER", **BETA1),
    _row("LaProp", **BETA1),
    _row("LaPropOrtho", **BETA1),
    _row("MSAMLaProp", **BETA1),
    _row("Muon", **BETA1),
    _row("MuonAdamW", **BETA1),
    _row("MuonLaProp", **BETA1),
    _row("NAdam", **BETA1),
    _row("OrthoLaProp", **BETA1),
    _row("PSGDBase", lr=None, weight_decay=None, cannot=_NO_RULE),
    _row("PSGDKron", **BETA1),
    _row("PSGDLRA", **BETA, options={"rank": 4}),
    _row("PSGDPRO", **BETA1),
    _row("QSGD", **BETA1),
    _row("RMSprop"),
    _row("SAMWrapper", lr=None, weight_decay=None, needs_closure=True),
    _row("SFAdamW", **BETA1),
    _row("SGD", **BETA),
    _row("SOAP", **BETA1),
    _row("SOAPAdEMAMix", **BETA1),
    _row("SOAPBase", lr=None, weight_decay=None, cannot=_NO_RULE),
    _row("SOAPNAdam", **BETA1),
    _row("SOLP", **BETA1),
    _row("SUDSAdamW", **BETA1),
    _row("Scion", **BETA1),
    _row("SignLaProp", **BETA1),
    _row(
        "SplitOpt",
        lr=None,
        weight_decay=None,
        cannot="is handed an optimizer for each part of the parameters",
    ),
    _row("UnscaledAdamW", **BETA1),
)
