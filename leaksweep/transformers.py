"""A callback for Hugging Face's Trainer: ``Trainer(..., callbacks=[WatchLeaks()])``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweep.integrations.transformers import WatchLeaks
else:
    from leaksweep.own import own

    WatchLeaks = own("sweep.integrations.transformers").WatchLeaks

__all__ = ["WatchLeaks"]
