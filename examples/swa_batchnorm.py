"""Lightning's StochasticWeightAveraging ends with a training step on stale grads, under BatchNorm.

    python examples/swa_batchnorm.py

At the end of training the callback copies the averaged weights into the module. If the module has
BatchNorm layers, one pass over the data follows, without backward, to measure their statistics
anew. On the last batch of that pass Lightning calls ``optimizer.step()`` all the same. The grads
of the last training step are still there, nobody cleared them, and the averaged weights move by
one more step: what ``fit`` leaves is not the average. Without BatchNorm there is no such pass.

The remedy is to have no grads by then: ``module.zero_grad()`` as each epoch begins. Checked with
lightning 2.6.6. Needs neither `watch` nor a network; the digits come with scikit-learn.
"""

from __future__ import annotations

import copy
import logging
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

PIXELS, HIDDEN, CLASSES = 64, 32, 10
TRAINED, BATCH = 640, 64  # of 1,797 digits; the others are the test
EPOCHS, AVERAGED_FROM = 6, 3  # epochs count from 0
LR = 0.1


class Classifier(lightning.LightningModule):
    """Two linear layers with or without BatchNorm between them, trained by SGD with momentum."""

    def __init__(self, *, batch_norm: bool) -> None:
        """The same initial weights each time."""
        super().__init__()
        torch.manual_seed(0)
        between = nn.BatchNorm1d(HIDDEN) if batch_norm else nn.Identity()
        self.net = nn.Sequential(
            nn.Linear(PIXELS, HIDDEN), between, nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
        )

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """The loss of a batch of images and classes."""
        images, classes = batch
        return functional.cross_entropy(self.net(images), classes)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD at the rate at which the weights are averaged, too."""
        return torch.optim.SGD(self.parameters(), lr=LR, momentum=0.9)


class ClearGrads(Callback):
    """The remedy: no grad outlives its epoch, so the step after the extra pass finds none."""

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Sets the module's grads to None."""
        pl_module.zero_grad(set_to_none=True)


class Witness(Callback):
    """Keeps what the average is made of, and how far each step of the optimizer went."""

    def __init__(self) -> None:
        """Has seen nothing yet."""
        self.snapshots: list[list[Tensor]] = []
        self.lengths: list[tuple[int, float]] = []  # the epoch of each step, and its norm

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Begins to look at the steps."""
        (optimizer,) = trainer.optimizers
        before: list[Tensor] = []

        def keep(*_: object) -> None:
            before[:] = _copies(pl_module)

        def measure(*_: object) -> None:
            moved = [now - then for now, then in zip(_copies(pl_module), before, strict=True)]
            self.lengths.append((trainer.current_epoch, _norm(moved)))

        optimizer.register_step_pre_hook(keep)
        optimizer.register_step_post_hook(measure)

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Copies the weights where the callback takes them up: as each averaged epoch begins."""
        if AVERAGED_FROM <= trainer.current_epoch < EPOCHS:
            self.snapshots.append(_copies(pl_module))

    def average(self) -> list[Tensor]:
        """The mean of the copies, in float64, weight by weight."""
        return [torch.stack(copies).mean(0) for copies in zip(*self.snapshots, strict=True)]


@dataclass(frozen=True)
class Fitted:
    """What a fit left.

    Attributes:
        extra_steps: optimizer steps after the last epoch of training.
        length: the norm of what those moved, beside that of the last training step.
        off: the largest difference of a weight from the average.
        share: the norm of all the differences, as a share of the average's norm.
        loss, loss_of_average: on the test's digits, of the module as it was left and with the
            average for its weights, with the same statistics of BatchNorm.
    """

    extra_steps: int
    length: float
    off: float
    share: float
    loss: float
    loss_of_average: float


def averaging() -> StochasticWeightAveraging:
    """The callback, which averages the weights with which the last three epochs begin."""
    return StochasticWeightAveraging(
        swa_lrs=LR, swa_epoch_start=AVERAGED_FROM + 1, annealing_epochs=1
    )


def train(module: Classifier, callbacks: list[Callback]) -> None:
    """Fits the module to the digits, on the CPU, and writes nothing."""
    images, classes = _digits()
    data = DataLoader(TensorDataset(images[:TRAINED], classes[:TRAINED]), batch_size=BATCH)
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    trainer.fit(module, data)


@cache
def fit(*, batch_norm: bool, remedy: bool = False) -> Fitted:
    """Trains with StochasticWeightAveraging and compares what it leaves with the average."""
    module, witness = Classifier(batch_norm=batch_norm), Witness()
    train(module, [averaging(), witness, *([ClearGrads()] if remedy else [])])
    return _compared(module, witness)


def _compared(module: Classifier, witness: Witness) -> Fitted:
    average = witness.average()
    differences = [one - other for one, other in zip(_copies(module), average, strict=True)]
    extra = [length for epoch, length in witness.lengths if epoch >= EPOCHS]
    training = [length for epoch, length in witness.lengths if epoch < EPOCHS]
    averaged = copy.deepcopy(module)
    for weight, value in zip(averaged.parameters(), average, strict=True):
        weight.data.copy_(value)
    return Fitted(
        extra_steps=len(extra),
        length=sum(extra) / training[-1],
        off=max(difference.abs().max().item() for difference in differences),
        share=_norm(differences) / _norm(average),
        loss=_test_loss(module),
        loss_of_average=_test_loss(averaged),
    )


def _copies(module: nn.Module) -> list[Tensor]:
    return [weight.detach().double().clone() for weight in module.parameters()]


def _norm(weights: list[Tensor]) -> float:
    return torch.cat([weight.flatten() for weight in weights]).norm().item()


@torch.no_grad()
def _test_loss(module: Classifier) -> float:
    images, classes = _digits()
    scores = module.eval().net(images[TRAINED:])
    return functional.cross_entropy(scores, classes[TRAINED:]).item()


def _digits() -> tuple[Tensor, Tensor]:
    loaded = load_digits()
    return torch.tensor(loaded.data, dtype=torch.float32) / 16, torch.tensor(loaded.target)


def main() -> None:
    """Prints a line for each fit."""
    warnings.simplefilter("ignore")  # Lightning advises on workers and loggers
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print(f"lightning {version('lightning')}, torch {version('torch')}: what fit() leaves\n")
    for title, options in {
        "without BatchNorm": {"batch_norm": False},
        "with BatchNorm": {"batch_norm": True},
        "with BatchNorm, grads set to None as each epoch begins": {
            "batch_norm": True,
            "remedy": True,
        },
    }.items():
        found = fit(**options)
        print(title)
        print(
            f"  optimizer steps after the last epoch that trains: {found.extra_steps}, "
            f"{found.length:.2f} times as long as the last one in it"
        )
        print(f"  off the average by up to {found.off:.2g}, {found.share:.2%} of its norm")
        print(f"  test loss {found.loss:.4f}, the average's {found.loss_of_average:.4f}\n")


if __name__ == "__main__":
    main()
