"""A Dask cluster: reached at its scheduler's address, or started on this machine.

Owns the connection and what can be wrong with it. What is sent over it is in
`sweep.running.batches`. ``distributed`` is imported when a cluster is asked for, not before.
"""

# mypy: allow-untyped-calls
# Half of distributed has types.

from __future__ import annotations

import logging
import os
import platform
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from sweep.errors import ClusterError, MisuseError

if TYPE_CHECKING:
    from distributed import Client

CONNECTS_WITHIN_S = 5.0
MUST_AGREE = ("leaksweep", "torch", "numpy", "distributed", "cloudpickle")
"""What an outcome, or whether it can be sent at all, depends on; and Python itself."""

Tell = Callable[[str], None]


def check(scheduler: str | None) -> None:
    """Sees whether a cluster can be had; a connection of its own, closed again.

    Raises MisuseError where Dask is not installed, ClusterError where nobody answers as a
    scheduler at that address within seconds.
    """
    _check_installed()
    if scheduler is not None:
        with _quiet():
            _connected(scheduler).close()


@contextmanager
def opened_cluster(scheduler: str | None, jobs: int) -> Iterator[Client]:
    """A client of the cluster at ``scheduler``, or of one started here with ``jobs`` workers.

    What was started ends with the context. Raises as `check` does.
    """
    _check_installed()
    with _quiet(), _address(scheduler, jobs) as address:
        client = _connected(address)
        try:
            yield client
        finally:
            client.close(timeout=CONNECTS_WITHIN_S)


def compare_versions(client: Client, workers: Collection[str], tell: Tell) -> set[str]:
    """Those of ``workers`` that said their versions; one that is lost by then says none.

    ``tell`` is told of each whose versions are not this process's. Raises ClusterError where
    one lacks this program.
    """
    here, answered = versions(), set()
    for worker, there in client.run(versions, workers=list(workers), on_error="return").items():
        if isinstance(there, OSError):
            continue
        if isinstance(there, BaseException):
            raise ClusterError(
                f"The worker at {worker} cannot run trials: {type(there).__name__}: {there}. "
                f"Install leaksweep {here['leaksweep']} where the workers are."
            )
        answered.add(worker)
        if different := differences(here, there):
            tell(
                f"The worker at {worker} has {different}: its outcomes may differ from this "
                f"machine's. The column environment_id of each trial says where it ran."
            )
    return answered


def versions() -> dict[str, str]:
    """The versions, in this process, of all that must agree; ``none`` for what is not there."""
    found = {"python": platform.python_version()}
    for name in MUST_AGREE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """What differs, in words; empty if nothing does.

    >>> differences({"torch": "2.13.0", "numpy": "2.4"}, {"torch": "2.12.1", "numpy": "2.4"})
    'torch 2.12.1 (here 2.13.0)'
    """
    return ", ".join(
        f"{name} {there.get(name, 'none')} (here {here[name]})"
        for name in here
        if there.get(name, "none") != here[name]
    )


def _check_installed() -> None:
    try:
        import distributed  # noqa: F401 only whether it is there
    except ImportError as error:
        raise MisuseError(
            "--backend dask needs Dask, which is not installed: "
            "pip install 'leaksweep[cluster]', here and where the workers are."
        ) from error


@contextmanager
def _address(scheduler: str | None, jobs: int) -> Iterator[str]:
    """The scheduler's address; a local cluster's where none is given."""
    if scheduler is not None:
        yield scheduler
        return
    from distributed import LocalCluster

    with (
        _environment(),
        LocalCluster(
            n_workers=jobs,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",  # None would listen, too, at a port often taken
            scheduler_kwargs={"dashboard": False},
            memory_limit=None,  # trials have processes of their own
            preload=f"{__package__}.on_worker",
            silence_logs=logging.CRITICAL,
        ) as cluster,
    ):
        yield cluster.scheduler_address


def _connected(address: str) -> Client:
    from distributed import Client

    try:
        return Client(address, timeout=CONNECTS_WITHIN_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"No Dask scheduler answers at {address} within {CONNECTS_WITHIN_S:g} s: {error}. "
            f"`dask scheduler` prints its address, such as tcp://10.0.0.1:8786."
        ) from error


@contextmanager
def _environment() -> Iterator[None]:
    """What processes find that are started meanwhile, and others later in their place.

    No module in the current folder is taken for one of Python's, and trackers of resources,
    which outlive a driver that was killed, do not tell what they found. A person's own filters
    of warnings come first.
    """
    import dask

    found = dict(os.environ)
    filters = ["ignore:resource_tracker:UserWarning", *filter(None, [found.get("PYTHONWARNINGS")])]
    variables = {"PYTHONSAFEPATH": "1", "PYTHONWARNINGS": ",".join(filters)}
    os.environ |= variables
    try:
        with dask.config.set({"distributed.nanny.pre-spawn-environ": variables}):
            yield
    finally:
        for name in variables:
            os.environ.pop(name)
        os.environ |= found


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Dask's log and its own remarks on versions off stderr; what matters is raised."""
    log = logging.getLogger("distributed")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="distributed")
            yield
    finally:
        log.setLevel(level)
