"""The pytest fixture ``watch_leaks``: a test fails if something it watches leaks.

pytest loads this module by itself in every project where leaksweep is installed, so it imports
the rest, and torch, only where a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, Unpack

import pytest

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from sweep.integrations.training_watch import WatchOptions
    from sweep.watching import Watch
    from sweep.watching.roster import Watchable

_WATCHES = pytest.StashKey[list["Watch"]]()


class WatchLeaks(Protocol):
    """Starts to watch, as `leaksweep.watch` does, until the test ends; returns the watch."""

    def __call__(
        self, model: Watchable, *optimizers: Optimizer, **options: Unpack[WatchOptions]
    ) -> Watch:
        """Puts the hooks on. Raises what `leaksweep.watch` raises."""
        ...


@pytest.fixture
def watch_leaks(request: pytest.FixtureRequest) -> Iterator[WatchLeaks]:
    """``watch_leaks(model, *optimizers, ...)`` watches until the test ends, and fails it on a leak.

    It takes what ``leaksweep.watch`` takes and returns the watch, already entered.
    """
    from leaksweep import watch

    # A new list each time: a test that is run again is judged by what it does then.
    watches = request.node.stash[_WATCHES] = list["Watch"]()
    with ExitStack() as on:

        def begin(
            model: Watchable, *optimizers: Optimizer, **options: Unpack[WatchOptions]
        ) -> Watch:
            leaks = on.enter_context(watch(model, *optimizers, **options))
            watches.append(leaks)
            return leaks

        yield begin


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fails a test that passed though something leaked. Raises LeakError."""
    result = yield
    for leaks in item.stash.get(_WATCHES, []):
        leaks.raise_if_any()
    return result
