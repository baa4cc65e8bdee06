"""Who is watched: a model's parameters by name, which of them are frozen throughout, and
which of them each optimizer holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from sweep.errors import MisuseError, UnknownNameError

Watchable = nn.Module | Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]

_COMPILED = "_orig_mod."  # what torch.compile puts into the names of a model's parameters


class Roster:
    """The parameters under watch, by name.

    A tied parameter goes by the first of its names; `resolve` knows the others, too. A
    model that gets parameters later is asked again when an optimizer shows an unknown one.
    """

    def __init__(self, watched: Watchable) -> None:
        """Raises MisuseError for anything but a module or named parameters."""
        self._watched = watched if isinstance(watched, nn.Module) else _named(watched)
        self._name_of: dict[int, str] = {}
        self._parameters: dict[str, Tensor] = {}
        self._aliases: dict[str, str] = {}
        self._unknown: set[int] = set()
        self._read()

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        return iter(self._parameters.items())

    def __getitem__(self, name: str) -> Tensor:
        return self._parameters[name]

    def held_by(self, optimizer: Optimizer) -> Iterator[tuple[str, Tensor]]:
        """The watched parameters that ``optimizer`` has now, by name, each once."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = self._name_of.get(id(parameter)) or self._look_again(parameter)
                if name is not None:
                    yield name, parameter

    def resolve(self, names: Iterable[str]) -> frozenset[str]:
        """The parameters that ``names`` mean: parameters, or modules with all they contain.

        Raises UnknownNameError, with the nearest names, for one that the model lacks.
        """
        if isinstance(names, str):
            names = [names]
        return frozenset(found for name in names for found in self._meant_by(name))

    def _meant_by(self, name: str) -> set[str]:
        inside = f"{name}."
        found = {
            first
            for alias, first in self._aliases.items()
            if alias == name or alias.startswith(inside) or name == ""
        }
        if not found:
            valid = dict.fromkeys(self._aliases)
            for alias in self._aliases:
                pieces = alias.split(".")
                valid |= dict.fromkeys(".".join(pieces[:n]) for n in range(1, len(pieces)))
            hint = "frozen= takes names of parameters, or of modules for all they contain."
            raise UnknownNameError("parameter or module", name, valid, hint=hint)
        return found

    def _read(self) -> None:
        for alias, parameter in _pairs(self._watched):
            name = self._name_of.setdefault(id(parameter), alias)
            self._parameters.setdefault(name, parameter)
            self._aliases[alias] = name

    def _look_again(self, parameter: Tensor) -> str | None:
        """The name of a parameter not seen before; None for one that is not the model's."""
        if id(parameter) in self._unknown:
            return None
        self._read()
        name = self._name_of.get(id(parameter))
        if name is None:
            self._unknown.add(id(parameter))
        return name


def check_optimizers(optimizers: tuple[Any, ...], roster: Roster) -> None:
    """Raises MisuseError unless each is an optimizer that holds some watched parameter."""
    if not optimizers:
        raise MisuseError(
            "watch needs the optimizers whose steps it is to look at: "
            "`with watch(model, optimizer) as leaks:`; none came."
        )
    for optimizer in optimizers:
        if not isinstance(optimizer, Optimizer):
            raise MisuseError(
                f"watch needs objects of torch.optim.Optimizer, whose step hooks it uses; "
                f"{type(optimizer).__name__} is none. If it wraps one, pass that one."
            )
        if not any(roster.held_by(optimizer)):
            raise MisuseError(
                f"{type(optimizer).__name__} holds none of the model's parameters, so its steps "
                f"cannot move them. Was it built over another model, or over a copy of this one? "
                f"Build it from the parameters of the model that is watched."
            )


def _named(watched: Any) -> list[tuple[str, Tensor]]:
    """Named parameters as a list, so that an iterator is read once."""
    pairs = list(watched.items()) if isinstance(watched, Mapping) else _listed(watched)
    for pair in pairs:
        if not _is_named_tensor(pair):
            raise _not_watchable(type(pair).__name__)
    return pairs


def _listed(watched: Any) -> list[Any]:
    if not isinstance(watched, Iterable):
        raise _not_watchable(type(watched).__name__)
    return list(watched)


def _is_named_tensor(pair: Any) -> bool:
    if not isinstance(pair, tuple) or len(pair) != 2:
        return False
    return isinstance(pair[0], str) and isinstance(pair[1], Tensor)


def _not_watchable(kind: str) -> MisuseError:
    return MisuseError(
        f"watch needs a module or named parameters, such as model.named_parameters(), "
        f"to say which one moved; {kind} has no names."
    )


def _pairs(watched: nn.Module | list[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Every name with its parameter, without what wrappers put into the names."""
    if not isinstance(watched, nn.Module):
        yield from watched
        return
    inner = watched.module if isinstance(watched, DistributedDataParallel) else watched
    for name, parameter in inner.named_parameters(remove_duplicate=False):
        yield name.replace(_COMPILED, ""), parameter
