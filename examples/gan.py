"""A GAN on scikit-learn's digits, whose generator's step moves the discriminator.

    python examples/gan.py
    leaksweep run examples/gan.toml

Both players are in one optimizer, as in loops that were written for one loss, and take turns:
on even steps the discriminator learns, on odd steps the generator, with the discriminator
switched off by ``requires_grad``. It moves all the same, by its momentum, because
``zero_grad(set_to_none=False)`` leaves it a gradient of zeros; so does the generator on the
discriminator's steps. Setting the gradients to None is the remedy.
"""

from __future__ import annotations

from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from leaksweep import Workload, watch
from sweep.watching import Watch

NOISE, PIXELS, HIDDEN, BATCH, STEPS = 16, 64, 64, 64, 40


class Gan(nn.Module):
    """Generator and discriminator, each two linear layers."""

    def __init__(self) -> None:
        """Initialised by torch's default, from the global generator."""
        super().__init__()
        self.generator = nn.Sequential(
            nn.Linear(NOISE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS), nn.Sigmoid()
        )
        self.discriminator = nn.Sequential(
            nn.Linear(PIXELS, HIDDEN), nn.LeakyReLU(0.2), nn.Linear(HIDDEN, 1)
        )

    def discriminator_loss(self, real: Tensor) -> Tensor:
        """How badly it tells ``real`` images, (examples, 64) in 0..1, from made ones."""
        fake = self.generator(torch.randn(len(real), NOISE)).detach()
        return _judged(self.discriminator(real), 1.0) + _judged(self.discriminator(fake), 0.0)

    def generator_loss(self, examples: int) -> Tensor:
        """How badly ``examples`` made images pass for real ones."""
        fake = self.generator(torch.randn(examples, NOISE))
        return _judged(self.discriminator(fake), 1.0)


def _judged(logits: Tensor, verdict: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, verdict))


@cache  # read by every trial, changed by none
def digits() -> Tensor:
    """The 1,797 images of 8 x 8 pixels, flat and scaled to 0..1."""
    return torch.tensor(load_digits().data, dtype=torch.float32) / 16


def train(*, set_to_none: bool, steps: int = STEPS) -> Watch:
    """Trains for ``steps`` steps, the discriminator first, and returns what watch found."""
    torch.manual_seed(0)
    gan, images = Gan(), digits()
    optimizer = torch.optim.Adam(gan.parameters(), lr=2e-3, betas=(0.5, 0.999))
    with watch(gan, optimizer) as leaks:
        for step in range(steps):
            generators_turn = step % 2 == 1
            gan.discriminator.requires_grad_(not generators_turn)
            if generators_turn:
                loss = gan.generator_loss(BATCH)
            else:
                loss = gan.discriminator_loss(_batch(images, step))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=set_to_none)
    return leaks


def _batch(images: Tensor, step: int) -> Tensor:
    start = step * BATCH % (len(images) - BATCH)
    return images[start : start + BATCH]


def build(seed: int) -> Workload:
    """The same game for a sweep, which freezes the discriminator on the generator's steps.

    The schedule ``alternate`` freezes odd steps, on which the loss is the generator's.
    """
    gan = Gan()
    frozen = [f"discriminator.{name}" for name, _ in gan.discriminator.named_parameters()]
    return Workload(gan, digits(), _loss, tuple(frozen))


def _loss(model: nn.Module, data: Tensor, step: int) -> Tensor:
    assert isinstance(model, Gan)
    if step % 2 == 1:
        return model.generator_loss(BATCH)
    return model.discriminator_loss(_batch(data, step))


def main() -> None:
    """Prints the table of leaks, then none with the remedy on."""
    for set_to_none in (False, True):
        leaks = train(set_to_none=set_to_none)
        print(f"optimizer.zero_grad(set_to_none={set_to_none})\n")
        if leaks.leaks:
            table = leaks.table().drop_duplicates("parameter")  # the first leak of each
            print(table.to_string(index=False), end="\n\n")
        print(leaks.summary(), end="\n\n")


if __name__ == "__main__":
    main()
