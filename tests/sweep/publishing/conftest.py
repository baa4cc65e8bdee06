"""A sweep of every verdict made by hand, and the storages of both kinds that it goes to."""

import runpy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import optuna
import pytest

from sweep.store.store import Store
from sweep.values.outcome import Causes, Environment, Measurement, Outcome
from sweep.values.setting import PlannedTrial, Setting, canonical_json
from sweep.values.words import Freeze, Verdict, ZeroGrad

_STORE = runpy.run_path(str(Path(__file__).parents[1] / "store" / "conftest.py"))
postgres_server, postgres_url = _STORE["postgres_server"], _STORE["postgres_url"]

HERE = Environment("2.13.0", "3.11.9", "Linux", "cpu", 1, "0.1.0")
THERE = replace(HERE, device="NVIDIA H200", threads=16, cpu="EPYC", blas_mode="MKL_CBWR=AVX2")
MEASURED = Measurement(10, 9, 1, 0.5, 0.1 + 0.2, 2.0, 0.15, 1.1, 0.9, False, 0.9, 2.5)
STILL = replace(MEASURED, leaked_steps=0, first_leak_step=None, total_drift=0.0, drift_ratio=0.0)
ENDED = datetime(2026, 3, 29, 0, 30, 0, 123456, tzinfo=UTC)  # the hour that Europe skips


def made(seed=0, verdict=Verdict.LEAKS, measurement=MEASURED, **axes):
    """An outcome of that verdict; ``seed`` also tells when it finished."""
    given = {"optimizer": "SGD", "lr": 0.1, "weight_decay": 0.5, "momentum": 0.9} | axes
    setting = Setting(
        zero_grad=ZeroGrad.ZERO, schedule="after:10", freeze=Freeze.NO_GRAD, seed=seed, **given
    )
    failed, leaks = verdict is Verdict.FAILED, verdict is Verdict.LEAKS
    return Outcome(
        planned=PlannedTrial(setting, "small", 20, '{"nesterov":true}'),
        environment=THERE if seed % 2 else HERE,
        optimizer_package="torch 2.13.0",
        verdict=verdict,
        measurement=None if failed else measurement,
        causes=Causes(True, False, True, False, False, "history+gradient") if leaks else None,
        sideways=None if failed else False,
        train_seconds=0.1 + 0.2,
        error="ValueError: '; DROP TABLE trials; --\n<b>\\" if failed else None,
        finished_at=ENDED + timedelta(seconds=seed),
    )


OUTCOMES = [
    made(0),
    made(1, Verdict.HOLDS, STILL),
    made(2, Verdict.FAILED),
    made(3, Verdict.INERT, replace(STILL, attached_motion=0.0, drift_ratio=None)),
    made(4, measurement=replace(MEASURED, drift_ratio=float("inf"), diverged=True)),
    made(5, optimizer="Adagrad", lr=1e-8, momentum=None),
    made(6, Verdict.HOLDS, STILL, optimizer="some.package:Class", lr=None, weight_decay=None),
]


def recorded(url, outcomes=OUTCOMES, name="s", planned=9):
    """Records ``outcomes`` as a sweep in the database at ``url``, which comes back."""
    with Store.open(url) as store:
        spec = canonical_json({"name": name, "grid": [], "workload": "small", "steps": 20})
        store.write(store.record_sweep(name, spec, planned).id, outcomes)
    return url


@pytest.fixture
def url(tmp_path):
    """The URL of a database with the sweep `s`."""
    return recorded(f"sqlite:///{tmp_path / 'sweep.db'}")


@pytest.fixture
def storage(tmp_path):
    """The URL of a storage that is not there yet."""
    return f"sqlite:///{tmp_path / 'folder' / 'optuna.db'}"


@pytest.fixture
def journal(tmp_path):
    """The path of a journal that is not there yet."""
    return str(tmp_path / "folder" / "optuna.log")


@pytest.fixture(
    params=["storage", "journal", "postgres_url"], ids=["sqlite", "journal", "postgresql"]
)
def any_storage(request):
    """The URL of an empty storage of each kind."""
    return request.getfixturevalue(request.param)


@pytest.fixture(autouse=True)
def quiet():
    """Optuna without its log."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(optuna.logging.INFO)


@pytest.fixture(scope="session")
def make():
    """What other tests make outcomes and sweeps with."""
    return made


@pytest.fixture(scope="session")
def record():
    """Records outcomes as a sweep; see `recorded`."""
    return recorded
