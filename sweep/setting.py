"""One point of the grid, and one trial about to be run: values that cross module borders.

Owns the fingerprint. Knows nothing of how settings are enumerated (`sweep.grid`) or
trained (`sweep.trial`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
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


_AXES = tuple(axis.name for axis in fields(Setting))


@dataclass(frozen=True, slots=True)
class PlannedTrial:
    """Everything that decides a trial's outcome, save for the machine it runs on."""

    setting: Setting
    workload: str
    steps: int
    options: str = "{}"  # canonical JSON: constructor arguments beyond the axes
    fingerprint: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        described = {name: getattr(self.setting, name) for name in _AXES}
        described |= {"workload": self.workload, "steps": self.steps}
        text = canonical_json(described) + self.options
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


# Made once: a sweep of a million trials is fingerprinted every time it resumes.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
