"""The built-in workloads, and the import of a user's own.

``article`` is the model, data and loss of the article that the project began with;
``small`` is the same at a size that trains in milliseconds. ``digits`` and
``digits-pretrained`` train the same net on real data, and have a score.
"""

from __future__ import annotations

import copy
import importlib
import os
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from sweep.errors import WorkloadError
from sweep.workloads import digits
from sweep.workloads.importing import look_in_current_directory
from sweep.workloads.kept import KeptProduct
from sweep.workloads.seeding import seeded
from sweep.workloads.sizes import BUILT_IN
from sweep.workloads.workload import Score, Workload

Examples = tuple[Tensor, Tensor]


class KeptLinear(nn.Linear):
    """A linear layer without a bias whose latest product is kept."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Initialised as `torch.nn.Linear` is."""
        super().__init__(inputs, outputs, bias=False)
        self.kept = KeptProduct()

    def forward(self, x: Tensor) -> Tensor:
        """``(examples, outputs)`` of ``x`` ``(examples, inputs)``."""
        return self.kept.of(x, self.weight)


class ArticleNet(nn.Module):
    """Two linear layers without biases and a ReLU; its first layer can be detached."""

    def __init__(self, features: int = 196, hidden: int = 64, classes: int = 3) -> None:
        """Initialised by torch's default, from the global generator."""
        super().__init__()
        self.layer1 = KeptLinear(features, hidden)
        self.layer2 = nn.Linear(hidden, classes, bias=False)

    def forward(self, x: Tensor, detach_layer1: bool = False) -> Tensor:
        """Logits ``(examples, classes)`` of ``x`` ``(examples, features)``.

        With ``detach_layer1`` no gradient reaches the first layer.
        """
        hidden = self.layer1(x)
        if detach_layer1:
            hidden = hidden.detach()
        logits: Tensor = self.layer2(self.layer1.kept.relu(hidden))
        return logits


def build_workload(name: str, seed: int, device: str = "cpu") -> Workload:
    """A fresh workload, the same for the same ``seed``, its model and data on ``device``.

    Raises WorkloadError for a ``package.module:function`` that cannot be imported or does
    not return a `Workload`.
    """
    if name not in BUILT_IN:
        with seeded(seed), torch.device(device):
            return _own_workload(name, seed)
    data, model = (_digits if name in SCORES else _article)(name, seed, device)
    return Workload(
        copy.deepcopy(model), data, _loss, ("layer1.weight",), _detached_loss, SCORES.get(name)
    )


@lru_cache(maxsize=4)  # a replay builds its workload several times over, and data is only read
def _article(name: str, seed: int, device: str) -> tuple[Examples, ArticleNet]:
    """Data and initialised model, in this order from the generator seeded with ``seed``."""
    size = BUILT_IN[name]
    with seeded(seed):
        x = torch.randn(size.examples, size.features)
        y = torch.randint(size.classes, (size.examples,))
        model = ArticleNet(size.features, size.hidden, size.classes)
    return (x.to(device), y.to(device)), model.to(device)


@lru_cache(maxsize=32)  # `digits-pretrained` trains for a quarter of a second beforehand
def _digits(name: str, seed: int, device: str) -> tuple[digits.Digits, ArticleNet]:
    """Data and net; the first layer of `digits-pretrained` knows the old classes."""
    size, data = BUILT_IN[name], digits.split(seed, device)
    with seeded(seed):
        model = ArticleNet(size.features, size.hidden, size.classes).to(device)
    if name == "digits-pretrained":
        teacher = copy.deepcopy(model)
        digits.pretrain(teacher, data)
        model.layer1.load_state_dict(teacher.layer1.state_dict())
    return data, model


SCORES: dict[str, Score] = {"digits": digits.accuracy, "digits-pretrained": digits.kept_accuracy}
"""The score of each workload on digits; the others have none."""


def _loss(
    model: nn.Module, data: Examples | digits.Digits, step: int, *, detach_layer1: bool = False
) -> Tensor:
    x, y = data.batch(step) if isinstance(data, digits.Digits) else data
    return functional.cross_entropy(model(x, detach_layer1=detach_layer1), y)


_detached_loss = partial(_loss, detach_layer1=True)


def check_workload(name: str, seed: int) -> None:
    """Builds the workload once, to tell its faults before a sweep records them trial by trial.

    Raises WorkloadError for whatever `build_workload` raises, a user's own exception included.
    """
    try:
        build_workload(name, seed)
    except WorkloadError:
        raise
    except Exception as error:
        raise WorkloadError(
            f"The workload function {name!r} raised {type(error).__name__}: {error}".rstrip(": ")
        ) from error


def _own_workload(name: str, seed: int) -> Workload:
    module_name, _, function_name = name.partition(":")
    look_in_current_directory()
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise WorkloadError(
            f"The workload {name!r} cannot be imported: {error}. It is package.module:function, "
            f"found from the current directory, {os.getcwd()}, or installed."
        ) from error
    workload = function(seed)
    if not isinstance(workload, Workload):
        raise WorkloadError(
            f"The workload function {name!r} returned {type(workload).__name__}; "
            f"it takes a seed and returns a leaksweep.Workload."
        )
    return workload
