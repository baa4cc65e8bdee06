"""One point of the grid, and one trial about to be run: values that cross module borders.

Owns the fingerprint. Knows nothing of how settings are enumerated (`sweep.grid`) or
trained (`sweep.trial.trial`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, fields
from hashlib import blake2b
from itertools import product
from operator import itemgetter
from typing import Any

from sweep.errors import MisuseError
from sweep.values.axes import facts_of, row
from sweep.values.schedule import FORMS
from sweep.values.words import OWN_LOOP, Axis, Freeze, ZeroGrad

FINGERPRINT_BYTES = 16
MAX_TEXT = 200
"""Characters of a name: a sweep's, an optimizer's, a workload's."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the grid: a row an axis, None where it cannot apply to the optimizer.

    Raises ValueError for a ``zero_grad`` or ``freeze`` that is no word of theirs; ``freeze`` may
    be `OWN_LOOP`, too.
    """

    optimizer: str = row(
        values="a registry name, a pattern such as heavyball.*, or package.module:Class",
        called="names",
        meaning="what updates the parameters",
        example='["SGD", "Adam"]',
        default=(),
    )
    lr: float | None = row(
        values="numbers >= 0",
        meaning="learning rate; null where the optimizer has none",
        example="[1.0, 0.01]",
    )
    weight_decay: float | None = row(
        values="numbers >= 0",
        meaning="weight decay; null where the optimizer has none",
        example="[0.0, 0.5]",
        default=(0.0,),
    )
    momentum: float | None = row(
        values="numbers >= 0; beta1 below 1",
        called="numbers >= 0",
        meaning="coefficient of the first-moment memory, whatever its constructor calls it; "
        "null where the optimizer has none",
        example="[0.0, 0.9]",
    )
    zero_grad: ZeroGrad = row(  # noqa: RUF009 a field
        values=", ".join(ZeroGrad),
        called="words",
        meaning="grads set to None after each step, set to zero, or never cleared",
        example='["none", "zero"]',
        default=tuple(ZeroGrad),
        without=ZeroGrad.NONE,
    )
    schedule: str = row(
        values=", ".join(FORMS),
        called="words",
        meaning="which steps freeze the layer, counting from 0: the odd ones; all; none; those "
        "not divisible by N; those from K on",
        example='["alternate", "after:10"]',
        default=("alternate",),
        without="alternate",
    )
    freeze: Freeze = row(  # noqa: RUF009 a field
        values=", ".join(Freeze),
        called="words",
        meaning="how the layer is kept from training then",
        example='["detach"]',
        default=(Freeze.DETACH,),
        without=Freeze.DETACH,
    )
    seed: int = row(
        values="whole numbers >= 0",
        meaning="model initialisation and data",
        example="[0, 1, 2]",
        default=(0,),
        without=0,
    )

    def __post_init__(self) -> None:
        """Makes words of plain text: whoever trains asks what a word is, not how it is spelled.

        Raises ValueError for text that is none.
        """
        if type(self.zero_grad) is not ZeroGrad:
            object.__setattr__(self, "zero_grad", ZeroGrad(self.zero_grad))
        if type(self.freeze) is not Freeze and self.freeze != OWN_LOOP:
            object.__setattr__(self, "freeze", Freeze(self.freeze))


AXIS_FACTS = facts_of(Setting)
"""Every axis, in the order of a setting's fields."""

POINT_AXES = tuple(Axis(field.name) for field in fields(Setting))[1:]
"""The axes of an optimizer's own settings: all but which it is."""


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
        if known is None:
            point = [[getattr(self.setting, axis)] for axis in POINT_AXES]
            decided = (self.workload, self.steps, self.options)
            known = next(fingerprints(self.setting.optimizer, point, *decided))
        object.__setattr__(self, "fingerprint", known)

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

    ``values`` has the values of each axis, in the order of `POINT_AXES`. Hashes the
    `canonical_json` of all that decides a trial, put together from values that are written once
    and not once a trial: a sweep of a million trials is fingerprinted every time it resumes.
    """
    axes = [*values, [optimizer], [workload], [steps]]
    members = [
        [f'"{name}":{_text(value)}' for value in axis]
        for name, axis in zip(_MEMBERS, axes, strict=True)
    ]
    for point in product(*members):
        text = f"{{{','.join(_BY_NAME(point))}}}{options}"
        yield blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).hexdigest()


_MEMBERS = (*POINT_AXES, "optimizer", "workload", "steps")
_BY_NAME = itemgetter(*sorted(range(len(_MEMBERS)), key=_MEMBERS.__getitem__))


def _text(value: str | float | None) -> str:
    """``value`` as JSON has it; plain finite numbers by the shortest way, which is the same."""
    if (type(value) is int or type(value) is float) and value - value == 0:
        return repr(value)
    return _ENCODER.encode(value)


def check_sweep_name(name: object) -> str:
    """``name``, which a sweep can have. Raises MisuseError for one that no spec could give it."""
    if isinstance(name, str) and name.isprintable() and 0 < len(name) <= MAX_TEXT:
        return name
    came = repr(name) if len(repr(name)) <= MAX_TEXT else f"{repr(name)[:40]}..."
    raise MisuseError(
        f"A sweep cannot be named {came}: a name is 1 to {MAX_TEXT} characters that print."
    )
