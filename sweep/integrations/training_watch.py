"""A watch that a trainer begins and ends: what the callbacks of every trainer share."""

from __future__ import annotations

import logging
from typing import TypedDict

from torch.optim import Optimizer

from sweep.errors import LeakError, MisuseError
from sweep.watching import Watch, watch
from sweep.watching.advice import Loop
from sweep.watching.meant import Frozen
from sweep.watching.roster import Watchable
from sweep.watching.session import Granularity

logger = logging.getLogger(__name__)


class WatchOptions(TypedDict, total=False):
    """The options of `leaksweep.watch`, which says what they mean."""

    frozen: Frozen | None
    trainable: Frozen | None
    zeros_count: bool
    granularity: Granularity
    causes: bool


class TrainingWatch:
    """Holds one watch at a time, from the beginning of training to its end."""

    def __init__(self, loop: Loop, options: WatchOptions, *, raises: bool) -> None:
        """Watches nothing yet; ``raises`` says whether leaks end training with a LeakError.

        ``loop`` is the trainer's, which decides what is advised.
        """
        self._loop, self._options = loop, options
        self._raises = raises
        self._watch: Watch | None = None
        self._is_on = False

    @property
    def leaks(self) -> Watch:
        """What the latest training showed. Raises MisuseError before any has begun."""
        if self._watch is None:
            raise MisuseError(
                "This callback has watched no training yet: hand it to a trainer, train, and ask "
                "for its leaks then."
            )
        return self._watch

    def begin(self, model: Watchable, *optimizers: Optimizer) -> None:
        """Puts the hooks on; takes them off first where an earlier training broke off.

        Raises what `leaksweep.watch` raises.
        """
        self.stop()
        found = watch(model, *optimizers, **self._options).advising(self._loop)
        found.__enter__()
        self._watch, self._is_on = found, True

    def end(self) -> None:
        """Takes the hooks off and tells of leaks, and of what was to train and did not.

        Raises LeakError if asked to, or else logs.
        """
        if not self._is_on:
            return
        self.stop()
        try:
            self.leaks.raise_if_any()
        except LeakError:
            if self._raises:
                raise
            logger.warning("%s", self.leaks.summary())

    def stop(self) -> None:
        """Takes the hooks off, if they are on, and says nothing."""
        if self._watch is not None and self._is_on:
            self._watch.__exit__(None, None, None)
            self._is_on = False
