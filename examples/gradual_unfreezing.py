"""Fine-tuning on scikit-learn's digits with gradual unfreezing, in which frozen blocks move.

    python examples/gradual_unfreezing.py
    leaksweep run examples/gradual_unfreezing.toml

A classifier learns the digits 0 to 4. Then it is fine-tuned on 5 to 9: its last layer alone
at first, then the second block with it, then everything, with what is frozen switched off by
``requires_grad``. The optimizer goes on from one phase to the next, and
``zero_grad(set_to_none=False)`` leaves frozen blocks gradients of zeros: momentum and weight
decay go on moving them. Setting the gradients to None is the remedy.
"""

from __future__ import annotations

from functools import cache
from statistics import median

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from leaksweep import Workload, watch
from sweep.watching import Watch

PIXELS, HIDDEN, CLASSES, BATCH = 64, 32, 10, 64
PRETRAINING, PHASE = 10, 10  # steps

Digits = tuple[Tensor, Tensor]
"""Images ``(examples, 64)`` in 0..1 and their classes ``(examples,)``."""


class Classifier(nn.Module):
    """Two blocks and a head."""

    def __init__(self) -> None:
        """Initialised by torch's default, from the global generator."""
        super().__init__()
        self.block1 = nn.Linear(PIXELS, HIDDEN)
        self.block2 = nn.Linear(HIDDEN, HIDDEN)
        self.head = nn.Linear(HIDDEN, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits ``(examples, 10)`` of ``images`` ``(examples, 64)``."""
        hidden = torch.relu(self.block2(torch.relu(self.block1(images))))
        logits: Tensor = self.head(hidden)
        return logits


@cache  # read by every trial, changed by none
def two_tasks() -> tuple[Digits, Digits, Digits]:
    """The digits 0 to 4, the digits 5 to 9, and a fifth of the latter, held out for the score."""
    loaded = load_digits()
    images = torch.tensor(loaded.data, dtype=torch.float32) / 16
    classes = torch.tensor(loaded.target)
    held_out = torch.arange(len(classes)) % 5 == 0
    old, new = classes < 5, (classes >= 5) & ~held_out
    scored = (classes >= 5) & held_out
    return (
        (images[old], classes[old]),
        (images[new], classes[new]),
        (images[scored], classes[scored]),
    )


def score(model: nn.Module, tasks: tuple[Digits, Digits, Digits]) -> float:
    """The share of the held-out new digits that ``model`` names, 0 to 1."""
    images, classes = tasks[2]
    return float((model(images).argmax(dim=1) == classes).double().mean())


def train(*, set_to_none: bool) -> Watch:
    """Pretrains, fine-tunes in three phases, and returns what watch found."""
    model, optimizer = _begin(seed=0)
    with watch(model, optimizer) as leaks:
        _train(model, optimizer, set_to_none)
    return leaks


@torch.no_grad()
def scores(*, set_to_none: bool, seeds: int = 10) -> list[float]:
    """The score of the model that each of that many seeds ends with."""
    found = []
    for seed in range(seeds):
        model, optimizer = _begin(seed)
        _train(model, optimizer, set_to_none)
        found.append(score(model, two_tasks()))
    return found


def _begin(seed: int) -> tuple[Classifier, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = Classifier()
    return model, torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)


@torch.enable_grad()
def _train(model: Classifier, optimizer: torch.optim.Optimizer, set_to_none: bool) -> None:
    for step in range(PRETRAINING + 3 * PHASE):
        phase = (step - PRETRAINING) // PHASE  # negative while pretraining
        model.block2.requires_grad_(phase != 0)
        model.block1.requires_grad_(phase not in (0, 1))
        _loss(model, two_tasks(), step).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=set_to_none)


def build(seed: int) -> Workload:
    """The same for a sweep, which freezes the first block.

    Meant for the schedule ``after:10``: fine-tuning begins where the block is frozen.
    """
    frozen = ("block1.weight", "block1.bias")
    return Workload(Classifier(), two_tasks(), _loss, frozen, score=score)


def _loss(model: nn.Module, tasks: tuple[Digits, Digits, Digits], step: int) -> Tensor:
    images, classes = tasks[step >= PRETRAINING]
    start = step * BATCH % (len(images) - BATCH)
    batch = slice(start, start + BATCH)
    return functional.cross_entropy(model(images[batch]), classes[batch])


def main() -> None:
    """Prints the table of leaks, then none with the remedy on, and what the leak costs."""
    for set_to_none in (False, True):
        leaks = train(set_to_none=set_to_none)
        print(f"optimizer.zero_grad(set_to_none={set_to_none})\n")
        if leaks.leaks:
            table = leaks.table().drop_duplicates("parameter")  # the first leak of each
            print(table.to_string(index=False), end="\n\n")
        print(leaks.summary(), end="\n\n")
    zeros, none = (median(scores(set_to_none=chosen)) for chosen in (False, True))
    print(f"Held-out accuracy, median of ten seeds: {zeros:.3f} with zeros, {none:.3f} with None")


if __name__ == "__main__":
    main()
