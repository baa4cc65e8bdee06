"""Which sweeps come with the program? One TOML file each, to run as it is or to copy and edit.

Reads the files only; `sweep.grid.spec` checks them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources

from sweep.errors import UnknownNameError

_ORDER = ("article", "full", "remedies", "atlas", "cost")


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset as `leaksweep show presets` lists it."""

    name: str
    description: str


def names() -> tuple[str, ...]:
    """The presets' names, the one to begin with first."""
    return _ORDER


def text(name: str) -> str:
    """The TOML text of the preset ``name``. Raises UnknownNameError, with the nearest."""
    if name not in _ORDER:
        raise UnknownNameError("preset", name, _ORDER)
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def listed() -> tuple[Preset, ...]:
    """Every preset with its one-line description; torch is not imported."""
    return tuple(Preset(name, tomllib.loads(text(name))["description"]) for name in _ORDER)
