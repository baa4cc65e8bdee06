"""Who is watched: a model's parameters by name, as the model has them now.

A parameter is known by its identity. Where the model gets, loses or replaces parameters, it
is read again at the next step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from sweep.errors import MisuseError

Watchable = nn.Module | Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]

_IN_NAMES = ("_orig_mod.", "_checkpoint_wrapped_module.")
"""What torch.compile and activation checkpointing put into the names of a model's parameters."""

LEFT = " (left the model)"
"""Behind the name of a parameter that an optimizer holds and the model has no longer."""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Subject:
    """One parameter under watch.

    Attributes:
        name: the first of its names in the model; with `LEFT` once it has left.
        parameter: the tensor itself.
        in_model: whether the model has it now.
        not_judged: why it is judged no longer; None as long as it is.
    """

    name: str
    parameter: Tensor
    in_model: bool = True
    not_judged: str | None = None


class Roster:
    """The parameters under watch. A tied one goes by the first of its names.

    Attributes:
        model: the model without what wraps it; None where parameters were picked by name.
        aliases: the model's parameters now, by each of their names.
        buffers: the model's, by name.
    """

    def __init__(self, watched: Watchable) -> None:
        """Raises MisuseError for what has no names, or keeps parameters in flat shards."""
        self.model = _unwrapped(watched) if isinstance(watched, nn.Module) else None
        self._named = [] if isinstance(watched, nn.Module) else _named(watched)
        self._raw_names: dict[str, str] = {}  # those that a wrapped model gives, with ours
        if isinstance(watched, nn.Module):
            raw = [name for name, _ in watched.named_parameters(remove_duplicate=False)]
            ours = [name for name, _ in self._pairs()]
            self._raw_names = dict(zip(raw, ours, strict=True))
        self._subjects: dict[int, Subject] = {}
        self._signature: tuple[list[int], list[int]] = ([], [])
        self._parameters_of: list[Mapping[str, Any]] = []
        self._modules_of: list[Mapping[str, Any]] = []
        self.aliases: dict[str, Subject] = {}
        self.buffers: dict[str, Tensor] = {}
        self._read()

    def __iter__(self) -> Iterator[Subject]:
        """The model's parameters now, and those that have left it and are still remembered."""
        return iter(self._subjects.values())

    @property
    def present(self) -> list[Subject]:
        """The model's parameters now."""
        return [subject for subject in self if subject.in_model]

    def of(self, tensor: Tensor) -> Subject | None:
        """The subject of that very tensor; None if the model never had it."""
        return self._subjects.get(id(tensor))

    def refresh(self) -> dict[str, Subject] | None:
        """Reads the model again if it has changed; None if it has not.

        Returns what has another name now, or has left the model, by its name before.
        """
        if self.model is None or self._signature == self._signed():
            return None
        before = {subject: subject.name for subject in self}
        self._read()
        return {name: subject for subject, name in before.items() if subject.name != name}

    def forget(self, subject: Subject) -> None:
        """Lets go of a parameter that has left the model and every optimizer."""
        self._subjects.pop(id(subject.parameter), None)

    def let_go(self) -> None:
        """Lets go of every tensor and module; the names stay."""
        self.model, self._named = None, []
        self._parameters_of, self._modules_of = [], []
        self._subjects, self.aliases, self.buffers = {}, {}, {}

    def _read(self) -> None:
        found: dict[str, Subject] = {}
        present: dict[Subject, str] = {}
        for alias, parameter in self._pairs():
            subject = self._subjects.setdefault(id(parameter), Subject(alias, parameter))
            found[alias], subject.in_model = subject, True
            subject.name = present.setdefault(subject, alias)
        for subject in self:
            if subject not in present and subject.in_model:
                subject.name, subject.in_model = self._name_of_one_that_left(subject), False
        known = {raw: found[ours] for raw, ours in self._raw_names.items() if ours in found}
        self.aliases = known | found
        if self.model is not None:
            self.buffers = {clean(n): b for n, b in self.model.named_buffers()}
            modules = list(self.model.modules())
            self._parameters_of = [module._parameters for module in modules]
            self._modules_of = [module._modules for module in modules]
            self._signature = self._signed()

    def _name_of_one_that_left(self, subject: Subject) -> str:
        """One that no other has: a layer may be replaced again and again."""
        name, taken = subject.name + LEFT, {each.name for each in self}
        while name in taken:
            name += LEFT
        return name

    def _signed(self) -> tuple[list[int], list[int]]:
        """The identities of the model's parameters and modules, in order."""
        parameters = [id(each) for held in self._parameters_of for each in held.values()]
        return parameters, [id(each) for held in self._modules_of for each in held.values()]

    def _pairs(self) -> Iterator[tuple[str, Tensor]]:
        if self.model is None:
            yield from self._named
            return
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            yield clean(name), parameter


def clean(name: str) -> str:
    """A name without what torch.compile and checkpointing put into it."""
    for piece in _IN_NAMES:
        name = name.replace(piece, "")
    return name


def _unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel and its like, compiled or not.

    Raises MisuseError for FSDP1 and DeepSpeed.
    """
    for module in model.modules():
        if any(kind.__name__ == "FullyShardedDataParallel" for kind in type(module).__mro__):
            raise MisuseError(
                "watch cannot look into FullyShardedDataParallel (FSDP1), which keeps parameters "
                "in flat shards without names of their own. Use fully_shard (FSDP2), which watch "
                "judges on each rank's own shard, or watch a run on one device."
            )
    if type(model).__module__.partition(".")[0] == "deepspeed":
        raise MisuseError(
            "watch cannot look into a DeepSpeed engine, whose optimizer steps on flat copies of "
            "the parameters. Watch the model with its own optimizer before deepspeed.initialize, "
            "in a short run on one device, or train with fully_shard (FSDP2)."
        )
    while True:
        inner = getattr(model, "_orig_mod", None)
        if isinstance(model, DistributedDataParallel | DataParallel):
            inner = model.module
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def _named(watched: Any) -> list[tuple[str, Tensor]]:
    """Named parameters as a list, so that an iterator is read once."""
    given = watched.items() if isinstance(watched, Mapping) else watched
    pairs = list(given) if isinstance(given, Iterable) else [given]
    for pair in pairs:
        match pair:
            case tuple((str(), Tensor())):
                continue
        raise MisuseError(
            f"watch needs a module or named parameters, such as model.named_parameters(), "
            f"to say which one moved; {type(pair).__name__} has no names."
        )
    return pairs
