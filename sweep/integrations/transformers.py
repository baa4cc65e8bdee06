"""A callback for Hugging Face's Trainer: ``Trainer(..., callbacks=[WatchLeaks()])``."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, Unpack

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sweep.integrations.training_watch import TrainingWatch, WatchOptions
from sweep.watching import Watch
from sweep.watching.advice import Loop


class WatchLeaks(TrainerCallback):
    """Watches the optimizer from the first step of ``train`` to the last.

    The Trainer tells callbacks nothing of an exception. Where one may come and the optimizer
    is used on, put ``with callback:`` around ``trainer.train()``, and no hook stays behind.
    """

    def __init__(self, *, raises: bool = False, **options: Unpack[WatchOptions]) -> None:
        """``raises`` ends ``train`` with a LeakError if anything leaked; else a warning is logged.

        ``options`` are those of `leaksweep.watch`.
        """
        self._training = TrainingWatch(Loop.TRAINER, options, raises=raises)

    @property
    def leaks(self) -> Watch:
        """What the latest ``train`` showed. Raises MisuseError before any has begun."""
        return self._training.leaks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._training.stop()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Puts the hooks on. Raises what `leaksweep.watch` raises."""
        model: nn.Module = given["model"]
        self._training.begin(model, given["optimizer"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Takes the hooks off and tells of leaks."""
        self._training.end()
