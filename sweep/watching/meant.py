"""What the user means by `frozen=` and `trainable=`: parameters, buffers, and parts of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from sweep.errors import MisuseError, UnknownNameError
from sweep.watching.parts import one_part
from sweep.watching.roster import Roster

Mask = Tensor | Sequence[int] | bool | None
Meant = str | nn.Module | Tensor
Frozen = Meant | Iterable[Meant] | Mapping[str, Mask]

_WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Named:
    """What some names mean in the model as it is now.

    Attributes:
        parameters: names of whole parameters.
        buffers: names of buffers.
        masks: for parameters of which only a part is meant, which: boolean, of shape
            ``(rows,)`` or the parameter's.
    """

    parameters: frozenset[str] = frozenset()
    buffers: frozenset[str] = frozenset()
    masks: Mapping[str, Tensor] = field(default_factory=dict)


class Wish:
    """What was asked for, to be looked up again whenever the model changes."""

    def __init__(self, option: str, asked: Frozen | None, roster: Roster) -> None:
        """``option`` is what the user calls it. Raises what `named` does."""
        self._option = option
        self._asked = _pairs(asked, option)
        self.now = self.named(roster, strictly=True)

    def refresh(self, roster: Roster) -> None:
        """Looks the names up again; those that the model has no longer mean nothing now."""
        self.now = self.named(roster, strictly=False)

    def named(self, roster: Roster, *, strictly: bool) -> Named:
        """What the names mean now.

        ``strictly`` raises UnknownNameError, with the nearest names, for one that the model
        lacks, and MisuseError for a mask that does not fit.
        """
        parameters: set[str] = set()
        buffers: set[str] = set()
        masks: dict[str, Tensor] = {}
        aliases = {alias: subject.parameter for alias, subject in roster.aliases.items()}
        for meant, mask in self._asked:
            found = {roster.aliases[alias].name for alias in _picked(meant, aliases)}
            kept = _picked(meant, roster.buffers)
            if strictly and not found and not kept:
                raise self._unknown(meant, roster)
            if mask is None or mask is True:
                parameters |= found
                buffers |= kept
            elif mask is not False:
                masks |= {name: self._mask(name, mask, roster) for name in found}
        return Named(frozenset(parameters), frozenset(buffers), masks)

    def _mask(self, name: str, mask: Tensor | Sequence[int], roster: Roster) -> Tensor:
        parameter = roster.aliases[name].parameter
        part = one_part(parameter)
        given = torch.as_tensor(mask)
        marked = None if part is None or not part.dim() else _as_boolean(given, part)
        if marked is not None:
            return marked
        raise MisuseError(
            f"{self._option}= needs for {name!r}, of shape {tuple(parameter.shape)}, a boolean "
            f"tensor of that shape or one value a row, or the numbers of rows; "
            f"{given.dtype} of shape {tuple(given.shape)} came."
        )

    def _unknown(self, meant: Meant, roster: Roster) -> MisuseError:
        if not isinstance(meant, str):
            return MisuseError(
                f"{self._option}= was given a {type(meant).__name__} of which the watched model "
                f"has no parameter. Give it a module or parameter of that model, or their names."
            )
        valid = dict.fromkeys([*roster.aliases, *roster.buffers])
        for alias in tuple(valid):
            pieces = alias.split(".")
            valid |= dict.fromkeys(".".join(pieces[:n]) for n in range(1, len(pieces)))
        hint = (
            f"{self._option}= takes names of parameters, or of modules for all they contain; "
            f"* stands for anything."
        )
        return UnknownNameError("parameter or module", meant, valid, hint=hint)


def _pairs(asked: Frozen | None, option: str) -> list[tuple[Meant, Any]]:
    if asked is None:
        return []
    if isinstance(asked, str | nn.Module | Tensor):
        return [(asked, None)]
    if isinstance(asked, Mapping):
        return list(asked.items())
    listed = list(asked)
    for each in listed:
        if not isinstance(each, str | nn.Module | Tensor):
            raise MisuseError(
                f"{option}= needs names, modules or parameters, or a mapping from names to masks; "
                f"{type(each).__name__} came."
            )
    return [(each, None) for each in listed]


def _picked(meant: Meant, named: Mapping[str, Tensor]) -> set[str]:
    """Which of those names are meant."""
    if isinstance(meant, str):
        return {name for name in named if _is_meant(meant, name)}
    inside = isinstance(meant, nn.Module) and (*meant.parameters(), *meant.buffers())
    wanted = set(map(id, inside or (meant,)))
    return {name for name, tensor in named.items() if id(tensor) in wanted}


def _is_meant(asked: str, name: str) -> bool:
    """Whether ``asked`` is the name, that of a module around it, or a pattern of either."""
    if asked in ("", name) or name.startswith(f"{asked}."):
        return True
    if _WILD.isdisjoint(asked):
        return False
    pieces = name.split(".")
    return any(fnmatchcase(".".join(pieces[:n]), asked) for n in range(1, len(pieces) + 1))


def _as_boolean(mask: Tensor, part: Tensor) -> Tensor | None:
    """The mask, or the rows that have those numbers; None where it does not fit."""
    if mask.dtype is torch.bool:
        return mask.to(part.device) if mask.shape in (part.shape, part.shape[:1]) else None
    if mask.is_floating_point() or mask.is_complex() or mask.dim() != 1:
        return None
    if not bool(((mask >= -len(part)) & (mask < len(part))).all()):
        return None
    marked = torch.zeros(len(part), dtype=torch.bool, device=part.device)
    marked[mask.to(part.device, torch.int64)] = True
    return marked
