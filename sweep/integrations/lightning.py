"""A callback for Lightning 2: ``Trainer(callbacks=[WatchLeaks()])``."""

from __future__ import annotations

from typing import Unpack

from lightning.pytorch import Callback, LightningModule, Trainer

from sweep.integrations.training_watch import TrainingWatch, WatchOptions
from sweep.watching import Watch
from sweep.watching.advice import Loop


class WatchLeaks(Callback):
    """Watches every optimizer of the module from the first step of ``fit`` to the last."""

    def __init__(self, *, raises: bool = False, **options: Unpack[WatchOptions]) -> None:
        """``raises`` ends ``fit`` with a LeakError if anything leaked; else a warning is logged.

        ``options`` are those of `leaksweep.watch`.
        """
        self._training = TrainingWatch(Loop.LIGHTNING, options, raises=raises)

    @property
    def leaks(self) -> Watch:
        """What the latest ``fit`` showed. Raises MisuseError before any has begun."""
        return self._training.leaks

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the hooks on. Raises what `leaksweep.watch` raises."""
        self._training.begin(pl_module, *trainer.optimizers)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the hooks off and tells of leaks."""
        self._training.end()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Takes the hooks off."""
        self._training.stop()
