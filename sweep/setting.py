"""One point of the grid, and one trial about to be run: values that cross module borders.

Owns the fingerprint. Knows nothing of how settings are enumerated (`sweep.grid`) or
trained (`sweep.trial`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sweep.words import Freeze, ZeroGrad

FINGERPRINT_BYTES = 16


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the grid; None where the axis cannot apply to the optimizer."""

    optimizer: str
    lr: float | None
    weight_decay: float | None
    momentum: float | None
    zero_grad: ZeroGrad = ZeroGrad.NONE
    schedule: str = "alternate"
    freeze: Freeze = Freeze.DETACH
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """Everything that decides a trial's outcome, save for the machine it runs on."""

    setting: Setting
    workload: str
    steps: int
    options: str = "{}"  # canonical JSON: constructor arguments beyond the axes
    fingerprint: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        text = _described(self.setting, self.workload, self.steps) + self.options
        digest = hashlib.blake2b(text.encode(), digest_size=FINGERPRINT_BYTES)
        object.__setattr__(self, "fingerprint", digest.hexdigest())

    def constructor_options(self) -> dict[str, Any]:
        """The options as constructor arguments by name."""
        options: dict[str, Any] = json.loads(self.options)
        return options


def canonical_json(value: Mapping[str, Any]) -> str:
    """``value`` as the one JSON text that equal values share: sorted keys, no blanks, no NaN.

    Raises ValueError for NaN and infinity, which JSON does not have.

    >>> canonical_json({"b": 1.0, "a": [True, None]})
    '{"a":[true,null],"b":1.0}'
    """
    return _ENCODER.encode(value)


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_word = lru_cache(maxsize=1024)(_ENCODER.encode)


def _described(setting: Setting, workload: str, steps: int) -> str:
    """The `canonical_json` of all that decides a trial but its options.

    Written out, which is a fifth of the work: a sweep of a million trials is fingerprinted
    every time it resumes.
    """
    return (
        f'{{"freeze":{_word(setting.freeze)},"lr":{_number(setting.lr)},'
        f'"momentum":{_number(setting.momentum)},"optimizer":{_word(setting.optimizer)},'
        f'"schedule":{_word(setting.schedule)},"seed":{_number(setting.seed)},'
        f'"steps":{_number(steps)},"weight_decay":{_number(setting.weight_decay)},'
        f'"workload":{_word(workload)},"zero_grad":{_word(setting.zero_grad)}}}'
    )


def _number(value: float | None) -> str:
    """``value`` as JSON has it; plain finite numbers by the shortest way, which is the same."""
    if (type(value) is int or type(value) is float) and value - value == 0:
        return repr(value)
    return _ENCODER.encode(value)
