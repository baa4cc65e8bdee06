"""What some libraries need around them before their optimizers run in a trial.

Rows name these functions; the registry calls each once in a process, before it imports the
library. What they set stays until the process ends.
"""

from __future__ import annotations

import atexit

import torch.distributed as dist


def lone_process_group() -> None:
    """Makes this process the only member of a process group, unless it is in one already.

    Collectives over it give back what they are handed. It talks over no port: its store is
    in memory. Left when the process ends.
    """
    if dist.is_initialized():
        return
    store = dist.HashStore()  # type: ignore[attr-defined]  # torch's stubs leave it out
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    atexit.register(dist.destroy_process_group)


def eager_heavyball() -> None:
    """Has heavyball run its kernels as they are written.

    It would compile each for each shape, which takes minutes for a trial of milliseconds.
    Raises ModuleNotFoundError where heavyball is not installed.
    """
    import heavyball.utils  # it takes seconds, and only its rows need it

    heavyball.utils.compile_mode = None
