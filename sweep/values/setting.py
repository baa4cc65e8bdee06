"""One point of the grid, and one trial about to be run: values that cross module borders.

Owns the fingerprint. Knows nothing of how settings are enumerated (`sweep.grid`) or
trained (`sweep.trial.trial`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from hashlib import blake2b
from itertools import product
from typing import Any

from sweep.values.words import Freeze, ZeroGrad

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
    known: InitVar[str | None] = None
    """Its fingerprint, where `fingerprints` has made it already."""

    def __post_init__(self, known: str | None) -> None:
        object.__setattr__(self, "fingerprint", known or self._hash())

    def _hash(self) -> str:
        setting, decided = self.setting, (self.workload, self.steps, self.options)
        point = [[getattr(setting, axis)] for axis in Setting.__slots__[1:]]
        return next(fingerprints(setting.optimizer, point, *decided))

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


def fingerprints(
    optimizer: str,
    values: Sequence[Sequence[Any]],
    workload: str,
    steps: int,
    options: str,
) -> Iterator[str]:
    """The fingerprint of each trial of a product of axes, the last axis fastest.

    ``values`` has the values of each axis, in the order of `Setting`'s fields after the
    optimizer. Hashes the `canonical_json` of all that decides a trial, put together from
    values that are written once and not once a trial: a sweep of a million trials is
    fingerprinted every time it resumes.
    """
    name, work, length = _text(optimizer), _text(workload), _text(steps)
    texts = [[_text(value) for value in axis] for axis in values]
    for lr, weight_decay, momentum, zero_grad, schedule, freeze, seed in product(*texts):
        text = (
            f'{{"freeze":{freeze},"lr":{lr},"momentum":{momentum},"optimizer":{name},'
            f'"schedule":{schedule},"seed":{seed},"steps":{length},"weight_decay":{weight_decay},'
            f'"workload":{work},"zero_grad":{zero_grad}}}{options}'
        )
        yield blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).hexdigest()


def _text(value: str | float | None) -> str:
    """``value`` as JSON has it; plain finite numbers by the shortest way, which is the same."""
    if (type(value) is int or type(value) is float) and value - value == 0:
        return repr(value)
    return _ENCODER.encode(value)
