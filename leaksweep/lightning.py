"""A callback for Lightning 2: ``Trainer(callbacks=[WatchLeaks()])``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweep.integrations.lightning import WatchLeaks
else:
    from leaksweep.own import own

    WatchLeaks = own("sweep.integrations.lightning").WatchLeaks

__all__ = ["WatchLeaks"]
