"""The workloads ``digits`` and ``digits-pretrained``: real data, minibatches, and a score.

The data are scikit-learn's 1,797 handwritten digits of 8 x 8 pixels (UCI's "Optical Recognition
of Handwritten Digits"), which come with that package. The seed decides which of them are held
out, the minibatches and the initial weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH = 128
CLASSES = 10
HELD_OUT = 360
"""A fifth of the digits, never trained on."""

OLD_CLASSES = 5
"""``digits-pretrained`` has seen the digits below this one before the trial begins."""

PRETRAINING_STEPS = 400
_PRETRAINING_LR = 0.01
_RIDGE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """The digits as one seed splits them.

    Attributes:
        x, y: what is trained on, ``(1437, 64)`` pixels from 0 to 1 and ``(1437,)`` classes.
        held_out_x, held_out_y: the same of the ``HELD_OUT`` digits that are not.
        seed: what drew the split, and draws the minibatches.
    """

    x: Tensor
    y: Tensor
    held_out_x: Tensor
    held_out_y: Tensor
    seed: int

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The minibatch of ``step``: ``(128, 64)`` pixels and ``(128,)`` classes.

        An epoch is 11 whole minibatches of its own shuffle, and the rest of the digits wait for
        the next one. The step decides alone, so that a replay that begins in the middle meets
        what the trial met.
        """
        per_epoch = len(self.x) // BATCH
        epoch, number = divmod(step, per_epoch)
        chosen = _shuffle(self.seed, epoch, len(self.x))[number * BATCH : (number + 1) * BATCH]
        chosen = chosen.to(self.x.device)
        return self.x[chosen], self.y[chosen]


@lru_cache(maxsize=4)  # data are only read, and a replay builds its workload several times over
def split(seed: int, device: str) -> Digits:
    """The digits, split by ``seed``, on ``device``."""
    pixels, classes = _all_digits()
    order = torch.randperm(len(pixels), generator=_generator(seed, 0))
    held_out, kept = order[:HELD_OUT], order[HELD_OUT:]
    parts = (pixels[kept], classes[kept], pixels[held_out], classes[held_out])
    x, y, held_out_x, held_out_y = (part.to(device) for part in parts)
    return Digits(x, y, held_out_x, held_out_y, seed)


def accuracy(model: nn.Module, data: Digits) -> float:
    """The share of the held-out digits that ``model`` names, from 0 to 1.

    A digit for which a logit is not finite is not named.
    """
    logits = model(data.held_out_x)
    right = (logits.argmax(dim=-1) == data.held_out_y) & logits.isfinite().all(dim=-1)
    return float(right.double().mean())


def kept_accuracy(model: nn.Module, data: Digits) -> float:
    """How well the features still tell the old classes apart: a linear probe's accuracy, 0 to 1.

    The probe is a ridge regression on the classes, fitted on the features
    ``relu(x @ layer1.T)`` of the old classes' digits that are trained on, and scored on those
    held out. NaN where a feature is not finite, for then there is nothing to fit.
    """
    layer1 = model.get_parameter("layer1.weight")
    fitted_x, fitted_y = _old(data.x, data.y)
    scored_x, scored_y = _old(data.held_out_x, data.held_out_y)
    features, scored = _features(fitted_x, layer1), _features(scored_x, layer1)
    if not (features.isfinite().all() and scored.isfinite().all()):
        return float("nan")
    targets = functional.one_hot(fitted_y, OLD_CLASSES).double()
    penalty = _RIDGE * len(features) * torch.eye(features.shape[1], dtype=torch.float64)
    probe = torch.linalg.solve(
        features.T @ features + penalty.to(features.device), features.T @ targets
    )
    return float(((scored @ probe).argmax(dim=-1) == scored_y).double().mean())


def pretrain(model: nn.Module, data: Digits) -> None:
    """Trains ``model`` in place on the old classes alone, the same for the same data.

    With AdamW and no decay, on all their digits at once, for ``PRETRAINING_STEPS`` steps.
    """
    x, y = _old(data.x, data.y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_PRETRAINING_LR, weight_decay=0.0)
    for _ in range(PRETRAINING_STEPS):
        functional.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()


def _features(x: Tensor, layer1: Tensor) -> Tensor:
    """``(examples, hidden + 1)``: the hidden layer in double precision, and a constant."""
    hidden = torch.relu(x.double() @ layer1.double().T)
    return torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=1)


def _old(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    old = y < OLD_CLASSES
    return x[old], y[old]


@lru_cache(maxsize=1)
def _all_digits() -> tuple[Tensor, Tensor]:
    # Here, for it takes half a second and few trials need it.
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    return torch.from_numpy(pixels.astype(np.float32) / 16), torch.from_numpy(classes).long()


@lru_cache(maxsize=256)
def _shuffle(seed: int, epoch: int, examples: int) -> Tensor:
    return torch.randperm(examples, generator=_generator(seed, epoch + 1))


def _generator(seed: int, stream: int) -> torch.Generator:
    """A generator of its own for each seed and stream; torch's global one is left alone."""
    (number,) = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(number) >> 1)
