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
from statistics import median

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


def score(model: nn.Module, images: Tensor) -> float:
    """How near the mean of 500 made images comes to that of the real ones: larger is nearer.

    Minus the squared distance of the two means, each of 64 pixels in 0..1; the noise is its own.
    """
    assert isinstance(model, Gan)
    noise = torch.randn(500, NOISE, generator=torch.Generator().manual_seed(0))
    return -float((model.generator(noise).mean(dim=0) - images.mean(dim=0)).square().sum())


def train(*, set_to_none: bool, steps: int = STEPS) -> Watch:
    """Trains for ``steps`` steps, the discriminator first, and returns what watch found."""
    gan, optimizer = _begin(seed=0)
    with watch(gan, optimizer) as leaks:
        _train(gan, optimizer, set_to_none, steps)
    return leaks


@torch.no_grad()
def scores(*, set_to_none: bool, seeds: int = 10) -> list[float]:
    """The score of the generator that each of that many seeds ends with."""
    found = []
    for seed in range(seeds):
        gan, optimizer = _begin(seed)
        _train(gan, optimizer, set_to_none, STEPS)
        found.append(score(gan, digits()))
    return found


def _begin(seed: int) -> tuple[Gan, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    gan = Gan()
    return gan, torch.optim.Adam(gan.parameters(), lr=2e-3, betas=(0.5, 0.999))


@torch.enable_grad()
def _train(gan: Gan, optimizer: torch.optim.Optimizer, set_to_none: bool, steps: int) -> None:
    for step in range(steps):
        generators_turn = step % 2 == 1
        gan.discriminator.requires_grad_(not generators_turn)
        if generators_turn:
            loss = gan.generator_loss(BATCH)
        else:
            loss = gan.discriminator_loss(_batch(digits(), step))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=set_to_none)


def _batch(images: Tensor, step: int) -> Tensor:
    start = step * BATCH % (len(images) - BATCH)
    return images[start : start + BATCH]


def build(seed: int) -> Workload:
    """The same game for a sweep, which freezes the discriminator on the generator's steps.

    The schedule ``alternate`` freezes odd steps, on which the loss is the generator's.
    """
    gan = Gan()
    frozen = [f"discriminator.{name}" for name, _ in gan.discriminator.named_parameters()]
    return Workload(gan, digits(), _loss, tuple(frozen), score=score)


def _loss(model: nn.Module, data: Tensor, step: int) -> Tensor:
    assert isinstance(model, Gan)
    if step % 2 == 1:
        return model.generator_loss(BATCH)
    return model.discriminator_loss(_batch(data, step))


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
    print("Distance of the made images' mean from the real ones', squared, median of ten seeds:")
    print(f"{-zeros:.2f} with zeros, {-none:.2f} with None")


if __name__ == "__main__":
    main()
